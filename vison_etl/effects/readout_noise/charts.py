"""How people look at offsets, read noise and the structure of the bias."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.effects.readout_noise import profile_charts
from vison_etl.tables import CCDS, QUADRANTS, REGIONS

TITLE = "Offsets and read noise"
TABLES = (
    "readout_noise",
    "offsets",
    "noise_pairs",
    "quadrant_stats",
    "exposures",
    "profiles",
    "previews",
    "compliance",
)
QUANTISATION_ADU2 = 1.0 / 12.0
"""Variance that rounding to whole ADU adds to one frame."""

MAX_TREND_ROWS = 4500


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [
        _noise_by_channel(tables),
        _noise_parts(tables),
        _noise_by_pair(tables),
        _offset_trend(tables),
        _offset_gradient(tables),
        *profile_charts.figures(tables),
        *_pictures(tables),
    ]
    return [figure for figure in figures if figure is not None]


def _noise_by_channel(tables: Tables) -> Figure | None:
    frame = common.given(tables, "readout_noise").drop_nulls("ron_adu")
    if frame.is_empty():
        return None
    regions = common.present(frame, "region", REGIONS)
    rows = common.with_bar(frame, "ron_adu").select(
        common.channel(), "region", "ron_adu", "ron_adu_err", "ron_e", "n_pairs", "bar_lo", "bar_hi"
    )
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        xOffset=alt.XOffset("region:N", sort=regions),
        color=common.colour("region", regions, "region"),
    )
    points = base.mark_point(size=45).encode(
        alt.Y("ron_adu:Q", title="read noise (ADU)", scale=common.free()),
        tooltip=common.tips("channel", "region", "ron_adu", "ron_adu_err", "ron_e", "n_pairs"),
    )
    limits = common.limits_of(tables, "ron_adu")
    chart = alt.layer(common.bars(base), points, *common.limit_lines(limits)).properties(width=common.WIDE, height=260)
    return Figure(
        "ron_by_channel",
        "Read noise per channel",
        "Total random noise per pixel from the differences of adjacent frames, ADC quantisation removed, row- and "
        "column-common noise included. Bars: one sigma. Dashed red: limits of the check, where there is one.",
        chart,
    )


def _noise_parts(tables: Tables) -> Figure | None:
    parts = {"ron_white_adu": "white", "row_noise_adu": "row-common", "column_noise_adu": "column-common"}
    frame = common.given(tables, "readout_noise")
    pieces = [
        frame.select(
            common.channel(),
            "region",
            part=pl.lit(word),
            noise_adu=pl.col(name).cast(pl.Float64),
            error_adu=pl.col(f"{name}_err").cast(pl.Float64),
        )
        for name, word in parts.items()
    ]
    rows = pl.concat(pieces).drop_nulls("noise_adu")
    if rows.is_empty():
        return None
    regions = common.present(rows, "region", REGIONS)
    base = alt.Chart(common.compact(common.with_bar(rows, "noise_adu", "error_adu"))).encode(
        common.channels(),
        xOffset=alt.XOffset("region:N", sort=regions),
        color=common.colour("region", regions, "region"),
    )
    points = base.mark_point().encode(
        alt.Y("noise_adu:Q", title="noise (ADU)", scale=common.free()),
        tooltip=common.tips("channel", "region", "part", "noise_adu", "error_adu"),
    )
    panels = (common.bars(base) + points).properties(width=262, height=190)
    chart = panels.facet(column=alt.Column("part:N", title=None, sort=list(parts.values()))).resolve_scale(
        y="independent"
    )
    return Figure(
        "ron_parts",
        "Parts of the read noise",
        "The temporal noise split into its white part, the part common to a row and the part common to a column. "
        "Scales differ between the panels. Bars: one sigma.",
        chart,
    )


def _noise_by_pair(tables: Tables) -> Figure | None:
    excess = pl.col("variance_adu2") - QUANTISATION_ADU2
    frame = common.given(tables, "noise_pairs").cast({"variance_adu2": pl.Float64, "variance_adu2_err": pl.Float64})
    frame = frame.filter(excess > 0)
    if frame.is_empty():
        return None
    regions = common.present(frame, "region", REGIONS)
    rows = frame.with_columns(noise_adu=excess.sqrt()).with_columns(
        noise_adu_err=pl.col("variance_adu2_err") / (2 * pl.col("noise_adu"))
    )
    rows = common.with_bar(rows, "noise_adu").select(
        "ccd", "quadrant", "region", "obsid_1", "obsid_2", "noise_adu", "noise_adu_err", "bar_lo", "bar_hi"
    )
    quadrants = common.present(rows, "quadrant", QUADRANTS)
    base = alt.Chart(common.compact(_thinned(rows, "obsid_1"))).encode(
        alt.X("obsid_1:Q", title="first obsid of the pair", scale=common.tight(), axis={"format": "d"}),
        color=common.colour("quadrant", quadrants, "quadrant"),
    )
    y = alt.Y("noise_adu:Q", title="noise (ADU)", scale=common.free())
    points = base.mark_point().encode(
        y, tooltip=common.tips("ccd", "quadrant", "obsid_1", "obsid_2", "noise_adu", "noise_adu_err")
    )
    lines = base.mark_line(strokeWidth=1, opacity=0.6).encode(y)
    panels = (lines + common.bars(base) + points).properties(width=980 // max(len(regions), 1) - 25, height=120)
    chart = panels.facet(
        row=alt.Row("ccd:N", title=None, sort=list(CCDS)), column=alt.Column("region:N", title=None, sort=regions)
    )
    return Figure(
        "ron_by_pair",
        "Read noise of each pair of frames",
        "Noise of one frame from the difference of two adjacent ones, ADC quantisation removed, against time. A step or a "
        "trend means that the noise was not stationary. Bars: one sigma.",
        chart,
    )


def _offset_trend(tables: Tables) -> Figure | None:
    times = common.given(tables, "exposures").select("obsid", "ccd", "started_at", "exptime_s")
    frame = common.given(tables, "quadrant_stats").drop_nulls("mean_adu")
    if frame.is_empty() or times.is_empty():
        return None
    is_dark = times["exptime_s"].drop_nulls().eq(0).all()
    frame = frame.filter(pl.col("region").is_in(["pre", "ove"] + (["img"] if is_dark else [])))
    by = ("ccd", "quadrant", "region")
    rows = frame.join(times, on=["obsid", "ccd"], how="inner").with_columns(
        level_adu=pl.col("mean_adu").mean().over("ccd", "quadrant"),
        drift_adu=pl.col("mean_adu") - pl.col("mean_adu").mean().over(*by),
    )
    level = pl.col("level_adu").round(1).cast(pl.String)
    rows = rows.with_columns(panel=pl.format("{} {}: {} ADU", "ccd", "quadrant", level)).sort(
        "ccd", "quadrant", "obsid"
    )
    regions = common.present(rows, "region", REGIONS)
    panels = rows["panel"].unique(maintain_order=True).to_list()
    columns = ["panel", "region", "obsid", "started_at", "mean_adu", "mean_adu_err", "drift_adu"]
    base = alt.Chart(common.compact(_thinned(rows.select(columns), "obsid"))).encode(
        common.along(rows), alt.Y("drift_adu:Q", title="drift (ADU)"), color=common.colour("region", regions, "region")
    )
    points = base.mark_point(size=14).encode(tooltip=common.tips("region", "obsid", "mean_adu", "mean_adu_err"))
    panel = (base.mark_line(strokeWidth=1, opacity=0.7) + points).properties(width=common.PANEL_WIDTH, height=115)
    chart = panel.facet(facet=alt.Facet("panel:N", title=None, sort=panels), columns=len(QUADRANTS))
    return Figure(
        "offset_trend",
        "Drift of the offset",
        "Mean level of each region of each frame, less its mean over the test (which heads the panel, averaged over the "
        "regions shown). All panels share one scale, so that channels can be compared.",
        chart,
    )


def _offset_gradient(tables: Tables) -> Figure | None:
    frame = common.given(tables, "offsets").drop_nulls("offset_adu").drop_nulls("region")
    by = ["ccd", "quadrant"]
    base_level = frame.filter(pl.col("region") == "pre").select(*by, pre_adu="offset_adu")
    rows = frame.filter(pl.col("region") != "pre").join(base_level, on=by)
    if rows.is_empty():
        return None
    regions = common.present(rows, "region", REGIONS)
    rows = rows.with_columns(gradient_adu=pl.col("offset_adu") - pl.col("pre_adu")).select(
        common.channel(), "region", "offset_adu", "pre_adu", "gradient_adu"
    )
    chart = (
        alt.Chart(common.compact(rows))
        .mark_point(size=45)
        .encode(
            common.channels(),
            alt.Y("gradient_adu:Q", title="offset less prescan (ADU)", scale=common.free()),
            xOffset=alt.XOffset("region:N", sort=regions),
            color=common.colour("region", regions, "region"),
            tooltip=common.tips("channel", "region", "offset_adu", "pre_adu", "gradient_adu"),
        )
    )
    limits = common.limits_of(tables, "offset_gradient_adu")
    return Figure(
        "offset_gradient",
        "Offset gradient across the quadrant",
        "Offset of a region less that of the prescan of the same channel, averaged over the frames of the test.",
        alt.layer(chart, *common.limit_lines(limits)).properties(width=common.WIDE, height=190),
    )


_DRAWN_ELSEWHERE = ("master_flat", "flat_residual")
"""Kinds of pictures that have one for each script column, which their own effect shows."""


def _pictures(tables: Tables) -> Iterator[Figure]:
    frame = common.given(tables, "previews").drop_nulls("png_base64").filter(~pl.col("kind").is_in(_DRAWN_ELSEWHERE))
    for (kind,), rows in frame.sort("kind", "ccd").group_by("kind", maintain_order=True):
        pictures = [common.picture(row, side=225) for row in rows.iter_rows(named=True)]
        shown = rows["obsid"].drop_nulls().unique().sort().to_list()
        which = f"Exposure {', '.join(map(str, shown))}, binned." if shown else "Binned."
        chart = alt.hconcat(*pictures).resolve_scale(color="independent")
        title = str(kind).replace("_", " ").capitalize()
        yield Figure(
            f"picture_{kind}",
            f"{title}: quick look",
            f"{which} CCD frame as stored, read-out nodes in the outer corners; each picture has its own grey scale.",
            chart,
        )


def _thinned(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """Keep every k-th value of ``by``, so that the rows stay below the limit of one chart."""
    step = -(-frame.height // MAX_TREND_ROWS)
    if step <= 1:
        return frame
    kept = frame[by].unique().sort().gather_every(step)
    return frame.filter(pl.col(by).is_in(kept.to_list()))
