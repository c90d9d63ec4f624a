"""Profiles of a master or a frame: whole, and their ends at full resolution."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import CCDS, QUADRANTS

AXES = {"serial": "canonical column (px)", "parallel": "canonical row (px)"}
FIRST_PX = 80
LAST_PX = 40
BINS = 380
"""Bins of a whole profile: 12 channels stay below 5000 rows."""

CHANNEL = ("ccd", "quadrant")


def figures(tables: Tables) -> Iterator[Figure]:
    """Yield for each kind of profile and each direction the whole profile, and its two ends."""
    frame = common.given(tables, "profiles").drop_nulls("value_adu")
    for (kind, direction), rows in frame.sort("kind", "direction", descending=[False, True]).group_by(
        "kind", "direction", maintain_order=True
    ):
        level = pl.col("value_adu").median().over(*CHANNEL)
        relative = rows.with_columns(value_adu=pl.col("value_adu") - level).select(
            *CHANNEL, "position", "value_adu", "value_adu_err"
        )
        name = str(kind).replace("_", " ")
        yield _whole(relative, name, str(direction), f"profile_{kind}_{direction}")
        yield _ends(relative, name, str(direction), f"profile_{kind}_{direction}_ends")


def _whole(frame: pl.DataFrame, name: str, direction: str, key: str) -> Figure:
    lo, hi = int(str(frame["position"].min())), int(str(frame["position"].max()))
    step = -(-(hi - lo + 1) // BINS)
    centre = (pl.col("position") - lo) // step * step + lo + (step - 1) / 2
    rows = frame.group_by(*CHANNEL, centre.alias("position"), maintain_order=True).agg(pl.col("value_adu").mean())
    quadrants = common.present(rows, "quadrant", QUADRANTS)
    line = (
        alt.Chart(common.compact(rows.sort(*CHANNEL, "position")))
        .mark_line(strokeWidth=1.1, clip=True)
        .encode(
            alt.X("position:Q", title=AXES[direction], scale={"domain": [lo, hi], "nice": False}),
            alt.Y("value_adu:Q", title="level (ADU)", scale={"domain": _central(rows["value_adu"])}),
            color=common.colour("quadrant", quadrants, "quadrant"),
        )
    )
    chart = line.properties(width=950, height=120).facet(row=alt.Row("ccd:N", title=None, sort=list(CCDS)))
    binned = f"Averaged over {step} px. " if step > 1 else ""
    return Figure(
        key,
        f"{direction.capitalize()} profile of the {name}",
        f"Mean over the other axis, less the median of its channel. {binned}The scale follows the bulk of the profile; "
        "what leaves it is cut, and stands in the figure of the ends where it lies there.",
        chart,
    )


def _ends(frame: pl.DataFrame, name: str, direction: str, key: str) -> Figure:
    last = int(str(frame["position"].max())) + 1
    rows = (
        frame.with_columns(
            end=pl.when(pl.col("position") < FIRST_PX)
            .then(pl.lit("first pixels"))
            .when(pl.col("position") >= last - LAST_PX)
            .then(pl.lit("last pixels"))
        )
        .drop_nulls("end")
        .sort(*CHANNEL, "position")
    )
    quadrants = common.present(rows, "quadrant", QUADRANTS)
    line = (
        alt.Chart(common.compact(rows))
        .mark_line(strokeWidth=1.2, interpolate="step")
        .encode(
            alt.X("position:Q", title=AXES[direction], scale={"zero": False, "nice": False}),
            alt.Y("value_adu:Q", title="level (ADU)"),
            color=common.colour("quadrant", quadrants, "quadrant"),
            tooltip=common.tips("ccd", "quadrant", "position", "value_adu", "value_adu_err"),
        )
    )
    chart = (
        line.properties(width=440, height=120)
        .facet(row=alt.Row("ccd:N", title=None, sort=list(CCDS)), column=alt.Column("end:N", title=None))
        .resolve_scale(x="independent", y="independent")
    )
    return Figure(
        key,
        f"{direction.capitalize()} profile of the {name}: both ends",
        f"The first {FIRST_PX} and the last {LAST_PX} pixels one by one, less the median of their channel; every panel has its own scale.",
        chart,
        is_folded=direction == "parallel",
    )


def _central(values: pl.Series) -> list[float]:
    """Return the range of the central 90 % of the values, widened by its own width on either side."""
    lo, hi = values.quantile(0.05), values.quantile(0.95)
    if lo is None or hi is None:
        return [-1.0, 1.0]
    margin = max(hi - lo, 0.01)
    return [lo - margin, hi + margin]
