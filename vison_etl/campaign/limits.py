"""Limits and flags as rows of data.

A ``[[limit]]`` of ``limits.toml`` has

    id              name of the rule as stored in ``compliance.rule``, with ``.region`` added where it concerns one
    metric          what is checked: a name of ``metrics.METRICS``, ``command``, ``hk`` or one of the exposures
    lo, hi          closed interval; an absent one is open
    limits          instead of lo and hi, for ``hk``: the set of the instrument, ``performance`` or ``safe``
    added_to        name of the reference value that lo and hi are added to
    times           name of the reference value that lo and hi multiply
    families, tests, not_families, not_tests     where it applies; everywhere unless said
    regions         regions it applies to
    fluence_from, fluence_below     columns by commanded fraction of full well; a column without light counts as 0
    keys, not_keys  patterns of housekeeping keys
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
from vison_etl.campaign.strict import Raw, RuleError, check_keys, nearest, read_toml, take, take_texts
from vison_etl.instrument.hk import LimitSet
from vison_etl.tables import REGIONS

Reference = Literal["n_expected", "block_offset_adu", "expected_fluence_adu", "full_well_s", "ccd_temperature_degc"]

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
        """Tell whether the rule is for a housekeeping key."""
        is_named = not self.keys or any(fnmatchcase(key, pattern) for pattern in self.keys)
        return is_named and not any(fnmatchcase(key, pattern) for pattern in self.not_keys)


@dataclass(frozen=True, slots=True)
class FlagInfo:
    """One flag of the table: its bit in the reference (None for those of this house), name and meaning."""

    bit: int | None
    name: str
    meaning: str


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
    if not set(regions) <= set(REGIONS):
        raise RuleError(f"{where}: regions are {', '.join(REGIONS)}; found {', '.join(regions)}")
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
        keys=take_texts(where, raw, "keys"),
        not_keys=take_texts(where, raw, "not_keys"),
        flags=flags,
        source=take(where, raw, "source", str),
    )


def load_limits(raw: Raw) -> tuple[Limit, ...]:
    """Turn a parsed file of limits into rows; ``RuleError`` where it is not as it must be."""
    check_keys(LIMITS_FILE, raw, ("limit",))
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
        check_keys(where, raw, ("bit", "name", "meaning"))
        bit = take(where, raw, "bit", int) if "bit" in raw else None
        info = FlagInfo(bit, take(where, raw, "name", str), take(where, raw, "meaning", str))
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
    """Return all limits as canonical text, for digests."""
    return repr([asdict(limit) for limit in limits()])
