"""How people look at non-linearity: curves with their bands, residuals of the levels, the source through the test."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Non-linearity"
TABLES = ("nonlinearity", "nonlinearity_curve", "nonlinearity_residuals", "nonlinearity_light", "exposures")

_WIDTH = 295
_RESIDUAL_LIMIT_SIGMA = 5.0
_TICKS = [100, 300, 1000, 3000, 10_000, 30_000]


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [_curves(tables, "linear"), _curves(tables, "log"), _residuals(tables), _largest(tables), _source(tables)]
    return [figure for figure in figures if figure is not None]


def _signal(scale: str, *, has_title: bool = True) -> alt.X:
    axis = {"format": "~s", "values": _TICKS} if scale == "log" else {"format": "~s", "tickCount": 4}
    title = "measured signal (ADU)" if has_title else None
    return alt.X("fluence_adu:Q", title=title, scale={"type": scale, "zero": False, "nice": False}, axis=axis)


def _by_ccd(chart: common.Layered) -> alt.FacetChart:
    return chart.facet(column=alt.Column("ccd:N", title=None, sort=list(CCDS)), bounds="flush", spacing=16)


def _curves(tables: Tables, scale: str) -> Figure | None:
    curve = common.given(tables, "nonlinearity_curve").drop_nulls("nl_pct")
    if curve.is_empty():
        return None
    rows = common.with_bar(curve, "nl_pct").select(
        "ccd", "quadrant", "fluence_adu", "nl_pct", "nl_pct_err", "bar_lo", "bar_hi"
    )
    data = common.compact(rows)
    base = alt.Chart(data).encode(
        _signal(scale), color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant")
    )
    band = base.mark_area(opacity=0.16).encode(alt.Y("bar_lo:Q", title="non-linearity (%)"), alt.Y2("bar_hi:Q"))
    line = base.mark_line().encode(
        alt.Y("nl_pct:Q", title="non-linearity (%)", scale=common.free()),
        tooltip=common.tips("ccd", "quadrant", "fluence_adu", "nl_pct", "nl_pct_err"),
    )
    zero = common.zero_line(alt.Chart(data), "ccd")
    chart = _by_ccd(alt.layer(zero, band, line).properties(width=_WIDTH, height=250))
    words = "faint signals in the logarithm" if scale == "log" else "all signals"
    return Figure(
        f"nonlinearity_{scale}",
        f"Non-linearity, {words}",
        "100 (measured - linear) / linear against the measured signal above offset. The line has slope 1 where the signal is 20 % of "
        "full scale. Bands: one sigma, common factor and shutter included, so that points of a curve move together.",
        chart,
        is_folded=scale == "log",
    )


def _residuals(tables: Tables) -> Figure | None:
    residuals = common.given(tables, "nonlinearity_residuals").drop_nulls("residual_sigma")
    if residuals.is_empty():
        return None
    limit = _RESIDUAL_LIMIT_SIGMA
    rows = residuals.select(
        "ccd",
        "quadrant",
        "script_column",
        "fluence_adu",
        "residual_pct",
        "residual_sigma",
        "n_frames",
        frames=pl.when(pl.col("n_frames") > 1).then(pl.lit("several")).otherwise(pl.lit("one")),
        shown=pl.col("residual_sigma").clip(-limit, limit),
    )
    data = common.compact(rows)
    base = alt.Chart(data).encode(
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
        stroke=common.outline("quadrant"),
    )
    points = base.mark_point(size=28).encode(
        _signal("log"),
        alt.Y("shown:Q", title="residual (σ)", scale={"domain": [-limit, limit]}),
        fillOpacity=common.hollow_unless("datum.frames == 'several'"),
        tooltip=common.tips(
            "ccd", "quadrant", "script_column", "fluence_adu", "residual_pct", "residual_sigma", "n_frames"
        ),
    )
    chart = alt.layer(common.zero_line(alt.Chart(data), "ccd"), points).properties(width=_WIDTH, height=170)
    return Figure(
        "nonlinearity_residuals",
        "Levels against the model, in sigma",
        "Mean of tiles and frames of a script column less the model with the commanded times, the fitted latency of the shutter and the "
        "smooth drift of the source, over its error. Hollow: single frames, which track the source. Most of it is the light of the "
        f"exposures, common to all channels. Points beyond {limit:g} stand at the edge.",
        _by_ccd(chart),
    )


def _largest(tables: Tables) -> Figure | None:
    frame = common.given(tables, "nonlinearity").drop_nulls("max_nl_pct")
    if frame.is_empty():
        return None
    rows = common.with_bar(frame, "max_nl_pct").select(
        common.channel(),
        "quadrant",
        "max_nl_pct",
        "max_nl_pct_err",
        "fluence_at_max_adu",
        "emva_le_pct",
        "bar_lo",
        "bar_hi",
    )
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    points = base.mark_point(size=50).encode(
        alt.Y("max_nl_pct:Q", title="largest deviation (%)", scale=common.free()),
        tooltip=common.tips("channel", "max_nl_pct", "max_nl_pct_err", "fluence_at_max_adu", "emva_le_pct"),
    )
    zero = alt.Chart(common.compact(rows)).mark_rule(style="zero").encode(y=alt.datum(0.0))
    return Figure(
        "nonlinearity_largest",
        "Largest deviation per channel",
        "Largest absolute deviation from the line, with its sign, from 1 % of full scale on. Bars: one sigma.",
        alt.layer(zero, common.bars(base), points).properties(width=common.WIDE, height=210),
    )


def _source(tables: Tables) -> Figure | None:
    track = common.given(tables, "nonlinearity_light").drop_nulls("source_pct")
    if track.is_empty():
        return None
    rows = common.with_bar(track, "source_pct").with_columns(
        use=pl.when(pl.col("is_trusted")).then(pl.lit("trusted")).otherwise(pl.lit("not trusted")),
        light=pl.format("filter {}", "filter"),
    )
    kept = (
        "obsid",
        "script_column",
        "light",
        "exptime_s",
        "elapsed_h",
        "source_pct",
        "drift_pct",
        "use",
        "bar_lo",
        "bar_hi",
    )
    base = alt.Chart(common.compact(rows.select(kept)))
    at = alt.X("elapsed_h:Q", title="time since the first lit exposure (h)", scale=common.tight())
    shape = alt.Shape("light:N", legend={"title": None, "orient": "top", "direction": "horizontal"})
    points = base.mark_point(size=32).encode(
        at,
        alt.Y("source_pct:Q", title="light per open time (%)", scale=common.free()),
        shape=shape,
        fillOpacity=common.hollow_unless("datum.use == 'trusted'"),
        tooltip=common.tips("obsid", "script_column", "light", "exptime_s", "source_pct", "drift_pct", "use"),
    )
    line = base.mark_line(style="model").encode(at, alt.Y("drift_pct:Q"))
    chart = alt.layer(line, common.bars(base).encode(at), points).properties(width=common.WIDE, height=230)
    return Figure(
        "nonlinearity_light",
        "The source through the test",
        "Light of each exposure over its open time, relative, from all tiles of all channels; dashed: its smooth part, which corrects the "
        "levels. Bars: one sigma. Hollow: exposures whose light fits neither time nor drift; their time was not used.",
        chart,
    )
