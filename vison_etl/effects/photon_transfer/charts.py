"""How people look at photon transfer: the curves, their residuals, gain, noise and turn-off."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.effects.photon_transfer import covariance_charts, curve_charts, tile_turnoff_charts
from vison_etl.tables import QUADRANTS

TITLE = "Photon transfer"
TABLES = (
    "ptc_points", "gain", "turnoff_tiles", "pair_tiles", "compliance", "gain_vs_fluence", "covariances", "bfe_coefficients", "covariance_fits",
)  # fmt: skip

_FORMATS = {"a00_per_e": ".2~e"}
_MODELS = ("covariance", "exponential", "quadratic")


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [
        *curve_charts.figures(tables),
        _by_channel(
            tables,
            "gain_e_per_adu",
            "gain",
            "Gain per channel",
            "gain (e⁻/ADU)",
            common.limits_of(tables, "gain_e_per_adu"),
        ),
        _by_channel(
            tables, "noise_e", "ptc_noise", "Noise of the photon-transfer curve", "noise at zero signal (e⁻)", []
        ),
        _by_channel(tables, "a00_per_e", "a00", "Change of the pixel's collecting area", "a₀₀ (1/e⁻)", []),
        _turnoff(tables),
        tile_turnoff_charts.figure(tables),
        *covariance_charts.figures(tables),
    ]
    return [figure for figure in figures if figure is not None]


_CAPTIONS = {
    "gain_e_per_adu": "Gain of every model fitted; the adopted one is filled. Models that agree within their bars support "
    "each other; the quadratic one is biased where charge repels charge strongly. Dashed red: the requirement.",
    "noise_e": "Square root of the intercept of the curve times gain, ADC quantisation removed; to be compared with the "
    "read noise from bias frames. A model is missing where its intercept is negative.",
    "a00_per_e": "Fractional change of the collecting area of a pixel per electron that it holds; negative, because a full "
    "pixel shrinks. This is what bends the curve.",
}


def _by_channel(
    tables: Tables, value: str, key: str, title: str, axis: str, limits: list[tuple[float, str]]
) -> Figure | None:
    frame = common.given(tables, "gain").drop_nulls(value)
    if frame.is_empty():
        return None
    models = common.present(frame, "model", _MODELS)
    error = f"{value}_err"
    rows = common.with_bar(frame, value).select(
        common.channel(), "quadrant", "model", "is_adopted", value, error, "chi2", "dof", "status", "bar_lo", "bar_hi"
    )
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        xOffset=alt.XOffset("model:N", sort=models),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    shapes = alt.Shape(
        "model:N",
        sort=models,
        scale={"domain": models, "range": ["circle", "square", "triangle-up"][: len(models)]},
        legend={"title": "model", "orient": "top", "direction": "horizontal"},
    )
    points = base.mark_point(size=50).encode(
        alt.Y(f"{value}:Q", title=axis, scale=common.free(), axis={"format": _FORMATS.get(value, ".4~g")}),
        shape=shapes,
        stroke=common.outline("quadrant"),
        fillOpacity=common.hollow_unless("datum.is_adopted"),
        tooltip=common.tips("channel", "model", "is_adopted", value, error, "chi2", "dof", "status"),
    )
    chart = alt.layer(common.bars(base), points, *common.limit_lines(limits)).properties(width=common.WIDE, height=230)
    return Figure(f"{key}_by_channel", title, f"{_CAPTIONS[value]} Bars: one sigma.", chart)


def _turnoff(tables: Tables) -> Figure | None:
    frame = common.given(tables, "gain").filter(pl.col("is_adopted"))
    frame = frame.filter(pl.any_horizontal(pl.col("turnoff_adu", "turnoff_lower_adu").is_not_null()))
    if frame.is_empty():
        return None
    rows = frame.select(
        common.channel(),
        "quadrant",
        "turnoff_adu",
        "turnoff_e",
        pl.col("turnoff_lower_adu").alias("bar_lo"),
        pl.col("turnoff_upper_adu").alias("bar_hi"),
        found=pl.when(pl.col("turnoff_upper_adu").is_null()).then(pl.lit("not reached")).otherwise(pl.lit("found")),
        shown_adu=pl.coalesce("turnoff_adu", "turnoff_lower_adu"),
    )
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    shape = alt.Shape(
        "found:N",
        scale={"domain": ["found", "not reached"], "range": ["circle", "triangle-up"]},
        legend={"title": "turn-off", "orient": "top", "direction": "horizontal"},
    )
    points = base.mark_point(size=55).encode(
        alt.Y("shown_adu:Q", title="turn-off (ADU)", scale=common.free(), axis={"format": "~s"}),
        shape=shape,
        tooltip=common.tips("channel", "found", "turnoff_adu", "turnoff_e", "bar_lo", "bar_hi"),
    )
    return Figure(
        "turnoff",
        "Turn-off of the curve per channel",
        "Highest signal at which the curve is still good. Bars reach from the last good level to the first bad one; a "
        "triangle is a lower limit: the turn-off was not reached.",
        alt.layer(common.bars(base), points).properties(width=common.WIDE, height=190),
    )
