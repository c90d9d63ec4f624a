"""Tables of results as HTML tables: value and error in one cell, units in the heads, what never changes said once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from vison_etl import tables
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.rounding import MISSING, counted, measured, unit_text, written

OPEN_ROWS = 24
"""Longer tables are closed at first."""

MAX_ROWS = 400
"""Rows written at most: the rest is one SQL query away."""

_RUN_COLUMNS = frozenset({"run_id", "block", "test", "acquisition"})
_STATES = {"ok": "good", "bound": "warn", "flagged": "warn", "failed": "bad", "no_data": "bad", "complete": "good"}


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a column: name, unit as printed, meaning (shown on hover), and whether the cells are numbers."""

    name: str
    unit: str = ""
    about: str = ""
    is_number: bool = False


def plain_table(heads: Sequence[Head], rows: Iterable[Sequence[Child]], caption: str | None = None) -> Html:
    """Write a table from cells that are ready."""
    head = element("tr", *(_head(h) for h in heads))
    body = (element("tr", *(_cell(h, cell) for h, cell in zip(heads, row, strict=True))) for row in rows)
    return element(
        "div",
        element(
            "table",
            element("caption", caption) if caption else None,
            element("thead", head),
            element("tbody", joined(body)),
        ),
        class_="table",
    )


def pairs_table(rows: Sequence[tuple[str, Child]]) -> Html:
    """Write names and values, one pair a line."""
    lines = (
        element("tr", element("th", name, scope="row"), element("td", MISSING if value is None else value))
        for name, value in rows
    )
    return element("div", element("table", element("tbody", joined(lines)), class_="pairs"), class_="table")


def state(word: str | None) -> Html:
    """Write a status in the colour of its gravity; the word itself stays readable without colour."""
    return element("span", word or MISSING, class_=f"state {_STATES.get(word or '', 'plain')}")


def result_table(frame: pl.DataFrame, name: str) -> Html:
    """Write the rows of a result table of one run: columns without any value are left out, constant ones head the table."""
    table = tables.table(name)
    by_name = {column.name: column for column in table.columns}
    kept = [
        column
        for column in table.columns
        if column.name not in _RUN_COLUMNS
        and column.name in frame.columns
        and frame[column.name].null_count() < frame.height
    ]
    errors = {c.name for c in kept if c.name.endswith("_err") and c.name.removesuffix("_err") in by_name}
    shown = [c for c in kept if c.name not in errors]
    constant = [
        c for c in shown if frame.height > 2 and f"{c.name}_err" not in errors and frame[c.name].n_unique() == 1
    ]
    shown = [c for c in shown if c not in constant]
    heads = [_result_head(c) for c in shown]
    rows = [[_result_cell(c, row) for c in shown] for row in _ordered(frame).head(MAX_ROWS).iter_rows(named=True)]
    said = "; ".join(
        f"{label_of(c.name, c.unit)} {written(frame[c.name][0])} {unit_text(c.unit)}".strip() for c in constant
    )
    html = joined([element("p", f"In all rows: {said}.", class_="note") if said else None, plain_table(heads, rows)])
    if frame.height > MAX_ROWS:
        left = f"The first {MAX_ROWS} of {frame.height} rows. All of them: vison-etl sql 'from {name} where run_id = …'"
        html = joined([html, element("p", left, class_="note")])
    return folded(counted(frame.height, "row"), html, is_open=frame.height <= OPEN_ROWS)


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Put regions in the order of read-out within their channel."""
    if not {"ccd", "quadrant", "region"} <= set(frame.columns):
        return frame
    rank = pl.col("region").replace_strict(dict(zip(tables.REGIONS, range(4), strict=True)), default=9)
    return frame.sort("ccd", "quadrant", rank, maintain_order=True)


def folded(summary: str, content: Html, *, is_open: bool) -> Html:
    """Wrap content that the reader may open; what is open at first needs no wrapping."""
    if is_open:
        return content
    return element("details", element("summary", summary), content)


def label_of(name: str, unit: str) -> str:
    """Return the name of a column without its unit, in words: ``gain_e_per_adu`` is gain."""
    return _spaced(name.removesuffix(f"_{unit_ending(unit)}"))


def unit_ending(unit: str) -> str:
    """Return the end of a column name that stands for a unit: e/ADU is ``e_per_adu``."""
    return {"%": "pct", "e/px/h": "e_per_px_h"}.get(unit, unit.lower().replace("1/", "per_").replace("/", "_per_"))


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _result_head(column: tables.Column) -> Head:
    return Head(
        label_of(column.name, column.unit),
        unit_text(column.unit),
        f"{column.name}: {column.about}",
        column.kind in {"int", "float"},
    )


def _result_cell(column: tables.Column, row: dict[str, object]) -> Child:
    value = row[column.name]
    if column.name == "status":
        return state(str(value) if value is not None else None)
    if column.kind == "float" and isinstance(value, float):
        error = row.get(f"{column.name}_err")
        return measured(value, error if isinstance(error, float) else None)
    return written(value)


def _head(head: Head) -> Html:
    unit = element("small", head.unit) if head.unit else None
    return element("th", head.name, unit, scope="col", title=head.about or None, class_="n" if head.is_number else None)


def _cell(head: Head, cell: Child) -> Html:
    return element("td", MISSING if cell is None else cell, class_="n" if head.is_number else None)
