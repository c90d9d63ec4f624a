"""The table ``channels``: every channel of every block and its place on the focal plane, so that maps are plain SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from vison_etl.instrument.blocks import Block, blocks, offsets_adu
from vison_etl.instrument.fpa import Design, FpaCell, cell_of
from vison_etl.instrument.requirements import EXPECTED_OFFSET
from vison_etl.results.db import Constant
from vison_etl.tables import CCDS, QUADRANTS, Column, Table

CHANNELS = Table(
    "channels",
    "engine",
    "Every channel of every block in both designs of the focal plane; ccdid is NULL for a block that has no place in the design.",
    ("design", "block", "ccd", "quadrant"),
    (),
    (
        Column("design", "text", "", "design of the focal plane: initial or final"),
        Column("block", "text", "", "block"),
        Column("ccd", "text", "", "CCD"),
        Column("quadrant", "text", "", "quadrant"),
        Column("role", "text", "", "role of the block in the design: flight, spare or discarded"),
        Column("ccdid", "text", "", "place of the CCD, C_<slice><col>"),
        Column("slice", "int", "", "row of CCDs, 1 = bottom"),
        Column("col", "int", "", "column of CCDs, 1 = left"),
        Column("fpa_x", "int", "", "column of the quadrant on the focal plane, 0 = left, 11 = right"),
        Column("fpa_y", "int", "", "row of the quadrant on the focal plane, 0 = bottom, 11 = top"),
        Column("flip_rows", "bool", "", "the CCD frame is mounted flipped upside down"),
        Column("flip_columns", "bool", "", "the CCD frame is mounted flipped left to right"),
        Column("ccd_serial", "text", "", "serial number of the CCD"),
        Column("batch", "text", "", "batch of silicon: first part of the serial number"),
        Column(EXPECTED_OFFSET, "float", "ADU", "offset by the table of the block; NULL where it has none"),
    ),
)

_RIGHT = frozenset("FG")
_UPPER = frozenset("EF")


def channel_rows() -> Iterator[tuple[Constant, ...]]:
    """Yield the rows of ``channels``, in order of design, block, ccd, quadrant."""
    for design in sorted(get_args(Design)):
        for block in sorted(blocks(), key=lambda row: row.block):
            for ccd in CCDS:
                for quadrant in QUADRANTS:
                    yield _row(design, block, ccd, quadrant)


def _row(design: Design, block: Block, ccd: str, quadrant: str) -> tuple[Constant, ...]:
    role = block.role_initial if design == "initial" else block.role_final
    serial = block.serials[CCDS.index(ccd)] if block.serials else None
    batch = serial.split("-", maxsplit=1)[0] if serial else None
    cell = cell_of(design, block.block, ccd)
    offset = (offsets_adu(block.block) or {}).get((ccd, quadrant))
    return (design, block.block, ccd, quadrant, role, *_place(cell, quadrant), serial, batch, offset)


def _place(cell: FpaCell | None, quadrant: str) -> tuple[Constant, ...]:
    if cell is None:
        return (None,) * 7
    right, upper = quadrant in _RIGHT, quadrant in _UPPER
    x = 2 * (cell.column - 1) + (right != cell.flip_columns)
    y = 2 * (cell.slice - 1) + (upper != cell.flip_rows)
    return (cell.ccdid, cell.slice, cell.column, x, y, cell.flip_rows, cell.flip_columns)
