"""Housekeeping: readings of voltages, currents, temperatures and flags, about one per second. Read by key, written.

Per exposure ``HK_<obsid>_<ddmmyyDhhmmssT>_ROE1.txt``; per day, continuous, ``HK_<dd-mm-yy>_ROE1_<nn>.txt``, of which a new one
starts after midnight in the same folder. Keys are never taken by position: their order is not regular. Lines of ``#`` and
blank lines mean nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vison_etl.elvis.files import read_bytes
from vison_etl.elvis.fits import FrameError
from vison_etl.elvis.hktable import HkTable, read_lines
from vison_etl.elvis.stamps import (
    format_reading_time,
    format_stamp,
    parse_clock,
    parse_day,
    parse_reading_time,
    parse_stamp,
)
from vison_etl.instrument.hk import TIME_KEYS, hk_keys

_EXPOSURE_NAME = re.compile(r"HK_(\d{1,9})_(\d{6}D_?\d{6}T?)_ROE\d\.txt", re.ASCII)
_MASTER_NAME = re.compile(r"HK_(\d\d-\d\d-\d\d)_ROE\d_\d\d\.txt", re.ASCII)
_HALF_A_DAY = timedelta(hours=12)
_CLOCK_VERSIONS = "5."


class HkError(Exception):
    """Housekeeping cannot be read. ``reason``: missing, ambiguous, unreadable, empty, no_header or no_readings."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[HkError], tuple[str, str]]:
        """Travel between processes with both parts."""
        return HkError, (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class HkFile:
    """Readings of one file.

    Parameters
    ----------
    obsid
        Exposure in the file name; None for a master file.
    keys
        Names of the readings, the time column left out.
    read_at
        Time of each reading as the bench wrote it; None where it cannot be read.
    values
        Readings, shape (readings, keys), float64; NaN where a reading is not a number.
    texts
        (reading, key index) -> text as read, where there is one that is not a number, such as the register ``2FA0``.
    notes
        What was left out, and why.
    stamp
        Mark of the file that was read.
    """

    obsid: int | None
    keys: tuple[str, ...]
    read_at: tuple[datetime | None, ...]
    values: NDArray[np.float64]
    texts: Mapping[tuple[int, int], str]
    notes: tuple[str, ...]
    stamp: str


def read_hk(path: str | Path) -> HkFile:
    """Read a housekeeping file of any version, of one exposure or of a day.

    Times of 5.7 have no date: it is that of the file name, one day later after midnight. The last line is left out if it is
    not complete, any other line if it has not one field per key.

    Raises
    ------
    HkError
        If nothing can be read.
    """
    name = Path(path).name
    try:
        data, stamp = read_bytes(path)
    except FrameError as error:
        raise HkError(error.reason, error.detail) from error
    table = read_lines(data)
    if not table.names:
        raise HkError("no_header" if data.strip() else "empty", f"{name} has no known key")
    if not len(table.values):
        raise HkError("no_readings", f"{name} has keys but no complete line of readings")
    times, kept = _times(table, name)
    return HkFile(
        obsid=obsid_of(name),
        keys=tuple(table.names[index] for index in kept),
        read_at=times,
        values=np.ascontiguousarray(table.values[:, kept]),
        texts=_of_kept(table.texts, kept),
        notes=table.notes,
        stamp=stamp,
    )


def _of_kept(texts: Mapping[tuple[int, int], str], kept: Sequence[int]) -> dict[tuple[int, int], str]:
    place = {index: key for key, index in enumerate(kept)}
    return {(row, place[index]): text for (row, index), text in texts.items() if index in place}


def _times(table: HkTable, name: str) -> tuple[tuple[datetime | None, ...], list[int]]:
    """Return the times of the readings and the columns that are not the time."""
    kept = [index for index, key in enumerate(table.names) if key not in TIME_KEYS]
    columns = [index for index, key in enumerate(table.names) if key in TIME_KEYS]
    if not columns:
        return (None,) * len(table.values), kept
    texts = [table.texts.get((row, columns[0]), "") for row in range(len(table.values))]
    with_date = [parse_reading_time(text) for text in texts]
    if any(with_date):
        return tuple(with_date), kept
    return _dated(texts, _named_time(name)), kept


def _dated(texts: Sequence[str], start: datetime | None) -> tuple[datetime | None, ...]:
    """Date clock times: the first near ``start``, a day more whenever the clock falls back by half a day or more."""
    if start is None:
        return (None,) * len(texts)
    midnight = start.replace(hour=0, minute=0, second=0)
    last = start
    times: list[datetime | None] = []
    for text in texts:
        clock = parse_clock(text)
        if clock is None:
            times.append(None)
            continue
        if last - (midnight + clock) > _HALF_A_DAY:
            midnight += timedelta(days=1)
        last = midnight + clock
        times.append(last)
    return tuple(times)


def _named_time(name: str) -> datetime | None:
    exposure = _EXPOSURE_NAME.fullmatch(name)
    if exposure:
        return parse_stamp(exposure.group(2))
    day = _day_of_master(name)
    return datetime(day.year, day.month, day.day) if day else None  # noqa: DTZ001 - the bench writes no zone


def obsid_of(name: str) -> int | None:
    """Return the exposure in the name of a housekeeping file; None if it is not one of an exposure."""
    match = _EXPOSURE_NAME.fullmatch(name)
    return int(match.group(1)) if match else None


def _day_of_master(name: str) -> date | None:
    match = _MASTER_NAME.fullmatch(name)
    return parse_day(match.group(1)) if match else None


def _names(folder: str | Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names only, of thousands of files
    except OSError as error:
        raise HkError("missing", f"{folder}: {error.strerror}") from error


def list_hk(folder: str | Path) -> Mapping[int, tuple[str, ...]]:
    """List the files of a folder by exposure, once for many ``find_hk``."""
    found: dict[int, tuple[str, ...]] = {}
    for name in _names(folder):
        obsid = obsid_of(name)
        if obsid is not None:
            found[obsid] = (*found.get(obsid, ()), name)
    return found


def find_hk(folder: str | Path, obsid: int, listing: Mapping[int, tuple[str, ...]] | None = None) -> Path:
    """Find the file of an exposure; ``HkError`` (missing, ambiguous) if there is not exactly one."""
    found = (list_hk(folder) if listing is None else listing).get(obsid, ())
    if not found:
        raise HkError("missing", f"no HK_{obsid}_*_ROE1.txt")
    if len(found) > 1:
        raise HkError("ambiguous", f"{len(found)} files of exposure {obsid}: {', '.join(found)}")
    return Path(folder) / found[0]


def find_masters(folder: str | Path) -> tuple[Path, ...]:
    """Return the master files of a day folder in order of time: by the date in the name, then by name."""
    dated = [(day, name) for name in _names(folder) if (day := _day_of_master(name)) is not None]
    return tuple(Path(folder) / name for _, name in sorted(dated))


def hk_name(obsid: int, started_at: datetime) -> str:
    """Return the name of the file of an exposure."""
    return f"HK_{obsid}_{format_stamp(started_at)}_ROE1.txt"


def write_hk(
    path: str | Path, version: str, read_at: Sequence[datetime], readings: Mapping[str, Sequence[float | str]]
) -> None:
    """Write a housekeeping file as ELVIS does, in the key order of a version.

    Parameters
    ----------
    read_at
        Time of each reading.
    readings
        Key -> one value per time; a key that is missing gets empty fields.
    """
    has_clock = version.startswith(_CLOCK_VERSIONS)
    keys = [key for key in hk_keys(version) if key not in TIME_KEYS]
    lines = ["\t".join(["HK_timestamp" if has_clock else "TimeStamp", *keys])]
    for row, time in enumerate(read_at):
        cells = [f"{time:%H:%M:%S}" if has_clock else format_reading_time(time)]
        for key in keys:
            value = readings[key][row] if key in readings else ""
            cells.append(value if isinstance(value, str) else f"{value:.9g}")
        lines.append("\t".join(cells))
    Path(path).write_bytes("".join(f"{line}\r\n" for line in lines).encode("ascii"))
