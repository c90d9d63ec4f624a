"""How people look at defects: where they are, how bad they are, how many there are."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Defects"
TABLES = ("defects", "defect_counts")
MAX_ROWS = 4500
_CHANNEL = ("ccd", "quadrant")


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [_lost(tables), _counts(tables), _map(tables), _strength(tables)]
    return [figure for figure in figures if figure is not None]


def _strongest(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Return at most `MAX_ROWS` defects, the most significant, and the words that say so."""
    if frame.height <= MAX_ROWS:
        return frame, ""
    kept = frame.sort(pl.col("significance").abs(), descending=True, nulls_last=True).head(MAX_ROWS)
    return kept, f" The {MAX_ROWS} most significant of {frame.height}."


def _map(tables: Tables) -> Figure | None:
    frame, said = _strongest(common.given(tables, "defects"))
    if frame.is_empty():
        return None
    rows = frame.with_columns(y_end=pl.col("y") + pl.col("height_px")).select(
        *_CHANNEL, "kind", "frames", "x", "y", "y_end", "value", "significance", "n_px", "is_masked"
    )
    base = alt.Chart(common.compact(rows)).encode(
        alt.X("x:Q", title="canonical column (px)", scale=common.tight(), axis={"tickCount": 3}),
        alt.Color("kind:N", title="class", legend={"orient": "top"}),
        tooltip=common.tips(
            "ccd", "quadrant", "kind", "frames", "x", "y", "value", "significance", "n_px", "is_masked"
        ),
    )
    y = alt.Y("y:Q", title="canonical row (px)", scale=common.tight(), axis={"tickCount": 3})
    columns = base.mark_rule(strokeWidth=1.2).encode(y, alt.Y2("y_end:Q"))
    points = base.mark_point(size=14).encode(y, fillOpacity=common.hollow_unless("datum.is_masked"))
    panel = (columns + points).properties(width=190, height=190)
    chart = panel.facet(
        row=alt.Row("ccd:N", title=None, sort=list(CCDS)),
        column=alt.Column("quadrant:N", title=None, sort=list(QUADRANTS)),
    )
    return Figure(
        "defect_map",
        "Map of the defects",
        "Every defect at its first pixel, output node at the lower left of each panel; columns from their first bad row on. "
        f"Filled: in the mask of bad pixels.{said}",
        chart,
    )


def _counts(tables: Tables) -> Figure | None:
    frame = common.given(tables, "defect_counts").drop_nulls("n_defects")
    if frame.is_empty():
        return None
    rows = frame.select(common.channel(), *_CHANNEL, "kind", "n_defects", "n_pixels", "n_columns", "lost_pct")
    chart = (
        alt.Chart(common.compact(rows))
        .mark_point(size=40)
        .encode(
            common.channels(),
            alt.Y("n_defects:Q", title="number (defects)", scale={"type": "symlog"}),
            color=alt.Color("kind:N", title="class", legend={"orient": "top"}),
            xOffset="kind:N",
            tooltip=common.tips("channel", "kind", "n_defects", "n_pixels", "n_columns", "lost_pct"),
        )
        .properties(width=common.WIDE, height=220)
    )
    return Figure(
        "defect_counts",
        "Defects per class",
        "Number of defects of each class and channel; pixels that touch are one defect.",
        chart,
    )


def _lost(tables: Tables) -> Figure | None:
    words = {"merged": "mask", "reference_merged": "fixed thresholds"}
    frame = common.given(tables, "defect_counts").filter(pl.col("kind").is_in(list(words))).drop_nulls("lost_pct")
    if frame.is_empty():
        return None
    rows = frame.select(common.channel(), pl.col("kind").replace(words), "n_pixels", "n_columns", "lost_pct")
    chart = (
        alt.Chart(common.compact(rows))
        .mark_point(size=45)
        .encode(
            common.channels(),
            alt.Y("lost_pct:Q", title="lost pixels (%)", scale={"type": "symlog", "constant": 0.01}),
            xOffset=alt.XOffset("kind:N", sort=list(words.values())),
            shape=alt.Shape("kind:N", title="by", sort=list(words.values()), legend={"orient": "top"}),
            tooltip=common.tips("channel", "kind", "n_pixels", "n_columns", "lost_pct"),
        )
        .properties(width=common.WIDE, height=220)
    )
    return Figure(
        "defect_lost",
        "Lost pixels per channel",
        "Part of the image area in the mask of bad pixels, and what the fixed thresholds of earlier campaigns would mask.",
        chart,
    )


def _strength(tables: Tables) -> Figure | None:
    frame, said = _strongest(common.given(tables, "defects").drop_nulls(["value", "frames"]))
    if frame.is_empty():
        return None
    rows = frame.select(*_CHANNEL, "kind", "frames", "value", "significance", "x", "y").with_columns(
        strength=pl.col("significance").abs()
    )
    panels = []
    units = {"dark": "deviation (ADU)", "flat": "deviation (fraction of the light)"}
    for frames in common.present(rows, "frames", ("dark", "flat")):
        mine = alt.Chart(common.compact(rows.filter(pl.col("frames") == frames)))
        panels.append(
            mine.mark_point(size=14)
            .encode(
                alt.X(
                    "value:Q",
                    title=units[frames],
                    scale={"type": "symlog", "constant": 1 if frames == "dark" else 0.01},
                ),
                alt.Y("strength:Q", title="significance (sigma)", scale={"type": "log"}),
                color=alt.Color("kind:N", title="class", legend={"orient": "top"}),
                tooltip=common.tips("ccd", "quadrant", "kind", "x", "y", "value", "significance"),
            )
            .properties(width=400, height=220)
        )
    return Figure(
        "defect_strength",
        "How bad the defects are",
        f"Extreme deviation of each defect against its significance.{said}",
        alt.hconcat(*panels),
        is_folded=True,
    )
