"""How people look at frames corrected as pixels: covariances by lag and signal, the photon-transfer curve, its gain."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

TABLES = ("bfe_residuals", "bfe_corrected_ptc")

_CHANNEL = ("ccd", "quadrant")
_STATES = ("measured", "corrected")
_LAGS = ("(0, 1)", "(1, 0)", "(1, 1)", "(0, 2)")
"""Lags drawn, as (x, y), px."""


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables hold of corrected pixels; a table that is missing or empty leaves its figures out."""
    figures = [_covariances(tables), _curve(tables), _gains(tables)]
    return [figure for figure in figures if figure is not None]


def _corrected(tables: Tables) -> pl.DataFrame:
    """Return the rows of corrected pixels with the variance of the corrected frames and the lag as text."""
    rows = (
        common.given(tables, "bfe_residuals").filter(pl.col("method") == "pixels").drop_nulls("covariance_after_adu2")
    )
    zero = rows.filter(pl.col("lag_x") == 0, pl.col("lag_y") == 0)
    variance = zero.select(*_CHANNEL, "script_column", variance="covariance_after_adu2")
    return rows.join(variance, on=[*_CHANNEL, "script_column"], nulls_equal=True).with_columns(
        lag=pl.format("({}, {})", "lag_x", "lag_y"), mean_kadu=pl.col("mean_adu") / 1e3
    )


def _states(rows: pl.DataFrame, scale: pl.Expr, offset: float) -> pl.DataFrame:
    """Stack values before and after as ``value`` with bars, told apart by ``state``; ``expected`` stands with the latter."""
    parts = [
        rows.select(
            *_CHANNEL,
            "script_column",
            "lag",
            "mean_kadu",
            (scale * pl.col(f"covariance_{word}_adu2") - offset).alias("value"),
            (scale * pl.col(f"covariance_{word}_adu2_err")).alias("value_err"),
            (scale * pl.col("expected_after_adu2") - offset).alias("expected"),
            pl.lit(state).alias("state"),
        )
        for word, state in zip(("before", "after"), _STATES, strict=True)
    ]
    return common.with_bar(pl.concat(parts), "value").sort(*_CHANNEL, "lag", "state", "mean_kadu")


def _layers(rows: pl.DataFrame, title: str) -> common.Layered:
    """Draw points with bars before and after against the mean, and what is expected to be left."""
    base = alt.Chart(common.compact(rows)).encode(
        alt.X("mean_kadu:Q", title="mean (kADU)", scale={"zero": True, "padding": 6}),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    shape = alt.Shape(
        "state:N",
        title=None,
        sort=list(_STATES),
        scale={"domain": list(_STATES), "range": ["circle", "diamond"]},
        legend={"orient": "top", "direction": "horizontal"},
    )
    points = base.mark_point(size=30).encode(
        alt.Y("value:Q", title=title, scale=common.free()),
        shape=shape,
        tooltip=common.tips(*_CHANNEL, "script_column", "state", "value", "value_err"),
    )
    expected = base.transform_filter("datum.state == 'corrected'").mark_line(style="model").encode(alt.Y("expected:Q"))
    return alt.layer(common.zero_line(base, "state"), expected, common.bars(base), points)


def _covariances(tables: Tables) -> Figure | None:
    rows = _corrected(tables).filter(pl.col("lag").is_in(_LAGS))
    if rows.is_empty():
        return None
    drawn = _states(rows, 100.0 / pl.col("variance"), 0.0)
    chart = _layers(drawn, "C / V (%)").properties(width=205, height=120)
    return Figure(
        "bfe_corrected_covariances",
        "Covariances of frames corrected as pixels",
        "Covariance with the pixel at a lag (x, y) over the corrected variance, noise at zero signal removed, of the pairs that were "
        "corrected; CCDs from top to bottom. Circles: as measured. Diamonds: the same pairs after both frames were corrected pixel by "
        "pixel; line: what the order of photons leaves. Bars: one sigma.",
        chart.facet(
            row=alt.Row("ccd:N", title=None, sort=common.present(drawn, "ccd", CCDS)),
            column=alt.Column("lag:N", title="lag (x, y), px", sort=common.present(drawn, "lag", _LAGS)),
            spacing=10,
        ),
    )


def _curve(tables: Tables) -> Figure | None:
    """Draw variance over mean, times the gain of the line, less one: the departure of the curve from a straight line."""
    lines = common.given(tables, "bfe_corrected_ptc").drop_nulls("gain_e_per_adu")
    rows = _corrected(tables).filter(pl.col("lag_x") == 0, pl.col("lag_y") == 0)
    rows = rows.join(lines.select(*_CHANNEL, "gain_e_per_adu"), on=list(_CHANNEL))
    if rows.is_empty():
        return None
    drawn = _states(rows, 100.0 * pl.col("gain_e_per_adu") / pl.col("mean_adu"), 100.0)
    chart = _layers(drawn, "variance × gain / mean − 1 (%)").properties(width=275, height=200)
    return Figure(
        "bfe_corrected_ptc",
        "Photon-transfer curve before and after correction",
        "Variance over that of a straight line with the gain of the corrected frames, noise at zero signal removed. Circles: as measured, "
        "bent by the brighter-fatter effect. Diamonds: the same pairs after both frames were corrected pixel by pixel; line: what the "
        "order of photons leaves. Bars: one sigma.",
        chart.facet(column=alt.Column("ccd:N", title=None, sort=common.present(drawn, "ccd", CCDS))),
    )


def _gains(tables: Tables) -> Figure | None:
    rows = common.given(tables, "bfe_corrected_ptc").drop_nulls("difference_e_per_adu")
    if rows.is_empty():
        return None
    drawn = common.with_bar(rows, "difference_e_per_adu").with_columns(common.channel())
    names = ("difference_e_per_adu", "difference_e_per_adu_err", "gain_e_per_adu", "gain_e_per_adu_err")
    base = alt.Chart(common.compact(drawn.select("channel", "quadrant", "bar_lo", "bar_hi", *names))).encode(
        common.channels(),
        color=common.colour("quadrant", common.present(drawn, "quadrant", QUADRANTS), "quadrant"),
    )
    points = base.mark_point(size=50).encode(
        alt.Y("difference_e_per_adu:Q", title="difference of gains (e⁻/ADU)", axis={"format": ".3~g"}),
        tooltip=common.tips("channel", *names),
    )
    zero = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(style="zero").encode(alt.Y("zero:Q"))
    return Figure(
        "bfe_corrected_gain",
        "Gain of the corrected curve",
        "Gain of a straight line through the corrected photon-transfer curve minus that of the covariance fit. Bars: one sigma of the "
        "difference, which does not hold the errors that both share.",
        alt.layer(zero, common.bars(base), points).properties(width=common.WIDE, height=180),
    )
