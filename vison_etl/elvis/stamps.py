"""Time stamps of the bench. Two-digit years are always 20yy; times are without zone, as the bench wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

_EXPOSURE = re.compile(r"(\d\d)(\d\d)(\d\d)D_?(\d\d)(\d\d)(\d\d)T?", re.ASCII)
_READING = re.compile(r"(\d\d)-(\d\d)-(\d\d)_(\d\d):(\d\d):(\d\d)", re.ASCII)
_CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)", re.ASCII)
_DAY = re.compile(r"(\d\d)-?(\d\d)-?(\d\d)", re.ASCII)
_CENTURY = 2000


def _built(parts: Sequence[str]) -> datetime | None:
    day, month, year, hour, minute, second = (*map(int, parts), 0, 0, 0)[:6]
    try:
        return datetime(_CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 - the bench writes no zone
    except ValueError:
        return None


def parse_stamp(text: str) -> datetime | None:
    """Return the time of a stamp ``ddmmyyDhhmmssT``, also ``ddmmyyD_hhmmssT``; None if it is not one."""
    match = _EXPOSURE.fullmatch(text)
    return _built(match.groups()) if match else None


def format_stamp(time: datetime) -> str:
    """Return the stamp ``ddmmyyDhhmmssT`` of a time."""
    return time.strftime("%d%m%yD%H%M%ST")


def parse_reading_time(text: str) -> datetime | None:
    """Return the time of a housekeeping stamp ``dd-mm-yy_hh:mm:ss``; None if it is not one."""
    match = _READING.fullmatch(text)
    return _built(match.groups()) if match else None


def format_reading_time(time: datetime) -> str:
    """Return the housekeeping stamp ``dd-mm-yy_hh:mm:ss`` of a time."""
    return time.strftime("%d-%m-%y_%H:%M:%S")


def parse_clock(text: str) -> timedelta | None:
    """Return the time since midnight of ``hh:mm:ss``; None if it is not one."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(part) for part in match.groups())
    in_range = hour < 24 and minute < 60 and second < 60
    return timedelta(hours=hour, minutes=minute, seconds=second) if in_range else None


def parse_day(text: str) -> date | None:
    """Return the date of ``ddmmyy`` or ``dd-mm-yy``; None if it is not one."""
    match = _DAY.fullmatch(text)
    built = _built(match.groups()) if match else None
    return built.date() if built else None
