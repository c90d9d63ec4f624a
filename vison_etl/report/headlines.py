"""The headline quantities over all blocks: values per channel, and their summary."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

from vison_etl.instrument import requirements as instrument
from vison_etl.report.source import Snapshot

KEYS = ("block", "ccd", "quadrant")


@cache
def quantities() -> tuple[Mapping[str, Any], ...]:
    """Return the quantities of the overview, in order; the keys of each are described in ``headlines.toml``."""
    text = (files("vison_etl.report") / "headlines.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["quantity"])


def channel_values(snapshot: Snapshot, quantity: Mapping[str, Any]) -> pl.DataFrame:
    """Return a quantity of every channel.

    Returns
    -------
    polars.DataFrame
        ``block, ccd, quadrant`` (unique, sorted), ``test, value, value_err, lo, hi``; the limits are those of its requirement for the
        channel, NULL where they are open or not known.
    """
    blank = pl.DataFrame(
        schema=dict.fromkeys((*KEYS, "test"), pl.String) | dict.fromkeys(("value", "value_err", "lo", "hi"), pl.Float64)
    )
    table, value = quantity["table"], quantity["value"]
    if table not in snapshot.names:
        return blank
    query = (
        f'select block, ccd, quadrant, test, {quantity.get("value_sql", value)} as value, "{value}_err" as value_err '  # noqa: S608
        f'from "{table}" where {quantity.get("where", "true")}'
    )
    frame = snapshot.connection.sql(query).pl().cast({"value": pl.Float64, "value_err": pl.Float64}).fill_nan(None)
    frame = frame.cast(dict.fromkeys((*KEYS, "test"), pl.String)).drop_nulls("value")
    order = quantity.get("tests", [])
    if order:
        ranks = pl.DataFrame({"test": order, "rank": range(len(order))}, schema={"test": pl.String, "rank": pl.Int64})
        frame = frame.join(ranks, on="test").sort("rank").drop("rank")
    else:
        frame = frame.sort("test")
    frame = frame.unique(list(KEYS), keep="first", maintain_order=True)
    limits = [_limits(quantity, *channel) for channel in frame.select(KEYS).iter_rows()]
    bounds = pl.DataFrame(limits, schema={"lo": pl.Float64, "hi": pl.Float64}, orient="row")
    return pl.concat([frame, bounds], how="horizontal").select(blank.columns).cast(blank.schema).sort(*KEYS)


def requirements() -> pl.DataFrame:
    """Return the requirements that are the same for all channels: ``metric`` (column of the result), ``lo, hi``; NULL is open."""
    rows = [(row.column, row.lo, row.hi) for row in instrument.requirements() if row.added_to is None]
    return pl.DataFrame(rows, schema={"metric": pl.String, "lo": pl.Float64, "hi": pl.Float64}, orient="row")


def _limits(quantity: Mapping[str, Any], block: str, ccd: str, quadrant: str) -> tuple[float | None, float | None]:
    name = quantity.get("requirement")
    return (None, None) if name is None else instrument.requirement(name).limits(block, ccd, quadrant)


def summary(values: pl.DataFrame) -> Mapping[str, Any] | None:
    """Summarise the values of a quantity over its channels.

    Returns
    -------
    mapping or None
        ``n, median, spread`` (half the central 68 %), ``least, greatest``; ``lo, hi`` if one pair of limits holds for all,
        ``has_limits``, ``n_out`` outside them; ``worst``: the row farthest out of its limits in half widths, without limits
        the one farthest from the median. None without values.
    """
    if values.is_empty():
        return None
    found = values["value"]
    limited = values.filter(pl.any_horizontal(pl.col("lo", "hi").is_not_null()))
    pairs = limited.select("lo", "hi").unique()
    is_one = limited.height == values.height and pairs.height == 1
    half = (pl.col("hi") - pl.col("lo")) / 2
    beyond = pl.max_horizontal(pl.col("lo") - pl.col("value"), pl.col("value") - pl.col("hi"))
    distance = (
        beyond / pl.when(half > 0).then(half).otherwise(1.0)
        if limited.height
        else (pl.col("value") - found.median()).abs()
    )
    ranked = (limited if limited.height else values).with_columns(distance=distance).sort("distance", descending=True)
    quantiles = found.quantile(0.16, "linear"), found.quantile(0.84, "linear")
    return {
        "n": values.height,
        "median": found.median(),
        "spread": (quantiles[1] - quantiles[0]) / 2 if None not in quantiles else None,  # type: ignore[operator]
        "least": found.min(),
        "greatest": found.max(),
        "lo": pairs["lo"][0] if is_one else None,
        "hi": pairs["hi"][0] if is_one else None,
        "has_limits": bool(limited.height),
        "n_out": limited.filter((pl.col("value") < pl.col("lo")) | (pl.col("value") > pl.col("hi"))).height,
        "worst": ranked.row(0, named=True),
    }
