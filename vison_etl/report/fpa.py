"""The focal plane as a map: 36 CCDs with their quadrants where they sit, coloured by a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.instrument.fpa import COLUMNS, SLICES, Design, FpaCell, fpa_map
from vison_etl.instrument.geometry import side_of
from vison_etl.tables import CCDS, QUADRANTS

CELL_WIDTH, CELL_HEIGHT = 106, 88
"""Size of one CCD on the page, px."""

GAP = 0.03
LABEL = 0.17
"""Height of the strip with the name above each CCD, in cells."""

STRIP_GAP = 0.45
"""Distance of blocks that do not fly below slice 1, in cells."""


class Box(NamedTuple):
    """A rectangle of the map, in cells: slice 1, column 1 has its lower left corner at (0, 0)."""

    x: float
    x2: float
    y: float
    y2: float


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a map shows: key of the figure, name, unit as printed, format of the numbers in the cells (d3)."""

    key: str
    title: str
    unit: str
    format: str


def quadrant_sides(cell: FpaCell, quadrant: str) -> tuple[int, int]:
    """Return (right, upper) of a quadrant within its cell of the focal plane, each 0 or 1."""
    right, upper = side_of(quadrant)
    return right ^ int(cell.flip_columns), upper ^ int(cell.flip_rows)


def quadrant_box(cell: FpaCell, quadrant: str) -> Box:
    """Return the place of a quadrant on the map."""
    return _box(cell.column - 1, cell.slice - 1, *quadrant_sides(cell, quadrant))


def _box(x0: float, y0: float, right: int, upper: int) -> Box:
    width, height = (1 - 2 * GAP) / 2, (1 - LABEL - GAP) / 2
    x, y = x0 + GAP + right * width, y0 + GAP + upper * height
    return Box(x, x + width, y, y + height)


def placements(design: Design, blocks: Sequence[str]) -> pl.DataFrame:
    """Return one row per quadrant of the focal plane, and of the given blocks that are not in it.

    Returns
    -------
    polars.DataFrame
        ``block, ccd, quadrant, serial, place`` (CCDID, or a remark), ``x, x2, y, y2`` in cells, ``label_x, label_y`` of the
        CCD's name. Blocks outside the design lie below slice 1 in the CCD frame, unflipped.
    """
    rows: list[tuple[str | float | None, ...]] = []
    for cell in fpa_map(design):
        for quadrant in QUADRANTS:
            names = (cell.block, cell.ccd, quadrant, cell.ccd_serial, cell.ccdid)
            rows.append((*names, *quadrant_box(cell, quadrant), *_label(cell.column - 1, cell.slice - 1)))
    flying = {cell.block for cell in fpa_map(design)}
    for index, block in enumerate(block for block in blocks if block not in flying):
        x0, y0 = 3 * (index % 2), -1 - STRIP_GAP - index // 2
        for number, ccd in enumerate(CCDS):
            for quadrant in QUADRANTS:
                spare = (block, ccd, quadrant, None, "not in the focal plane")
                rows.append((*spare, *_box(x0 + number, y0, *side_of(quadrant)), *_label(x0 + number, y0)))
    words = ("block", "ccd", "quadrant", "serial", "place")
    lengths = ("x", "x2", "y", "y2", "label_x", "label_y")
    return pl.DataFrame(rows, schema=dict.fromkeys(words, pl.String) | dict.fromkeys(lengths, pl.Float64), orient="row")


def _label(x0: float, y0: float) -> tuple[float, float]:
    return x0 + 0.5, y0 + 1 - LABEL / 2


def fpa_chart(values: pl.DataFrame, quantity: Quantity, design: Design) -> alt.TopLevelMixin:
    """Draw a value over the focal plane.

    Parameters
    ----------
    values
        ``block, ccd, quadrant`` (unique), ``value``, ``value_err``, ``test``, ``lo``, ``hi``. A value outside (lo, hi) has a red
        frame; a quadrant without one stays grey.
    quantity
        What it is.
    design
        Design of the focal plane.
    """
    blocks = values["block"].unique().sort().to_list()
    frame = placements(design, blocks).join(values, on=["block", "ccd", "quadrant"], how="left")
    lo, hi = _domain(values["value"])
    shade = (pl.col("value") - lo) / (hi - lo)
    frame = common.compact(
        frame.with_columns(
            is_out=(pl.col("value") < pl.col("lo")).fill_null(value=False)
            | (pl.col("value") > pl.col("hi")).fill_null(value=False),
            is_dark=(shade < 0.6).fill_null(value=False),
            mid_x=(pl.col("x") + pl.col("x2")) / 2,
            mid_y=(pl.col("y") + pl.col("y2")) / 2,
        )
    )
    lowest = float(str(frame["y"].min()))
    bottom = min(0.0, float(int(lowest * 100 - 3) / 100))
    x = alt.X("x:Q", title="column", scale=_scale(0, COLUMNS), axis=_axis(COLUMNS))
    y = alt.Y("y:Q", title="slice", scale=_scale(bottom, SLICES), axis=_axis(SLICES))
    layers = _layers(frame, quantity, (lo, hi), x, y)
    return alt.layer(*layers).properties(width=COLUMNS * CELL_WIDTH, height=round((SLICES - bottom) * CELL_HEIGHT))


def _layers(
    frame: pl.DataFrame, quantity: Quantity, domain: tuple[float, float], x: alt.X, y: alt.Y
) -> list[alt.Chart]:
    base = alt.Chart(frame)
    corner = (x, alt.X2("x2:Q"), y, alt.Y2("y2:Q"))
    centre = (alt.X("mid_x:Q"), alt.Y("mid_y:Q"))
    heading = f"{quantity.title} ({quantity.unit})" if quantity.unit else quantity.title
    legend = {"title": heading, "format": quantity.format, "gradientLength": 240, "titleLimit": 240, "orient": "right"}
    fill = alt.Color("value:Q", scale={"scheme": "viridis", "domain": list(domain), "clamp": True}, legend=legend)
    tooltip = [
        alt.Tooltip("block:N"),
        alt.Tooltip("ccd:N", title="CCD"),
        alt.Tooltip("quadrant:N"),
        alt.Tooltip("place:N"),
        alt.Tooltip("serial:N"),
        alt.Tooltip("value:Q", title=heading, format=".6~g"),
        alt.Tooltip("value_err:Q", title="error", format=".2~g"),
        alt.Tooltip("test:N"),
        alt.Tooltip("lo:Q", title="lower limit"),
        alt.Tooltip("hi:Q", title="upper limit"),
    ]
    ink = alt.when("datum.is_dark").then(alt.value("white")).otherwise(alt.value("#1f2328"))
    names = frame.unique(["block", "ccd", "label_x", "label_y"], keep="first", maintain_order=True).with_columns(
        name=pl.col("block") + pl.lit(" ") + pl.col("ccd").str.slice(-1)
    )
    return [
        base.mark_rect(style="empty").encode(*corner, tooltip=tooltip[:5]),
        base.transform_filter("isValid(datum.value)").mark_rect(stroke="white").encode(*corner, fill, tooltip=tooltip),
        base.transform_filter("datum.is_out").mark_rect(style="fail").encode(*corner),
        base.transform_filter("isValid(datum.value)")
        .mark_text(fontSize=11, dy=5)
        .encode(*centre, text=alt.Text("value:Q", format=quantity.format), color=ink),
        base.mark_text(fontSize=9, dy=-9).encode(*centre, text="quadrant:N", color=ink, opacity=alt.value(0.85)),
        alt.Chart(names)
        .mark_text(style="note", fontSize=10.5)
        .encode(alt.X("label_x:Q"), alt.Y("label_y:Q"), text="name:N"),
    ]


def _scale(lo: float, hi: float) -> dict[str, Any]:
    return {"domain": [lo, hi], "nice": False, "zero": False}


def _axis(n: int) -> dict[str, Any]:
    middles = [index + 0.5 for index in range(n)]
    return {
        "values": middles,
        "labelExpr": "format(datum.value + 0.5, 'd')",
        "grid": False,
        "ticks": False,
        "domain": False,
        "tickCount": 2 * n,
    }


def _domain(values: pl.Series) -> tuple[float, float]:
    """Return the range of colours: the central 96 % of the values, at least a little wide."""
    found = values.drop_nulls()
    if found.is_empty():
        return 0.0, 1.0
    lo, hi = found.quantile(0.02), found.quantile(0.98)
    if lo is None or hi is None or hi <= lo:
        middle = float(str(found.median()))
        reach = max(abs(middle) * 0.01, 1e-12)
        return middle - reach, middle + reach
    return lo, hi
