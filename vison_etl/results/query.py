"""Asking the results: one SQL question, read-only, answered as a frame; mistakes explained in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import polars as pl

from vison_etl.results.connect import ResultsError, connect, table_names
from vison_etl.results.db import Connection, DatabaseError, first_line
from vison_etl.results.location import LakeLike

_READING = frozenset({"SELECT", "EXPLAIN", "MULTI", "PRAGMA"})
_MISSING = re.compile(r"(?:Table with name|Catalog|Schema with name) \"?([\w.]+)\"? does not exist")


class QueryError(ResultsError):
    """The question cannot be answered as it is put; the message says why, in one line."""


def run_sql(
    lake: LakeLike | None,
    text: str,
    database: str | os.PathLike[str] | None = None,
    params: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """Answer one SQL statement over results and lake tables.

    Parameters
    ----------
    lake, database
        As for ``connect``.
    text
        One statement that reads. It may join other files (``read_parquet``, ``read_csv``); nothing can be written by it.
    params
        Values for ``$name`` in it.

    Returns
    -------
    pl.DataFrame
        Whole numbers as Int64, other numbers as Float64, NaN as NULL.

    Raises
    ------
    QueryError
        If it is no such statement, or names what does not exist; nearest names are given.
    ResultsError
        If there are no results.
    """
    with connect(lake, database) as connection:
        try:
            _check(connection, text)
            return plain(connection.sql(text, params=dict(params) if params else None).pl())
        except DatabaseError as error:
            raise QueryError(_explain(connection, error)) from error


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame in the types of the lake: sums and literals of SQL are decimals otherwise, and NaN is not missing."""
    whole = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal) and kind.scale == 0]
    broken = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal) and kind.scale != 0]
    wide = [name for name in whole if _overflows(frame[name])]
    return frame.with_columns(
        pl.col([name for name in whole if name not in wide]).cast(pl.Int64),
        pl.col([*broken, *wide]).cast(pl.Float64),
        pl.selectors.categorical().cast(pl.String),
        pl.selectors.enum().cast(pl.String),
    ).with_columns(pl.selectors.float().fill_nan(None))


def _overflows(column: pl.Series) -> bool:
    return column.cast(pl.Int64, strict=False).null_count() > column.null_count()


def _check(connection: Connection, text: str) -> None:
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise QueryError(f"the text holds {len(statements)} SQL statements: give one")
    kind = statements[0].type.name
    if kind not in _READING:
        raise QueryError(
            f"the results are read-only: {kind.lower()} is refused; use select, or attach them to a database of your own"
        )


def _explain(connection: Connection, error: DatabaseError) -> str:
    line = first_line(error)
    missing = _MISSING.search(line)
    if missing is None:
        return line
    names = [name.removeprefix("main.") for name in table_names(connection)]
    near = get_close_matches(missing.group(1).lower(), names, n=3, cutoff=0.5)
    return (
        f"no table {missing.group(1)}; nearest: {', '.join(near)}"
        if near
        else f"no table {missing.group(1)}; see dictionary"
    )
