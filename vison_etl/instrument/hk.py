"""Housekeeping keys of all versions, their limits and their roles in checks and alarms.

A limit compares one reading v, strictly (a value on the limit fails; NaN fails)::

    R (relative)   lo < v - commanded value < hi      commanded value: ``command_column`` of the same exposure
    A (absolute)   lo < v < hi
    I (identity)   v == lo

Performance limits say whether an exposure is good, safe limits whether the hardware is in danger. Both are the intended ones
for every version from 6.3.0 on; earlier versions have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal, NamedTuple, cast

from vison_etl.instrument.datafiles import csv_rows, number, unknown

LimitSet = Literal["performance", "safe"]
LimitKind = Literal["R", "A", "I"]

TIME_KEYS = ("TimeStamp", "HK_timestamp")
"""Names of the time column."""

_REGISTER = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,8})")


@dataclass(frozen=True, slots=True)
class HkLimit:
    """One limit of one key; ``hi`` is None for identities, ``command_column`` is set for relative limits only."""

    key: str
    set: LimitSet
    kind: LimitKind
    lo: float
    hi: float | None
    command_column: str | None

    def accepts(self, value: float, commanded: float | None = None) -> bool:
        """Tell whether a reading is within the limit; a relative limit without a commanded value is a ``ValueError``."""
        if self.kind == "I":
            return value == self.lo
        if self.kind == "R":
            if commanded is None:
                raise ValueError(f"limit of {self.key} is relative to {self.command_column}, which is missing")
            value -= commanded
        return self.lo < value < cast("float", self.hi)


class AlarmSeverity(NamedTuple):
    """Severity of an alarm below the lower and above the upper safe limit; above 0 mail, above 1 also a text message."""

    below: int
    above: int


@cache
def _keys() -> Mapping[str, tuple[str, ...]]:
    keys: dict[str, list[str]] = {}
    for row in csv_rows("hk_keys.csv"):
        keys.setdefault(row["elvis_version"], []).append(row["key"])
    return {version: tuple(names) for version, names in keys.items()}


@cache
def hk_versions() -> tuple[str, ...]:
    """Return the versions with a registered list of housekeeping keys, oldest first."""
    return tuple(_keys())


def hk_keys(version: str) -> tuple[str, ...]:
    """Return the keys of a version in file order, the time column included where the list has it."""
    keys = _keys().get(version)
    if keys is None:
        raise unknown("housekeeping version", version, hk_versions())
    return keys


@cache
def _units() -> Mapping[str, str]:
    return {row["key"]: row["unit"] for row in csv_rows("hk_keys.csv")}


def unit_of(key: str) -> str | None:
    """Return the unit of a key (V, A, degC); the empty text for flags and counts, None for an unknown key."""
    return _units().get(key)


def matching_hk_versions(names: Iterable[str]) -> tuple[str, ...]:
    """Return the versions whose key list is nearest to the names of a file, the time column left out."""
    found = frozenset(names) - set(TIME_KEYS)
    distance = {version: len(found ^ (frozenset(keys) - set(TIME_KEYS))) for version, keys in _keys().items()}
    least = min(distance.values())
    return tuple(version for version, value in distance.items() if value == least)


@cache
def all_limits() -> tuple[HkLimit, ...]:
    """Return the limits of every key of every version."""
    return tuple(
        HkLimit(
            key=row["key"],
            set=cast("LimitSet", row["set"]),
            kind=cast("LimitKind", row["kind"]),
            lo=float(row["lo"]),
            hi=number(row["hi"]),
            command_column=row["command_column"] or None,
        )
        for row in csv_rows("hk_limits.csv")
    )


@cache
def limits(version: str) -> tuple[HkLimit, ...]:
    """Return the limits of the keys that a version has; none for versions before 6.3.0 or without a list."""
    keys = frozenset(_keys().get(version, ()))
    return tuple(limit for limit in all_limits() if limit.key in keys)


def _of_set(version: str, name: LimitSet) -> tuple[HkLimit, ...]:
    return tuple(limit for limit in limits(version) if limit.set == name)


def limits_performance(version: str) -> tuple[HkLimit, ...]:
    """Return the performance limits of a version."""
    return _of_set(version, "performance")


def limits_safe(version: str) -> tuple[HkLimit, ...]:
    """Return the safe limits of a version."""
    return _of_set(version, "safe")


@cache
def default_keys() -> tuple[str, ...]:
    """Return the keys that every test checks unless it says otherwise."""
    return tuple(row["key"] for row in csv_rows("hk_roles.csv") if row["default_check"] == "1")


@cache
def critical_keys() -> Mapping[str, AlarmSeverity]:
    """Return the keys that raise an alarm outside their safe limits, with its severity on either side."""
    return {
        row["key"]: AlarmSeverity(int(row["alarm_below"]), int(row["alarm_above"]))
        for row in csv_rows("hk_roles.csv")
        if row["alarm_below"]
    }


def absent_reading(key: str) -> float | None:
    """Return the reading by which files before 6.0 say that the sensor of a key is absent; None for later keys."""
    return next(
        (float(row["value"]) for row in csv_rows("hk_absent.csv") if fnmatchcase(key, row["key_pattern"])), None
    )


def register_value(text: str) -> int | None:
    """Return the number of a register written in hexadecimal, as ``2FA0`` or ``0x2FA0``; None if the text is not one."""
    match = _REGISTER.fullmatch(text.strip())
    return int(match.group(1), 16) if match else None
