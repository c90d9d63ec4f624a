"""Spreadsheets as grids of plain values: numbers, texts and blanks; no formula, no style, no date.

A workbook written twice is the same to the byte, with the same versions of the libraries: the container carries one fixed time.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils import get_column_letter
from openpyxl.xml.constants import ARC_CORE
from openpyxl.xml.functions import tostring

from vison_etl.elvis.files import read_bytes
from vison_etl.elvis.fits import FrameError
from vison_etl.elvis.logcells import has_control_bytes

Cell = str | int | float | None
Grid = list[list[Cell]]

SIGNIFICANT_DIGITS = 16
"""A number in a cell has no more of them."""

_TIME = datetime(1980, 1, 1)  # noqa: DTZ001 - the earliest that the container can say, without zone
_MOST_BYTES = 64 << 20
_MOST_ROWS = 1000
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, ParseError, EOFError, OSError, NotImplementedError, RecursionError),
    *(ValueError, TypeError, LookupError, AttributeError),
)
"""What openpyxl raises for files that are no whole workbook."""


class SheetError(ValueError):
    """A spreadsheet that cannot be used; the message names the file, and the cell where there is one."""


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell from its 0-based place in a grid: (0, 1) is ``B1``."""
    return f"{get_column_letter(column + 1)}{row + 1}"


def in_cell(value: Cell) -> Cell:
    """Return what a cell keeps of a value: numbers to `SIGNIFICANT_DIGITS`, whole ones as integers; blank for no text.

    Raises
    ------
    SheetError
        For numbers that are not finite, and for texts with control characters or too long for a cell.
    """
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise SheetError(f"{value!r} cannot stand in a cell")
    if isinstance(value, str):
        if has_control_bytes(value) or len(value) > 32767:
            raise SheetError(f"a text with control characters, or too long, cannot stand in a cell: {value[:60]!r}")
        return value or None
    if isinstance(value, float):
        kept = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
        return int(kept) if kept.is_integer() and abs(kept) < 10**SIGNIFICANT_DIGITS else kept
    return value


def write_sheets(sheets: Mapping[str, Sequence[Sequence[Cell]]]) -> bytes:
    """Return a workbook with these sheets as bytes; blank cells are None. Errors as ``in_cell``."""
    book = openpyxl.Workbook(write_only=True)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            cells = [WriteOnlyCell(sheet, value=in_cell(value)) for value in row]
            for cell in cells:
                if cell.data_type in {"f", "e"}:  # a text that looks like a formula or an error is a text all the same
                    cell.data_type = "s"
            sheet.append(cells)
    made = io.BytesIO()
    book.save(made)
    book.properties.created = book.properties.modified = _TIME
    return _without_times(made, tostring(book.properties.to_tree()))


def _without_times(made: io.BytesIO, properties: bytes) -> bytes:
    """Return the container anew with ``properties`` in it and the fixed time on all its members."""
    fixed = io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            member = zipfile.ZipInfo(name, _TIME.timetuple()[:6])
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            new.writestr(member, properties if name == ARC_CORE else old.read(name))
    return fixed.getvalue()


def read_sheet(path: str | Path, title: str) -> Grid:
    """Read one sheet of a workbook.

    Parameters
    ----------
    title
        Name of the sheet; others are not looked at.

    Returns
    -------
    list of list
        Rows of equal length without the blank rows and columns at the end; text without characters is blank, None.

    Raises
    ------
    SheetError
        For a file that is missing, no workbook, damaged or too large, for a sheet that is not there, and for a cell that
        holds anything but a number or a printable text.
    """
    name = Path(path).name
    try:
        content, _ = read_bytes(path)
    except FrameError as error:
        raise SheetError(str(error.detail)) from error
    rows = _cells(name, content, title)
    return _trimmed([[_plain(name, r, c, *cell) for c, cell in enumerate(row)] for r, row in enumerate(rows)])


def _cells(name: str, content: bytes, title: str) -> list[list[tuple[object, str]]]:
    """Return value and kind of every cell of a sheet, of no more rows than any script has."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as container:
            is_large = sum(member.file_size for member in container.infolist()) > _MOST_BYTES
        book = None if is_large else openpyxl.load_workbook(io.BytesIO(content), read_only=True)
        sheet = book[title] if book and title in book.sheetnames else None
        if sheet is not None:
            sheet.reset_dimensions()
            return [[(cell.value, cell.data_type) for cell in row] for row in sheet.iter_rows(max_row=_MOST_ROWS)]
    except _DAMAGED as error:
        raise SheetError(f"{name}: not a whole xlsx workbook ({error or type(error).__name__})") from error
    if book is None:
        raise SheetError(f"{name}: larger than any workbook of this campaign")
    raise SheetError(f"{name}: no sheet {title!r}; it has {', '.join(map(repr, book.sheetnames))}")


def _plain(name: str, row: int, column: int, value: object, kind: str) -> Cell:
    where = f"{name}: cell {cell_name(row, column)}"
    if value is None or (isinstance(value, str) and not value):
        return None
    if kind in {"f", "e"}:
        raise SheetError(f"{where} holds {'a formula' if kind == 'f' else 'an error'}, {value!r}; write its value")
    if isinstance(value, str):
        if has_control_bytes(value):
            raise SheetError(f"{where} has control characters: {value[:60]!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SheetError(f"{where} is {value!r}, neither a number nor a text")
    return value


def _trimmed(rows: Grid) -> Grid:
    width = max((c + 1 for row in rows for c, value in enumerate(row) if value is not None), default=0)
    height = max((r + 1 for r, row in enumerate(rows) if any(value is not None for value in row)), default=0)
    return [(row + [None] * width)[:width] for row in rows[:height]]
