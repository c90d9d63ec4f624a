"""How people look at a functional check: go or no-go for every function and channel, the ramp, its curve, the bits."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Tables
from vison_etl.effects.figure import Figure
from vison_etl.effects.functional.rules import checks
from vison_etl.tables import CCDS, QUADRANTS

TITLE = "Functional check"
TABLES = ("functional_checks", "warm_ramp_curve", "bit_statistics")
_ROW_PX = 17


def charts(tables: Tables) -> list[Figure]:
    """Draw what the tables of one acquisition hold; a table that is missing or empty leaves its figures out."""
    figures = [_verdicts(tables), _ramp(tables), _bits(tables)]
    return [figure for figure in figures if figure is not None]


def _verdicts(tables: Tables) -> Figure | None:
    frame = common.given(tables, "functional_checks")
    if frame.is_empty():
        return None
    rows = frame.select(
        common.channel(), "check_name", "value", "value_err", "unit", "lo", "hi", "verdict", "reason", "obsid"
    )
    order = [name for name in (check.name for check in checks()) if name in set(rows["check_name"])]
    words = common.present(rows, "verdict", common.VERDICTS)
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        alt.Y(
            "check_name:N",
            title="function (see the table for values)",
            sort=order,
            axis={"labelLimit": 280, "minExtent": 235},
        ),
    )
    marks = base.mark_square(size=170, filled=True, opacity=0.85).encode(
        color=common.colour("verdict", words, "verdict"),
        tooltip=common.tips(
            "channel", "check_name", "value", "value_err", "unit", "lo", "hi", "verdict", "reason", "obsid"
        ),
    )
    return Figure(
        "functional_checks",
        "Go or no-go",
        "Every function of every channel: value inside its limits (go), outside (no_go), or not done, for the reason that its row gives.",
        marks.properties(width=common.WIDE - 240, height=_ROW_PX * len(order)),
    )


def _ramp(tables: Tables) -> Figure | None:
    frame = common.given(tables, "warm_ramp_curve").drop_nulls(["level_adu", "nl_pct"])
    if frame.is_empty():
        return None
    rows = common.with_bar(frame.sort("ccd", "quadrant", "point"), "nl_pct")
    limit = max(0.5, float(f"{2 * float(rows['nl_pct'].abs().quantile(0.9) or 0.0):.1g}"))
    rows = rows.with_columns(
        pl.col("bar_lo", "bar_hi").clip(-limit, limit), shown_pct=pl.col("nl_pct").clip(-limit, limit)
    )
    data = common.compact(rows)
    quadrants = common.present(data, "quadrant", QUADRANTS)
    base = alt.Chart(data).encode(color=common.colour("quadrant", quadrants, "quadrant"))
    tips = common.tips("ccd", "quadrant", "y", "level_adu", "level_adu_err", "nl_pct", "nl_pct_err")
    level = base.mark_line(point={"size": 12}).encode(
        alt.X("y:Q", title="canonical row (px)", scale=common.tight()),
        alt.Y("level_adu:Q", title="dark signal (ADU)", axis={"format": "~s"}),
        tooltip=tips,
    )
    x = alt.X("level_adu:Q", title="dark signal (ADU)", axis={"format": "~s", "tickCount": 4})
    points = base.mark_point(size=18).encode(
        x, alt.Y("shown_pct:Q", title="less line (%)", scale={"domain": [-limit, limit]}), tooltip=tips
    )
    bent = alt.layer(common.zero_line(alt.Chart(data), "ccd"), common.bars(base).encode(x), points)
    column = alt.Column("ccd:N", title=None, sort=list(CCDS))
    return Figure(
        "warm_ramp",
        "Ramp of dark current",
        "Above: mean level of the rows of the ramp, offset taken off. Below: its departure from the line through its part of low level, per "
        "cent of the line. That is the response of the chain only where nothing else bends the ramp: structured stray light does, and "
        f"chi-square of the ramp says so. Bars: one sigma. Points beyond {limit:g} % stand at the edge.",
        alt.vconcat(
            level.properties(width=260, height=170).facet(column=column, spacing=16),
            bent.properties(width=260, height=120).facet(column=column, spacing=16),
        ),
    )


def _bits(tables: Tables) -> Figure | None:
    frame = common.given(tables, "bit_statistics").drop_nulls("frequency")
    if frame.is_empty() or "state" not in frame.columns or frame["state"].null_count() == frame.height:
        return None
    rows = common.with_bar(frame, "frequency").with_columns(is_tested=pl.col("state") != "not_tested")
    data = common.compact(rows)
    quadrants = common.present(data, "quadrant", QUADRANTS)
    x = alt.X("bit:O", title="bit (0: least significant)", axis={"labelAngle": 0})
    offset = alt.XOffset("quadrant:N", sort=list(QUADRANTS))
    base = alt.Chart(data).encode(color=common.colour("quadrant", quadrants, "quadrant"), xOffset=offset)
    points = base.mark_point(size=26).encode(
        x,
        alt.Y("frequency:Q", title="part of pixels with the bit set (1)", scale={"domain": [0, 1]}),
        fillOpacity=common.hollow_unless("datum.is_tested"),
        stroke=common.outline("quadrant"),
        tooltip=common.tips("ccd", "quadrant", "bit", "frequency", "frequency_err", "z_score", "state", "partner_bit"),
    )
    return Figure(
        "bit_statistics",
        "Bits of the ADC",
        "Part of the pixels of the ramp in which each bit is set. Filled: the codes span enough of them for one half, to which they are "
        "compared. Bars: one sigma.",
        alt.layer(common.bars(base).encode(x), points)
        .properties(width=290, height=170)
        .facet(column=alt.Column("ccd:N", title=None, sort=list(CCDS))),
    )
