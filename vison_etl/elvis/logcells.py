"""Cells of an exposure log: one text to one value in the normalised unit, and back."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import NamedTuple

from vison_etl.elvis.stamps import format_stamp, parse_stamp
from vison_etl.instrument.elvis_keys import LogColumn

LogValue = str | int | float | datetime | None

CCDS = ("CCD1", "CCD2", "CCD3")
ESSENTIAL = ("obsid", "ccd", "started_at")
"""A row that lacks one of these, or has it wrong, cannot be used; any other value is optional."""

_MAX_OBSID = 2**31 - 1
_MAX_INT = 2**63 - 1
_INT = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNDECODABLE = "\ufffd"


class Cell(NamedTuple):
    """A cell as read. ``trouble`` says in words what is wrong with it; a ``fatal`` trouble spoils its row."""

    value: LogValue
    trouble: str | None = None
    fatal: bool = False


def parse_cell(column: LogColumn, text: str) -> Cell:
    """Read a cell, stripped of blanks.

    Numbers are converted to the unit of the normalised name. An empty cell, NaN and anything unreadable is None; only an
    empty optional cell is no trouble. Control bytes spoil the row wherever they are.
    """
    essential = column.normalised in ESSENTIAL
    if has_control_bytes(text):
        return Cell(None, f"{column.name} has control bytes", fatal=True)
    if not text and not essential:
        return Cell(None)
    value, wanted = (None, "text") if _UNDECODABLE in text else _parse(column, text)
    if value is None:
        return Cell(None, f"{column.name} is {text!r}, not {wanted}", essential)
    return Cell(value)


def has_control_bytes(text: str) -> bool:
    """Tell whether a cell holds what no text has."""
    return _CONTROL.search(text) is not None


def _parse(column: LogColumn, text: str) -> tuple[LogValue, str]:
    """Return the value of a cell, None if it has none, and what it ought to be."""
    if column.normalised == "obsid":
        value = _whole(text, _MAX_OBSID)
        return (value if value is not None and value >= 0 else None), "an exposure number"
    if column.normalised == "ccd":
        return (text if text in CCDS else None), f"one of {', '.join(CCDS)}"
    if column.kind == "timestamp":
        return parse_stamp(text), "ddmmyyDhhmmssT"
    if column.kind == "int":
        return _whole(text, _MAX_INT), "a whole number"
    if column.kind == "float":
        return _number(text, column.factor), "a number"
    return text, "text"


def _number(text: str, factor: float) -> float | None:
    value = float(text) * factor if _FLOAT.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _whole(text: str, largest: int) -> int | None:
    """Return a whole number, also one written as ``100.000``."""
    if _INT.fullmatch(text):
        whole = int(text)
    else:
        value = _number(text, 1.0)
        if value is None or not value.is_integer():
            return None
        whole = int(value)
    return whole if abs(whole) <= largest else None


def write_cell(column: LogColumn, value: LogValue) -> str:
    """Return the text of a value in the unit of the log; the empty text for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_stamp(value)
    if column.kind == "int" and not isinstance(value, str):
        return str(int(value))
    if column.kind == "float" and not isinstance(value, str):
        return f"{value / column.factor:.12g}"
    return str(value)
