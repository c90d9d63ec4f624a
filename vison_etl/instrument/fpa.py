"""The focal plane: which CCD of which block sits where, in the initial and in the final design."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from vison_etl.instrument.datafiles import csv_rows, unknown

Design = Literal["initial", "final"]

SLICES = 6
COLUMNS = 6


@dataclass(frozen=True, slots=True)
class FpaCell:
    """One of the 36 places.

    ``flip_rows`` and ``flip_columns`` turn a CCD frame [y, x] as displayed into its cell of the focal plane as displayed, slice 1
    at the bottom, column 1 at the left.
    """

    ccdid: str
    slice: int
    column: int
    block: str
    ccd: str
    ccd_serial: str
    flip_rows: bool
    flip_columns: bool


@cache
def fpa_map(design: Design) -> tuple[FpaCell, ...]:
    """Return the 36 cells of a design, slice by slice from the bottom.

    The design must be named: the two differ in the blocks of slices 4 and 5, and there is no default to trust.
    """
    rows = [row for row in csv_rows("fpa_layout.csv") if row["design"] == design]
    if not rows:
        raise unknown("FPA design", design, {row["design"] for row in csv_rows("fpa_layout.csv")})
    return tuple(
        FpaCell(
            ccdid=row["ccdid"],
            slice=int(row["slice"]),
            column=int(row["column"]),
            block=row["block"],
            ccd=row["ccd"],
            ccd_serial=row["ccd_serial"],
            flip_rows=row["flip_rows_y"] == "1",
            flip_columns=row["flip_cols_x"] == "1",
        )
        for row in rows
    )


@cache
def cell_of(design: Design, block: str, ccd: str) -> FpaCell | None:
    """Return the place of a CCD; None for a block that does not fly in this design."""
    return next((cell for cell in fpa_map(design) if cell.block == block and cell.ccd == ccd), None)
