"""The exposure log: ``EXP_LOG_<ddmmyy>.txt``, one row per exposure and CCD, read by column names and written.

Plain text, TAB separated, header first. Files have CRLF or LF, a TAB at the end of lines or none, padded names, blank lines; the
bench may be appending while they are read. Content never raises: a row that cannot be used says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from vison_etl.elvis.files import read_bytes
from vison_etl.elvis.fits import FrameError
from vison_etl.elvis.logcells import Cell, LogValue, has_control_bytes, parse_cell, write_cell
from vison_etl.elvis.stamps import parse_day
from vison_etl.instrument.elvis_keys import FPA, LogColumn, log_columns, matching_versions, normalise

MANDATORY = ("ObsID", "File_name", "CCD", "test")
"""Columns without which a log is useless; of ``test`` any spelling."""

_LOG_NAME = re.compile(r"EXP_LOG_(\d{6})\.txt", re.ASCII)


class LogError(Exception):
    """A log cannot be read at all. ``reason``: missing, unreadable, empty, no_header or missing_columns."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[LogError], tuple[str, str]]:
        """Travel between processes with both parts."""
        return LogError, (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of a log.

    Parameters
    ----------
    line
        Line in the file, header = 1.
    values
        Normalised name -> value for every column of the log; None where a value is missing. None with a problem that leaves
        nothing to read.
    problem
        Why the row cannot be used; None if it can.
    notes
        Optional values that could not be read.
    """

    line: int
    values: Mapping[str, LogValue] | None
    problem: str | None
    notes: tuple[str, ...] = ()

    @property
    def obsid(self) -> int | None:
        """Return the exposure, if it could be read."""
        value = (self.values or {}).get("obsid")
        return value if isinstance(value, int) else None

    @property
    def ccd(self) -> str | None:
        """Return the CCD, if it could be read."""
        value = (self.values or {}).get("ccd")
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Log:
    """A log as read: every line that is not blank is a row, good or not. ``stamp`` is the mark of the file that was read."""

    version: str
    rows: tuple[LogRow, ...]
    unknown_columns: tuple[str, ...]
    problems: tuple[str, ...]
    stamp: str


def day_of_log(path: str | Path) -> str | None:
    """Return the day in the name of a log, ``YYYY-MM-DD``; None if the name has none. It need not be that of the rows."""
    match = _LOG_NAME.fullmatch(Path(path).name)
    day = parse_day(match.group(1)) if match else None
    return day.isoformat() if day else None


def read_log(path: str | Path) -> Log:
    """Read an exposure log.

    The file is taken in one read, which is the safe copy of a file that the bench may be appending to.

    Raises
    ------
    LogError
        If the file is missing, unreadable, empty, has no header, or lacks a mandatory column.
    """
    try:
        data, stamp = read_bytes(path)
    except FrameError as error:
        raise LogError(error.reason, error.detail) from error
    lines = [line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise LogError("empty", f"{Path(path).name} has no line")
    names = [name.strip() for name in _fields(numbered[0][1])]
    header = _read_header(names, Path(path).name)
    rows = [_read_row(number, line, header) for number, line in numbered[1:]]
    if rows and not data.endswith(b"\n"):
        rows[-1] = _unfinished(rows[-1], len(_fields(numbered[-1][1])), header)
    version, note = _version(header, rows)
    return Log(version, tuple(rows), header.unknown, (*header.notes, *note), stamp)


def _fields(line: bytes) -> list[str]:
    return line.decode("utf-8", errors="replace").split("\t")


@dataclass(frozen=True, slots=True)
class _Header:
    """The header, and every different cell read so far per column: most repeat from row to row."""

    names: tuple[str, ...]
    columns: tuple[LogColumn | None, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    is_fpa: bool
    cells: tuple[dict[str, Cell], ...]


def _read_header(names: list[str], file_name: str) -> _Header:
    while names and not names[-1]:
        names.pop()
    known = [normalise(name) for name in names]
    if not any(known):
        raise LogError("no_header", f"{file_name}: the first line has no known column name")
    columns: list[LogColumn | None] = []
    unknown, notes, taken = [], [], set()
    for name, meaning in zip(names, known, strict=True):
        if meaning is None or meaning.name in taken:
            columns.append(None)
            unknown.append(name)
            if meaning is not None:
                notes.append(f"column {name} repeats {meaning.name}; the first counts")
            continue
        taken.add(meaning.name)
        columns.append(LogColumn(name, meaning.name, meaning.factor, meaning.kind))
    is_fpa = matching_versions(names) == ((FPA,), True)
    wanted = {"ObsID": "obsid", "File_name": "file_name", "CCD": "ccd", "test": "test_in_log"}
    missing = [name for name in MANDATORY if wanted[name] not in taken and not (is_fpa and name == "CCD")]
    if missing:
        raise LogError("missing_columns", f"{file_name} lacks {', '.join(missing)}")
    cells: tuple[dict[str, Cell], ...] = tuple({} for _ in columns)
    return _Header(tuple(names), tuple(columns), tuple(unknown), tuple(notes), is_fpa, cells)


def _read_row(number: int, line: bytes, header: _Header) -> LogRow:
    fields = _fields(line)
    while len(fields) > len(header.names) and not fields[-1].strip():
        fields.pop()
    if len(fields) > len(header.names):
        return LogRow(number, None, f"{len(fields)} fields for {len(header.names)} columns")
    fields += [""] * (len(header.names) - len(fields))
    values: dict[str, LogValue] = {}
    problems: list[str] = []
    notes: list[str] = []
    for name, column, known, field in zip(header.names, header.columns, header.cells, fields, strict=True):
        text = field.strip(" ")
        if column is None:
            if has_control_bytes(text):
                problems.append(f"{name} has control bytes")
            continue
        cell = known.get(text)
        if cell is None:
            cell = known.setdefault(text, parse_cell(column, text))
        values[column.normalised] = cell.value
        if cell.trouble is not None:
            (problems if cell.fatal else notes).append(cell.trouble)
    if header.is_fpa:
        problems.append("a row of an FPA log is a whole focal plane, not one CCD")
    return LogRow(number, values, "; ".join(problems) or None, tuple(notes))


def _unfinished(row: LogRow, n_fields: int, header: _Header) -> LogRow:
    """Judge the last row of a file that does not end with a line end: the bench may be writing it."""
    if n_fields < len(header.names):
        problem = f"cut short after {header.names[n_fields - 1]}, without a line end"
        return LogRow(row.line, row.values, problem, row.notes)
    return row


def _version(header: _Header, rows: list[LogRow]) -> tuple[str, tuple[str, ...]]:
    """Name the version: by the header names, and by what the rows say where several versions share them."""
    candidates, exact = matching_versions(header.names)
    said = next((str(row.values["egse_ver"]) for row in rows if row.values and row.values.get("egse_ver")), "")
    version = next((name for name in candidates if said.startswith(name.removesuffix("X"))), candidates[-1])
    return version, () if exact else (f"columns of no registered version, nearest to {version}",)


def write_log(path: str | Path, version: str, rows: Iterable[Mapping[str, LogValue]]) -> None:
    """Write a log as ELVIS does: CRLF, a TAB at the end of every line.

    Parameters
    ----------
    version
        Registered version, whose columns and units are written.
    rows
        Normalised name -> value; what is missing becomes an empty field.
    """
    columns = log_columns(version)
    lines = ["\t".join(column.name for column in columns)]
    lines += ["\t".join(write_cell(column, row.get(column.normalised)) for column in columns) for row in rows]
    Path(path).write_bytes("".join(f"{line}\t\r\n" for line in lines).encode("utf-8"))


def log_name(day: date) -> str:
    """Return the name of the log of a day."""
    return f"EXP_LOG_{day:%d%m%y}.txt"
