"""Housekeeping of a test: temperatures against time, and every key against its limits."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.figure import Figure
from vison_etl.instrument.hk import all_limits
from vison_etl.report.gather import Gathered
from vison_etl.report.markup import Html, element, joined
from vison_etl.report.page import Section
from vison_etl.report.rounding import counted, measured, unit_text, written
from vison_etl.report.tabulate import Head, plain_table, state
from vison_etl.tables import CCDS

MAX_KEYS = 30
MAX_OFFENDERS = 12
SHOWN_EDGE = 2.5
"""Half widths beyond which a bar is cut."""


def section(data: Gathered) -> Section:
    """Return temperatures, the keys against their performance limits, and the worst offenders."""
    summary = data.table("hk_summary")
    if summary.is_empty():
        return Section("housekeeping", "Housekeeping", element("p", "No housekeeping is in the snapshot."))
    keys = against_limits(summary, data.table("exposures"))
    figures = [_temperatures(summary, data.table("exposures")), _positions(keys)]
    content = joined([_sentence(summary, keys), _offenders(keys)])
    return Section("housekeeping", "Housekeeping", content, tuple(f for f in figures if f is not None))


def against_limits(summary: pl.DataFrame, exposures: pl.DataFrame) -> pl.DataFrame:
    """Return each key's extremes over the test relative to its performance limits.

    A relative limit is compared with the reading less the commanded value of the same exposure; where that is not logged the
    exposure does not count. Identities are left to the checks.

    Returns
    -------
    polars.DataFrame
        ``key, unit, lo, hi`` (of the value compared), ``lowest, highest`` of it, ``position_lo, position_hi``: where they
        lie in the range, in half widths from its middle (-1 and 1 are the limits), ``obsid`` of the worst, ``is_relative``,
        ``n_out`` exposures outside; worst first.
    """
    rows = [
        {"key": x.key, "lo": x.lo, "hi": x.hi, "command": x.command_column, "is_relative": x.kind == "R"}
        for x in all_limits()
        if x.set == "performance" and x.kind != "I"
    ]
    limits = pl.DataFrame(
        rows, schema={"key": pl.String, "lo": pl.Float64, "hi": pl.Float64, "command": pl.String, "is_relative": pl.Boolean}
    )
    columns = [name for name in limits["command"].drop_nulls().unique().to_list() if name in exposures.columns]
    commanded = (
        exposures.unique("obsid", keep="first")
        .select("obsid", *columns)
        .unpivot(index="obsid", on=columns, variable_name="command", value_name="commanded")
    )
    base = pl.when(pl.col("is_relative")).then(pl.col("commanded")).otherwise(0.0)
    low, high = pl.col("min") - base, pl.col("max") - base
    middle, half = (pl.col("lo") + pl.col("hi")) / 2, (pl.col("hi") - pl.col("lo")) / 2
    each = (
        summary.join(limits, on="key")
        .join(commanded, on=["obsid", "command"], how="left")
        .with_columns(low=low, high=high, at_lo=(low - middle) / half, at_hi=(high - middle) / half)
        .drop_nulls(["at_lo", "at_hi"])
        .with_columns(worst=pl.max_horizontal(pl.col("at_lo").abs(), pl.col("at_hi").abs()))
    )
    return (
        each.group_by("key", "unit", "lo", "hi", "is_relative")
        .agg(
            lowest=pl.col("low").min(),
            highest=pl.col("high").max(),
            position_lo=pl.col("at_lo").min(),
            position_hi=pl.col("at_hi").max(),
            worst=pl.col("worst").max(),
            obsid=pl.col("obsid").sort_by("worst").last(),
            n_out=(pl.col("worst") >= 1).sum(),
        )
        .sort("worst", "key", descending=[True, False])
    )


def _sentence(summary: pl.DataFrame, keys: pl.DataFrame) -> Html:
    out = keys.filter(pl.col("n_out") > 0).height
    text = (
        f"{counted(summary['key'].n_unique(), 'key')} read during {counted(summary['obsid'].n_unique(), 'exposure')}; "
        f"{counted(keys.height, 'key')} with performance limits, {out} of them outside at some time."
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
    rows = [
        [
            element("code", row["key"]),
            state("failed") if row["n_out"] else state("ok"),
            unit_text(row["unit"] or ""),
            measured(row["lowest"]),
            measured(row["highest"]),
            f"{measured(row['lo'])} … {measured(row['hi'])}" + (" of commanded" if row["is_relative"] else ""),
            written(row["n_out"]),
            written(row["obsid"]),
        ]
        for row in keys.head(MAX_OFFENDERS).iter_rows(named=True)
    ]
    caption = "The keys farthest out. For limits relative to the command, values are reading less command."
    return plain_table(heads, rows, caption) if rows else Html("")


def _positions(keys: pl.DataFrame) -> Figure | None:
    if keys.is_empty():
        return None
    rows = keys.head(MAX_KEYS).with_columns(
        from_=pl.col("position_lo").clip(-SHOWN_EDGE, SHOWN_EDGE),
        to=pl.col("position_hi").clip(-SHOWN_EDGE, SHOWN_EDGE),
        verdict=pl.when(pl.col("n_out") > 0).then(pl.lit("outside")).otherwise(pl.lit("within")),
    )
    base = alt.Chart(common.compact(rows))
    y = alt.Y("key:N", sort=rows["key"].to_list(), title=None, axis=alt.Axis(labelLimit=190))
    x = alt.X(
        "from_:Q",
        title="position within the limits (half widths from the middle)",
        scale=alt.Scale(domain=[-SHOWN_EDGE, SHOWN_EDGE]),
        axis=alt.Axis(values=[-2, -1, 0, 1, 2]),
    )
    is_out = alt.when("datum.verdict == 'outside'")
    shape = base.mark_tick(thickness=3, height=9).encode(y, x, color=is_out.then(alt.value("#b42318")).otherwise(alt.value("#1f2328")))
    span = base.mark_bar(height=7).encode(
        y,
        x,
        alt.X2("to:Q"),
        color=is_out.then(alt.value("#b42318")).otherwise(alt.value("#59636e")),
        tooltip=["key", "unit", "lowest", "highest", "lo", "hi", "n_out", "obsid"],
    )
    edges = alt.Chart(pl.DataFrame({"edge": [-1.0, 1.0]})).mark_rule(style="limit").encode(x="edge:Q")
    chart = alt.layer(edges, span, shape).properties(width=700, height=alt.Step(15))
    return Figure(
        "hk_positions",
        "Keys against their performance limits",
        "Range of the readings over the whole test, minima and maxima included, scaled so that the limits lie at -1 and 1; the "
        f"{rows.height} keys nearest to or beyond a limit. Bars beyond {SHOWN_EDGE} are cut.",
        chart,
    )


def _temperatures(summary: pl.DataFrame, exposures: pl.DataFrame) -> Figure | None:
    limits = {x.key: x for x in all_limits() if x.set == "performance" and x.key.endswith(("_TEMP_T", "_TEMP_B"))}
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
    y = alt.Y("mean:Q", title="temperature (°C)", scale=alt.Scale(zero=False))
    dash = alt.StrokeDash("side:N", legend=alt.Legend(title="side of the ROE", orient="top", direction="horizontal", symbolType="stroke"))
    lines = base.mark_line(point=alt.OverlayMarkDef(size=18)).encode(y, dash, tooltip=["key", "obsid", "mean", "bar_lo", "bar_hi"])
    edges = sorted({edge for key in keys if key in limits for edge in (limits[key].lo, limits[key].hi) if edge is not None})
    rules = common.limit_lines([(edge, f"limit {edge:g} °C") for edge in edges])
    chart = alt.layer(common.bars(base), lines, *rules).properties(width=940, height=220)
    return Figure(
        "ccd_temperatures",
        "CCD temperatures",
        "Mean reading of each exposure; bars from its lowest to its highest reading. Dashed red: performance limits.",
        chart,
    )
