"""How people look at flats: masters, what the illumination leaves, non-uniformity against light, colour and scale."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.effects.flat_field.ratio_charts import ratio
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Flat field"
TABLES = ("prnu", "prnu_scales", "flat_ratio", "flat_response", "previews", "compliance")
_BY_COLUMN = ("ccd", "quadrant", "script_column")


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [_by_channel(tables), _against_fluence(tables), _over_scales(tables), _noise(tables), _steps(tables)]
    return [figure for figure in (*figures, ratio(tables), *_pictures_of(tables)) if figure is not None]


def _fluence() -> pl.Expr:
    return (pl.col("fluence_adu") / 1e3).alias("fluence_kadu")


def _light(frame: pl.DataFrame) -> str:
    """Return the wavelength of a table in words."""
    found = frame["wavelength_nm"].drop_nulls().unique().sort().to_list()
    return f" at {', '.join(f'{value:g}' for value in found)} nm" if found else ""


def _by_channel(tables: Tables) -> Figure | None:
    frame = common.given(tables, "prnu").drop_nulls("prnu_pct")
    if frame.is_empty():
        return None
    columns = frame["script_column"].unique().sort().to_list()
    rows = common.with_bar(frame, "prnu_pct").select(
        common.channel(), "quadrant", "script_column", _fluence(), "prnu_pct", "prnu_pct_err", "bar_lo", "bar_hi"
    )
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        xOffset=alt.XOffset("script_column:N", sort=columns),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    points = base.mark_point(size=45).encode(
        alt.Y("prnu_pct:Q", title="non-uniformity (%)", scale=common.free()),
        tooltip=common.tips("channel", "script_column", "fluence_kadu", "prnu_pct", "prnu_pct_err"),
    )
    limits = common.limit_lines(common.limits_of(tables, "prnu_pct"))
    chart = alt.layer(common.bars(base), points, *limits).properties(width=common.WIDE, height=210)
    return Figure(
        "prnu_by_channel",
        f"Photo-response non-uniformity per channel{_light(frame)}",
        "Rms of the response of the pixels on scales below 25 px, photon and read noise removed; side by side the script columns, "
        "in their order. Bars: one sigma. Dashed red: limits of the check.",
        chart,
    )


def _against_fluence(tables: Tables) -> Figure | None:
    frame = common.given(tables, "prnu").drop_nulls(["prnu_pct", "fluence_adu"])
    if frame["script_column"].n_unique() < 2:
        return None
    rows = common.with_bar(frame, "prnu_pct").select(
        *_BY_COLUMN, _fluence(), "prnu_pct", "prnu_pct_err", "bar_lo", "bar_hi"
    )
    base = alt.Chart(common.compact(rows.sort(*_BY_COLUMN))).encode(
        alt.X("fluence_kadu:Q", title="fluence (kADU)", scale=common.free()),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    y = alt.Y("prnu_pct:Q", title="non-uniformity (%)", scale=common.free())
    points = base.mark_point(size=40).encode(
        y, tooltip=common.tips(*_BY_COLUMN, "fluence_kadu", "prnu_pct", "prnu_pct_err")
    )
    layers = alt.layer(base.mark_line(strokeWidth=1, opacity=0.6).encode(y), common.bars(base), points)
    chart = layers.properties(width=275, height=190).facet(column=alt.Column("ccd:N", title=None, sort=list(CCDS)))
    return Figure(
        "prnu_fluence",
        f"Non-uniformity against fluence{_light(frame)}",
        "The response of a pixel is a factor, so that the non-uniformity does not depend on the light. Where it falls with fluence, charge "
        "moves to neighbouring pixels; where it rises towards little light, something is added instead of multiplied. Bars: one "
        "sigma.",
        chart,
    )


def _over_scales(tables: Tables) -> Figure | None:
    frame = common.given(tables, "prnu_scales").drop_nulls("prnu_pct")
    if frame.is_empty():
        return None
    best = frame.filter(pl.col("fluence_adu") == pl.col("fluence_adu").max().over("ccd", "quadrant"))
    rows = common.with_bar(best, "prnu_pct").select(
        "ccd",
        "quadrant",
        "script_column",
        "scale_lo_px",
        "scale_hi_px",
        pl.format("{}-{}", "scale_lo_px", "scale_hi_px").alias("scale"),
        "prnu_pct",
        "prnu_pct_err",
        "bar_lo",
        "bar_hi",
    )
    order = rows.sort("scale_lo_px")["scale"].unique(maintain_order=True).to_list()
    quadrants = common.present(rows, "quadrant", QUADRANTS)
    base = alt.Chart(common.compact(rows)).encode(
        alt.X("scale:N", title="scale (px)", sort=order, axis={"labelAngle": 0}),
        xOffset=alt.XOffset("quadrant:N", sort=quadrants),
        color=common.colour("quadrant", quadrants, "quadrant"),
    )
    points = base.mark_point(size=40).encode(
        alt.Y("prnu_pct:Q", title="non-uniformity (%)", scale={"type": "log"}),
        tooltip=common.tips("ccd", "quadrant", "script_column", "scale", "prnu_pct", "prnu_pct_err"),
    )
    panels = alt.layer(common.bars(base), points).properties(width=275, height=200)
    return Figure(
        "prnu_scales",
        f"Non-uniformity over scales{_light(frame)}",
        "Rms of the response on ranges of scales, noise removed, of the script column with most light. Pixels that differ "
        "independently fall by the square root of the number of pixels in a cell: 0.87, 0.46, 0.20 and 0.04 of the whole. What lies above "
        "has structure of that size. Bars: one sigma.",
        panels.facet(column=alt.Column("ccd:N", title=None, sort=list(CCDS))),
    )


def _noise(tables: Tables) -> Figure | None:
    parts = {
        "prnu_pct": "non-uniformity",
        "master_rms_pct": "with the noise of the master",
        "noise_pct": "noise, from its halves",
        "expected_noise_pct": "noise, from its error",
    }
    frame = common.given(tables, "prnu").drop_nulls("prnu_pct")
    if frame.is_empty():
        return None
    rows = (
        frame.select(common.channel(), "script_column", *parts)
        .unpivot(list(parts), index=["channel", "script_column"], variable_name="part", value_name="rms_pct")
        .with_columns(pl.col("part").replace(parts))
        .drop_nulls("rms_pct")
    )
    words = [word for word in parts.values() if word in set(rows["part"])]
    chart = (
        alt.Chart(common.compact(rows))
        .mark_point(size=35)
        .encode(
            common.channels(),
            alt.Y("rms_pct:Q", title="rms of a pixel (%)"),
            shape=alt.Shape(
                "part:N", title=None, sort=words, legend={"orient": "top", "direction": "horizontal", "labelLimit": 240}
            ),
            tooltip=common.tips("channel", "script_column", "part", "rms_pct"),
        )
        .properties(width=common.WIDE, height=200)
    )
    return Figure(
        "prnu_noise",
        "What a plain standard deviation would say",
        "The rms of the master about the same surfaces with its noise in it, the noise as its halves show it and as the error of "
        "its pixels says. The last two agree if the errors are right.",
        chart,
        is_folded=True,
    )


def _steps(tables: Tables) -> Figure | None:
    frame = common.given(tables, "prnu").drop_nulls("step")
    if frame.is_empty():
        return None
    rows = frame.select(
        common.channel(),
        "quadrant",
        "script_column",
        (100 * (pl.col("step") - 1)).alias("step_pct"),
        "illumination_rms_pct",
        "source_rms_pct",
    )
    chart = (
        alt.Chart(common.compact(rows))
        .mark_point(size=45)
        .encode(
            common.channels(),
            alt.Y("step_pct:Q", title="level less mean of the CCD (%)", scale=common.free()),
            xOffset=alt.XOffset("script_column:N"),
            color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
            tooltip=common.tips("channel", "script_column", "step_pct", "illumination_rms_pct", "source_rms_pct"),
        )
        .properties(width=common.WIDE, height=180)
    )
    return Figure(
        "flat_steps",
        "Steps between the quadrants",
        "Level of each quadrant relative to the mean of its CCD, the smooth illumination of the whole CCD taken out: the ratio of "
        "the gains, and the same at every fluence as long as the response is linear.",
        chart,
        is_folded=True,
    )


def _pictures_of(tables: Tables) -> Iterator[Figure]:
    """Yield the pictures of masters and of what the illumination leaves, one figure per kind, a row per script column."""
    frame = common.given(tables, "previews").drop_nulls("png_base64")
    frame = frame.filter(pl.col("kind").is_in(list(_KINDS)))
    for (kind,), rows in frame.sort("kind", "script_column", "ccd").group_by("kind", maintain_order=True):
        title, caption = _KINDS[str(kind)]
        lines = [
            alt.hconcat(*(common.picture(row, side=245) for row in line.iter_rows(named=True)), title=str(column))
            for (column,), line in rows.group_by("script_column", maintain_order=True)
        ]
        yield Figure(f"flat_{kind}", title, caption, alt.vconcat(*lines).resolve_scale(color="independent"))


_KINDS = {
    "master_flat": (
        "Master flats",
        (
            "Mean of all frames of a script column, binned; CCD frame as stored, read-out nodes in the outer corners; each picture has its "
            "own grey scale."
        ),
    ),
    "flat_residual": (
        "What the illumination model leaves",
        (
            "Response less one, times the mean level: dust, tree rings and whatever a smooth illumination does not follow. Binned; each "
            "picture has its own grey scale."
        ),
    ),
}
