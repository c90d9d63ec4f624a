"""How people look at darks: currents with their limits, maps of what is left, histograms of the pixels."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Dark current"
TABLES = ("dark_signal", "dark_cells", "dark_counts", "dark_histogram")
_CHANNEL = ("ccd", "quadrant")


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [_current(tables), _signal(tables), _map(tables), _histogram(tables), _hot(tables)]
    return [figure for figure in figures if figure is not None]


def _current(tables: Tables) -> Figure | None:
    frame = common.given(tables, "dark_signal").drop_nulls("dark_e_per_px_h")
    if frame.is_empty():
        return None
    rows = common.with_bar(frame, "dark_e_per_px_h").select(
        common.channel(),
        "quadrant",
        "dark_e_per_px_h",
        "dark_e_per_px_h_err",
        "dark_upper_e_per_px_h",
        "bar_lo",
        "bar_hi",
    )
    quadrants = common.present(rows, "quadrant", QUADRANTS)
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(), color=common.colour("quadrant", quadrants, "quadrant")
    )
    value = alt.Y("dark_e_per_px_h:Q", title="dark current (e⁻/px/h)", scale=common.free())
    tips = common.tips("channel", "dark_e_per_px_h", "dark_e_per_px_h_err", "dark_upper_e_per_px_h")
    points = base.mark_point(size=45).encode(value, tooltip=tips)
    limits = base.mark_tick(thickness=2).encode(alt.Y("dark_upper_e_per_px_h:Q"), tooltip=tips)
    chart = alt.layer(common.bars(base), points, limits).properties(width=common.WIDE, height=240)
    return Figure(
        "dark_current",
        "Dark current per channel",
        "Points: what grows with exposure everywhere, glow and gradients of stray light taken away; bars: one sigma, that of "
        "the gain included. Ticks: upper limit at 95 % confidence.",
        chart,
    )


def _signal(tables: Tables) -> Figure | None:
    ways = {"dark_adu": "fit, master bias", "dark_overscan_adu": "step at the overscan", "dark_median_adu": "medians"}
    frame = common.given(tables, "dark_signal")
    parts = [
        frame.select(
            common.channel(),
            way=pl.lit(word),
            signal_adu=pl.col(name).cast(pl.Float64),
            error_adu=(pl.col(f"{name}_err") if f"{name}_err" in frame.columns else pl.lit(None)).cast(pl.Float64),
        )
        for name, word in ways.items()
    ]
    rows = pl.concat(parts).drop_nulls("signal_adu")
    if rows.is_empty():
        return None
    base = alt.Chart(common.compact(common.with_bar(rows, "signal_adu", "error_adu"))).encode(
        common.channels(), xOffset=alt.XOffset("way:N", sort=list(ways.values()))
    )
    points = base.mark_point().encode(
        alt.Y("signal_adu:Q", title="signal per exposure (ADU)", scale=common.free()),
        shape=alt.Shape("way:N", title="from", sort=list(ways.values()), legend={"orient": "top"}),
        tooltip=common.tips("channel", "way", "signal_adu", "error_adu"),
    )
    zero = alt.Chart(pl.DataFrame({"signal_adu": [0.0]})).mark_rule(style="zero").encode(alt.Y("signal_adu:Q"))
    chart = alt.layer(zero, common.bars(base), points).properties(width=common.WIDE, height=220)
    return Figure(
        "dark_signal",
        "Dark signal three ways",
        "From the fit of the frames less the master bias; from the step between the last image rows and the parallel "
        "overscan, which needs no bias; and from medians of codes as in earlier campaigns, which have no error and hold the "
        "structure of the offset. Bars: one sigma.",
        chart,
    )


def _map(tables: Tables) -> Figure | None:
    frame = common.given(tables, "dark_cells").filter(pl.col("region") == "img").drop_nulls("signal_adu")
    if frame.is_empty():
        return None
    rows = frame.with_columns(
        level_adu=pl.col("signal_adu") - pl.col("base_adu"),
        x_end=pl.col("x") + pl.col("width_px"),
        y_end=pl.col("y") + pl.col("height_px"),
    ).select(*_CHANNEL, "x", "x_end", "y", "y_end", "level_adu")
    ends = [pl.col("level_adu").quantile(q) for q in (0.02, 0.98)]
    domain = list(rows.select(lo=ends[0], hi=ends[1]).row(0))
    panel = (
        alt.Chart(common.compact(rows))
        .mark_rect()
        .encode(
            alt.X("x:Q", title="canonical column (px)", scale=common.tight(), axis={"tickCount": 3}),
            alt.X2("x_end:Q"),
            alt.Y("y:Q", title="canonical row (px)", scale=common.tight(), axis={"tickCount": 3}),
            alt.Y2("y_end:Q"),
            color=alt.Color("level_adu:Q", title="signal (ADU)", scale={"domain": domain, "clamp": True}),
            tooltip=common.tips("ccd", "quadrant", "x", "y", "level_adu"),
        )
        .properties(width=170, height=170)
    )
    chart = panel.facet(
        row=alt.Row("ccd:N", title=None, sort=list(CCDS)),
        column=alt.Column("quadrant:N", title=None, sort=list(QUADRANTS)),
    )
    return Figure(
        "dark_map",
        "Map of the dark signal",
        "Mean of good pixels in cells of the image area, against the prescan of the same rows, per exposure; the output node "
        "is at the lower left of each panel. One colour scale for all channels, clipped at 2 and 98 %.",
        chart,
    )


def _histogram(tables: Tables) -> Figure | None:
    frame = common.given(tables, "dark_histogram").filter(pl.col("n") > 0)
    if frame.is_empty():
        return None
    rows = frame.select(*_CHANNEL, "signal_adu", "n")
    quadrants = common.present(rows, "quadrant", QUADRANTS)
    line = (
        alt.Chart(common.compact(rows.sort(*_CHANNEL, "signal_adu")))
        .mark_line(strokeWidth=1.2, interpolate="step")
        .encode(
            alt.X("signal_adu:Q", title="pixel of the master dark less its background (ADU)", scale=common.tight()),
            alt.Y("n:Q", title="number (px)", scale={"type": "log"}),
            color=common.colour("quadrant", quadrants, "quadrant"),
        )
    )
    chart = line.properties(width=950, height=130).facet(row=alt.Row("ccd:N", title=None, sort=list(CCDS)))
    return Figure(
        "dark_histogram",
        "Pixels of the master dark",
        "Histogram about the smooth background. The last bins hold all that is beyond. Hot and warm pixels are the tail to "
        "the right of the noise.",
        chart,
    )


def _hot(tables: Tables) -> Figure | None:
    kinds = {"n_hot": "hot", "n_warm": "warm", "n_hot_reference": "hot, fixed threshold"}
    frame = common.given(tables, "dark_signal")
    parts = [
        frame.select(common.channel(), kind=pl.lit(word), n=pl.col(name).cast(pl.Int64)) for name, word in kinds.items()
    ]
    rows = pl.concat(parts).drop_nulls("n")
    if rows.is_empty():
        return None
    chart = (
        alt.Chart(rows)
        .mark_point(size=40)
        .encode(
            common.channels(),
            alt.Y("n:Q", title="number (px)", scale={"type": "symlog"}),
            xOffset=alt.XOffset("kind:N", sort=list(kinds.values())),
            shape=alt.Shape("kind:N", title="class", sort=list(kinds.values()), legend={"orient": "top"}),
            tooltip=common.tips("channel", "kind", "n"),
        )
        .properties(width=common.WIDE, height=190)
    )
    return Figure(
        "dark_hot_pixels",
        "Hot and warm pixels",
        "Significant pixels of the master dark: hot from the masked signal on, bad columns included; warm below. Beside them "
        "what the fixed threshold of earlier campaigns finds.",
        chart,
        is_folded=True,
    )
