"""Settings of the campaign as a whole, from ``campaign.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from vison_etl.campaign.strict import Raw, check_keys, read_toml, take, take_texts

FILE = "campaign.toml"


@dataclass(frozen=True, slots=True)
class Matching:
    """How a log is compared with a structure: |found - wanted| <= atol + rtol |wanted|; texts exactly.

    ``not_compared`` are script keys that say who and with what, not how. ``pause_s`` is the idle time after which two
    exposures of a test are taken for interrupted.
    """

    rtol: float
    atol: float
    pause_s: float
    not_compared: frozenset[str]


@dataclass(frozen=True, slots=True)
class Duration:
    """Constants of the duration model."""

    rows: int
    clocked_columns: int
    serial_transfer_us: float
    clock_phases: int
    transfer_overhead_s: float

    @property
    def row_s(self) -> float:
        """Time to clock one row out, s."""
        return self.serial_transfer_us * 1e-6 * self.clocked_columns


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings: files of rules, groups of script keys, usual CCD temperature, campaigns with their meaning."""

    files: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    matching: Matching
    duration: Duration
    ccd_temperature_degc: float
    campaigns: Mapping[str, str]


def _matching(raw: Raw) -> Matching:
    where = f"{FILE}: matching"
    check_keys(where, raw, ("rtol", "atol", "pause_s", "not_compared"))
    return Matching(
        rtol=take(where, raw, "rtol", float),
        atol=take(where, raw, "atol", float),
        pause_s=take(where, raw, "pause_s", float),
        not_compared=frozenset(take_texts(where, raw, "not_compared", None)),
    )


def _duration(raw: Raw) -> Duration:
    where = f"{FILE}: duration"
    check_keys(where, raw, Duration.__dataclass_fields__)
    return Duration(
        rows=take(where, raw, "rows", int),
        clocked_columns=take(where, raw, "clocked_columns", int),
        serial_transfer_us=take(where, raw, "serial_transfer_us", float),
        clock_phases=take(where, raw, "clock_phases", int),
        transfer_overhead_s=take(where, raw, "transfer_overhead_s", float),
    )


def _campaigns(raw: Mapping[str, Raw]) -> dict[str, str]:
    for name, body in raw.items():
        check_keys(f"{FILE}: campaign.{name}", body, ("about",))
    return {name: take(f"{FILE}: campaign.{name}", body, "about", str) for name, body in raw.items()}


@cache
def settings() -> Settings:
    """Return the settings; read once."""
    raw = read_toml(FILE)
    check_keys(FILE, raw, ("files", "groups", "matching", "conditions", "duration", "campaign"))
    groups: Raw = take(FILE, raw, "groups", dict)
    conditions: Raw = take(FILE, raw, "conditions", dict)
    check_keys(f"{FILE}: conditions", conditions, ("ccd_temperature_degc",))
    return Settings(
        files=tuple(f"{name}.toml" for name in take_texts(FILE, raw, "files", None)),
        groups={name: take_texts(f"{FILE}: groups", groups, name) for name in groups},
        matching=_matching(take(FILE, raw, "matching", dict)),
        duration=_duration(take(FILE, raw, "duration", dict)),
        ccd_temperature_degc=take(f"{FILE}: conditions", conditions, "ccd_temperature_degc", float),
        campaigns=_campaigns(take(FILE, raw, "campaign", dict)),
    )
