"""Housekeeping values that are checked: the worse of the smallest and the largest reading of each exposure."""

from __future__ import annotations

from functools import cache

import polars as pl

from vison_etl.campaign.limits import Limit
from vison_etl.campaign.metrics_input import CheckInput, as_values
from vison_etl.instrument.hk import all_limits

_LIMITS = {"key": pl.String, "lo": pl.Float64, "hi": pl.Float64, "command_column": pl.String}


@cache
def _instrument_limits(name: str) -> pl.DataFrame:
    """Return the limits of a set by key; of the safe ones only those that differ from the performance ones."""
    performance = {row.key: (row.kind, row.lo, row.hi) for row in all_limits() if row.set == "performance"}
    rows = [
        (row.key, row.lo, row.lo if row.kind == "I" else row.hi, row.command_column)
        for row in all_limits()
        if row.set == name and (name == "performance" or performance.get(row.key) != (row.kind, row.lo, row.hi))
    ]
    return pl.DataFrame(rows, schema=_LIMITS, orient="row")


def _limits(data: CheckInput, limit: Limit, keys: list[str]) -> pl.DataFrame:
    """Return key, lo, hi, command_column of one rule for the keys that exist."""
    if limit.limits is not None:
        table = _instrument_limits(limit.limits)
    else:
        middle = data.definition.ccd_temperature_degc if limit.added_to == "ccd_temperature_degc" else 0.0
        lo, hi = (None if edge is None else middle + edge for edge in (limit.lo, limit.hi))
        table = pl.DataFrame([(key, lo, hi, None) for key in keys], schema=_LIMITS, orient="row")
    return table.filter(pl.col("key").is_in([key for key in keys if limit.has_key(key)]))


def _commanded(data: CheckInput, names: list[str]) -> pl.DataFrame:
    """Return obsid, command_column, command for the commanded voltages of each exposure."""
    present = [name for name in names if name in data.exposures.columns]
    if not present:
        return pl.DataFrame(schema={"obsid": pl.Int64, "command_column": pl.String, "command": pl.Float64})
    first = data.exposures.group_by("obsid", maintain_order=True).agg(pl.col(present).first().cast(pl.Float64))
    return first.unpivot(index="obsid", on=present, variable_name="command_column", value_name="command")


def _of_exposures(data: CheckInput) -> pl.DataFrame:
    """Return the summaries of the exposures, without readings of a CCD whose frame is not among them."""
    present = data.exposures.select("obsid", pl.col("ccd").cast(pl.String)).unique()
    known = data.hk_summary.select("obsid", "key", "min", "max").with_columns(
        ccd=pl.col("key").str.extract(r"^(CCD\d)_")
    )
    is_left = pl.col("ccd").is_null() | pl.col("is_present")
    marked = known.join(present.with_columns(is_present=True), on=["obsid", "ccd"], how="left", maintain_order="left")
    return marked.filter(is_left.fill_null(value=False)).select("obsid", "key", "min", "max")


def hk_values(data: CheckInput, limit: Limit) -> pl.DataFrame:
    """Return the values of one housekeeping rule with their limits.

    One row per exposure and key, ``metric`` the key: the reading that lies farther out, or nearer to a limit, of the smallest and
    the largest. NULL where no reading is a number. A relative limit without a commanded value gives no row, nor does a reading of
    a CCD whose frame is excluded or missing.
    """
    known = data.hk_summary["key"].unique().sort().to_list()
    limits = _limits(data, limit, known)
    relative = limits["command_column"].drop_nulls().unique().sort().to_list()
    exposures = data.exposures.group_by("obsid", maintain_order=True).agg(pl.col("script_column").first())
    rows = (
        _of_exposures(data)
        .join(limits, on="key", how="inner", maintain_order="left")
        .join(exposures, on="obsid", how="inner", maintain_order="left")
        .join(_commanded(data, relative), on=["obsid", "command_column"], how="left", maintain_order="left")
        .filter(pl.col("command_column").is_null() | pl.col("command").is_not_null())
        .with_columns(pl.col("lo", "hi") + pl.col("command").fill_null(0.0), pl.col("min", "max").fill_nan(None))
    )
    is_high = (pl.col("max") - pl.col("hi")).fill_null(float("-inf")) >= (pl.col("lo") - pl.col("min")).fill_null(
        float("-inf")
    )
    values = as_values(rows.with_columns(value=pl.when(is_high).then("max").otherwise("min"), metric=pl.col("key")))
    return values.with_columns(rows["lo"], rows["hi"])


def readings(data: CheckInput) -> pl.DataFrame:
    """Return, per exposure, the number of readings of the best key; NULL for an exposure without housekeeping."""
    counts = data.hk_summary.group_by("obsid").agg(pl.col("n").max().alias("value"))
    exposures = data.exposures.group_by("obsid", maintain_order=True).agg(pl.col("script_column").first())
    return as_values(exposures.join(counts, on="obsid", how="left", maintain_order="left"), "hk_readings")
