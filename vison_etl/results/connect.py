"""Opening the results to read them."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from vison_etl.results.db import Connection, DatabaseError, first_line, open_to_read, rows
from vison_etl.results.load import find_changes
from vison_etl.results.location import LakeLike, database_path, lake_root

if TYPE_CHECKING:
    import polars as pl

_NOT_ITS_LOG = "WAL"
_IN_USE = "Could not set lock"


class ResultsError(Exception):
    """The results cannot be read; the message says why and what to do."""


def connect(lake: LakeLike | None = None, database: str | os.PathLike[str] | None = None) -> Connection:
    """Open the published results of a lake, read-only, as they are now.

    The connection keeps the snapshot it opened however often a new one is published. Tables of your own can be made in its
    database ``memory``: ``create table memory.mine as select ...``.

    Parameters
    ----------
    lake
        Folder of the lake; ``$VISON_ETL_LAKE`` or ``./lake`` if None.
    database
        The results database; ``<lake>/results.duckdb`` if None.

    Returns
    -------
    duckdb.DuckDBPyConnection
        Close it, or use it in ``with``.

    Raises
    ------
    ResultsError
        If there are no results yet, or the file cannot be read.
    """
    root = lake_root(lake)
    path = database_path(root, database)
    if not path.exists():
        raise ResultsError(f"no results at {path}: run `vison-etl publish --lake {root}`, or give --lake or --db")
    try:
        return open_to_read(path)
    except DatabaseError as error:
        return _open_again(path, error)


def table(name: str, lake: LakeLike | None = None, database: str | os.PathLike[str] | None = None) -> pl.DataFrame:
    """Read a table or view of the results, sorted by nothing in particular, as a polars frame.

    Parameters
    ----------
    name
        ``gain``, ``every.gain``, ``history.gain``, ...
    lake, database
        As for ``connect``.

    Raises
    ------
    ResultsError
        If there is no such table; the message names the nearest ones.
    """
    schema, _, plain = name.rpartition(".")
    with connect(lake, database) as connection:
        known = table_names(connection)
        full = f"{schema or 'main'}.{plain}"
        if full not in known:
            near = ", ".join(get_close_matches(name, [n.removeprefix("main.") for n in known], n=3)) or "none similar"
            raise ResultsError(f"no table {name} in the results; nearest: {near}")
        frame: pl.DataFrame = connection.sql(f"from {full}").pl()
        return frame


def table_names(connection: Connection) -> tuple[str, ...]:
    """Return the tables and views of the results as ``schema.name``, sorted."""
    found = rows(
        connection,
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_catalog = current_database() order by all",
    )
    return tuple(name for (name,) in found)


def behind(lake: LakeLike | None = None, database: str | os.PathLike[str] | None = None) -> str | None:
    """Return how the published results are behind their lake, as a line for people; None if they are not."""
    with connect(lake, database) as connection:
        changes = find_changes(connection, lake_root(lake))
    parts = []
    if changes.runs:
        parts.append(f"{len(changes.runs)} runs are not in")
    if changes.vanished:
        parts.append(f"{len(changes.vanished)} runs are gone")
    if changes.folders or changes.viewed is not None:
        names = sorted({name for name, _ in changes.folders}) or ["large tables"]
        parts.append(f"{', '.join(names)} changed")
    return f"the results are older than the lake ({'; '.join(parts)}): run `vison-etl publish`" if parts else None


def _open_again(path: Path, error: DatabaseError) -> Connection:
    """Open a snapshot beside which a client that opened the old one for writing has left its log; the log is not ours."""
    log = path.with_name(f"{path.name}.wal")
    if not log.exists() or _NOT_ITS_LOG not in str(error):
        raise ResultsError(_why(path, error)) from error
    try:
        log.unlink(missing_ok=True)
        return open_to_read(path)
    except (DatabaseError, OSError) as again:
        raise ResultsError(_why(path, again)) from again


def _why(path: Path, error: Exception) -> str:
    if _IN_USE in str(error):
        return (
            f"{path} is open for writing in another program: close it there, or open it read-only ({first_line(error)})"
        )
    return f"{path} cannot be read: run `vison-etl publish --full` ({first_line(error)})"
