"""Acquisition scripts: one sheet, a key per row, a commanded configuration per column, exposures as running totals.

Column A holds the keys of the ELVIS version, row 1 the running total of exposures, the column after the last one ``End`` in row
1. File names say test, day and version: ``vis_CalCamp_PTC01_22Nov26_v7.5.X.xlsx``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from vison_etl.elvis.workbooks import Cell, Grid, SheetError, cell_name, in_cell, read_sheet, write_sheets
from vison_etl.instrument.elvis_keys import ScriptKey, script_keys

Value = str | int | float

LATEST = "7.5.X"
SHEET, END, FRAMES = "Sheet1", "End", "frames"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAME = re.compile(
    rf"vis_CalCamp_(?P<test>.+)_(?P<day>\d\d)(?P<month>{'|'.join(_MONTHS)})(?P<year>\d\d)_v(?P<version>.+)\.xlsx",
    re.ASCII,
)


class ScriptError(ValueError):
    """A script that cannot be used or made; the message names the file or key, and the cell where there is one."""


@dataclass(frozen=True, slots=True)
class ScriptName:
    """What the name of a script says. ``test`` has the number of the repetition behind it, as in ``BIAS02.1``."""

    test: str
    day: date
    version: str


@dataclass(frozen=True, slots=True)
class Script:
    """A script: per column all keys of the version in their order, ``frames`` being the column's own."""

    version: str
    columns: tuple[Mapping[str, Value], ...]

    @property
    def test(self) -> str:
        """Name of the test that the exposures will carry; that of the first column."""
        return str(self.columns[0]["test"])

    @property
    def n_frames(self) -> int:
        """Exposures commanded."""
        return sum(int(column[FRAMES]) for column in self.columns)


def day_text(day: date) -> str:
    """Return a day as in names of scripts, ``22Nov26``, in any locale."""
    return f"{day.day:02d}{_MONTHS[day.month - 1]}{day.year % 100:02d}"


def script_name(test: str, day: date, version: str = LATEST) -> str:
    """Return the file name of a script."""
    return f"vis_CalCamp_{test}_{day_text(day)}_v{version}.xlsx"


def parse_script_name(name: str) -> ScriptName | None:
    """Return what a file name says; None if it is not that of a script."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        day = date(2000 + int(match["year"]), _MONTHS.index(match["month"]) + 1, int(match["day"]))
    except ValueError:
        return None
    return ScriptName(match["test"], day, match["version"])


def make_script(columns: Iterable[Mapping[str, object]], version: str = LATEST) -> Script:
    """Make a script from the commanded values of its columns.

    Parameters
    ----------
    columns
        All keys of the version, in any order; numbers are kept as a cell does: to 16 significant digits, whole ones as
        integers.

    Raises
    ------
    ScriptError
        For no columns, a key that is missing or not of the version, and a value that a script cannot say.
    KeyError
        For a version without scripts.
    """
    keys = script_keys(version)
    made: list[Mapping[str, Value]] = []
    for number, column in enumerate(columns, start=1):
        wrong = set(column) ^ {row.key for row in keys}
        if wrong:
            raise ScriptError(f"column {number}: missing, or no keys of ELVIS {version}: {', '.join(sorted(wrong))}")
        made.append({row.key: _valid(f"column {number}: {row.key}", row, column[row.key]) for row in keys})
    if not made:
        raise ScriptError("a script without columns")
    return Script(version, tuple(made))


def _valid(where: str, key: ScriptKey, value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ScriptError(f"{where} is {value!r}: not known, or nothing that a script can say")
    try:
        cell = in_cell(value)
    except SheetError as error:
        raise ScriptError(f"{where}: {error}") from None
    return _typed(where, key, cell)


def _typed(where: str, key: ScriptKey, cell: Cell) -> Value:
    """Return a value as its key wants it, text or number; a number may stand for a text, not the other way round."""
    wanted = "a text" if key.kind == "text" else "a number"
    if cell is None:
        if key.default != "":
            raise ScriptError(f"{where} is blank, wanted {wanted}")
        return ""
    if key.kind == "text":
        return str(cell)
    if isinstance(cell, str):
        raise ScriptError(f"{where} is {cell!r}, wanted {wanted}")
    if key.key == FRAMES and (cell < 1 or cell != int(cell)):
        raise ScriptError(f"{where} is {cell}, wanted a whole number from 1")
    return cell


def grid_of(script: Script) -> Grid:
    """Return the cells of a script, row by row."""
    totals: list[Cell] = []
    for column in script.columns:
        totals.append(int(column[FRAMES]) + (int(str(totals[-1])) if totals else 0))
    rows: Grid = [[FRAMES, *totals, END]]
    others = [key for key in script.columns[0] if key != FRAMES]
    return [*rows, *([key, *(in_cell(column[key]) for column in script.columns), None] for key in others)]


def script_bytes(script: Script) -> bytes:
    """Return the workbook of a script; equal scripts give equal bytes."""
    return write_sheets({SHEET: grid_of(script)})


def content_digest(script: Script) -> str:
    """Return the MD5 of the cells, whatever the container: of the rows as one JSON array of arrays without blanks between."""
    text = json.dumps(grid_of(script), separators=(",", ":"), ensure_ascii=False)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def read_script(path: str | Path) -> Script:
    """Read a script.

    Parameters
    ----------
    path
        The workbook. Its name does not matter; the order of its rows below the first neither.

    Returns
    -------
    Script
        What was written: ``make_script`` of the same columns. The version is that of the file name, else the latest.

    Raises
    ------
    ScriptError
        For a file that is no workbook, without the sheet or ``End``, with keys that its version does not have, with totals that do not
        grow, and for any value of the wrong type; the message names file and cell.
    """
    name = Path(path).name
    try:
        grid = read_sheet(path, SHEET)
    except SheetError as error:
        raise ScriptError(str(error)) from error
    if not grid or grid[0][0] != FRAMES:
        found = grid[0][0] if grid else None
        raise ScriptError(f"{name}: cell A1 is {found!r}, wanted {FRAMES!r}: not an acquisition script")
    version, keys = _keys_of(name)
    _check_keys(name, version, [key.key for key in keys], [row[0] for row in grid])
    n_columns = _n_columns(name, grid)
    frames = _frames(name, grid[0][1 : n_columns + 1])
    row_of = {row[0]: index for index, row in enumerate(grid)}
    columns: list[Mapping[str, Value]] = []
    for c in range(n_columns):
        column: dict[str, Value] = {}
        for key in keys:
            r = row_of[key.key]
            where = f"{name}: cell {cell_name(r, c + 1)}, {key.key},"
            column[key.key] = frames[c] if key.key == FRAMES else _typed(where, key, in_cell(grid[r][c + 1]))
        columns.append(column)
    return Script(version, tuple(columns))


def _keys_of(name: str) -> tuple[str, tuple[ScriptKey, ...]]:
    """Return the version that a file name says, and its keys; the latest where it says none that has scripts."""
    said = parse_script_name(name)
    if said is not None:
        try:
            return said.version, script_keys(said.version)
        except KeyError:
            pass
    return LATEST, script_keys(LATEST)


def _check_keys(name: str, version: str, wanted: Sequence[str], keys: Sequence[Cell]) -> None:
    for index, key in enumerate(keys):
        where = f"{name}: cell {cell_name(index, 0)}"
        if key in keys[:index]:
            raise ScriptError(f"{where} repeats {key!r}")
        if key not in wanted:
            raise ScriptError(f"{where} is {key!r}, no script key of ELVIS {version}")
    lacking = [key for key in wanted if key not in keys]
    if lacking:
        raise ScriptError(f"{name}: column A lacks {', '.join(lacking)}")


def _n_columns(name: str, grid: Grid) -> int:
    """Return the number of columns before ``End``; nothing may stand in its column or beyond it."""
    if END not in grid[0]:
        raise ScriptError(f"{name}: row 1 has no {END!r} after cell {cell_name(0, len(grid[0]) - 1)}: cut short?")
    end = grid[0].index(END)
    if end == 1:
        raise ScriptError(f"{name}: cell B1 is {END!r}: a script without columns")
    for r, row in enumerate(grid):
        for c in range(end, len(row)):
            if row[c] is not None and (r, c) != (0, end):
                raise ScriptError(f"{name}: cell {cell_name(r, c)} is {row[c]!r}, behind the {END!r} of row 1")
    return end - 1


def _frames(name: str, totals: Sequence[Cell]) -> list[int]:
    frames: list[int] = []
    before = 0
    for index, total in enumerate(totals, start=1):
        where = f"{name}: cell {cell_name(0, index)}, {FRAMES},"
        if total is None or isinstance(total, str) or total != int(total):
            raise ScriptError(f"{where} is {total!r}, wanted a whole number")
        if total <= before:
            raise ScriptError(f"{where} is {total}, not more than the {before} before it: totals must grow")
        frames.append(int(total) - before)
        before = int(total)
    return frames
