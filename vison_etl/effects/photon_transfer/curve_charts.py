"""Photon-transfer curves of 12 channels with the fitted model and its residuals in sigma."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

CHANNEL = ("ccd", "quadrant")
QUANTISATION_ADU2 = 1.0 / 12.0
LINE_POINTS = 60
RESIDUAL_LIMIT_SIGMA = 8.0
"""Residuals beyond this stand at the edge of the panel: points above the turn-off lie hundreds of sigma away."""

_USED = "used in the fit"
_IS_USED = f"datum.use == '{_USED}'"


def figures(tables: Tables) -> Iterator[Figure]:
    """Yield the curves in double-logarithmic and in linear axes; nothing without points."""
    points = common.given(tables, "ptc_points").drop_nulls(["mean_adu", "variance_adu2"])
    points = points.filter((pl.col("mean_adu") > 0) & (pl.col("variance_adu2") > 0))
    if points.is_empty():
        return
    models = common.given(tables, "gain").filter(pl.col("is_adopted")).drop_nulls("gain_e_per_adu")
    levels = common.given(tables, "gain_vs_fluence").filter(pl.col("model") == "covariance")
    levels = levels.drop_nulls(["fluence_adu", "model_adu2"])
    rows = _points(points, models, common.given(tables, "pair_tiles"), levels)
    line = _line(models, rows, levels)
    yield _figure(rows, line, models, "log")
    yield _figure(rows, line, models, "linear")


def model_variance_adu2(mean_adu: pl.Expr) -> pl.Expr:
    """Return the variance that the adopted model predicts, ADU^2.

    ``exponential`` and ``covariance`` (but for what `_beyond_exponential` adds):
    V = (exp(2 a g mu) - 1) / (2 g^2 a) + n; ``quadratic``: V = mu/g + a mu^2 + n, with the columns ``gain_e_per_adu`` g,
    ``a00_per_e`` a (NULL is 0), ``n00_adu2`` n (NULL: from ``noise_e`` and the ADC quantisation), ``model``. NULL without a
    gain.
    """
    g = pl.col("gain_e_per_adu")
    a = pl.col("a00_per_e").fill_null(0.0)
    floor = pl.coalesce("n00_adu2", (pl.col("noise_e").fill_null(0.0) / g) ** 2 + QUANTISATION_ADU2)
    u = 2 * a * g * mean_adu
    bend = pl.when(u.abs() > 1e-9).then((u.exp() - 1) / u).otherwise(1.0 + u / 2)
    curve = pl.when(pl.col("model") == "quadratic").then(mean_adu / g + a * mean_adu**2).otherwise(mean_adu / g * bend)
    return curve + floor


def _beyond_exponential(rows: pl.DataFrame, models: pl.DataFrame, levels: pl.DataFrame) -> pl.Series:
    """Return what the covariance model adds to the exponential of the same a00, ADU^2, at the signals of ``rows``.

    ``levels`` has what it says at each script column; between them the difference, small and smooth, is taken as linear.
    0 for channels with another model.
    """
    given = levels.join(models, on=list(CHANNEL)).sort("fluence_adu")
    given = given.with_columns(extra=pl.col("model_adu2") - model_variance_adu2(pl.col("fluence_adu")))
    known = {key: (part["fluence_adu"].to_numpy(), part["extra"].to_numpy()) for key, part in given.group_by(CHANNEL)}
    extra = np.zeros(rows.height)
    keys = list(zip(rows["ccd"], rows["quadrant"], strict=True))
    for key, (signal, values) in known.items():
        here = np.array([each == key for each in keys], bool)
        extra[here] = np.interp(rows["mean_adu"].to_numpy()[here], np.append(0.0, signal), np.append(0.0, values))
    return pl.Series("extra", extra)


def _points(points: pl.DataFrame, models: pl.DataFrame, tiles: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """Add the residual of each pair in sigma.

    A pair is the mean over tiles of different signal: the curvature of the model times half the variance of the signal
    between the tiles is added to the prediction at the mean.
    """
    parameters = models.select(*CHANNEL, "model", "gain_e_per_adu", "a00_per_e", "noise_e", "n00_adu2")
    pair = [*CHANNEL, "obsid_1", "obsid_2"]
    spread = (
        tiles.group_by(pair).agg(spread_adu2=pl.col("mean_adu").cast(pl.Float64).var())
        if tiles.height
        else pl.DataFrame(schema={**{name: points.schema[name] for name in pair}, "spread_adu2": pl.Float64})
    )
    mu, a = pl.col("mean_adu"), pl.col("a00_per_e").fill_null(0.0)
    exponential = (2 * a * pl.col("gain_e_per_adu") * mu).exp()
    curvature = 2 * a * pl.when(pl.col("model") == "quadratic").then(1.0).otherwise(exponential)
    predicted = model_variance_adu2(mu) + curvature * pl.col("spread_adu2").fill_null(0.0) / 2
    joined = points.join(parameters, on=list(CHANNEL), how="left").join(spread, on=pair, how="left")
    return joined.with_columns(
        residual_sigma=(pl.col("variance_adu2") - predicted - _beyond_exponential(joined, models, levels))
        / pl.col("variance_adu2_err"),
        use=pl.when(pl.col("used")).then(pl.lit(_USED)).otherwise(pl.lit("left out")),
    )


def _line(models: pl.DataFrame, points: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """Return the model of each channel at `LINE_POINTS` signals from its faintest point to the brightest that was fitted."""
    brightest = pl.coalesce(pl.col("mean_adu").filter(pl.col("used")).max(), pl.col("mean_adu").max())
    ends = points.group_by(*CHANNEL).agg(lo=pl.col("mean_adu").min(), hi=brightest)
    steps = pl.DataFrame({"step": np.linspace(0.0, 1.0, LINE_POINTS)})
    grid = models.join(ends, on=list(CHANNEL)).join(steps, how="cross")
    signal = pl.col("lo") * (pl.col("hi") / pl.col("lo")) ** pl.col("step")
    grid = grid.with_columns(mean_adu=signal)
    return grid.with_columns(
        model_adu2=model_variance_adu2(pl.col("mean_adu")) + _beyond_exponential(grid, models, levels)
    )


def _figure(points: pl.DataFrame, line: pl.DataFrame, models: pl.DataFrame, scale: str) -> Figure:
    rows: list[alt.FacetChart] = []
    ccds = common.present(points, "ccd", CCDS)
    for index, ccd in enumerate(ccds):
        x = _axis(scale, "mean (ADU)" if ccd == ccds[-1] else None)
        is_mine = pl.col("ccd") == ccd
        mine = points.filter(is_mine)
        curves = _curves(ccd, mine, line.filter(is_mine), models.filter(is_mine), scale)
        rows.append(_across(curves, mine, height=150 if scale == "log" else 130, has_header=index == 0))
        residuals = mine.drop_nulls("residual_sigma")
        if residuals.height:
            rows.append(_across(_residuals(residuals, x), mine, height=56, has_header=False))
    words = "double-logarithmic" if scale == "log" else "linear"
    return Figure(
        f"ptc_curves_{scale}",
        f"Photon-transfer curves, {words} axes",
        "Variance of one frame against mean signal, CCDs from top to bottom, quadrants from left to right; one point per pair "
        "of frames, averaged over its tiles. Line: the adopted model where it was fitted. Below each: (measured - model) in sigma of the pair; "
        f"points beyond {RESIDUAL_LIMIT_SIGMA:.0f} sigma stand at the edge. Hollow: left out of the fit. Dotted: turn-off.",
        alt.vconcat(*rows, spacing=6),
        is_folded=scale == "linear",
    )


def _axis(scale: str, title: str | None) -> alt.X:
    return alt.X("mean_adu:Q", title=title, scale=_scale(scale), axis=_ticks(scale))


def _scale(scale: str) -> dict[str, Any]:
    return {"type": "log", "nice": False, "padding": 6} if scale == "log" else {"zero": True, "padding": 6}


def _ticks(scale: str, *, labels: bool = True) -> dict[str, Any]:
    values = {"values": [100, 300, 1000, 3000, 10000, 30000], "tickCount": 9} if scale == "log" else {"tickCount": 4}
    return dict(format="~s", labels=labels, ticks=labels, labelBound=True, **values)


def _curves(ccd: str, points: pl.DataFrame, line: pl.DataFrame, models: pl.DataFrame, scale: str) -> common.Layered:
    """Draw points, model and turn-off of one CCD; all three share one table, told apart by ``layer``."""
    keep = ["quadrant", "obsid_1", "obsid_2", "mean_adu", "variance_adu2", "residual_sigma", "use", "reject_reason"]
    table = pl.concat(
        [
            points.select(*keep, layer=pl.lit("point")),
            line.select("quadrant", "mean_adu", "model_adu2", layer=pl.lit("model")),
            models.drop_nulls("turnoff_adu").select("quadrant", "turnoff_adu", layer=pl.lit("turnoff")),
        ],
        how="diagonal_relaxed",
    )
    base = alt.Chart(common.compact(table))
    at = alt.X("mean_adu:Q", title=None, scale=_scale(scale), axis=_ticks(scale, labels=False))
    y = alt.Y("variance_adu2:Q", title=f"{ccd} variance (ADU²)", scale=_scale(scale), axis=_ticks(scale))
    marks = (
        base.transform_filter("datum.layer == 'point'")
        .mark_point(size=28)
        .encode(
            at,
            y,
            color=common.colour("quadrant"),
            stroke=common.outline("quadrant"),
            fillOpacity=common.hollow_unless(_IS_USED),
            tooltip=common.tips(
                "obsid_1", "obsid_2", "mean_adu", "variance_adu2", "residual_sigma", "use", "reject_reason"
            ),
        )
    )
    model = base.transform_filter("datum.layer == 'model'").mark_line(style="model").encode(at, alt.Y("model_adu2:Q"))
    turnoff = base.transform_filter("datum.layer == 'turnoff'").mark_rule(style="mark")
    return alt.layer(turnoff.encode(alt.X("turnoff_adu:Q"), tooltip=common.tips("turnoff_adu:Q")), model, marks)


def _residuals(points: pl.DataFrame, x: alt.X) -> common.Layered:
    limit = RESIDUAL_LIMIT_SIGMA
    shown = pl.col("residual_sigma").clip(-limit, limit)
    rows = points.select("quadrant", "obsid_1", "obsid_2", "mean_adu", "residual_sigma", "use", shown=shown)
    base = alt.Chart(common.compact(rows))
    marks = base.mark_point(size=20).encode(
        x,
        alt.Y("shown:Q", title="res. (σ)", scale={"domain": [-limit, limit]}, axis={"values": [-5, 0, 5]}),
        color=common.colour("quadrant"),
        stroke=common.outline("quadrant"),
        fillOpacity=common.hollow_unless(_IS_USED),
        tooltip=common.tips("obsid_1", "obsid_2", "mean_adu", "residual_sigma", "use"),
    )
    return alt.layer(common.zero_line(base, "quadrant"), marks)


def _across(chart: common.Layered, points: pl.DataFrame, *, height: int, has_header: bool) -> alt.FacetChart:
    quadrants = common.present(points, "quadrant", QUADRANTS)
    header = {"labelPadding": 2} if has_header else None
    column = alt.Column("quadrant:N", title=None, sort=quadrants, header=header)
    return chart.properties(width=common.PANEL_WIDTH, height=height).facet(column=column, spacing=14, bounds="flush")
