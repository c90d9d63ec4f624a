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
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.page import Page, Section, write
from vison_etl.report.rounding import counted, measured, unit_text, written
from vison_etl.report.tabulate import Head, folded, label_of, plain_table, unit_ending
from vison_etl.tables import QUADRANTS, REGIONS

MAX_FIGURES = 6
MAX_CHART_ROWS = 4500
MAX_TABLE_ROWS = 2000
OPEN_ROWS = 60
_CHANNEL = ["block", "ccd", "quadrant"]
_NOT_DRAWN = frozenset({"wavelength_nm"})


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
    figures = tuple(_figures(frame, floats, title))
    content = folded(
        counted(frame.height, "row"), joined([_table(frame), _cut(frame)]), is_open=frame.height <= OPEN_ROWS
    )
    table = Section("table", "Table", content)
    charts = Section("charts", "Charts", Html(""), figures)
    code = Section("query", "Query", element("pre", element("code", query.strip())))
    shown = (table, charts) if frame.height <= OPEN_ROWS else (charts, table)
    sections = (*shown, code) if figures else (table, code)
    return Page(title.replace("_", " ").capitalize(), description, sections)


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


def _figures(frame: pl.DataFrame, floats: list[str], title: str) -> list[Figure]:
    quantities = [name for name in floats if not name.endswith("_err") and name not in _NOT_DRAWN]
    quantities = [name for name in quantities if frame[name].null_count() < frame.height]
    if "block" not in frame.columns or not quantities or frame.height > MAX_CHART_ROWS:
        return []
    has_channel = set(_CHANNEL) <= set(frame.columns)
    is_map = has_channel and not frame.select(_CHANNEL).is_duplicated().any()
    draw = _map if is_map else _points
    return [draw(frame, name, *_named(frame, name, title)) for name in quantities[:MAX_FIGURES]]


def _named(frame: pl.DataFrame, name: str, title: str) -> tuple[str, str]:
    """Return name and unit of a quantity; those of a column ``value`` are the page's title and the column ``unit``."""
    if name == "value" and "unit" in frame.columns and frame["unit"].n_unique() == 1:
        return title.replace("_", " "), unit_text(str(frame["unit"][0]))
    return label_of(name, unit_of(name)), unit_text(unit_of(name))


def _map(frame: pl.DataFrame, name: str, title: str, unit: str) -> Figure:
    nothing = pl.lit(None, pl.Float64)
    test = pl.col("test") if "test" in frame.columns else pl.lit(None, pl.String)
    values = frame.select(
        *(pl.col(key).cast(pl.String) for key in _CHANNEL),
        test=test.cast(pl.String),
        value=pl.col(name),
        value_err=pl.col(f"{name}_err") if f"{name}_err" in frame.columns else nothing,
        lo=nothing,
        hi=nothing,
    ).drop_nulls("value")
    quantity = Quantity(name, title, unit, ".4~g")
    return Figure(f"map_{name}", title.capitalize(), "Over the focal plane.", fpa_chart(values, quantity, DESIGN))


def _points(frame: pl.DataFrame, name: str, title: str, unit: str) -> Figure:
    texts = [column for column, kind in frame.schema.items() if kind in {pl.String, pl.Categorical} or kind == pl.Enum]
    rows = frame.select(*(pl.col(column).cast(pl.String) for column in texts), name).drop_nulls(name)
    beside = next((column for column in ("ccd", "test") if column in texts), None)
    axis = f"{title} ({unit})" if unit else title
    chart = (
        alt.Chart(common.compact(rows))
        .mark_point(size=40)
        .encode(
            alt.X(
                "block:N", title=f"block, {beside} from left to right" if beside else "block", axis={"labelAngle": 0}
            ),
            alt.Y(f"{name}:Q", title=axis, scale=common.free()),
            tooltip=common.tips(*(f"{column}:N" for column in texts), f"{name}:Q"),
        )
        .properties(width=common.WIDE, height=220)
    )
    if beside is not None:
        chart = chart.encode(xOffset=f"{beside}:N")
    for column, words in (("region", REGIONS), ("quadrant", QUADRANTS)):
        if column in texts:
            chart = chart.encode(color=common.colour(column, common.present(rows, column, words), column))
    return Figure(f"points_{name}", title.capitalize(), "One point per row of the table.", chart)
