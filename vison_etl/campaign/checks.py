"""Data checks: every value against every limit that applies, as rows of ``compliance``, and the flags that follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
import xxhash

from vison_etl.campaign.columns import Column
from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.hk_metrics import hk_values
from vison_etl.campaign.limits import Limit, flag_table, limits_of, limits_text
from vison_etl.campaign.metrics import metric
from vison_etl.campaign.metrics_input import CheckInput
from vison_etl.campaign.strict import RuleError
from vison_etl.campaign.structures import structures_of
from vison_etl.instrument.hk import all_limits

_VERSION = 2
"""Raised whenever the outcome of a check may change with the same limits."""

_COLUMNS = {
    "check_id": pl.Int64,
    "obsid": pl.Int64,
    "ccd": pl.String,
    "quadrant": pl.String,
    "script_column": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "value_err": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "pass": pl.Boolean,
    "rule": pl.String,
}

_NOTHING = pl.DataFrame(
    schema={"rule_index": pl.Int64} | {name: kind for name, kind in _COLUMNS.items() if name != "check_id"}
)

_OF_BLOCK = {
    "unknown": ("BLOCK_UNKNOWN", "serial numbers of no known block; offsets are not checked"),
    "option_over_serials": ("BLOCK_CONFLICT", "the block given by hand is not the one of the serial numbers"),
}


class RaisedFlag(NamedTuple):
    """A flag raised: its name in the flag table, how many values raised it, and the worst of them in words."""

    name: str
    n: int
    detail: str


def check(
    definition: TestDefinition,
    exposures: pl.DataFrame,
    statistics: pl.DataFrame,
    hk_summary: pl.DataFrame,
    acquisition: Mapping[str, Any],
    results: Mapping[str, pl.DataFrame],
    extra: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, tuple[RaisedFlag, ...]]:
    """Check one acquisition of a test.

    Exposures are checked with the test that has them: of a test with the frames of others only its results are.

    Parameters
    ----------
    definition
        The test.
    exposures
        Its rows of ``exposures`` with ``script_column``, exclusions applied.
    statistics, hk_summary
        Rows of ``quadrant_stats`` and ``hk_summary`` of those exposures.
    acquisition
        Row of ``acquisitions``.
    results
        Result tables of this run by name: ``readout_noise``, ``light_source``, where they were made.
    extra
        Exposures of the acquisition that were not commanded, with the columns of ``exposures``.

    Returns
    -------
    tuple
        Table ``compliance`` without the keys of the run, in the order of the limits, and the flags raised, in the order of the
        flag table. A flag's ``n`` counts the values that failed, its detail is the worst of them.
    """
    data = CheckInput(
        definition=definition,
        columns=_columns(definition, acquisition),
        exposures=exposures,
        statistics=statistics,
        hk_summary=hk_summary,
        acquisition=acquisition,
        results=results,
        extra=exposures.clear() if extra is None else extra,
    )
    rules = _rules_of(definition)
    made: dict[str, pl.DataFrame] = {}
    parts = [_judged(_values(data, rule, made), rule, index) for index, rule in enumerate(rules)]
    keys = ["rule_index", "obsid", "ccd", "quadrant", "metric", "rule"]
    checked = pl.concat([_NOTHING, *parts]).sort(keys, nulls_last=False, maintain_order=True)
    compliance = checked.with_row_index("check_id").select(pl.col(name).cast(kind) for name, kind in _COLUMNS.items())
    flags = [*_raised(checked, rules), *_dead_ccds(checked, rules), *_context_flags(exposures)]
    order = list(flag_table())
    return compliance, tuple(sorted(flags, key=lambda flag: order.index(flag.name)))


def checks_digest() -> str:
    """Return a digest of all limits and of the version of this module: it changes when the outcome of a check may."""
    return xxhash.xxh3_128_hexdigest(f"{_VERSION}\n{limits_text()}\n{all_limits()!r}".encode())


_OF_RESULTS = "."


def _rules_of(definition: TestDefinition) -> tuple[Limit, ...]:
    rules = limits_of(definition)
    return rules if definition.has_frames else tuple(rule for rule in rules if _OF_RESULTS in rule.metric)


def _columns(definition: TestDefinition, acquisition: Mapping[str, Any]) -> Sequence[Column]:
    if len(definition.frames_of) > 1:
        return ()
    source = definition.frames_of[0]
    try:
        known = structures_of(source, acquisition["chamber"])
    except (RuleError, KeyError):
        known = structures_of(source, None)
    return next((row.columns for row in known if row.label == acquisition["variant"]), known[0].columns)


def _values(data: CheckInput, rule: Limit, made: dict[str, pl.DataFrame]) -> pl.DataFrame:
    if rule.metric == "hk":
        return hk_values(data, rule)
    if rule.metric not in made:
        made[rule.metric] = metric(f"limits.toml: limit {rule.id}", rule.metric)(data)
    return _limited(made[rule.metric], rule)


_COMMAND = "command_"


def _chosen(values: pl.DataFrame, rule: Limit) -> pl.DataFrame:
    """Keep the values a rule is for; what is not known of an exposure does not choose it."""
    fluence = pl.col("fluence").fill_null(0.0)
    choices = []
    if rule.regions:
        choices.append(pl.col("region").is_in(rule.regions))
    if rule.fluence_from is not None:
        choices.append(fluence >= rule.fluence_from)
    if rule.fluence_below is not None:
        choices.append(fluence < rule.fluence_below)
    if rule.light:
        choices.append(pl.col("light").is_in(rule.light))
    if rule.injected is not None:
        choices.append(pl.col("injected") == rule.injected)
    if rule.rdmodes:
        choices.append(pl.col("rdmode").is_in(rule.rdmodes))
    if rule.metric == "command":
        keys = [name for name in values["metric"].unique() if rule.has_key(name.removeprefix(_COMMAND))]
        choices.append(pl.col("metric").is_in(keys))
    return values.filter(*choices) if choices else values


def _limited(values: pl.DataFrame, rule: Limit) -> pl.DataFrame:
    """Keep the values a rule is for and give them lo and hi; a value without the reference that the rule needs is left out."""
    values = _chosen(values, rule)
    edges = {"lo": pl.lit(rule.lo, pl.Float64), "hi": pl.lit(rule.hi, pl.Float64)}
    if rule.reference is not None:
        reference = pl.col(rule.reference)
        values = values.filter(reference.is_not_null())
        edges = {name: edge + reference if rule.added_to else edge * reference for name, edge in edges.items()}
    return values.with_columns(**edges)


def _judged(values: pl.DataFrame, rule: Limit, index: int) -> pl.DataFrame:
    inside = (pl.col("value") >= pl.col("lo")).fill_null(value=True) & (pl.col("value") <= pl.col("hi")).fill_null(
        value=True
    )
    suffix = pl.when(pl.lit(bool(rule.regions))).then(pl.format(".{}", "region")).otherwise(pl.lit(""))
    return values.with_columns(
        (inside & pl.col("value").is_not_null()).alias("pass"),
        (pl.lit(rule.id) + suffix).alias("rule"),
        pl.lit(index, pl.Int64).alias("rule_index"),
    ).select("rule_index", *(name for name in _COLUMNS if name != "check_id"))


def _raised(checked: pl.DataFrame, rules: Sequence[Limit]) -> Iterator[RaisedFlag]:
    failed = checked.filter(~pl.col("pass"))
    if failed.is_empty():
        return
    width = pl.col("hi") - pl.col("lo")
    size = pl.max_horizontal(pl.col("lo").abs(), pl.col("hi").abs(), pl.lit(1.0))
    beyond = pl.max_horizontal(pl.col("lo") - pl.col("value"), pl.col("value") - pl.col("hi"))
    excess = (beyond / pl.when(width > 0).then(width).otherwise(size)).fill_null(float("inf"))
    worst_first = failed.with_columns(excess.alias("excess")).sort("excess", descending=True, maintain_order=True)
    for name in flag_table():
        indices = [index for index, rule in enumerate(rules) if name in rule.flags]
        mine = worst_first.filter(pl.col("rule_index").is_in(indices))
        if mine.height:
            yield RaisedFlag(name, mine.height, _sentence(mine.row(0, named=True)))


def _sentence(row: Mapping[str, Any]) -> str:
    edges = f"[{_short(row['lo'], '-inf')}, {_short(row['hi'], 'inf')}]"
    value = "has no value" if row["value"] is None else f"{_short(row['value'])} is outside {edges}"
    where = [str(row[key]) for key in ("ccd", "quadrant", "script_column") if row[key] is not None]
    if row["obsid"] is not None:
        where.append(f"obsid {row['obsid']}")
    return f"{row['metric']} {value} ({', '.join([*where, row['rule']])})"


def _short(value: float | None, missing: str = "") -> str:
    return missing if value is None else f"{value:.6g}"


def _dead_ccds(checked: pl.DataFrame, rules: Sequence[Limit]) -> Iterator[RaisedFlag]:
    indices = [index for index, rule in enumerate(rules) if "DEADQUAD" in rule.flags]
    failed = checked.filter(pl.col("rule_index").is_in(indices) & ~pl.col("pass"))
    dead = failed.group_by("ccd").agg(pl.col("quadrant").n_unique().alias("n")).filter(pl.col("n") == 4)
    if dead.height:
        yield RaisedFlag("DEADCCD", dead.height, f"all quadrants of {', '.join(sorted(dead['ccd']))} are dead")


def _context_flags(exposures: pl.DataFrame) -> Iterator[RaisedFlag]:
    counts = exposures.group_by("block_source").agg(pl.col("obsid").n_unique()).sort("block_source", nulls_last=True)
    for source, n in counts.iter_rows():
        if source in _OF_BLOCK:
            name, detail = _OF_BLOCK[source]
            yield RaisedFlag(name, n, detail)
    unknown = exposures.filter(pl.col("chamber").is_null())["obsid"].n_unique()
    if unknown:
        yield RaisedFlag(
            "CHAMBER_UNKNOWN", unknown, "no chamber profile: wavelengths, exposure times and fluences are not checked"
        )
