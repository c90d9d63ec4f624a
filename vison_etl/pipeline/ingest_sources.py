"""What a day folder says: its logs, row by row, and which files belong to each row. Frames are looked at, not opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vison_etl.elvis.explog import Log, LogError, LogRow, day_of_log, read_log
from vison_etl.elvis.files import file_stamp
from vison_etl.elvis.frames import FrameError, FrameListing, find_frame, list_frames
from vison_etl.elvis.housekeeping import HkError, find_hk, list_hk
from vison_etl.elvis.logcells import LogValue
from vison_etl.instrument.blocks import block_of_serials, chamber_of_block
from vison_etl.tables import UNKNOWN_BLOCK

UNKNOWN_DAY = "unknown"

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_FOLDER = re.compile(r"(\d\d)_([A-Za-z]{3})_(\d\d)", re.ASCII)
_LOG_PATTERN = "EXP_LOG*.txt"


class IngestError(Exception):
    """A day folder or an option that cannot be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class FileAt:
    """A file of a day folder that a row needs: its name and stamp, or why there is none."""

    name: str | None
    stamp: str | None
    reason: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One log row that is not blank.

    Parameters
    ----------
    order
        Position in the run: over folders, logs and lines.
    problem
        Why the row itself cannot be used; obsid, ccd and files may be missing then.
    """

    order: int
    root: str
    log: str
    line: int
    day: str
    block: str
    block_source: str
    version: str
    obsid: int | None
    ccd: str | None
    values: Mapping[str, LogValue]
    problem: str | None
    frame: FileAt
    hk: FileAt


@dataclass(frozen=True, slots=True)
class LogFile:
    """One log of a day folder, read or not."""

    name: str
    day: str
    stamp: str | None
    log: Log | None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DayFolder:
    """One folder with logs. ``unnamed`` are frames that no row of its logs names."""

    root: str
    logs: tuple[LogFile, ...]
    rows: tuple[Row, ...]
    unnamed: tuple[str, ...]

    @property
    def read_logs(self) -> frozenset[str]:
        """Return the logs that could be read: those whose rows are known completely."""
        return frozenset(log.name for log in self.logs if log.log is not None)


def find_roots(folders: Iterable[str | Path]) -> tuple[list[str], list[str]]:
    """Return the folders that hold logs, and why others cannot be used.

    Of each folder given it is itself, or its subfolders one level down if it has no log.

    Raises
    ------
    IngestError
        If none of them can be used.
    """
    roots: list[str] = []
    unusable: list[str] = []
    for folder in folders:
        path = Path(os.path.abspath(folder))  # noqa: PTH100 - without following links: the path as the user knows it
        if not path.is_dir():
            unusable.append(f"{folder}: no such folder")
            continue
        found = [path] if _log_names(path) else [p for p in sorted(path.iterdir()) if p.is_dir() and _log_names(p)]
        if not found:
            unusable.append(f"{folder}: no exposure log {_LOG_PATTERN} in it or in a folder directly below")
        roots += [str(p) for p in found]
    if unusable and not roots:
        raise IngestError("; ".join(unusable))
    return list(dict.fromkeys(roots)), unusable


def _log_names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.glob(_LOG_PATTERN))
    except OSError:
        return []


def read_folders(roots: Sequence[str], block: str | None) -> list[DayFolder]:
    """Read the logs of day folders and look at the files they name; ``block`` overrules the serials."""
    folders: list[DayFolder] = []
    for root in roots:
        n_before = sum(len(folder.rows) for folder in folders)
        folders.append(_read_folder(root, block, n_before))
    return folders


def _read_folder(root: str, block: str | None, first: int) -> DayFolder:
    logs = sorted((_read_log(root, name) for name in _log_names(Path(root))), key=lambda log: (log.day, log.name))
    frames, hk = list_frames(root), list_hk(root)
    look = _Folder(root, frames, hk, {}, {})
    rows: list[Row] = []
    for log in logs:
        if log.log is not None:
            rows += _rows(look, log, log.log, block, first + len(rows))
    named = {row.frame.name for row in rows}
    fits = sorted(name for name in frames.names if name.lower().endswith(".fits"))
    return DayFolder(root, tuple(logs), tuple(rows), tuple(name for name in fits if name not in named))


def _read_log(root: str, name: str) -> LogFile:
    path = Path(root) / name
    day = day_of_log(name) or _day_of_folder(root)
    try:
        log = read_log(path)
    except LogError as error:
        return LogFile(name, day or UNKNOWN_DAY, stamp_of(path), None, error.reason, error.detail)
    return LogFile(name, day or _day_of_rows(log) or UNKNOWN_DAY, log.stamp, log)


def _day_of_folder(root: str) -> str | None:
    match = _DAY_FOLDER.fullmatch(Path(root).name)
    if match is None or match.group(2).lower() not in _MONTHS:
        return None
    return f"20{match.group(3)}-{_MONTHS.index(match.group(2).lower()) + 1:02d}-{match.group(1)}"


def _day_of_rows(log: Log) -> str | None:
    times = ((row.values or {}).get("started_at") for row in log.rows)
    return next(
        (f"{time:%Y-%m-%d}" for time in times if time is not None and not isinstance(time, (str, int, float))), None
    )


def stamp_of(path: str | Path) -> str | None:
    """Return the mark of a file without opening it; None if there is none."""
    try:
        return file_stamp(os.stat(path))  # noqa: PTH116 - called for thousands of files
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder listed once, and the stamps asked for so far."""

    root: str
    frames: FrameListing
    hk: Mapping[int, tuple[str, ...]]
    stamps: dict[str, str | None]
    hk_seen: dict[int, FileAt]


def _rows(folder: _Folder, file: LogFile, log: Log, block: str | None, first: int) -> Iterator[Row]:
    known = block or _common_block(log)
    for number, row in enumerate(log.rows):
        values = row.values or {}
        mine, source = _block(values, block)
        if mine == UNKNOWN_BLOCK and row.problem is not None and known is not None:
            mine, source = known, "option" if block else "serials"
        frame, hk = _files(folder, row, values)
        yield Row(
            order=first + number,
            root=folder.root,
            log=file.name,
            line=row.line,
            day=file.day,
            block=mine,
            block_source=source,
            version=log.version,
            obsid=row.obsid,
            ccd=row.ccd,
            values=values,
            problem=row.problem,
            frame=frame,
            hk=hk,
        )


def _block(values: Mapping[str, LogValue], given: str | None) -> tuple[str, str]:
    """Return block and how it was found: the option, else the full triple of serials, else unknown."""
    found = block_of_serials(*(_text(values.get(f"sn_ccd{n}")) for n in (1, 2, 3)))
    if given is not None:
        return given, "option" if found in {None, given} else "option_over_serials"
    return (UNKNOWN_BLOCK, "unknown") if found is None else (found, "serials")


def _common_block(log: Log) -> str | None:
    """Return the one block that the good rows of a log belong to: what an unreadable row of it is counted with."""
    found = {_block(row.values or {}, None)[0] for row in log.rows if row.problem is None}
    return found.pop() if len(found) == 1 else None


def _text(value: LogValue) -> str | None:
    return None if value is None else str(value)


def chamber_for(block: str, given: str | None) -> str | None:
    """Return the chamber profile: the option, else the block's own, else None."""
    return given or chamber_of_block(block)


def _files(folder: _Folder, row: LogRow, values: Mapping[str, LogValue]) -> tuple[FileAt, FileAt]:
    nothing = FileAt(None, None)
    if row.obsid is None or row.ccd is None:
        return nothing, nothing
    hk = folder.hk_seen.get(row.obsid)
    if hk is None:
        hk = folder.hk_seen[row.obsid] = _hk_file(folder, row.obsid)
    return (nothing if row.problem else _frame_file(folder, values, row.obsid, row.ccd)), hk


def _frame_file(folder: _Folder, values: Mapping[str, LogValue], obsid: int, ccd: str) -> FileAt:
    try:
        name = find_frame(folder.root, _text(values.get("file_name")), obsid, ccd, folder.frames).name
    except FrameError as error:
        return FileAt(None, None, _REASONS.get(error.reason, error.reason), error.detail)
    return FileAt(name, _stamp(folder, name))


def _hk_file(folder: _Folder, obsid: int) -> FileAt:
    try:
        name = find_hk(folder.root, obsid, folder.hk).name
    except HkError as error:
        return FileAt(None, None, f"{error.reason}_hk", error.detail)
    return FileAt(name, _stamp(folder, name))


_REASONS: Mapping[str, str] = {"missing": "missing_file"}


def _stamp(folder: _Folder, name: str) -> str | None:
    if name not in folder.stamps:
        folder.stamps[name] = stamp_of(f"{folder.root}/{name}")
    return folder.stamps[name]
