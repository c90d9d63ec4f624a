"""The layout of the results database, made from the vocabulary: tables, views, comments.

Schema ``history`` holds the rows of every run; ``main`` shows the current runs, ``every`` the current run of each
acquisition; the small lake tables are copied into ``main``, the large ones are views over their files; ``snapshot`` is the
publisher's own notebook.
"""
# ruff: noqa: S608 - names come from the vocabulary, values are quoted

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vison_etl import tables
from vison_etl.results.channels import CHANNELS
from vison_etl.results.db import literal, literals
from vison_etl.results.requirements import REQUIREMENTS
from vison_etl.tables import Column, Table

COPIED = ("exposures", "acquisitions", "hk_summary", "quadrant_stats", "rejects", "overrides")
"""Lake tables that are in the snapshot themselves; the others are views over their files."""

TYPES = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "timestamp": "TIMESTAMP"}

_IS_CURRENT = (
    Column("is_current", "bool", "", "the run that counts for its block and test"),
    Column("is_current_of_acquisition", "bool", "", "the run that counts for its acquisition"),
)

_NOTEBOOK = (
    Table(
        "info",
        "engine",
        "How this snapshot was made.",
        ("item",),
        (),
        (Column("item", "text", "", "what is noted"), Column("content", "text", "", "its value")),
    ),
    Table(
        "parts",
        "engine",
        "Files of the lake whose rows are in the snapshot, as they were when read.",
        ("path",),
        (),
        (
            Column("table_name", "text", "", "table"),
            Column("folder", "text", "", "partition, relative to the lake"),
            Column("path", "text", "", "file, relative to the lake"),
            Column("file_bytes", "int", "byte", "size of the file"),
            Column("mtime_ns", "int", "ns", "time of its last change"),
            Column("problem", "text", "", "why its rows are missing; NULL if they are in"),
        ),
    ),
    Table(
        "skipped_runs",
        "engine",
        "Runs that could not be read; a full rebuild tries them again.",
        ("run_id",),
        (),
        (Column("run_id", "text", "", "run"), Column("problem", "text", "", "why it is not in")),
    ),
)


def run_tables() -> tuple[Table, ...]:
    """Return the tables that runs fill: runs, run_inputs and all results."""
    return (*tables.tables_of("engine"), *tables.tables_of("result"))


def copied_tables() -> tuple[Table, ...]:
    """Return the lake tables that are in the snapshot themselves."""
    return tuple(tables.table(name) for name in COPIED)


def viewed_tables() -> tuple[Table, ...]:
    """Return the lake tables that are views over their files."""
    return tuple(t for t in tables.tables_of("lake") if t.name not in COPIED)


_CURRENT_RUNS = Table(
    "current_runs",
    "engine",
    "The run that counts for each acquisition, and whether it counts for its block and test.",
    ("run_id",),
    (),
    (
        Column("block", "text", "", "block"),
        Column("test", "text", "", "test"),
        Column("acquisition", "text", "", "acquisition"),
        Column("run_id", "text", "", "run"),
        *_IS_CURRENT,
    ),
)


def base_layout() -> Iterator[str]:
    """Yield the statements that make an empty snapshot, but for the shipped SQL views and the views over files."""
    yield "create schema history"
    yield "create schema every"
    yield "create schema snapshot"
    for table in _NOTEBOOK:
        yield from _base_table("snapshot", table, table.about)
    for table in (*copied_tables(), _CURRENT_RUNS, CHANNELS, REQUIREMENTS):
        yield from _base_table("main", table, table.about)
    for table in run_tables():
        yield from _base_table("history", table, f"All runs. {table.about}")


def result_views() -> Iterator[str]:
    """Yield the statements of the views of current runs. They need ``main.current_runs``."""
    flags = ", ".join(f"coalesce(c.{column.name}, false) as {column.name}" for column in _IS_CURRENT)
    runs = tables.table("runs")
    body = f"select r.*, {flags} from history.runs r left join main.current_runs c on c.run_id = r.run_id"
    yield from view("main", "runs", body, runs.about, (*runs.columns, *_IS_CURRENT))
    for table in run_tables():
        if table.name not in {"runs", "run_inputs"}:
            yield from view("main", table.name, _of_runs(table, "is_current"), table.about, table.columns)
        about = f"The current run of each acquisition. {table.about}"
        yield from view("every", table.name, _of_runs(table, "is_current_of_acquisition"), about, table.columns)
    inputs = tables.table("run_inputs")
    yield from view("main", "run_inputs", "select * from history.run_inputs", inputs.about, inputs.columns)


def file_view(table: Table, root: Path | None) -> Iterator[str]:
    """Yield the statements of the view over the files of a large lake table below ``root``; without one it is empty but typed."""
    body = f"select {typed_nulls(table)} where false"
    if root is not None:
        folders = "/".join((table.name, *(f"{name}=*" for name in table.partitions)))
        files = scan(table, [str(root / folders / "part-*.parquet")], hive=is_hive(root))
        body = f"select {', '.join(table.names)} from (({body}) union all by name (from {files}))"
    yield from view("main", table.name, body, f"{table.about} Read from the files of the lake.", table.columns)


def typed_nulls(table: Table) -> str:
    """Return the columns of a table as typed NULLs: joined to files by name, they fill in what a file does not have."""
    return ", ".join(f"null::{TYPES[column.kind]} as {column.name}" for column in table.columns)


def is_hive(root: Path) -> bool:
    """Return whether partition columns may be taken from the path; not if the lake itself lies below a ``name=value``."""
    return "=" not in str(root)


def scan(table: Table, files: Sequence[str], *, hive: bool) -> str:
    """Return the table function that reads files of a table, of any version."""
    options = "union_by_name = true, hive_partitioning = false"
    if hive and table.partitions:
        kinds = ", ".join(f"{literal(name)}: VARCHAR" for name in table.partitions)
        options = (
            f"union_by_name = true, hive_partitioning = true, hive_types = {{{kinds}}}, hive_types_autocast = false"
        )
    return f"read_parquet([{literals(files)}], {options})"


def view(schema: str, name: str, body: str, about: str, columns: tuple[Column, ...]) -> Iterator[str]:
    """Yield the statements that make a view, with its comments."""
    yield f"create or replace view {schema}.{name} as {body}"
    yield f"comment on view {schema}.{name} is {literal(about)}"
    yield from _column_comments(f"{schema}.{name}", columns)


def _base_table(schema: str, table: Table, about: str) -> Iterator[str]:
    columns = ", ".join(f"{column.name} {TYPES[column.kind]}" for column in table.columns)
    yield f"create table {schema}.{table.name} ({columns})"
    yield f"comment on table {schema}.{table.name} is {literal(about)}"
    yield from _column_comments(f"{schema}.{table.name}", table.columns)


def _column_comments(name: str, columns: tuple[Column, ...]) -> Iterator[str]:
    for column in columns:
        yield f"comment on column {name}.{column.name} is {literal(column.comment)}"


def _of_runs(table: Table, choice: str) -> str:
    return (
        f"select * from history.{table.name}"
        f" where run_id in (select c.run_id from main.current_runs c where c.{choice})"
    )
