"""Answers as files: csv, json, parquet, xlsx. NULL is nothing, times are ISO text."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from datetime import time as day_time
from pathlib import Path
from typing import IO, Any

import polars as pl
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

_WIDEST = 40
_NARROWEST = 8
_ROWS_FOR_WIDTH = 200


def write_rows(frame: pl.DataFrame, form: str, out: Path | None) -> None:
    """Write an answer.

    Parameters
    ----------
    frame
        The answer.
    form
        ``csv``, ``json`` (one array of row objects), ``parquet`` or ``xlsx``.
    out
        The file; standard output if None.

    Raises
    ------
    ValueError
        For another form.
    """
    writer = _WRITERS.get(form)
    if writer is None:
        raise ValueError(f"no format {form}; there are: {', '.join(_WRITERS)}")
    if out is None:
        writer(frame, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with out.open("wb") as file:
        writer(frame, file)


def write_csv(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """Write comma-separated values with a header; lists and structures as JSON text."""
    flat(frame).write_csv(file)


def write_json(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """Write one JSON array of row objects; numbers that are not finite are null."""
    file.write(b"[")
    for number, row in enumerate(frame.iter_rows(named=True)):
        text = json.dumps(_jsonable(row), ensure_ascii=False, allow_nan=False)
        file.write((",\n " if number else "\n ").encode() + text.encode())
    file.write(b"\n]\n" if frame.height else b"]\n")


def write_parquet(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """Write Parquet."""
    frame.write_parquet(file, compression="zstd", compression_level=3)


def write_xlsx(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """Write one sheet: a bold header row with the names of the columns, frozen, then the rows."""
    flattened = flat(frame)
    book = Workbook(write_only=True)
    sheet = book.create_sheet("answer")
    for number, name in enumerate(flattened.columns):
        sheet.column_dimensions[_letters(number)].width = _width(name, flattened[name])
    sheet.freeze_panes = "A2"
    header = [WriteOnlyCell(sheet, value=name) for name in flattened.columns]
    for cell in header:
        cell.font = Font(bold=True)
    sheet.append(header)
    for row in flattened.iter_rows():
        sheet.append([_cell(value) for value in row])
    book.save(file)


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with times as ISO text and lists, structures and binary data as JSON text."""
    return frame.with_columns(_flat_column(frame[name]) for name in frame.columns)


def _flat_column(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if isinstance(kind, pl.Null):
        return column.cast(pl.String)
    if not (kind.is_nested() or kind.is_temporal() or isinstance(kind, (pl.Binary, pl.Object))):
        return column
    texts = (_jsonable(value) for value in column.to_list())
    as_text = (
        text if text is None or isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in texts
    )
    return pl.Series(column.name, list(as_text), dtype=pl.String)


def _jsonable(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list() | tuple() | pl.Series():
            return [_jsonable(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case _:
            return _text(value)


def _text(value: Any) -> str:
    match value:
        case datetime() | date() | day_time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _cell(value: Any) -> Any:
    return ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else _jsonable(value)


def _width(name: str, column: pl.Series) -> float:
    longest = max((len(_shown(value)) for value in column.head(_ROWS_FOR_WIDTH)), default=0)
    return float(min(max(longest, len(name), _NARROWEST) + 2, _WIDEST))


def _shown(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else "" if value is None else str(value)


def _letters(number: int) -> str:
    return "".join(reversed(list(_digits(number))))


def _digits(number: int) -> Iterator[str]:
    while number >= 0:
        yield chr(ord("A") + number % 26)
        number = number // 26 - 1


_WRITERS: Mapping[str, Callable[[pl.DataFrame, IO[bytes]], None]] = {
    "csv": write_csv,
    "json": write_json,
    "parquet": write_parquet,
    "xlsx": write_xlsx,
}
