"""How people look at the brighter-fatter effect: kernel, widths, spots that grow, covariances before and after correction."""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.brighter_fatter import corrected_charts
from vison_etl.effects.brighter_fatter.widths import point_widths_um
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Brighter-fatter effect"
TABLES = ("bfe_summary", "bfe_kernel", "bfe_boundaries", "bfe_widths", "bfe_spot_growth", *corrected_charts.TABLES)

_CHANNEL = ("ccd", "quadrant")
_AXES = {"x": "along x", "y": "along y"}
_STATES = ("measured", "corrected", "one pass")
_POINTS = 25
_SPOT_E = 1e5


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [
        *corrected_charts.charts(tables),
        _residuals(tables),
        _kernel(tables),
        _growth(tables),
        _asymmetry(tables),
        _widths(tables),
        _points(tables),
    ]
    return [figure for figure in figures if figure is not None]


def _panels(chart: common.Layered, rows: pl.DataFrame, width: int, height: int) -> alt.FacetChart:
    """Spread a chart over quadrants from left to right and CCDs from top to bottom."""
    return chart.properties(width=width, height=height).facet(
        row=alt.Row("ccd:N", title=None, sort=common.present(rows, "ccd", CCDS)),
        column=alt.Column("quadrant:N", title=None, sort=common.present(rows, "quadrant", QUADRANTS)),
        spacing=10,
    )


def _shares(tables: Tables) -> pl.DataFrame:
    """Return the mean covariance of the eight nearest pixels over the variance, before and after, with bars; no rows for none."""
    frame = common.given(tables, "bfe_residuals").filter(
        pl.col("lag_x") <= 1, pl.col("lag_y") <= 1, pl.col("lag_x") + pl.col("lag_y") > 0
    )
    if frame.is_empty():
        return frame
    poisson = (
        common.given(tables, "bfe_residuals")
        .filter(pl.col("lag_x") == 0, pl.col("lag_y") == 0, pl.col("method") == "inverse")
        .select(*_CHANNEL, "script_column", variance="covariance_after_adu2")
    )
    weight = pl.when((pl.col("lag_x") == 0) | (pl.col("lag_y") == 0)).then(2.0).otherwise(4.0) / 8.0
    names = ("covariance_before_adu2", "covariance_after_adu2", "expected_after_adu2")
    sums = frame.group_by(*_CHANNEL, "script_column", "method").agg(
        pl.col("mean_adu").first(),
        *[(weight * pl.col(name)).sum().alias(name) for name in names],
        *[((weight * pl.col(f"{name}_err")) ** 2).sum().sqrt().alias(f"{name}_err") for name in names[:2]],
    )
    sums = sums.join(poisson, on=[*_CHANNEL, "script_column"], nulls_equal=True)
    share = 100.0 / pl.col("variance")

    def state(method: str, word: str, name: str) -> pl.DataFrame:
        return sums.filter(pl.col("method") == method).select(
            *_CHANNEL,
            "script_column",
            (pl.col("mean_adu") / 1e3).alias("mean_kadu"),
            (share * pl.col(name)).alias("share_pct"),
            (share * pl.col(f"{name}_err")).alias("share_pct_err"),
            (share * pl.col("expected_after_adu2")).alias("expected_pct"),
            pl.lit(word).alias("state"),
        )

    parts = [
        state("inverse", "measured", names[0]),
        state("inverse", "corrected", names[1]),
        state("g15", "one pass", names[1]),
    ]
    return common.with_bar(pl.concat(parts), "share_pct").sort(*_CHANNEL, "state", "mean_kadu")


def _residuals(tables: Tables) -> Figure | None:
    """Draw what the correction leaves of the covariances of neighbours."""
    rows = _shares(tables)
    if rows.is_empty():
        return None
    base = alt.Chart(common.compact(rows)).encode(
        alt.X("mean_kadu:Q", title="mean (kADU)", scale={"zero": True, "padding": 6}),
        color=common.colour("quadrant"),
    )
    shape = alt.Shape(
        "state:N",
        title=None,
        sort=list(_STATES),
        scale={"domain": list(_STATES), "range": ["circle", "diamond", "cross"]},
        legend={"orient": "top", "direction": "horizontal"},
    )
    y = alt.Y("share_pct:Q", title="C / V (%)", scale=common.free())
    points = base.mark_point(size=30).encode(
        y, shape=shape, tooltip=common.tips(*_CHANNEL, "script_column", "state", "share_pct", "share_pct_err")
    )
    expected = (
        base.transform_filter("datum.state == 'corrected'").mark_line(style="model").encode(alt.Y("expected_pct:Q"))
    )
    layers = alt.layer(common.zero_line(base, "quadrant"), expected, common.bars(base), points)
    return Figure(
        "bfe_residuals",
        "Covariances of neighbours before and after correction",
        "Mean covariance with the eight nearest pixels over the corrected variance, noise at zero signal removed; CCDs from top to "
        "bottom. Circles: as measured. Diamonds: build-up of charge inverted; line: what that leaves if the fit is the truth. Crosses: one "
        "pass of first order with the boundary shifts. From the measured covariances, without images. Bars: one sigma.",
        _panels(layers, rows, 205, 110),
    )


def _kernel(tables: Tables) -> Figure | None:
    frame = common.given(tables, "bfe_kernel").drop_nulls("kernel_per_e")
    if frame.is_empty():
        return None
    rows = frame.select(
        *_CHANNEL,
        "lag_x",
        "lag_y",
        kernel=-pl.col("kernel_per_e") * 1e9,
        kernel_err=pl.col("kernel_per_e_err") * 1e9,
    )
    axis = {"grid": False, "labelAngle": 0}
    cells = (
        alt.Chart(common.compact(rows))
        .mark_rect()
        .encode(
            alt.X("lag_x:O", title="lag along x (px)", axis=axis),
            alt.Y("lag_y:O", title="lag along y (px)", sort="descending", axis=axis),
            alt.Color("kernel:Q", title="−K (1e−9/e⁻)", scale={"type": "symlog", "constant": 5}),
            tooltip=common.tips(*_CHANNEL, "lag_x", "lag_y", "kernel", "kernel_err"),
        )
    )
    return Figure(
        "bfe_kernel",
        "Scalar kernel",
        "K with Laplacian −a, negative where charge draws boundaries in, by lag (1e−9 per electron); other signs of the lags are mirror "
        "images. Linear colours below 5, logarithmic above.",
        _panels(cells, rows, 150, 150),
        is_folded=True,
    )


def _both_axes(frame: pl.DataFrame, x: str, y: str, value: str) -> pl.DataFrame:
    """Stack two columns with errors as ``value``, told apart by ``axis``."""
    keep = [name for name in frame.columns if name not in {x, y, f"{x}_err", f"{y}_err"}]
    return pl.concat(
        frame.select(
            *keep, pl.col(name).alias(value), pl.col(f"{name}_err").alias(f"{value}_err"), pl.lit(word).alias("axis")
        )
        for name, word in ((x, _AXES["x"]), (y, _AXES["y"]))
    ).drop_nulls(value)


def _dashes() -> alt.StrokeDash:
    return alt.StrokeDash(
        "axis:N",
        title=None,
        sort=list(_AXES.values()),
        scale={"domain": list(_AXES.values()), "range": [[1, 0], [5, 3]]},
        legend={"orient": "top", "direction": "horizontal"},
    )


def _growth(tables: Tables) -> Figure | None:
    x, y = (f"fwhm_{axis}_growth_px_per_e" for axis in "xy")
    rows = _both_axes(
        common.given(tables, "bfe_spot_growth").select(*_CHANNEL, "spot_sigma_px", x, f"{x}_err", y, f"{y}_err"),
        x,
        y,
        "growth_px",
    )
    if rows.is_empty():
        return None
    rows = rows.with_columns(pl.col("growth_px", "growth_px_err") * _SPOT_E)
    rows = common.with_bar(rows.sort(*_CHANNEL, "axis", "spot_sigma_px"), "growth_px")
    base = alt.Chart(common.compact(rows)).encode(
        alt.X("spot_sigma_px:Q", title="sigma of the spot (px)", scale=common.tight()),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    line = base.mark_line(strokeWidth=1.2).encode(
        alt.Y("growth_px:Q", title="growth of FWHM per 100 ke⁻ (px)"),
        strokeDash=_dashes(),
        tooltip=common.tips(*_CHANNEL, "axis", "spot_sigma_px", "growth_px", "growth_px_err"),
    )
    chart = alt.layer(common.bars(base), line).properties(width=275, height=190)
    return Figure(
        "bfe_spot_growth",
        "Growth of spots with flux",
        "Growth of the width of a Gaussian spot per 100 000 electrons of its flux, foretold from the kernel to first order, mean over the "
        "places of its centre in a pixel. How it is shared out between x and y is the word of the scalar kernel. Bars: one sigma.",
        chart.facet(column=alt.Column("ccd:N", title=None, sort=common.present(rows, "ccd", CCDS))),
    )


def _by_channel(rows: pl.DataFrame, value: str, axis: str, key: str, title: str, caption: str) -> Figure:
    """Draw a value of each channel, or of both axes of each."""
    base = alt.Chart(common.compact(common.with_bar(rows, value).with_columns(common.channel()))).encode(
        common.channels(),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    points = base.mark_point(size=50).encode(
        alt.Y(f"{value}:Q", title=axis, scale=common.free(), axis={"format": ".3~g"}),
        tooltip=common.tips("channel", value, f"{value}_err"),
    )
    bars = common.bars(base)
    if "axis" in rows.columns:
        offset = alt.XOffset("axis:N", sort=list(_AXES.values()))
        points, bars = (
            points.encode(offset, shape=alt.Shape("axis:N", title=None, legend={"orient": "top"})),
            bars.encode(offset),
        )
    return Figure(key, title, caption, alt.layer(bars, points).properties(width=common.WIDE, height=200))


def _asymmetry(tables: Tables) -> Figure | None:
    rows = common.given(tables, "bfe_summary").drop_nulls("axis_ratio")
    if rows.is_empty():
        return None
    return _by_channel(
        rows.select(*_CHANNEL, "axis_ratio", "axis_ratio_err"),
        "axis_ratio",
        "a₁₀ / a₀₁ (ratio)",
        "bfe_axis_ratio",
        "Serial over parallel",
        "Coefficient of the neighbour along x over that of the neighbour along y: boundaries held by channel stops yield less than "
        "those held by electrodes. Bars: one sigma.",
    )


def _widths(tables: Tables) -> Figure | None:
    frame = common.given(tables, "bfe_widths")
    rows = _both_axes(
        frame.select(*_CHANNEL, "fwhm_x_um", "fwhm_x_um_err", "fwhm_y_um", "fwhm_y_um_err"),
        "fwhm_x_um",
        "fwhm_y_um",
        "fwhm_um",
    )
    if rows.is_empty():
        return None
    return _by_channel(
        rows,
        "fwhm_um",
        "FWHM (µm)",
        "bfe_widths",
        "Widths of a point at half of the ADC's range",
        "Width of a Gaussian with the share that the neighbours get of one bright pixel after one pass of first order: the number of "
        "earlier campaigns, no width of a spot. Bars: one sigma.",
    )


def _points(tables: Tables) -> Figure | None:
    """Draw the widths of a point against signal, from the shifts of its own walls."""
    walls = (
        common.given(tables, "bfe_boundaries")
        .filter(pl.col("lag_x") == 0, pl.col("lag_y") == 0, pl.col("method") == "g15")
        .drop_nulls(["shift_east_px_per_e", "shift_north_px_per_e"])
        .join(common.given(tables, "bfe_summary").drop_nulls("gain_e_per_adu"), on=list(_CHANNEL))
    )
    if walls.is_empty():
        return None
    signal = np.linspace(2e3, 6e4, _POINTS)
    parts = []
    for row in walls.iter_rows(named=True):
        wide = point_widths_um(row["shift_east_px_per_e"], row["shift_north_px_per_e"], row["gain_e_per_adu"] * signal)
        for values, word in zip(wide, _AXES.values(), strict=True):
            known = {name: [row[name]] * _POINTS for name in _CHANNEL}
            parts.append(pl.DataFrame({**known, "axis": word, "signal_kadu": signal / 1e3, "fwhm_um": values}))
    rows = pl.concat(parts)
    line = (
        alt.Chart(common.compact(rows))
        .mark_line(strokeWidth=1.2)
        .encode(
            alt.X("signal_kadu:Q", title="signal of the point (kADU)", scale={"zero": True}),
            alt.Y("fwhm_um:Q", title="FWHM (µm)", scale=common.free()),
            color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
            strokeDash=_dashes(),
            tooltip=common.tips(*_CHANNEL, "axis", "signal_kadu", "fwhm_um"),
        )
        .properties(width=275, height=190)
    )
    return Figure(
        "bfe_point_widths",
        "Widths of a point against signal",
        "The same width of one bright pixel against its signal, from the shifts of its own walls: earlier campaigns drew one point for "
        "each script column.",
        line.facet(column=alt.Column("ccd:N", title=None, sort=common.present(rows, "ccd", CCDS))),
        is_folded=True,
    )
