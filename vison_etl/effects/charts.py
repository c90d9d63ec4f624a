"""Shared pieces of the effects' charts: channels, error bars, limits, small multiples and pictures.

Nothing here chooses a colour, a font or a line style: marks name a style (``limit``, ``model``, ``zero``, ``mark``, ``band``,
``note``) and words of `WORDS` a colour, and the theme of the report gives both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from vison_etl.instrument.geometry import side_of
from vison_etl.tables import CCDS, QUADRANTS, REGIONS, table

Tables = Mapping[str, pl.DataFrame]

WORDS = (*QUADRANTS, *REGIONS, *CCDS)
"""Every word that has a colour of its own, in the order of the theme's palette."""

PANEL_WIDTH = 236
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


def with_bar(frame: pl.DataFrame, value: str, error: str | None = None) -> pl.DataFrame:
    """Add ``bar_lo`` and ``bar_hi``, the ends of a one-sigma bar; without an error the bar has no length."""
    sigma = pl.col(error or f"{value}_err").fill_null(0.0)
    return frame.with_columns(bar_lo=pl.col(value) - sigma, bar_hi=pl.col(value) + sigma)


def colour(field: str, words: Sequence[str] = (), title: str | None = None) -> alt.Color:
    """Colour by a field of words of `WORDS`; the legend shows those of ``words``, in their order; there is none for none."""
    legend = alt.Legend(title=title, values=list(words), orient="top", direction="horizontal") if words else None
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(WORDS)), legend=legend)


def outline(field: str) -> alt.Stroke:
    """Give the outline of a mark the colour that `colour` gives its inside, so that hollow marks show."""
    return alt.Stroke(f"{field}:N", scale=alt.Scale(domain=list(WORDS)), legend=None)


def hollow_unless(test: str) -> alt.FillOpacityValue:
    """Fill a mark where a Vega expression holds and leave it hollow elsewhere."""
    return alt.FillOpacityValue(0, condition={"test": test, "value": 1})


def free() -> alt.Scale:
    """Return a scale that follows the data, with room for their bars."""
    return alt.Scale(zero=False, padding=8)


def tight() -> alt.Scale:
    """Return a scale that ends at the data."""
    return alt.Scale(zero=False, nice=False, padding=8)


def along(frame: pl.DataFrame) -> alt.X:
    """Return the axis of a trend: the start of the exposures, or their numbers where a start is missing."""
    times = frame["started_at"]
    if times.is_empty() or times.null_count():
        return alt.X("obsid:Q", title="obsid", scale=tight(), axis=alt.Axis(format="d", tickCount=4))
    hours = (times.max() - times.min()).total_seconds() / 3600  # type: ignore[operator,union-attr]
    axis = alt.Axis(format="%H:%M" if hours < 24 else "%d %b %H:%M", tickCount=4)
    return alt.X("started_at:T", title="time", axis=axis)


def present(frame: pl.DataFrame, column: str, order: Sequence[str]) -> list[str]:
    """Return the words of ``order`` that occur in a column."""
    found = set(frame[column].to_list()) if column in frame.columns else set()
    return [word for word in order if word in found]


def bars(base: alt.Chart, axis: str = "y") -> alt.Chart:
    """Draw the one-sigma bars of `with_bar` along ``axis``."""
    lo, hi = {"y": (alt.Y("bar_lo:Q"), alt.Y2("bar_hi:Q")), "x": (alt.X("bar_lo:Q"), alt.X2("bar_hi:Q"))}[axis]
    return base.mark_rule().encode(lo, hi)


def limit_lines(limits: Sequence[tuple[float, str]], axis: str = "y") -> list[alt.Chart]:
    """Draw limits with their names: rules across the chart, one chart per layer; nothing for no limits."""
    if not limits:
        return []
    frame = pl.DataFrame({"limit": [value for value, _ in limits], "name": [name for _, name in limits]})
    base = alt.Chart(compact(frame))
    if axis == "y":
        rule = base.mark_rule(style="limit").encode(y="limit:Q", tooltip=["name:N", "limit:Q"])
        label = base.mark_text(style="limit-label", align="right", baseline="bottom", dy=-2).encode(
            y="limit:Q", x=alt.value("width"), text="name:N"
        )
        return [rule, label]
    return [base.mark_rule(style="limit").encode(x="limit:Q", tooltip=["name:N", "limit:Q"])]


def limits_of(tables: Tables, metric: str, region: str | None = None) -> list[tuple[float, str]]:
    """Return the limits a metric was checked against in this run, with their labels, if one pair held for all channels."""
    checks = given(tables, "compliance").filter(pl.col("metric") == metric)
    pairs = checks.select("lo", "hi").unique(maintain_order=True)
    if pairs.height != 1:
        return []
    lo, hi = pairs.row(0)
    suffix = f" ({region})" if region else ""
    return [(value, f"{word} {value:g}{suffix}") for word, value in (("limit", lo), ("limit", hi)) if value is not None]


def joined(*layers: alt.Chart) -> alt.LayerChart:
    """Layer charts; later ones lie above."""
    return alt.layer(*layers)


def by_channel(chart: alt.LayerChart | alt.Chart, width: int = PANEL_WIDTH, height: int = 130) -> alt.FacetChart:
    """Spread a chart over CCDs (rows) and quadrants (columns); its data have columns ``ccd`` and ``quadrant``."""
    return chart.properties(width=width, height=height).facet(
        row=alt.Row("ccd:N", title=None, sort=list(CCDS), header=alt.Header(labelAngle=-90, labelOrient="left")),
        column=alt.Column("quadrant:N", title=None, sort=list(QUADRANTS)),
    )


def picture(row: Mapping[str, object], unit: str = "ADU", side: int = 300) -> alt.LayerChart:
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
    x = alt.X("x:Q", title="CCD column (px)", scale=alt.Scale(domain=[0, width], nice=False), axis=alt.Axis(grid=False))
    y = alt.Y("y:Q", title="CCD row (px)", scale=alt.Scale(domain=[0, height], nice=False), axis=alt.Axis(grid=False))
    drawn = alt.Chart(image).mark_image(width=side, height=shown, aspect=False).encode(x, y, url="png:N")
    letters = alt.Chart(_letters(width, height)).mark_text(style="quadrant-letter").encode(x, y, text="quadrant:N")
    scale = pl.DataFrame({"x": [0.0, 0.0], "y": [0.0, 0.0], "level": [row["lo_adu"], row["hi_adu"]]}, strict=False)
    key = alt.Legend(title=unit, format=".5~g", tickCount=5, gradientOpacity=1)
    grey = alt.Color("level:Q", title=unit, scale=alt.Scale(range=["black", "white"], nice=False), legend=key)
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


def band(centre: float, half_width_pct: float) -> alt.Chart:
    """Draw a band of ``half_width_pct`` per cent about a value of the y axis."""
    reach = abs(centre) * half_width_pct / 100
    frame = pl.DataFrame({"lo": [centre - reach], "hi": [centre + reach]})
    return alt.Chart(compact(frame)).mark_rect(style="band").encode(alt.Y("lo:Q"), alt.Y2("hi:Q"))
