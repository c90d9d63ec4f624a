"""Every peculiarity of the DuckDB client in one place; the rest of the room writes plain SQL.

An open result owns its connection, so results are always fetched whole; a connection that opens a file shares the instance
of any other in the process that has the same path open, even after the file was replaced, so readers attach instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

Connection = duckdb.DuckDBPyConnection
Row = tuple[Any, ...]
Constant = str | int | float | bool | datetime | None

DatabaseError = duckdb.Error

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
READER_ALIAS = "results"


def open_to_write(path: Path) -> Connection:
    """Open or create a database file for writing. Only the publisher does so, on a file nobody else knows."""
    threads = str(max(1, min(4, os.cpu_count() or 1)))
    return duckdb.connect(str(path), config={**_CONFIG, "threads": threads})


def open_to_read(path: Path) -> Connection:
    """Open a database file read-only, as its present content; it becomes the default catalog under the name ``results``."""
    connection = open_in_memory()
    connection.execute(f"attach {literal(str(path))} as {READER_ALIAS} (read_only)")
    connection.execute(f"use {READER_ALIAS}")
    return connection


def open_in_memory() -> Connection:
    """Open an empty database that goes with the connection."""
    return duckdb.connect(":memory:", config=_CONFIG)


def rows(connection: Connection, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[Row]:
    """Return all rows of a query."""
    found: list[Row] = connection.execute(sql, params).fetchall()
    return found


def run(connection: Connection, statements: Iterable[str]) -> None:
    """Run statements that return nothing, handed over at once: thousands of small ones take half the time."""
    script = ";\n".join(statements)
    if script:
        connection.execute(script)


def literal(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def values(table_rows: Iterable[Sequence[Constant]]) -> str:
    """Write rows as the list of a ``values`` clause: a thousand times faster than one insert each."""
    return ", ".join(f"({', '.join(map(_constant, row))})" for row in table_rows)


def literals(texts: Iterable[str]) -> str:
    """Quote texts for SQL, separated by commas."""
    return ", ".join(literal(text) for text in texts)


def first_line(error: Exception) -> str:
    """Return what a DuckDB error says, as one line without the repetition of the query."""
    return " ".join(str(error).split("\n\n", maxsplit=1)[0].split())


def _constant(value: Constant) -> str:
    match value:
        case None:
            return "null"
        case str():
            return literal(value)
        case bool() | int():
            return str(value).lower()
        case float():
            return f"'{value!r}'::double"
        case datetime():
            return f"timestamp '{value.isoformat(sep=' ')}'"
