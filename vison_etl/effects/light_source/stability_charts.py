"""How people look at the stability of the source: its track over time, what the CCDs share, how it averages."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.effects.light_source.steadiness import COMMON
from vison_etl.tables import CCDS

_HEIGHT = 190


def stability_figures(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold of the stability."""
    figures = [_track(tables), _common_mode(tables), _allan(tables)]
    return [figure for figure in figures if figure is not None]


def _hours() -> alt.X:
    return alt.X("elapsed_h:Q", title="time since the first exposure (h)", scale=common.tight())


def _zero() -> alt.Chart:
    drawn: alt.Chart = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(style="zero").encode(alt.Y("zero:Q"))
    return drawn


def _track(tables: Tables) -> Figure | None:
    track = common.given(tables, "source_track").filter(pl.col("scope") == COMMON)
    mode = common.given(tables, "common_mode").drop_nulls("drift_pct_per_h")
    if track.is_empty():
        return None
    rows = common.with_bar(track.sort("elapsed_h"), "deviation_pct")
    slope = float(mode["drift_pct_per_h"][0]) if mode.height else None
    middle = float(rows["elapsed_h"].mean())  # type: ignore[arg-type]
    if slope is not None:
        rows = rows.with_columns(line_pct=slope * (pl.col("elapsed_h") - middle))
    base = alt.Chart(common.compact(rows))
    points = base.mark_point(size=45, filled=True).encode(
        _hours(),
        alt.Y("deviation_pct:Q", title="brightness less mean (%)", scale=common.free()),
        tooltip=common.tips("obsid", "elapsed_h", "deviation_pct", "deviation_pct_err"),
    )
    steps = base.mark_line(strokeWidth=1, opacity=0.5).encode(_hours(), alt.Y("deviation_pct:Q"))
    drift = [base.mark_line(style="model").encode(_hours(), alt.Y("line_pct:Q"))] if slope is not None else []
    chart = alt.layer(_zero(), steps, *drift, common.bars(base).encode(_hours()), points)
    return Figure(
        "source_track",
        "Brightness of the source over time",
        "Mean over all channels of the signal of equal exposures, relative to the mean of the series. Bars: photon noise, one sigma. "
        "Line without points: linear drift.",
        chart.properties(width=common.WIDE, height=_HEIGHT),
    )


def _common_mode(tables: Tables) -> Figure | None:
    track = common.given(tables, "source_track").filter(pl.col("scope") != COMMON).drop_nulls("residual_pct")
    if track.is_empty():
        return None
    rows = common.compact(common.with_bar(track.sort("scope", "elapsed_h"), "residual_pct"))
    words = common.present(rows, "scope", CCDS)
    base = alt.Chart(rows).encode(color=common.colour("scope", words, "CCD"))
    points = base.mark_point(size=30).encode(
        _hours(),
        alt.Y("residual_pct:Q", title="CCD less mean of all (%)", scale=common.free()),
        tooltip=common.tips("scope", "obsid", "residual_pct", "residual_pct_err", "deviation_pct"),
    )
    steps = base.mark_line(strokeWidth=1, opacity=0.6).encode(_hours(), alt.Y("residual_pct:Q"))
    return Figure(
        "source_residuals",
        "What the CCDs do not share",
        "Brightness seen by each CCD less that of the mean of all: the source and its shutter drop out. Bars: photon noise, one sigma.",
        alt.layer(_zero(), steps, common.bars(base).encode(_hours()), points).properties(
            width=common.WIDE, height=_HEIGHT
        ),
    )


def _allan(tables: Tables) -> Figure | None:
    frame = common.given(tables, "allan_deviation").drop_nulls("adev_pct").filter(pl.col("adev_pct") > 0)
    if frame.is_empty():
        return None
    rows = common.with_bar(frame.sort("scope", "tau_s"), "adev_pct")
    floor = pl.min_horizontal(pl.col("adev_pct") / 3.0, "photon_pct")
    rows = rows.with_columns(bar_lo=pl.max_horizontal("bar_lo", floor))
    data = common.compact(rows.filter(pl.col("scope") == COMMON) if COMMON in rows["scope"] else rows)
    log = {"type": "log", "nice": False, "padding": 14}
    tau = alt.X("tau_s:Q", title="averaging time (s)", scale=log)
    adev = alt.Y("adev_pct:Q", title="Allan deviation (%)", scale={"type": "log"})
    base = alt.Chart(data)
    tips = common.tips("scope", "tau_s", "adev_pct", "adev_pct_err", "photon_pct", "n_averaged", "n_differences")
    points = base.mark_point(size=55, filled=True).encode(tau, adev, tooltip=tips)
    line = base.mark_line(strokeWidth=1, opacity=0.6).encode(tau, adev)
    photons = base.mark_line(style="model").encode(tau, alt.Y("photon_pct:Q"))
    return Figure(
        "allan_deviation",
        "Allan deviation of the source",
        "Root of half the mean square difference of neighbouring averages, mean of all CCDs. It falls with the root of the time for noise "
        "without memory and rises for a walk or a drift. Bars: 68 % interval. Line without points: photon noise alone.",
        alt.layer(line, photons, common.bars(base).encode(tau), points).properties(width=common.WIDE, height=230),
    )
