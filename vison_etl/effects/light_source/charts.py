"""How people look at the light source: signal against exposure time, the saturation times that follow, its stability."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.effects.light_source.stability_charts import stability_figures
from vison_etl.instrument.chambers import chamber, chambers
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Light source"
TABLES = (
    *("light_source", "quadrant_stats", "exposures", "compliance"),
    *("common_mode", "source_track", "allan_deviation"),
)
_PAIR = ["obsid", "ccd", "quadrant"]


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [_fluence(tables), _saturation(tables)]
    return [*(figure for figure in figures if figure is not None), *stability_figures(tables)]


def fluences(tables: Tables) -> pl.DataFrame:
    """Return the signal of every flat: one row per exposure and channel.

    ``signal_adu`` is the mean of the image region less that of the prescan; its error holds both random parts.
    ``exptime_s`` is as commanded.
    """
    statistics = common.given(tables, "quadrant_stats")
    exposures = common.given(tables, "exposures")
    image = statistics.filter(pl.col("region") == "img").select(*_PAIR, "mean_adu", "mean_adu_err")
    scan = statistics.filter(pl.col("region") == "pre").select(*_PAIR, base_adu="mean_adu", base_adu_err="mean_adu_err")
    light = exposures.select("obsid", "ccd", "exptime_s", "wavelength_nm", "filter", "chamber")
    rows = image.join(scan, on=_PAIR).join(light, on=["obsid", "ccd"]).filter(pl.col("exptime_s") > 0)
    error = (pl.col("mean_adu_err") ** 2 + pl.col("base_adu_err") ** 2).sqrt()
    return rows.with_columns(signal_adu=pl.col("mean_adu") - pl.col("base_adu"), signal_adu_err=error).drop_nulls(
        "signal_adu"
    )


def _with_model(rows: pl.DataFrame, fits: pl.DataFrame) -> pl.DataFrame:
    """Join the fit of each channel and wavelength, and add the residual in per cent and the open time of the shutter.

    A light without a wavelength (neutral density) goes by the number in its label; a test with one light needs no match.
    """
    label = pl.col("filter").cast(pl.Float64, strict=False)
    rows = rows.with_columns(light_nm=pl.coalesce("wavelength_nm", label))
    keep = fits.select("ccd", "quadrant", "rate_adu_per_s", "shutter_offset_s", light_nm=pl.col("wavelength_nm"))
    if fits["wavelength_nm"].n_unique() == 1:
        rows = rows.with_columns(light_nm=pl.lit(fits["wavelength_nm"][0], dtype=pl.Float64))
    model = pl.col("rate_adu_per_s") * (pl.col("exptime_s") + pl.col("shutter_offset_s").fill_null(0.0))
    joined = rows.join(keep, on=["ccd", "quadrant", "light_nm"])
    return joined.with_columns(
        model_adu=model,
        residual_pct=100 * (pl.col("signal_adu") - model) / model,
        residual_pct_err=100 * pl.col("signal_adu_err") / model,
    )


def _fluence(tables: Tables) -> Figure | None:
    fits = common.given(tables, "light_source").drop_nulls(["rate_adu_per_s", "wavelength_nm"])
    if fits.is_empty():
        return None
    keys = ["ccd", "quadrant", "exptime_s"]
    rows = _with_model(fluences(tables), fits)
    rows = rows.group_by(*keys, "light_nm").agg(
        pl.col("signal_adu").mean(),
        pl.col("model_adu").mean(),
        pl.col("residual_pct").mean(),
        residual_pct_err=pl.max_horizontal(
            (pl.col("residual_pct_err") ** 2).sum().sqrt() / pl.len(),
            pl.col("residual_pct").std().fill_null(0.0) / pl.len().sqrt(),
        ),
        frames=pl.len(),
    )
    if rows.is_empty():
        return None
    limit = _residual_limit_pct(rows["residual_pct"])
    rows = common.with_bar(rows.sort("light_nm", *keys), "residual_pct").with_columns(
        pl.col("bar_lo", "bar_hi").clip(-limit, limit), shown_pct=pl.col("residual_pct").clip(-limit, limit)
    )
    data = common.compact(rows)
    quadrants = common.present(data, "quadrant", QUADRANTS)
    base = alt.Chart(data).encode(color=common.colour("quadrant", quadrants, "quadrant"))
    tips = common.tips(
        "ccd", "quadrant", "light_nm", "exptime_s", "signal_adu", "residual_pct", "residual_pct_err", "frames"
    )
    above = alt.X("exptime_s:Q", axis={"labels": False, "ticks": False, "title": None})
    below = alt.X("exptime_s:Q", title="commanded exposure time (s)")
    signal = alt.Y("signal_adu:Q", title="signal (ADU)", axis={"format": "~s"})
    line = base.mark_line(strokeWidth=1.2, opacity=0.8).encode(above, alt.Y("model_adu:Q"), detail="light_nm:N")
    points = base.mark_point().encode(above, signal, tooltip=tips)
    shown = alt.Y("shown_pct:Q", title="residual (%)", scale={"domain": [-limit, limit]})
    residual = base.mark_point(size=22).encode(below, shown, tooltip=tips)
    zero = common.zero_line(alt.Chart(data), "ccd")
    curves = alt.layer(points, line).properties(width=295, height=190)
    residuals = alt.layer(zero, common.bars(base).encode(below), residual).properties(width=295, height=110)
    return Figure(
        "fluence_exptime",
        "Signal against exposure time",
        "Mean of the image region less prescan, averaged over the frames of one exposure time, and the fitted line "
        "rate x (time + shutter offset). Below: (measured - line) in per cent of the line. Bars: one sigma, the larger "
        "of the random error and the scatter between frames. "
        f"Points beyond {limit:g} % stand at the edge.",
        alt.vconcat(_by_ccd(curves, has_header=True), _by_ccd(residuals, has_header=False), spacing=6),
    )


def _residual_limit_pct(residuals: pl.Series) -> float:
    """Return how far the panel of residuals reaches: twice what most of them do; saturated exposures lie far outside."""
    most = residuals.abs().quantile(0.8) or 0.0
    return max(0.5, float(f"{2 * most:.1g}"))


def _by_ccd(chart: common.Layered, *, has_header: bool) -> alt.FacetChart:
    column = alt.Column("ccd:N", title=None, sort=list(CCDS), header={} if has_header else None)
    return chart.facet(column=column, bounds="flush", spacing=16)


def _saturation(tables: Tables) -> Figure | None:
    frame = common.given(tables, "light_source").drop_nulls("saturation_s")
    if frame.is_empty():
        return None
    rows = common.with_bar(frame, "saturation_s").select(
        common.channel(), "quadrant", "wavelength_nm", "saturation_s", "saturation_s_err", "bar_lo", "bar_hi"
    )
    expected = _expected_s(common.given(tables, "exposures"))
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    points = base.mark_point(size=50).encode(
        alt.Y("saturation_s:Q", title="saturation time (s)", scale=common.free()),
        tooltip=common.tips("channel", "wavelength_nm", "saturation_s", "saturation_s_err"),
    )
    profile = [common.reference_line(expected, "chamber profile")] if expected else []
    limits = common.limit_lines(common.limits_of(tables, "saturation_s"))
    chart = alt.layer(*profile, common.bars(base), points, *limits).properties(width=common.WIDE, height=210)
    return Figure(
        "saturation_time",
        "Saturation time per channel",
        "Exposure time that fills 65536 ADU. Bars: one sigma. Dotted: the saturation time of the chamber's profile, from which "
        "the exposure times were commanded. Dashed red: limits of the check.",
        chart,
    )


def _expected_s(exposures: pl.DataFrame) -> float | None:
    """Return the chamber's saturation time of the one light of a test; None for several lights or an unknown chamber."""
    lights = exposures.filter(pl.col("exptime_s") > 0).select("chamber", "filter").unique().drop_nulls()
    if lights.height != 1:
        return None
    name, label = lights.row(0)
    return chamber(name).flat_s.get(label) if name in chambers() else None
