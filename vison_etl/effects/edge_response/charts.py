"""How people look at edges: the overscan over the image level, bounce and deferred charge, CTI against fluence, full well."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Edge response"
TABLES = ("edge_response", "edge_response_points", "cti", "edge_separation", "full_well", "compliance")

_DIRECTIONS = ("serial", "parallel")
_SHOWN_PX = 10
_WIDTH = 245
_DRAWN = 10.0


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [
        _profiles(tables),
        _first_pixel(tables),
        _bounce(tables),
        _cti(tables),
        _tails(tables),
        _full_well(tables),
    ]
    return [figure for figure in figures if figure is not None]


def _by_quadrant(rows: pl.DataFrame) -> alt.Color:
    return common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant")


def _panels(layers: common.Layered, rows: pl.DataFrame) -> alt.FacetChart:
    """Spread panels: directions below each other, CCDs side by side; every direction has a scale of its own."""
    drawn: alt.FacetChart = layers.facet(
        row=alt.Row("direction:N", title=None, sort=common.present(rows, "direction", _DIRECTIONS)),
        column=alt.Column("ccd:N", title=None, sort=list(CCDS)),
    ).resolve_scale(y="independent")
    return drawn


def _profiles(tables: Tables) -> Figure | None:
    frame = common.given(tables, "edge_response").filter(pl.col("pixel") <= _SHOWN_PX).drop_nulls("response")
    if frame.is_empty():
        return None
    scaled = frame.select(
        "ccd",
        "quadrant",
        "direction",
        "pixel",
        response_ppm=pl.col("response") * 1e6,
        response_ppm_err=pl.col("response_err") * 1e6,
    )
    rows = common.with_bar(scaled, "response_ppm").sort("ccd", "quadrant", "direction", "pixel")
    quadrants = common.present(rows, "quadrant", QUADRANTS)
    bare = alt.Chart(common.compact(rows))
    base = bare.encode(
        alt.X("pixel:O", title="overscan pixel", axis={"labelAngle": 0}),
        xOffset=alt.XOffset("quadrant:N", sort=quadrants),
        color=_by_quadrant(rows),
    )
    points = base.mark_point(size=22).encode(
        alt.Y("response_ppm:Q", title="response (10⁻⁶)", scale=common.free()),
        tooltip=common.tips("ccd", "quadrant", "direction", "pixel", "response_ppm", "response_ppm_err"),
    )
    layers = alt.layer(common.bars(base), points, common.zero_line(bare, "direction")).properties(
        width=_WIDTH, height=150
    )
    return Figure(
        "edge_profiles",
        "Overscan behind the edge",
        f"Part of the level of the last image pixels that the first {_SHOWN_PX} overscan pixels hold: the slope against signal over "
        "all fluences below full well. A first pixel that stands out from a smooth tail is bounce, the tail is deferred charge. Along columns there "
        "is no bounce. Bars: one sigma, with that of the level beneath the tail, which all pixels share.",
        _panels(layers, rows),
    )


def _first_pixel(tables: Tables) -> Figure | None:
    first = common.given(tables, "edge_response").filter(direction="serial", pixel=1).drop_nulls("response")
    if first.is_empty():
        return None
    single = common.given(tables, "edge_separation").filter(direction="serial").drop_nulls("single_frame_response")
    ways = {"all fluences": "response", "single frame": "single_frame_response"}
    parts = [
        source.select(
            common.channel(),
            "quadrant",
            pl.lit(word).alias("way"),
            (pl.col(name) * 1e3).alias("response_permille"),
            error.alias("response_permille_err"),
        )
        for (word, name), source, error in (
            (("all fluences", ways["all fluences"]), first, pl.col("response_err") * 1e3),
            (("single frame", ways["single frame"]), single, pl.lit(None, pl.Float64)),
        )
    ]
    rows = common.with_bar(pl.concat(parts), "response_permille")
    words = common.present(rows, "way", tuple(ways))
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(), xOffset=alt.XOffset("way:N", sort=words), color=_by_quadrant(rows)
    )
    points = base.mark_point(size=45).encode(
        alt.Y("response_permille:Q", title="first overscan pixel (10⁻³)", scale=common.free()),
        shape=alt.Shape("way:N", title="from", sort=words, legend={"orient": "top", "direction": "horizontal"}),
        tooltip=common.tips("channel", "way", "response_permille", "response_permille_err"),
    )
    limits = [
        (1e3 * value, word.split()[0] + f" {1e3 * value:g}")
        for value, word in common.limits_of(tables, "hard_edge_response")
    ]
    chart = alt.layer(common.bars(base), points, *common.limit_lines(limits)).properties(width=common.WIDE, height=210)
    return Figure(
        "hard_edge_response",
        "Hard edge response",
        "First pixel of the serial overscan over the level of the image: bounce and deferred charge together, which is what is limited (dashed "
        "red). Squares, as in earlier campaigns: one frame near half of full scale, its base in the overscan, without error.",
        chart,
    )


def _bounce(tables: Tables) -> Figure | None:
    frame = common.given(tables, "edge_separation").filter(direction="serial").drop_nulls("bounce")
    if frame.is_empty():
        return None
    rows = common.with_bar(
        frame.select(
            common.channel(),
            "quadrant",
            "is_separated",
            "bounce_correlation",
            bounce_ppm=pl.col("bounce") * 1e6,
            bounce_ppm_err=pl.col("bounce_err") * 1e6,
            leading_ppm=pl.col("bounce_leading") * 1e6,
            leading_ppm_err=pl.col("bounce_leading_err") * 1e6,
        ),
        "bounce_ppm",
    )
    base = alt.Chart(common.compact(rows)).encode(common.channels(), color=_by_quadrant(rows))
    points = base.mark_point(size=45).encode(
        alt.Y("bounce_ppm:Q", title="bounce (10⁻⁶)", scale=common.free()),
        stroke=common.outline("quadrant"),
        fillOpacity=common.hollow_unless("datum.is_separated"),
        tooltip=common.tips(
            "channel",
            "bounce_ppm",
            "bounce_ppm_err",
            "leading_ppm",
            "leading_ppm_err",
            "bounce_correlation",
            "is_separated",
        ),
    )
    zero = alt.Chart(pl.DataFrame({"y": [0.0]})).mark_rule(style="zero").encode(alt.Y("y:Q"))
    chart = alt.layer(zero, common.bars(base), points).properties(width=common.WIDE, height=210)
    return Figure(
        "bounce",
        "Bounce of the amplifier",
        "Part of the difference to the pixel before that the next pixel read still has: what the first overscan pixel holds beyond the tail of "
        "deferred charge. Hollow where the two cannot be told apart. Bars: one sigma, with what is not known of the tail.",
        chart,
    )


def _cti(tables: Tables) -> Figure | None:
    frame = common.given(tables, "cti").drop_nulls(["cti", "fluence_adu"])
    well = common.given(tables, "full_well").select("ccd", "quadrant", well="full_well_lower_adu")
    below = frame.join(well, on=["ccd", "quadrant"], how="left").filter(
        (pl.col("fluence_adu") <= pl.col("well") * 1.02).fill_null(value=True)
    )
    if below.is_empty():
        return None
    scaled = below.select(
        "ccd",
        "quadrant",
        "direction",
        "script_column",
        fluence_kadu=pl.col("fluence_adu") / 1e3,
        cti_e7=pl.col("cti") * 1e7,
        cti_e7_err=pl.col("cti_err") * 1e7,
    )
    told = scaled.filter(pl.col("cti_e7_err") <= _DRAWN * pl.col("cti_e7_err").median().over("direction"))
    rows = common.with_bar(told, "cti_e7").sort("ccd", "quadrant", "direction", "fluence_kadu")
    bare = alt.Chart(common.compact(rows))
    base = bare.encode(alt.X("fluence_kadu:Q", title="fluence (kADU)", scale=common.free()), color=_by_quadrant(rows))
    y = alt.Y("cti_e7:Q", title="CTI (10⁻⁷)", scale=common.free())
    tips = common.tips("ccd", "quadrant", "direction", "script_column", "fluence_kadu", "cti_e7", "cti_e7_err")
    layers = alt.layer(
        base.mark_line(strokeWidth=1, opacity=0.5).encode(y),
        common.bars(base),
        base.mark_point(size=30).encode(y, tooltip=tips),
        common.zero_line(bare, "direction"),
    ).properties(width=_WIDTH, height=160)
    return Figure(
        "cti_fluence",
        "Charge-transfer inefficiency against fluence",
        "Fraction of the charge left behind at each transfer, below full well. Fluences with more than ten times the median error are not drawn. Errors of the fluences of "
        "a channel are correlated: they share the structure of the offset and the shape of the tail. Bars: one sigma.",
        _panels(layers, rows),
    )


def _tails(tables: Tables) -> Figure | None:
    frame = common.given(tables, "edge_separation").drop_nulls("tail_px")
    if frame.is_empty():
        return None
    rows = common.with_bar(
        frame.select(common.channel(), "quadrant", "direction", "tail_shape", "beyond_pct", "tail_px", "tail_px_err"),
        "tail_px",
    )
    words = common.present(rows, "direction", _DIRECTIONS)
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(), xOffset=alt.XOffset("direction:N", sort=words), color=_by_quadrant(rows)
    )
    points = base.mark_point(size=45).encode(
        alt.Y("tail_px:Q", title="length of the tail (px)", scale=common.free()),
        shape=alt.Shape(
            "direction:N", title="direction", sort=words, legend={"orient": "top", "direction": "horizontal"}
        ),
        tooltip=common.tips("channel", "direction", "tail_px", "tail_px_err", "tail_shape", "beyond_pct"),
    )
    return Figure(
        "deferred_tail",
        "Length of the tail of deferred charge",
        "Length of the exponential with the same sum. Missing where too little is deferred to measure it. Bars: one sigma.",
        alt.layer(common.bars(base), points).properties(width=common.WIDE, height=190),
        is_folded=True,
    )


def _full_well(tables: Tables) -> Figure | None:
    frame = common.given(tables, "full_well").drop_nulls("full_well_lower_adu")
    points = common.given(tables, "edge_response_points").filter(direction="parallel").drop_nulls("response")
    if frame.is_empty() or points.is_empty():
        return None
    half = points["pixel"].max()
    first = points.filter(pl.col("pixel") <= int(str(half)) // 2)
    summed = first.group_by("ccd", "quadrant", "script_column", "fluence_adu").agg(
        behind_pct=100.0 * pl.col("response").sum(), n=pl.len()
    )
    rows = summed.with_columns(fluence_kadu=pl.col("fluence_adu") / 1e3).sort("ccd", "quadrant", "fluence_kadu")
    brackets = frame.select(
        "ccd",
        "quadrant",
        "status",
        "full_well_e",
        lower_kadu=pl.col("full_well_lower_adu") / 1e3,
        upper_kadu=pl.col("full_well_upper_adu") / 1e3,
    )
    joined = rows.join(brackets, on=["ccd", "quadrant"], how="left").with_columns(zero=0.0)
    base = alt.Chart(common.compact(joined))
    x = alt.X("fluence_kadu:Q", title="fluence (kADU)", scale=common.free())
    y = alt.Y("behind_pct:Q", title="in the parallel overscan (%)", scale={"padding": 8})
    colour = _by_quadrant(rows)
    band = base.mark_rect(style="band", opacity=0.08).encode(
        alt.X("lower_kadu:Q"), alt.X2("upper_kadu:Q"), color=colour, y=alt.value(0), y2=alt.value("height")
    )
    one = band.transform_aggregate(
        lower_kadu="min(lower_kadu)", upper_kadu="min(upper_kadu)", groupby=["ccd", "quadrant"]
    )
    tips = common.tips(
        "ccd", "quadrant", "script_column", "fluence_kadu", "behind_pct", "lower_kadu", "upper_kadu", "full_well_e"
    )
    layers = alt.layer(
        one,
        base.mark_line(strokeWidth=1, opacity=0.6).encode(x, y, color=colour),
        base.mark_point(size=30).encode(x, y, color=colour, tooltip=tips),
    ).properties(width=_WIDTH, height=190)
    return Figure(
        "full_well_knee",
        "Full well from the parallel overscan",
        "Charge in the first half of the parallel overscan over the level. Where pixels are full it rises steeply: full well lies in the bands, one "
        "per channel, from the highest fluence without a rise to the first one with it.",
        layers.facet(column=alt.Column("ccd:N", title=None, sort=list(CCDS))),
    )
