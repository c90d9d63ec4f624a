"""Housekeeping of a test: temperatures against time, and every key against its limits."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.figure import Figure
from vison_etl.instrument.hk import all_limits
from vison_etl.report.gather import Gathered
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.page import Section
from vison_etl.report.rounding import counted, measured, unit_text, written
from vison_etl.report.tabulate import Head, plain_table, state
from vison_etl.tables import CCDS

_RULE = "hk_performance"
_ROUNDING = 1e-9

MAX_KEYS = 30
MAX_OFFENDERS = 12
SHOWN_EDGE = 2.5
"""Half widths beyond which a bar is cut."""


def section(data: Gathered) -> Section:
    """Return temperatures, the keys against their performance limits, and the worst offenders."""
    summary = data.table("hk_summary")
    if summary.is_empty():
        return Section("housekeeping", "Housekeeping", element("p", "No housekeeping is in the snapshot."))
    limits = exposure_limits(data.table("compliance"), data.table("exposures"))
    keys = against_limits(summary, limits)
    figures = [_temperatures(summary, data.table("exposures"), limits), _positions(keys)]
    content = joined([_sentence(summary, keys), _offenders(keys)])
    return Section("housekeeping", "Housekeeping", content, tuple(f for f in figures if f is not None))


def exposure_limits(compliance: pl.DataFrame, exposures: pl.DataFrame) -> pl.DataFrame:
    """Return the performance limits of each key in each exposure.

    They are those of the checks of the run; without checks those of the instrument, relative ones about the commanded value
    of the exposure (where that is not logged there is none), which know nothing of tests at another temperature.

    Returns
    -------
    polars.DataFrame
        ``obsid, key, lo, hi``; identities are left out.
    """
    checked = compliance.filter(pl.col("rule").str.starts_with(_RULE)).select("obsid", "lo", "hi", key="metric")
    found = checked if checked.height else _instrument_limits(exposures)
    return found.filter(pl.col("hi") > pl.col("lo")).select("obsid", "key", "lo", "hi")


def _instrument_limits(exposures: pl.DataFrame) -> pl.DataFrame:
    limits = [x for x in all_limits() if x.set == "performance" and x.hi is not None]
    columns = {x.command_column for x in limits if x.command_column in exposures.columns}
    rows: list[tuple[int, str, float, float]] = []
    for exposure in exposures.unique("obsid", keep="first").select("obsid", *columns).iter_rows(named=True):
        for limit in limits:
            base = 0.0 if limit.command_column is None else exposure.get(limit.command_column)
            if base is not None and limit.hi is not None:
                rows.append((exposure["obsid"], limit.key, limit.lo + base, limit.hi + base))
    schema = {"obsid": pl.Int64, "key": pl.String, "lo": pl.Float64, "hi": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def against_limits(summary: pl.DataFrame, limits: pl.DataFrame) -> pl.DataFrame:
    """Return each key's extremes over the test relative to its limits.

    Returns
    -------
    polars.DataFrame
        ``key, unit, lowest, highest`` reading; ``position_lo, position_hi``: where the extremes lie between the limits of
        their exposure, in half widths from the middle (-1 and 1 are the limits); ``obsid`` of the worst exposure, ``lo, hi``
        its limits, ``worst`` its position; ``n_out`` exposures outside; worst first.
    """
    middle, half = (pl.col("lo") + pl.col("hi")) / 2, (pl.col("hi") - pl.col("lo")) / 2
    each = (
        summary.join(limits, on=["obsid", "key"])
        .with_columns(at_lo=(pl.col("min") - middle) / half, at_hi=(pl.col("max") - middle) / half)
        .drop_nulls(["at_lo", "at_hi"])
        .with_columns(worst=pl.max_horizontal(pl.col("at_lo").abs(), pl.col("at_hi").abs()))
        .sort("worst")
    )
    return (
        each.group_by("key", "unit")
        .agg(
            lowest=pl.col("min").min(),
            highest=pl.col("max").max(),
            position_lo=pl.col("at_lo").min(),
            position_hi=pl.col("at_hi").max(),
            obsid=pl.col("obsid").last(),
            lo=pl.col("lo").last(),
            hi=pl.col("hi").last(),
            worst=pl.col("worst").last(),
            n_out=(pl.col("worst") > 1 + _ROUNDING).sum(),
        )
        .sort("worst", "key", descending=[True, False])
    )


def _sentence(summary: pl.DataFrame, keys: pl.DataFrame) -> Html:
    out = keys.filter(pl.col("n_out") > 0).height
    text = (
        f"{counted(summary['key'].n_unique(), 'key')} read during {counted(summary['obsid'].n_unique(), 'exposure')}; "
        f"{counted(keys.height, 'key')} with performance limits, {out or 'none'} of them outside at some time."
    )
    return element("p", text)


def _offenders(keys: pl.DataFrame) -> Html:
    heads = [
        Head("key"),
        Head("", about="verdict"),
        Head("unit"),
        Head("lowest", is_number=True),
        Head("highest", is_number=True),
        Head("limits", is_number=True),
        Head("exposures outside", is_number=True),
        Head("worst at obsid", is_number=True),
    ]
    rows: list[list[Child]] = [
        [
            element("code", row["key"]),
            state("failed") if row["n_out"] else state("ok"),
            unit_text(row["unit"] or ""),
            measured(row["lowest"]),
            measured(row["highest"]),
            f"{measured(row['lo'])} … {measured(row['hi'])}",
            written(row["n_out"]),
            written(row["obsid"]),
        ]
        for row in keys.head(MAX_OFFENDERS).iter_rows(named=True)
    ]
    caption = "The keys farthest out. Limits are those of the worst exposure: some follow the commanded value."
    return plain_table(heads, rows, caption) if rows else Html("")


def _positions(keys: pl.DataFrame) -> Figure | None:
    if keys.is_empty():
        return None
    rows = keys.head(MAX_KEYS).with_columns(
        pl.col("position_lo", "position_hi").clip(-SHOWN_EDGE, SHOWN_EDGE),
        verdict=pl.when(pl.col("n_out") > 0).then(pl.lit("outside")).otherwise(pl.lit("within")),
    )
    base = alt.Chart(common.compact(rows)).encode(
        alt.Y("key:N", sort=rows["key"].to_list(), title=None, axis={"labelLimit": 190}),
        alt.X(
            "position_lo:Q",
            title="position within the limits (half widths from the middle)",
            scale={"domain": [-SHOWN_EDGE, SHOWN_EDGE]},
            axis={"values": [-2, -1, 0, 1, 2]},
        ),
    )
    tips = common.tips("key", "unit", "lowest", "highest", "lo", "hi", "n_out", "obsid")
    spans = [
        part.transform_filter(f"datum.verdict == '{verdict}'")
        for verdict in ("within", "outside")
        for part in (
            base.mark_bar(height=7, style=verdict).encode(alt.X2("position_hi:Q"), tooltip=tips),
            base.mark_tick(thickness=3, height=9, style=verdict),
        )
    ]
    edges = alt.Chart(pl.DataFrame({"edge": [-1.0, 1.0]})).mark_rule(style="limit").encode(alt.X("edge:Q"))
    chart = alt.layer(edges, *spans).properties(width=700, height=alt.Step(15))
    return Figure(
        "hk_positions",
        "Keys against their performance limits",
        "Range of the readings over the whole test, minima and maxima included, scaled so that the limits lie at -1 and 1; the "
        f"{rows.height} keys nearest to or beyond a limit. Bars beyond {SHOWN_EDGE} are cut.",
        chart,
    )


def _temperatures(summary: pl.DataFrame, exposures: pl.DataFrame, limits: pl.DataFrame) -> Figure | None:
    keys = [f"{ccd}_TEMP_{side}" for ccd in CCDS for side in ("T", "B")]
    times = exposures.unique("obsid", keep="first").select("obsid", "started_at")
    rows = (
        summary.filter(pl.col("key").is_in(keys))
        .join(times, on="obsid", how="left")
        .with_columns(ccd=pl.col("key").str.slice(0, 4), side=pl.col("key").str.slice(-1))
        .select("obsid", "started_at", "key", "ccd", "side", "mean", bar_lo="min", bar_hi="max")
        .drop_nulls("mean")
    )
    if rows.is_empty():
        return None
    base = alt.Chart(common.compact(rows)).encode(common.along(rows), color=common.colour("ccd", CCDS, "CCD"))
    y = alt.Y("mean:Q", title="temperature (°C)", scale=common.free())
    side = {"title": "side of the ROE", "orient": "top", "direction": "horizontal", "symbolType": "stroke"}
    lines = base.mark_line(point={"size": 18}).encode(
        y, alt.StrokeDash("side:N", legend=side), tooltip=common.tips("key", "obsid", "mean", "bar_lo", "bar_hi")
    )
    mine = limits.filter(pl.col("key").is_in(keys)).select("lo", "hi").unique()
    edges = mine.row(0) if mine.height == 1 else ()
    rules = common.limit_lines([(edge, f"limit {edge:g} °C") for edge in edges])
    chart = alt.layer(common.bars(base), lines, *rules).properties(width=common.WIDE, height=220)
    return Figure(
        "ccd_temperatures",
        "CCD temperatures",
        "Mean reading of each exposure; bars from its lowest to its highest reading. Dashed red: performance limits.",
        chart,
    )
