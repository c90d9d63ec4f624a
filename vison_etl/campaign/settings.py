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

    ``within`` are keys compared within an absolute difference instead. ``not_compared`` are script keys that say who and with what, not how. ``pause_s`` is the idle time after which two
    exposures of a test are taken for interrupted.
    """

    rtol: float
    atol: float
    pause_s: float
    within: Mapping[str, float]
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
class Campaign:
    """A campaign.

    Parameters
    ----------
    name, about
        Its name and what it is.
    order
        Handles in the order in which scripts are written and durations added up.
    may_repeat
        Tests may be asked for again as ``NAME.1``, ``NAME.2``, ...
    """

    name: str
    about: str
    order: tuple[str, ...]
    may_repeat: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """A named choice of tests of a campaign, by handles: what to acquire of a block, or its sessions in order."""

    name: str
    about: str
    campaign: str
    handles: tuple[str, ...]
    sessions: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings: files of rules, groups of script keys, handles of tests, usual CCD temperature, campaigns, named selections."""

    files: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    matching: Matching
    duration: Duration
    ccd_temperature_degc: float
    campaigns: Mapping[str, Campaign]
    handles: Mapping[str, tuple[str, ...]]
    selections: Mapping[str, Selection]


def _matching(raw: Raw) -> Matching:
    where = f"{FILE}: matching"
    check_keys(where, raw, ("rtol", "atol", "pause_s", "within", "not_compared"))
    within: Raw = take(where, raw, "within", dict, {})
    return Matching(
        rtol=take(where, raw, "rtol", float),
        atol=take(where, raw, "atol", float),
        pause_s=take(where, raw, "pause_s", float),
        within={key: take(f"{where}.within", within, key, float) for key in within},
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


def _campaign(name: str, raw: Raw) -> Campaign:
    where = f"{FILE}: campaign.{name}"
    check_keys(where, raw, ("about", "order", "may_repeat"))
    return Campaign(
        name=name,
        about=take(where, raw, "about", str),
        order=take_texts(where, raw, "order", None),
        may_repeat=take(where, raw, "may_repeat", bool, default=False),
    )


def _selection(name: str, raw: Raw) -> Selection:
    where = f"{FILE}: selection.{name}"
    check_keys(where, raw, ("about", "campaign", "handles", "sessions"))
    sessions: Raw = take(where, raw, "sessions", dict, {})
    return Selection(
        name=name,
        about=take(where, raw, "about", str),
        campaign=take(where, raw, "campaign", str),
        handles=take_texts(where, raw, "handles"),
        sessions={session: take_texts(f"{where}.sessions", sessions, session, None) for session in sessions},
    )


_KEYS = ("files", "groups", "handles", "matching", "conditions", "duration", "campaign", "selection")


@cache
def settings() -> Settings:
    """Return the settings; read once."""
    raw = read_toml(FILE)
    check_keys(FILE, raw, _KEYS)
    groups: Raw = take(FILE, raw, "groups", dict)
    handles: Raw = take(FILE, raw, "handles", dict, {})
    conditions: Raw = take(FILE, raw, "conditions", dict)
    check_keys(f"{FILE}: conditions", conditions, ("ccd_temperature_degc",))
    return Settings(
        files=tuple(f"{name}.toml" for name in take_texts(FILE, raw, "files", None)),
        groups={name: take_texts(f"{FILE}: groups", groups, name) for name in groups},
        matching=_matching(take(FILE, raw, "matching", dict)),
        duration=_duration(take(FILE, raw, "duration", dict)),
        ccd_temperature_degc=take(f"{FILE}: conditions", conditions, "ccd_temperature_degc", float),
        campaigns={name: _campaign(name, body) for name, body in take(FILE, raw, "campaign", dict).items()},
        handles={name: take_texts(f"{FILE}: handles", handles, name) for name in handles},
        selections={name: _selection(name, body) for name, body in take(FILE, raw, "selection", dict, {}).items()},
    )
