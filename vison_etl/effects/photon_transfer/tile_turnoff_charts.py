"""The map of the turn-off over each CCD."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.instrument.geometry import side_of
from vison_etl.tables import CCDS

_SIDE = 98
_LEGEND = {"orient": "bottom", "direction": "horizontal", "gradientLength": 300}
_ROWS = (("E", "F"), ("H", "G"))
"""Quadrants as they lie in the CCD frame, the upper ones first."""


def figure(tables: Tables) -> Figure | None:
    """Draw the turn-off of every tile where it lies on its CCD; None without any."""
    frame = common.given(tables, "turnoff_tiles").filter(pl.col("status").is_in(["ok", "bound"]))
    rows = frame.with_columns(shown_adu=pl.coalesce("turnoff_adu", "turnoff_lower_adu")).drop_nulls("shown_adu")
    if rows.is_empty():
        return None
    rows = rows.select(
        "ccd",
        "quadrant",
        "tile",
        "x",
        "y",
        "shown_adu",
        "turnoff_lower_adu",
        "turnoff_upper_adu",
        "n_points",
        x_end=pl.col("x") + pl.col("width_px"),
        y_end=pl.col("y") + pl.col("height_px"),
        found=pl.when(pl.col("status") == "ok").then(pl.lit("found")).otherwise(pl.lit("not reached")),
        x_middle=pl.col("x") + pl.col("width_px") / 2,
        y_middle=pl.col("y") + pl.col("height_px") / 2,
    )
    domain = list(rows.select(lo=pl.col("shown_adu").quantile(0.02), hi=pl.col("shown_adu").quantile(0.98)).row(0))
    ends = rows.select(pl.col("x").min(), pl.col("x_end").max(), pl.col("y").min(), pl.col("y_end").max()).row(0)
    ccds = [
        alt.vconcat(
            *(
                alt.hconcat(*(_panel(rows, ccd, quadrant, domain, ends) for quadrant in line), spacing=4)
                for line in _ROWS
            ),
            spacing=4,
        ).properties(title=ccd)
        for ccd in common.present(rows, "ccd", CCDS)
    ]
    return Figure(
        "turnoff_map",
        "Map of the turn-off",
        "Signal at which the variance of each tile begins to fall off the curve of its channel, quadrants as they lie in the CCD "
        "frame, axes in canonical pixels from each node. A dot marks tiles whose turn-off was not reached: their colour is the lower "
        "limit. One colour scale for all, clipped at 2 and 98 %. The bracket of a tile is shown when the pointer rests on it.",
        alt.hconcat(*ccds, spacing=14),
    )


def _panel(
    rows: pl.DataFrame, ccd: str, quadrant: str, domain: list[float], ends: tuple[int, int, int, int]
) -> common.Layered:
    right, upper = side_of(quadrant)
    mine = rows.filter((pl.col("ccd") == ccd) & (pl.col("quadrant") == quadrant))
    x_ends, y_ends = [ends[0], ends[1]], [ends[2], ends[3]]
    x_axis = {"tickCount": 3, "orient": "top" if upper else "bottom"}
    y_axis = {"tickCount": 3, "orient": "right" if right else "left", "labels": not right, "ticks": not right}
    x_scale = {"domain": x_ends[::-1] if right else x_ends, "nice": False}
    y_scale = {"domain": y_ends[::-1] if upper else y_ends, "nice": False}
    base = alt.Chart(common.compact(mine))
    tips = common.tips(
        "ccd", "quadrant", "tile", "found", "shown_adu", "turnoff_lower_adu", "turnoff_upper_adu", "n_points"
    )
    rects = base.mark_rect().encode(
        alt.X("x:Q", title=f"{quadrant} column (px)", scale=x_scale, axis=x_axis),
        alt.X2("x_end:Q"),
        alt.Y("y:Q", title=None if right else "row (px)", scale=y_scale, axis=y_axis),
        alt.Y2("y_end:Q"),
        color=alt.Color("shown_adu:Q", title="turn-off (ADU)", scale={"domain": domain, "clamp": True}, legend=_LEGEND),
        tooltip=tips,
    )
    dots = (
        base.transform_filter("datum.found == 'not reached'")
        .mark_point(size=9, filled=True, color="white")
        .encode(alt.X("x_middle:Q"), alt.Y("y_middle:Q"))
    )
    return alt.layer(rects, dots).properties(width=_SIDE, height=_SIDE)
