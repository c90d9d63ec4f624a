"""The page of one SQL summary: its question, its table, its query, and a picture where one makes sense."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import altair as alt
import polars as pl

from vison_etl import tables
from vison_etl.effects import charts as common
from vison_etl.effects.figure import Figure
from vison_etl.report.fpa import Quantity, fpa_chart
from vison_etl.report.index import DESIGN
from vison_etl.report.markup import Child, element, joined
from vison_etl.report.page import Page, Section, write
from vison_etl.report.rounding import counted, measured, unit_text, written
from vison_etl.report.tabulate import Head, label_of, plain_table, unit_ending
from vison_etl.tables import QUADRANTS

MAX_FIGURES = 6
MAX_CHART_ROWS = 4500
MAX_TABLE_ROWS = 2000
_CHANNEL = ["block", "ccd", "quadrant"]


def write_summary_page(path: Path, title: str, description: str, query: str, rows: pl.DataFrame) -> None:
    """Write the page of a summary.

    Parameters
    ----------
    path
        File to write.
    title, description
        Name of the summary and what it answers.
    query
        Its SQL, shown at the end.
    rows
        Its result. Units come from the ends of the column names. A result with one row per block, CCD and quadrant gets a map of
        the focal plane for each quantity; one by block gets points per block.
    """
    write(path, make_summary_page(title, description, query, rows))


def make_summary_page(title: str, description: str, query: str, rows: pl.DataFrame) -> Page:
    """Return the page of a summary; see `write_summary_page`."""
    floats = [name for name, kind in rows.schema.items() if kind.is_float() or kind.is_decimal()]
    frame = rows.with_columns(pl.col(floats).cast(pl.Float64)).with_columns(pl.col(floats).fill_nan(None))
    figures = tuple(_figures(frame, floats))
    table = joined([element("p", counted(frame.height, "row"), class_="note"), _table(frame), _cut(frame)])
    sections = [Section("table", "Table", table)]
    if figures:
        sections.append(Section("charts", "Charts", element("p", description, class_="note"), figures))
    code = element("pre", element("code", query.strip()))
    sections.append(Section("query", "Query", code))
    return Page(title, description, tuple(sections))


@cache
def unit_of(name: str) -> str:
    """Return the unit that the end of a column name stands for, as in the vocabulary; empty for none."""
    name = name.removesuffix("_err")
    units = {c.unit for table in tables.all_tables().values() for c in table.columns if c.unit}
    fitting = [unit for unit in units if name.endswith(f"_{unit_ending(unit)}")]
    return max(fitting, key=lambda unit: len(unit_ending(unit)), default="")


def _table(frame: pl.DataFrame) -> Child:
    errors = {name for name in frame.columns if name.endswith("_err") and name.removesuffix("_err") in frame.columns}
    shown = [name for name in frame.columns if name not in errors]
    heads = [
        Head(label_of(name, unit_of(name)), unit_text(unit_of(name)), name, frame.schema[name].is_numeric())
        for name in shown
    ]
    rows = [[_value(name, row) for name in shown] for row in frame.head(MAX_TABLE_ROWS).iter_rows(named=True)]
    return plain_table(heads, rows)


def _value(name: str, row: dict[str, object]) -> str:
    value, error = row[name], row.get(f"{name}_err")
    if isinstance(value, float):
        return measured(value, error if isinstance(error, float) else None)
    return written(value)


def _cut(frame: pl.DataFrame) -> Child:
    return element("p", f"The first {MAX_TABLE_ROWS} rows.", class_="note") if frame.height > MAX_TABLE_ROWS else None


def _figures(frame: pl.DataFrame, floats: list[str]) -> list[Figure]:
    quantities = [name for name in floats if not name.endswith("_err") and frame[name].null_count() < frame.height]
    if "block" not in frame.columns or not quantities or frame.height > MAX_CHART_ROWS:
        return []
    has_channel = set(_CHANNEL) <= set(frame.columns)
    is_map = has_channel and not frame.select(_CHANNEL).is_duplicated().any()
    draw = _map if is_map else _points
    return [draw(frame, name) for name in quantities[:MAX_FIGURES]]


def _map(frame: pl.DataFrame, name: str) -> Figure:
    nothing = pl.lit(None, pl.Float64)
    test = pl.col("test") if "test" in frame.columns else pl.lit(None, pl.String)
    error = pl.col(f"{name}_err").cast(pl.Float64) if f"{name}_err" in frame.columns else nothing
    values = frame.select(
        *(pl.col(key).cast(pl.String) for key in _CHANNEL),
        test=test.cast(pl.String),
        value=pl.col(name),
        value_err=error,
        lo=nothing,
        hi=nothing,
    )
    quantity = Quantity(name, label_of(name, unit_of(name)), unit_text(unit_of(name)), ".4~g")
    return Figure(
        f"map_{name}", quantity.title.capitalize(), "Over the focal plane.", fpa_chart(values, quantity, DESIGN)
    )


def _points(frame: pl.DataFrame, name: str) -> Figure:
    title = label_of(name, unit_of(name))
    axis = f"{title} ({unit_text(unit_of(name))})" if unit_of(name) else title
    texts = [column for column, kind in frame.schema.items() if kind in {pl.String, pl.Categorical} or kind == pl.Enum]
    rows = frame.select(*(pl.col(column).cast(pl.String) for column in texts), name).drop_nulls(name)
    chart = (
        alt.Chart(common.compact(rows))
        .mark_point(size=36)
        .encode(
            alt.X("block:N", title="block", axis=alt.Axis(labelAngle=0)),
            alt.Y(f"{name}:Q", title=axis, scale=alt.Scale(zero=False)),
            tooltip=[*(f"{column}:N" for column in texts), f"{name}:Q"],
        )
        .properties(width=900, height=240)
    )
    if "ccd" in rows.columns:
        chart = chart.encode(xOffset="ccd:N")
    if "quadrant" in rows.columns:
        chart = chart.encode(color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"))
    return Figure(f"points_{name}", title.capitalize(), "One point per row, by block.", chart)
