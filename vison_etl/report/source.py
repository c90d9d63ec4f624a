"""What the pages read: tables of the published snapshot, through a read-only connection handed in by the caller.

A table or a column that the snapshot lacks gives an empty, typed one: an old snapshot, or one without the large lake
tables, still makes pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from vison_etl import tables
from vison_etl.effects.charts import empty


class Relation(Protocol):
    """The result of a query."""

    def pl(self) -> pl.DataFrame:
        """Return it as a polars frame."""
        ...


class Connection(Protocol):
    """The part of a DuckDB connection that is used here."""

    def sql(self, query: str, *, params: Any = None) -> Relation:
        """Run a query."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A connection and the tables and views of its main schema."""

    connection: Connection
    names: frozenset[str]


def snapshot(connection: Connection) -> Snapshot:
    """Look at what a connection has."""
    query = (
        "select table_name from information_schema.tables "
        "where table_schema = 'main' and table_catalog = current_database()"
    )
    return Snapshot(connection, frozenset(connection.sql(query).pl()["table_name"].to_list()))


def select(source: Snapshot, name: str, **where: str | int | None) -> pl.DataFrame:
    """Return the rows of a table whose columns equal the given values (None is not compared).

    ``obsid_from`` and ``obsid_to`` bound ``obsid`` on either side. Rows are sorted by the table's keys; NaN becomes NULL.
    """
    conditions, params = [], []
    for column, value in where.items():
        if value is None:
            continue
        operator = {"obsid_from": "obsid >= ?", "obsid_to": "obsid <= ?"}.get(column, f'"{column}" = ?')
        conditions.append(operator)
        params.append(value)
    return query(source, name, " and ".join(conditions) or "true", params)


def query(source: Snapshot, name: str, condition: str, params: list[Any]) -> pl.DataFrame:
    """Return the rows of a table that fulfil a condition of this package (never text of a user), typed and sorted."""
    blank = empty(name)
    if name not in source.names:
        return blank
    frame = source.connection.sql(f'select * from "{name}" where {condition}', params=params).pl()  # noqa: S608
    return typed(frame, blank).sort(*tables.table(name).keys, nulls_last=True)


def typed(frame: pl.DataFrame, blank: pl.DataFrame) -> pl.DataFrame:
    """Cast a frame to the columns of ``blank``: missing ones are NULL, further ones are left out, NaN becomes NULL."""
    absent = [pl.lit(None).alias(name) for name in blank.columns if name not in frame.columns]
    return frame.with_columns(absent).select(blank.columns).cast(blank.schema).fill_nan(None)
