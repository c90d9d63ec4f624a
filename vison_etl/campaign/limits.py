"""Limits and flags as rows of data.

A ``[[limit]]`` of ``limits.toml`` has

    id              name of the rule as stored in ``compliance.rule``, with ``.region`` added where it concerns one
    metric          what is checked: a name of ``metrics.METRICS``, ``hk``, or ``table.column`` of a result table
    lo, hi          closed interval; an absent one is open
    limits          instead of lo and hi, for ``hk``: the set of the instrument, ``performance`` or ``safe``
    added_to        name of the reference value that lo and hi are added to
    times           name of the reference value that lo and hi multiply
    families, tests, not_families, not_tests     where it applies; everywhere unless said
    regions         regions it applies to
    fluence_from, fluence_below     exposures by commanded fraction of full well; one without light counts as 0
    light           exposures by what was to shine: ``none``, ``flat``, ``point``
    injected        exposures with injected charge (true) or without (false)
    rdmodes         exposures by commanded read-out mode
    keys, not_keys  patterns of housekeeping keys, of columns of the log for ``command``
    flags           flags raised where it fails
    source          where the limit comes from

A value whose reference is not known (block without a table of offsets, unknown chamber) is not checked: there is no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal, get_args

from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.metrics_constants import constants
from vison_etl.campaign.strict import Raw, RuleError, check_keys, nearest, read_toml, take, take_texts
from vison_etl.instrument.elvis_keys import readout_modes
from vison_etl.instrument.hk import LimitSet
from vison_etl.tables import REGIONS

Reference = Literal[
    "n_expected",
    "block_offset_adu",
    "expected_fluence_adu",
    "expected_peak_adu",
    "expected_injection_adu",
    "full_well_s",
    "ccd_temperature_degc",
]
Light = Literal["none", "flat", "point"]
Raiser = Literal["limits", "checks", "analysis", "nothing"]

LIMITS_FILE, FLAGS_FILE = "limits.toml", "flags.toml"


@dataclass(frozen=True, slots=True)
class Limit:
    """One rule; see the head of this module."""

    id: str
    metric: str
    lo: float | None
    hi: float | None
    limits: LimitSet | None
    added_to: Reference | None
    times: Reference | None
    families: tuple[str, ...]
    not_families: tuple[str, ...]
    tests: tuple[str, ...]
    not_tests: tuple[str, ...]
    regions: tuple[str, ...]
    fluence_from: float | None
    fluence_below: float | None
    light: tuple[str, ...]
    injected: bool | None
    rdmodes: tuple[str, ...]
    keys: tuple[str, ...]
    not_keys: tuple[str, ...]
    flags: tuple[str, ...]
    source: str

    @property
    def reference(self) -> Reference | None:
        """The reference value it needs, if any."""
        return self.added_to or self.times

    def applies_to(self, test: TestDefinition) -> bool:
        """Tell whether the rule is for a test."""
        is_named = (not self.families or test.family in self.families) and (not self.tests or test.name in self.tests)
        return is_named and test.family not in self.not_families and test.name not in self.not_tests

    def has_key(self, key: str) -> bool:
        """Tell whether the rule is for a key of housekeeping or log."""
        is_named = not self.keys or any(fnmatchcase(key, pattern) for pattern in self.keys)
        return is_named and not any(fnmatchcase(key, pattern) for pattern in self.not_keys)


@dataclass(frozen=True, slots=True)
class FlagInfo:
    """One flag.

    Parameters
    ----------
    bit
        Its bit in the reference; None for those of this house.
    name, meaning
        As in runs and reports.
    raised_by
        ``limits`` (a row of the limits), ``checks`` (what checks add to them), ``analysis`` (measurements and calibrations),
        or ``nothing``: the name is kept for the flag word of the reference only.
    instead
        Why nothing raises it, and where to look; empty for other flags.
    """

    bit: int | None
    name: str
    meaning: str
    raised_by: Raiser
    instead: str


def _word(where: str, raw: Raw, key: str, allowed: Iterable[str]) -> str | None:
    if key not in raw:
        return None
    value = take(where, raw, key, str)
    if value not in allowed:
        raise RuleError(f"{where}: {key} is {value!r}; nearest: {nearest(value, allowed)}")
    return value


def _number(where: str, raw: Raw, key: str) -> float | None:
    return take(where, raw, key, float) if key in raw else None


def _limit(raw: Raw, index: int) -> Limit:
    where = f"{LIMITS_FILE}: limit {raw.get('id', index)}"
    check_keys(where, raw, Limit.__dataclass_fields__)
    flags, regions = take_texts(where, raw, "flags", None), take_texts(where, raw, "regions")
    for flag in flags:
        if flag not in flag_table():
            raise RuleError(f"{where}: no flag {flag!r} in {FLAGS_FILE}; nearest: {nearest(flag, flag_table())}")
    light, rdmodes = take_texts(where, raw, "light"), take_texts(where, raw, "rdmodes")
    for what, found, known in (
        ("regions", regions, REGIONS),
        ("light", light, get_args(Light)),
        ("rdmodes", rdmodes, readout_modes()),
    ):
        if not set(found) <= set(known):
            raise RuleError(f"{where}: {what} are {', '.join(known)}; found {', '.join(found)}")
    if "limits" in raw and ("lo" in raw or "hi" in raw):
        raise RuleError(f"{where}: 'limits' stands for lo and hi; give one or the other")
    lo, hi = _number(where, raw, "lo"), _number(where, raw, "hi")
    if "limits" not in raw and lo is None and hi is None:
        raise RuleError(f"{where}: no limit: give lo, hi or both")
    if lo is not None and hi is not None and lo > hi:
        raise RuleError(f"{where}: lo {lo} is above hi {hi}")
    return Limit(
        id=take(where, raw, "id", str),
        metric=take(where, raw, "metric", str),
        lo=lo,
        hi=hi,
        limits=_word(where, raw, "limits", get_args(LimitSet)),  # type: ignore[arg-type]
        added_to=_word(where, raw, "added_to", get_args(Reference)),  # type: ignore[arg-type]
        times=_word(where, raw, "times", get_args(Reference)),  # type: ignore[arg-type]
        families=take_texts(where, raw, "families"),
        not_families=take_texts(where, raw, "not_families"),
        tests=take_texts(where, raw, "tests"),
        not_tests=take_texts(where, raw, "not_tests"),
        regions=regions,
        fluence_from=_number(where, raw, "fluence_from"),
        fluence_below=_number(where, raw, "fluence_below"),
        light=light,
        injected=take(where, raw, "injected", bool) if "injected" in raw else None,
        rdmodes=rdmodes,
        keys=take_texts(where, raw, "keys"),
        not_keys=take_texts(where, raw, "not_keys"),
        flags=flags,
        source=take(where, raw, "source", str),
    )


def load_limits(raw: Raw) -> tuple[Limit, ...]:
    """Turn a parsed file of limits into rows; ``RuleError`` where it is not as it must be."""
    check_keys(LIMITS_FILE, raw, ("limit", "constants"))
    return tuple(_limit(row, index) for index, row in enumerate(take(LIMITS_FILE, raw, "limit", list), start=1))


@cache
def limits() -> tuple[Limit, ...]:
    """Return all limits in the order of the file."""
    return load_limits(read_toml(LIMITS_FILE))


def limits_of(test: TestDefinition) -> tuple[Limit, ...]:
    """Return the limits of a test in the order of the file."""
    return tuple(limit for limit in limits() if limit.applies_to(test))


@cache
def flag_table() -> Mapping[str, FlagInfo]:
    """Return every flag by name, in the order of the file."""
    rows: dict[str, FlagInfo] = {}
    for raw in take(FLAGS_FILE, read_toml(FLAGS_FILE), "flag", list):
        where = f"{FLAGS_FILE}: flag {raw.get('name')}"
        check_keys(where, raw, FlagInfo.__dataclass_fields__)
        info = FlagInfo(
            bit=take(where, raw, "bit", int) if "bit" in raw else None,
            name=take(where, raw, "name", str),
            meaning=take(where, raw, "meaning", str),
            raised_by=_word(where, raw, "raised_by", get_args(Raiser)) or "limits",  # type: ignore[arg-type]
            instead=take(where, raw, "instead", str, ""),
        )
        if (info.raised_by == "nothing") != bool(info.instead):
            raise RuleError(f"{where}: 'instead' says why nothing raises a flag, and only then")
        rows[info.name] = info
    return rows


def flag_word(names: Iterable[str]) -> int:
    """Return flags as the one integer of the reference; flags without a bit leave no trace in it.

    Raises
    ------
    KeyError
        For a name that is no flag.
    """
    bits = (flag_table()[name].bit for name in names)
    return sum(1 << bit for bit in set(bits) if bit is not None)


def limits_text() -> str:
    """Return all limits and the constants of their metrics as canonical text, for digests."""
    return repr([*(asdict(limit) for limit in limits()), asdict(constants())])
