"""The data dictionary as a page, from the vocabulary and from the comments of an empty snapshot.

``python -m vison_etl.results.dictionary docs/data-dictionary.md`` writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from vison_etl import tables
from vison_etl.results import layout
from vison_etl.results.db import Connection, open_in_memory, rows
from vison_etl.results.ddl import COPIED
from vison_etl.tables import Table

_INTRODUCTION = """\
# Data dictionary

Made by `python -m vison_etl.results.dictionary docs/data-dictionary.md` from `vison_etl/tables.toml`; a test compares. In the
results database the same stands in the comments and in the table `dictionary`.

The unit of a column is the end of its name. `q_err` is the one-sigma error of `q`. Missing is NULL. Key columns are in bold;
a NULL in one of them means that it does not apply.
"""

_SECTIONS = (
    ("lake", "Lake tables", "Parquet files `lake/<table>/<partition>=.../part-*.parquet`."),
    (
        "engine",
        "Runs",
        "Schema `main` shows all runs, with `is_current` and `is_current_of_acquisition`; `every` those of each acquisition.",
    ),
    (
        "result",
        "Results",
        "Schema `main` shows the current run of each block and test, `every` that of each acquisition, `history` all runs.",
    ),
)


def markdown() -> str:
    """Return the page."""
    with open_in_memory() as connection:
        layout.create(connection)
        lines = [_INTRODUCTION, *_vocabulary(), *_others(connection), *_macros(connection)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _vocabulary() -> Iterator[str]:
    for stage, title, text in _SECTIONS:
        yield f"## {title}\n\n{text}\n"
        for table in tables.all_tables().values():
            if table.stage == stage:
                yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    where = ""
    if table.stage == "lake":
        partitions = " and ".join(f"`{name}`" for name in table.partitions)
        place = (
            "copied into the results database"
            if table.name in COPIED
            else "a view over its files in the results database"
        )
        where = f" Partitioned by {partitions or 'nothing'}; {place}."
    yield f"### {table.name}\n\n{table.about}{where}\n"
    yield from _columns(
        (f"**{c.name}**" if c.name in table.keys else c.name, c.kind, c.unit, c.about) for c in table.columns
    )


def _others(connection: Connection) -> Iterator[str]:
    yield "## Further tables and views of the results database\n"
    found = rows(
        connection,
        "select table_name, comment from duckdb_tables() where schema_name = 'main'"
        " union all select view_name, comment from duckdb_views() where schema_name = 'main' and not internal"
        " order by table_name",
    )
    for name, about in found:
        if name not in tables.all_tables():
            yield f"### {name}\n\n{about}\n"
            yield from _columns(
                rows(
                    connection,
                    "select column_name, lower(data_type), coalesce(unit, ''), about from main.dictionary"
                    " where schema_name = 'main' and table_name = ?",
                    [name],
                )
            )


def _macros(connection: Connection) -> Iterator[str]:
    yield "## Macros\n"
    found = rows(
        connection,
        "select function_name || '(' || list_aggregate(parameters, 'string_agg', ', ') || ')', comment from duckdb_functions()"
        " where function_type = 'macro' and not internal and schema_name = 'main' order by function_name",
    )
    for call, about in found:
        yield f"- `{call}`: {about}"


def _columns(columns: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| column | type | unit | meaning |\n|---|---|---|---|"
    for name, kind, unit, about in columns:
        yield f"| {name} | {kind} | {unit} | {about.replace('|', '/')} |"
    yield ""


def main(arguments: list[str]) -> None:
    """Write the page to the file named."""
    if len(arguments) != 1:
        raise SystemExit("usage: python -m vison_etl.results.dictionary FILE")
    Path(arguments[0]).write_text(markdown(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
