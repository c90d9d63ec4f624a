"""The text of a housekeeping file as a table of numbers and of the texts among them.

Two layouts: a header line of keys and one line per reading, TAB separated; and, in the oldest files, one line per key,
the key followed by its readings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.elvis.stamps import parse_clock, parse_reading_time
from vison_etl.instrument.hk import TIME_KEYS, unit_of

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_REGISTER_NUMBER = re.compile(r"[+-]?\d+\.?\d*", re.ASCII)
_PLAIN = b"0123456789.+- \r"
"""Bytes of plain numbers. Letters may spell nan, inf, an exponent or a register; float() also takes underscores."""

_TEXT_BYTES = bytes(range(0x20, 0x7F)) + b"\t"
_NAN = math.nan


@dataclass(frozen=True, slots=True)
class HkTable:
    """Columns of a file, the time among them: ``values`` (readings, names), NaN where ``texts`` or nothing stands."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    texts: Mapping[tuple[int, int], str]
    notes: tuple[str, ...]


def read_lines(data: bytes) -> HkTable:
    """Read the table of a file; no names if no line has a known key."""
    lines, notes = _used_lines(data)
    if not lines:
        return _table((), [], notes)
    first = lines[0][1]
    if _is_reading(first.split()):
        return _per_key(lines, notes)
    names = [field.strip() for field in first.split("\t")]
    while names and not names[-1]:
        names.pop()
    if not any(_is_known(name) for name in names):
        return _table((), [], notes)
    return _per_reading(tuple(names), lines[1:], notes)


def _used_lines(data: bytes) -> tuple[list[tuple[int, str]], list[str]]:
    """Return the lines that say something, numbered from 1, and what was left out: the bench may be writing the last."""
    *complete, last = data.split(b"\n")
    notes = [f"line {len(complete) + 1} has no line end, left out"] if last.strip() else []
    lines = []
    for number, line in enumerate(complete, start=1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        if text.translate(None, _TEXT_BYTES):
            notes.append(f"line {number} is not plain text, left out")
        else:
            lines.append((number, line.decode("ascii")))
    return lines, notes


def _is_known(name: str) -> bool:
    return name in TIME_KEYS or unit_of(name) is not None


def _is_reading(words: Sequence[str]) -> bool:
    """Tell whether a line is a key followed by readings."""
    if len(words) < 2 or not _is_known(words[0]):
        return False
    return (
        bool(_NUMBER.fullmatch(words[1]))
        or parse_clock(words[1]) is not None
        or parse_reading_time(words[1]) is not None
    )


def _per_reading(names: tuple[str, ...], lines: Sequence[tuple[int, str]], notes: list[str]) -> HkTable:
    rows = []
    for number, line in lines:
        fields = line.rstrip("\r").split("\t")
        while len(fields) > len(names) and not fields[-1].strip():
            fields.pop()
        if len(fields) == len(names):
            rows.append(fields)
        else:
            notes.append(f"line {number} has {len(fields)} fields for {len(names)} keys, left out")
    return _table(names, rows, notes)


def _per_key(lines: Sequence[tuple[int, str]], notes: list[str]) -> HkTable:
    columns: dict[str, list[str]] = {}
    for number, line in lines:
        name, *readings = line.split()
        if _is_known(name) and name not in columns:
            columns[name] = readings
        else:
            notes.append(f"line {number} has no new known key, left out")
    n = max(len(readings) for readings in columns.values())
    notes += [f"{name} has {len(column)} of {n} readings" for name, column in columns.items() if len(column) < n]
    rows = [[column[row] if row < len(column) else "" for column in columns.values()] for row in range(n)]
    return _table(tuple(columns), rows, notes)


def _table(names: tuple[str, ...], rows: Sequence[Sequence[str]], notes: list[str]) -> HkTable:
    """Turn texts into numbers, key by key."""
    kept = [index for index, name in enumerate(names) if name and names.index(name) == index]
    if len(kept) < len(names):
        notes.append("keys without a name or given twice are left out")
        names = tuple(names[index] for index in kept)
        rows = [[row[index] for index in kept] for row in rows]
    values = np.empty((len(names), len(rows)), np.float64)
    texts: dict[tuple[int, int], str] = {}
    for index, column in enumerate(zip(*rows, strict=True)):
        values[index], others = _numbers(column, is_register=unit_of(names[index]) == "")
        texts.update({(row, index): text for row, text in others.items()})
    return HkTable(names, values.T, texts, tuple(notes))


def _numbers(column: Sequence[str], *, is_register: bool) -> tuple[list[float], dict[int, str]]:
    """Return the numbers of a column, NaN for the rest, and by reading what the rest says."""
    if not "".join(column).encode().translate(None, _PLAIN):
        try:
            return list(map(float, column)), {}
        except ValueError:
            pass
    cells = [_cell(text, is_register=is_register) for text in column]
    return [value for value, _ in cells], {row: text for row, (_, text) in enumerate(cells) if text}


def _cell(text: str, *, is_register: bool) -> tuple[float, str]:
    """Return the number of a cell, or NaN and its text. A register has no exponent: ``2E10`` is hexadecimal."""
    text = text.strip()
    if (_REGISTER_NUMBER if is_register else _NUMBER).fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value, ""
    return _NAN, text
