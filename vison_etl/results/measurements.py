"""The long form of all results: one row per measured value, generated from the vocabulary."""
# ruff: noqa: S608 - names come from the vocabulary, values are quoted

from __future__ import annotations

from collections.abc import Iterator

from vison_etl.results.db import literal
from vison_etl.results.ddl import run_tables, view
from vison_etl.tables import Column, Table

_OWN_COLUMNS = frozenset({"run_id", "block", "test", "acquisition", "ccd", "quadrant"})
_NOT_MEASURED = frozenset({"compliance"})
"""Its values are those of other tables, seen by a check."""


_COLUMNS = (
    Column("block", "text", "", "block"),
    Column("test", "text", "", "test"),
    Column("acquisition", "text", "", "acquisition analysed"),
    Column("ccd", "text", "", "CCD; NULL where the value is not of one CCD"),
    Column("quadrant", "text", "", "quadrant; NULL where the value is not of one quadrant"),
    Column("quantity", "text", "", "name of the column the value is from"),
    Column("value", "float", "", "value, in the unit of column unit"),
    Column("value_err", "float", "", "one-sigma error of value, in the same unit"),
    Column("unit", "text", "", "unit of value and value_err; NULL for none"),
    Column("source_table", "text", "", "table the value is from"),
    Column("detail", "text", "", "the other keys of the row, e.g. region=ove"),
    Column("run_id", "text", "", "run that made the value"),
)


def measurements_view() -> Iterator[str]:
    """Yield the statements that make ``main.measurements``.

    One branch per quantity, so that a filter leaves only its own; one choice of runs around them all, for the same reason.
    """
    branches = "\nunion all\n".join(_branches())
    body = (
        f"select m.* from (\n{branches}\n) m"
        " where m.run_id in (select c.run_id from main.current_runs c where c.is_current)"
    )
    about = "The long form of all results of the current runs: one row per value that is not NULL."
    yield from view("main", "measurements", body, about, _COLUMNS)


def _branches() -> Iterator[str]:
    for table in run_tables():
        if table.stage == "result" and table.name not in _NOT_MEASURED:
            for quantity, error in table.quantities():
                yield _branch(table, quantity, error)


def _branch(table: Table, quantity: Column, error: Column | None) -> str:
    ccd = "ccd" if "ccd" in table.names else "null::varchar as ccd"
    quadrant = "quadrant" if "quadrant" in table.names else "null::varchar as quadrant"
    value_err = error.name if error else "null::double"
    unit = literal(quantity.unit) if quantity.unit else "null::varchar"
    return (
        f"select block, test, acquisition, {ccd}, {quadrant}, {literal(quantity.name)} as quantity,"
        f" {quantity.name} as value, {value_err} as value_err, {unit} as unit,"
        f" {literal(table.name)} as source_table, {_detail(table)} as detail, run_id"
        f" from history.{table.name} where {quantity.name} is not null"
    )


def _detail(table: Table) -> str:
    names = [name for name in table.keys if name not in _OWN_COLUMNS]
    if "script_column" in table.names and "script_column" not in names:
        names.append("script_column")
    if not names:
        return "null::varchar"
    return "concat_ws(' ', " + ", ".join(f"'{name}=' || {name}" for name in names) + ")"
