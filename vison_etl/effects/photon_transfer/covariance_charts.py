"""How people look at covariances: against signal, as maps of a_ij and against distance, gain against fluence, sum rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import altair as alt
import numpy as np
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.covariance.sum_rule import REFERENCE_PX
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

_MAIN_LAGS = ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2))
_USED = "datum.used"
_TAIL_POINTS = 24
_DRAWN_PX = 2.5
_LAG_WIDTH = 120
_LAG_SPACING = 12


def figures(tables: Tables) -> Iterator[Figure | None]:
    """Yield the figures of what the tables hold; None where there is nothing to draw."""
    yield _gain_against_fluence(tables)
    yield _against_signal(tables)
    yield _maps(tables)
    yield _against_distance(tables)
    yield _sums(tables)


def _by_ccd(frame: pl.DataFrame, draw: Callable[[pl.DataFrame, str], alt.FacetChart]) -> alt.VConcatChart:
    """Stack what is drawn of each CCD."""
    return alt.vconcat(*(draw(frame.filter(pl.col("ccd") == ccd), ccd) for ccd in common.present(frame, "ccd", CCDS)))


def _across(chart: common.Layered, field: str, order: list[str], height: int, n: int = 4) -> alt.FacetChart:
    """Spread a chart over panels side by side."""
    column = alt.Column(f"{field}:N", title=None, sort=order, header={"labelPadding": 2})
    width = round(common.PANEL_WIDTH * 4 / n) - 8
    return chart.properties(width=width, height=height).facet(column=column, spacing=14, bounds="flush")


def _signal(field: str, *, has_title: bool = True) -> alt.X:
    """Return the axis of signals, over the range of the ADC."""
    axis = {"format": "~s", "values": [0, 20_000, 40_000, 60_000]}
    return alt.X(field, title="mean (ADU)" if has_title else None, axis=axis, scale={"domain": [0, 66_000]})


def _gain_against_fluence(tables: Tables) -> Figure | None:
    frame = common.given(tables, "gain_vs_fluence").drop_nulls(["gain_e_per_adu", "fluence_adu"])
    gains = common.given(tables, "gain").filter(pl.col("is_adopted")).drop_nulls("gain_e_per_adu")
    frame = frame.join(gains.select("ccd", "quadrant", adopted="gain_e_per_adu"), on=["ccd", "quadrant"])
    if frame.is_empty():
        return None
    percent = (100.0 * (pl.col("gain_e_per_adu") / pl.col("adopted") - 1.0)).clip(-2.0, 2.0)
    frame = frame.with_columns(
        departure_pct=percent, departure_pct_err=100.0 * pl.col("gain_e_per_adu_err") / pl.col("adopted")
    )
    barred = common.with_bar(frame, "departure_pct").with_columns(pl.col("bar_lo", "bar_hi").clip(-2.0, 2.0))
    rows = barred.select(
        "ccd", "quadrant", "script_column", "model", "fluence_adu", "gain_e_per_adu", "gain_e_per_adu_err",
        "departure_pct", "residual_sigma", "used", "bar_lo", "bar_hi",
    )  # fmt: skip
    base = alt.Chart(common.compact(rows)).encode(
        _signal("fluence_adu:Q"),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    points = base.mark_point(size=34).encode(
        alt.Y("departure_pct:Q", title="gain − adopted (%)", scale={"padding": 8}),
        stroke=common.outline("quadrant"),
        fillOpacity=common.hollow_unless(_USED),
        tooltip=common.tips(
            "script_column", "quadrant", "model", "gain_e_per_adu", "gain_e_per_adu_err", "residual_sigma"
        ),
    )
    chart = alt.layer(common.zero_line(base, "ccd"), common.bars(base), points)
    return Figure(
        "gain_vs_fluence",
        "Gain against fluence",
        "Gain that each script column has by itself, bend and noise of the adopted model removed, less the adopted gain: flat "
        "where the model is right. Bars: one sigma of the variance. Hollow: left out of the fit; beyond 2 % at the edge.",
        _across(chart, "ccd", common.present(rows, "ccd", CCDS), 170, 3),
    )


def _against_signal(tables: Tables) -> Figure | None:
    lag = pl.format("lag ({}, {}) px", "lag_x", "lag_y")
    names = [f"lag ({x}, {y}) px" for x, y in _MAIN_LAGS]
    frame = common.given(tables, "covariances").with_columns(lag=lag).filter(pl.col("lag").is_in(names))
    frame = frame.filter(pl.col("mean_adu") > 0).drop_nulls("covariance_adu2")
    brightest = pl.col("mean_adu").filter(pl.col("used")).max().over("ccd", "quadrant")
    frame = frame.filter((pl.col("mean_adu") <= brightest).fill_null(value=True))
    if frame.is_empty():
        return None
    mu = 1e-3 * pl.col("mean_adu")
    frame = frame.with_columns(
        ratio=pl.col("covariance_adu2") / mu,
        ratio_err=pl.col("covariance_adu2_err") / mu,
        fit=pl.col("model_adu2") / mu,
    )
    rows = common.with_bar(frame, "ratio").select(
        "ccd", "quadrant", "script_column", "lag", "mean_adu", "ratio", "ratio_err", "residual_sigma", "fit", "used",
        "bar_lo", "bar_hi",
    )  # fmt: skip

    def draw(mine: pl.DataFrame, ccd: str) -> alt.FacetChart:
        is_last = ccd == common.present(rows, "ccd", CCDS)[-1]
        shown = common.present(mine, "quadrant", QUADRANTS) if ccd == common.present(rows, "ccd", CCDS)[0] else []
        base = alt.Chart(common.compact(mine)).encode(
            _signal("mean_adu:Q", has_title=is_last),
            color=common.colour("quadrant", shown, "quadrant"),
        )
        y = alt.Y("ratio:Q", title=f"{ccd} C / mean (mADU)", axis={"format": "~g", "tickCount": 4})
        points = base.mark_point(size=24).encode(
            y,
            stroke=common.outline("quadrant"),
            fillOpacity=common.hollow_unless(_USED),
            tooltip=common.tips("quadrant", "script_column", "lag", "mean_adu", "ratio", "ratio_err", "residual_sigma"),
        )
        line = base.mark_line(strokeWidth=1).encode(alt.Y("fit:Q"))
        column = alt.Column("lag:N", title=None, sort=names, header={"labelPadding": 2})
        panels = alt.layer(line, common.bars(base), points).properties(width=_LAG_WIDTH, height=110)
        spread: alt.FacetChart = panels.facet(column=column, spacing=_LAG_SPACING).resolve_scale(y="independent")
        return spread

    return Figure(
        "covariance_vs_signal",
        "Covariances of neighbours against signal",
        "Covariance over mean signal of pixels 1 and 2 px apart along x, y and the diagonal, CCDs from top to bottom. A kernel "
        "that does not depend on the signal makes nearly straight lines through the noise at zero signal; lines: the fit. "
        "Bars: one sigma; hollow: left out of the fit. Levels above the brightest that was fitted are not drawn.",
        _by_ccd(rows, draw),
    )


def _maps(tables: Tables) -> Figure | None:
    frame = common.given(tables, "bfe_coefficients").drop_nulls("a_per_e").filter(pl.col("lag_x") + pl.col("lag_y") > 0)
    if frame.is_empty():
        return None
    rows = frame.select(
        "ccd", "quadrant", "lag_x", "lag_y", a=pl.col("a_per_e") * 1e9, a_err=pl.col("a_per_e_err") * 1e9
    )  # fmt: skip

    def draw(mine: pl.DataFrame, ccd: str) -> alt.FacetChart:
        is_last = ccd == common.present(rows, "ccd", CCDS)[-1]
        x_axis = {"grid": False, "labelAngle": 0}
        base = alt.Chart(common.compact(mine)).mark_rect()
        colour = alt.Color("a:Q", title="a (1e−9/e⁻)", scale={"type": "symlog", "constant": 3})
        x = alt.X("lag_x:O", title="lag along x (px)" if is_last else None, axis=x_axis)
        y = alt.Y("lag_y:O", title=f"{ccd} lag y (px)", sort="descending", axis={"grid": False})
        cells = base.encode(x, y, colour, tooltip=common.tips("quadrant", "lag_x", "lag_y", "a", "a_err"))
        return _across(cells, "quadrant", common.present(mine, "quadrant", QUADRANTS), 130)

    chart = _by_ccd(rows, draw).resolve_scale(color="shared")
    return Figure(
        "bfe_maps",
        "Maps of the area coefficients",
        "Coefficients a of the covariance fit by lag (1e−9 per electron), CCDs from top to bottom, without lag (0, 0), which is "
        "negative and far larger. The scale is linear below 3 and logarithmic above.",
        chart,
    )


def _against_distance(tables: Tables) -> Figure | None:
    frame = common.given(tables, "bfe_coefficients").drop_nulls("a_per_e").filter(pl.col("lag_x") + pl.col("lag_y") > 0)
    if frame.is_empty():
        return None
    frame = frame.with_columns(
        a=pl.col("a_per_e") * 1e9,
        a_err=pl.col("a_per_e_err") * 1e9,
        distance_px=(pl.col("lag_x") ** 2 + pl.col("lag_y") ** 2).sqrt(),
    )
    points = common.with_bar(frame, "a").select(
        "ccd", "quadrant", "lag_x", "lag_y", "distance_px", "a", "a_err", "bar_lo", "bar_hi", layer=pl.lit("point")
    )
    fits = common.given(tables, "covariance_fits").filter(pl.col("is_chosen")).drop_nulls("tail_power")
    steps = pl.DataFrame({"distance_px": np.geomspace(_DRAWN_PX, 12.0, _TAIL_POINTS)})
    law = 1e9 * pl.col("tail_height_per_e") * (pl.col("distance_px") / REFERENCE_PX) ** -pl.col("tail_power")
    tail = fits.join(steps, how="cross").select("ccd", "quadrant", "distance_px", tail=law, layer=pl.lit("tail"))
    rows = pl.concat([points, tail], how="diagonal_relaxed")

    def draw(mine: pl.DataFrame, ccd: str) -> alt.FacetChart:
        is_last = ccd == common.present(rows, "ccd", CCDS)[-1]
        base = alt.Chart(common.compact(mine)).encode(
            alt.X(
                "distance_px:Q", title="distance (px)" if is_last else None, scale={"type": "log", "domain": [0.9, 13]}
            ),
            color=common.colour("quadrant"),
        )
        of_points = base.transform_filter("datum.layer == 'point'")
        scale = {"type": "symlog", "constant": 3}
        dots = of_points.mark_point(size=14).encode(
            alt.Y("a:Q", title=f"{ccd} a (1e−9/e⁻)", scale=scale, axis={"values": [-10, -3, 0, 3, 10, 30, 100, 300]}),
            tooltip=common.tips("quadrant", "lag_x", "lag_y", "a", "a_err"),
        )
        of_tail = base.transform_filter("datum.layer == 'tail'").mark_line(style="model").encode(alt.Y("tail:Q"))
        layers = alt.layer(common.zero_line(base, "quadrant"), common.bars(of_points), dots, of_tail)
        return _across(layers, "quadrant", common.present(mine, "quadrant", QUADRANTS), 150)

    return Figure(
        "bfe_radial",
        "Area coefficients against distance",
        "Coefficients a of all lags but (0, 0) against their distance, CCDs from top to bottom, quadrants from left to right. "
        "Bars: one sigma. Line: power law through the lags from 3.5 px on, whose sum beyond the lags measured enters the sum rule. "
        "The scale is linear below 3 and logarithmic above.",
        _by_ccd(rows, draw),
    )


def _sums(tables: Tables) -> Figure | None:
    frame = common.given(tables, "covariance_fits").filter(pl.col("is_chosen")).drop_nulls("a_total_per_e")
    if frame.is_empty():
        return None
    parts = [
        frame.select(
            common.channel(),
            "quadrant",
            sum=pl.lit(name),
            a=pl.col(column) * 1e9,
            a_err=pl.col(f"{column}_err") * 1e9,
        )
        for name, column in (("lags measured", "a_inner_per_e"), ("with the tail", "a_total_per_e"))
    ]
    rows = common.with_bar(pl.concat(parts), "a")
    kinds = ["lags measured", "with the tail"]
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        xOffset=alt.XOffset("sum:N", sort=kinds),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    shapes = alt.Shape("sum:N", sort=kinds, legend={"title": "sum over", "orient": "top", "direction": "horizontal"})
    points = base.mark_point(size=50).encode(
        alt.Y("a:Q", title="sum of a (1e−9/e⁻)", axis={"format": ".4~g"}),
        shape=shapes,
        tooltip=common.tips("channel", "sum", "a", "a_err"),
    )
    rule = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(style="zero").encode(alt.Y("zero:Q"))
    return Figure(
        "bfe_sum",
        "Sum rule of the area coefficients",
        "Sum of a over all four quadrants of the lags measured, and with what a power law through the outer lags says of the "
        "rest: zero where charge is conserved. Bars: one sigma.",
        alt.layer(rule, common.bars(base), points).properties(width=common.WIDE, height=190),
    )
