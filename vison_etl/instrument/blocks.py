"""Blocks: one ROE, one RPSU and three CCDs under a nickname; their serials, roles, offsets and chambers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from vison_etl.instrument.chambers import chambers
from vison_etl.instrument.datafiles import csv_rows, unknown

_SERIAL = re.compile(r"(?<!\d)\d{5}-\d{2}-\d{2}(?!\d)")


@dataclass(frozen=True, slots=True)
class Block:
    """One block. ``serials`` are those of CCD1, CCD2, CCD3, or None where they are not known."""

    block: str
    block_sn: int
    roe_sn: int
    rpsu_sn: int
    role_initial: str
    role_final: str
    serials: tuple[str, str, str] | None


@cache
def blocks() -> tuple[Block, ...]:
    """Return every block of the campaign, discarded ones included."""
    return tuple(
        Block(
            block=row["block"],
            block_sn=int(row["block_sn"]),
            roe_sn=int(row["roe_sn"]),
            rpsu_sn=int(row["rpsu_sn"]),
            role_initial=row["role_initial"],
            role_final=row["role_final"],
            serials=(row["sn_ccd1"], row["sn_ccd2"], row["sn_ccd3"]) if row["sn_ccd1"] else None,
        )
        for row in csv_rows("blocks.csv")
    )


@cache
def block(name: str) -> Block:
    """Return a block by name; ``KeyError`` names the nearest ones."""
    for row in blocks():
        if row.block == name:
            return row
    raise unknown("block", name, (row.block for row in blocks()))


@cache
def block_names() -> tuple[str, ...]:
    """Return all known nicknames: the blocks, and the earlier models that have offsets only."""
    names = [row.block for row in blocks()]
    return (*names, *(row["block"] for row in csv_rows("block_offsets.csv") if row["block"] not in names))


def serial_of(text: str | None) -> str | None:
    """Return the serial number within a log entry such as ``CCD273-84-2-F15_SN_14311-05-02``; None if there is not one."""
    found = _SERIAL.findall(text or "")
    return str(found[0]) if len(found) == 1 else None


@cache
def _by_serials() -> Mapping[tuple[str, str, str], str]:
    return {row.serials: row.block for row in blocks() if row.serials is not None}


def block_of_serials(sn_ccd1: str | None, sn_ccd2: str | None, sn_ccd3: str | None) -> str | None:
    """Return the block that holds exactly these three CCDs in this order; None otherwise: two of three are not enough."""
    triple = serial_of(sn_ccd1), serial_of(sn_ccd2), serial_of(sn_ccd3)
    if triple[0] is None or triple[1] is None or triple[2] is None:
        return None
    return _by_serials().get((triple[0], triple[1], triple[2]))


def serials_of(name: str) -> tuple[str, str, str] | None:
    """Return the serials of CCD1, CCD2, CCD3 of a block; None if the block or its serials are not known."""
    return next((row.serials for row in blocks() if row.block == name), None)


def chamber_of_block(name: str) -> str | None:
    """Return the chamber profile made for a block: ``B_<BLOCK>``, else ``A_<BLOCK>``, else None."""
    return next((profile for profile in (f"B_{name}", f"A_{name}") if profile in chambers()), None)


@cache
def offsets_adu(name: str) -> Mapping[tuple[str, str], float] | None:
    """Return the expected offset, ADU, by (ccd, quadrant); None for a block without a table: nothing is guessed."""
    for row in csv_rows("block_offsets.csv"):
        if row["block"] == name:
            return {(column[:4], column[5:]): float(value) for column, value in row.items() if column != "block"}
    return None
