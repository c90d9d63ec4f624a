"""Shared pieces of the effects' charts: channels, error bars, limits, small multiples and pictures.

Nothing here chooses a colour, a font or a line style: marks name a style (``limit``, ``model``, ``zero``, ``mark``, ``band``,
``note``) and words of `WORDS` a colour, and the theme of the report gives both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from vison_etl.instrument.geometry import side_of
from vison_etl.tables import CCDS, QUADRANTS, REGIONS, table

Tables = Mapping[str, pl.DataFrame]
Layered = alt.LayerChart | alt.FacetChart

VERDICTS = ("go", "no_go", "not_done")

WORDS = (*QUADRANTS, *REGIONS, *CCDS, *VERDICTS)
"""Every word that has a colour of its own, in the order of the theme's palette."""

WIDE = 920
"""Width of a chart that has a row of the page for itself, px."""

PANEL_WIDTH = 224
"""Width of one of four panels side by side, px: a page of 1366 px shows them without scrolling."""

SIGNIFICANT_DIGITS = 7


_TYPES: Mapping[str, pl.DataType] = {
    "text": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "timestamp": pl.Datetime("us"),
}


def empty(name: str) -> pl.DataFrame:
    """Return a table without rows, typed as the vocabulary says."""
    return pl.DataFrame(schema={column.name: _TYPES[column.kind] for column in table(name).columns})


def given(tables: Tables, name: str) -> pl.DataFrame:
    """Return a table, or an empty one where it is missing."""
    frame = tables.get(name)
    return empty(name) if frame is None else frame


def compact(frame: pl.DataFrame) -> pl.DataFrame:
    """Round floats to `SIGNIFICANT_DIGITS`, NaN and infinity becoming NULL, so that a page stays small and valid JSON."""
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    finite = (pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in floats)
    return frame.with_columns(finite).with_columns(pl.col(floats).round_sig_figs(SIGNIFICANT_DIGITS))


def channel() -> pl.Expr:
    """Return the channel name, ``1E`` ... ``3H``, of columns ``ccd`` and ``quadrant``."""
    return (pl.col("ccd").str.slice(-1) + pl.col("quadrant")).alias("channel")


def channels() -> alt.X:
    """Return the axis of the 12 channels, all of them, so that charts of different tables line up."""
    names = [f"{ccd[-1]}{quadrant}" for ccd in CCDS for quadrant in QUADRANTS]
    axis = {"labelAngle": 0, "labelOverlap": False}
    return alt.X("channel:N", title="channel (CCD, quadrant)", scale={"domain": names}, axis=axis)


def with_bar(frame: pl.DataFrame, value: str, error: str | None = None) -> pl.DataFrame:
    """Add ``bar_lo`` and ``bar_hi``, the ends of a one-sigma bar; without an error the bar has no length."""
    sigma = pl.col(error or f"{value}_err").fill_null(0.0)
    return frame.with_columns(bar_lo=pl.col(value) - sigma, bar_hi=pl.col(value) + sigma)


def colour(field: str, words: Sequence[str] = (), title: str | None = None) -> alt.Color:
    """Colour by a field of words of `WORDS`; the legend shows those of ``words``, in their order; there is none for none."""
    legend = {"title": title, "values": list(words), "orient": "top", "direction": "horizontal"} if words else None
    return alt.Color(f"{field}:N", scale={"domain": list(WORDS)}, legend=legend)


def outline(field: str) -> alt.Stroke:
    """Give the outline of a mark the colour that `colour` gives its inside, so that hollow marks show."""
    return alt.Stroke(f"{field}:N", scale={"domain": list(WORDS)}, legend=None)


def hollow_unless(test: str) -> alt.FillOpacityValue:
    """Fill a mark where a Vega expression holds and leave it hollow elsewhere."""
    return alt.FillOpacityValue(0, condition={"test": test, "value": 1})


def free() -> dict[str, Any]:
    """Return a scale that follows the data, with room for their bars."""
    return {"zero": False, "padding": 8}


def tight() -> dict[str, Any]:
    """Return a scale that ends at the data."""
    return {"zero": False, "nice": False, "padding": 8}


def along(frame: pl.DataFrame) -> alt.X:
    """Return the axis of a trend: the start of the exposures, or their numbers where a start is missing."""
    times = frame["started_at"]
    if times.is_empty() or times.null_count():
        return alt.X("obsid:Q", title="obsid", scale=tight(), axis={"format": "d", "tickCount": 4})
    hours = (times.max() - times.min()).total_seconds() / 3600  # type: ignore[operator,union-attr]
    axis = {"format": "%H:%M" if hours < 24 else "%d %b %H:%M", "tickCount": 4}
    return alt.X("started_at:T", title="time", axis=axis)


def present(frame: pl.DataFrame, column: str, order: Sequence[str]) -> list[str]:
    """Return the words of ``order`` that occur in a column."""
    found = set(frame[column].to_list()) if column in frame.columns else set()
    return [word for word in order if word in found]


def bars(base: alt.Chart) -> alt.Chart:
    """Draw the one-sigma bars of `with_bar`."""
    drawn: alt.Chart = base.mark_rule().encode(alt.Y("bar_lo:Q"), alt.Y2("bar_hi:Q"))
    return drawn


def limit_lines(limits: Sequence[tuple[float, str]]) -> list[alt.Chart]:
    """Draw limits with their names: rules across the chart, one chart per layer; nothing for no limits."""
    if not limits:
        return []
    frame = pl.DataFrame({"limit": [value for value, _ in limits], "name": [name for _, name in limits]})
    base = alt.Chart(compact(frame))
    rule = base.mark_rule(style="limit").encode(alt.Y("limit:Q"), tooltip=tips("name:N", "limit:Q"))
    label = base.mark_text(style="limit-label", align="right", baseline="bottom", dx=-3, dy=-2)
    return [rule, label.encode(alt.Y("limit:Q"), x=alt.value("width"), text="name:N")]


def zero_line(base: alt.Chart, facet: str) -> alt.Chart:
    """Draw one rule at zero in each panel of a chart that is spread over ``facet``."""
    one = base.transform_aggregate(rows="count()", groupby=[facet])
    drawn: alt.Chart = one.mark_rule(style="zero").encode(y=alt.datum(0.0))
    return drawn


def tips(*fields: str) -> list[alt.Tooltip]:
    """Return what is shown when the pointer rests on a mark, in the order given."""
    return [alt.Tooltip(field) for field in fields]


def limits_of(tables: Tables, metric: str) -> list[tuple[float, str]]:
    """Return the limits that a metric was checked against in this run, with their labels, if one pair held for all channels.

    A metric that was not checked has those of ``requirements``, if any.
    """
    checks = given(tables, "compliance").select("metric", "lo", "hi")
    pairs = checks.filter(pl.col("metric") == metric).unique()
    word = "limit"
    if pairs.is_empty() and "requirements" in tables:
        pairs, word = tables["requirements"].filter(pl.col("metric") == metric), "requirement"
    if pairs.height != 1:
        return []
    return [(value, f"{word} {value:g}") for value in pairs.select("lo", "hi").row(0) if value is not None]


def picture(row: Mapping[str, object], unit: str = "ADU", side: int = 300) -> Layered:
    """Show one row of ``previews`` over the pixel axes of the CCD frame, with its quadrants named and a grey scale.

    Parameters
    ----------
    row
        ``ccd, width_px, height_px, lo_adu, hi_adu, png_base64``; the PNG's first line is the top of the CCD frame.
    unit
        Unit of the grey scale.
    side
        Width of the picture on the page, px; the height follows the frame's shape.
    """
    width, height = int(str(row["width_px"])), int(str(row["height_px"]))
    shown = round(side * height / width)
    image = pl.DataFrame(
        {"x": [width / 2], "y": [height / 2], "png": [f"data:image/png;base64,{row['png_base64']}"]}, strict=True
    )
    x = alt.X("x:Q", title="CCD column (px)", scale={"domain": [0, width], "nice": False}, axis={"grid": False})
    y = alt.Y("y:Q", title="CCD row (px)", scale={"domain": [0, height], "nice": False}, axis={"grid": False})
    drawn = alt.Chart(image).mark_image(width=side, height=shown, aspect=False).encode(x, y, url="png:N")
    letters = alt.Chart(_letters(width, height)).mark_text(style="quadrant-letter").encode(x, y, text="quadrant:N")
    scale = pl.DataFrame({"x": [0.0, 0.0], "y": [0.0, 0.0], "level": [row["lo_adu"], row["hi_adu"]]}, strict=False)
    key = {"title": unit, "format": ".5~g", "tickCount": 5, "gradientOpacity": 1}
    grey = alt.Color("level:Q", title=unit, scale={"range": ["black", "white"], "nice": False}, legend=key)
    bar = alt.Chart(scale).mark_point(opacity=0).encode(x, y, grey)
    return alt.layer(drawn, letters, bar).properties(width=side, height=shown, title=str(row["ccd"]))


def _letters(width: int, height: int) -> pl.DataFrame:
    sides = [side_of(quadrant) for quadrant in QUADRANTS]
    return pl.DataFrame(
        {
            "quadrant": QUADRANTS,
            "x": [width * (0.93 if right else 0.07) for right, _ in sides],
            "y": [height * (0.93 if upper else 0.07) for _, upper in sides],
        }
    )


def reference_line(value: float, name: str) -> alt.Chart:
    """Draw a value that is no limit across the y axis."""
    base = alt.Chart(compact(pl.DataFrame({"value": [value], "name": [name]})))
    drawn: alt.Chart = base.mark_rule(style="mark").encode(alt.Y("value:Q"), tooltip=tips("name:N", "value:Q"))
    return drawn
