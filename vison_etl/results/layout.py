"""The empty snapshot: everything that is in it whatever the lake holds, and a mark that changes when it does."""
# ruff: noqa: S608 - names come from the vocabulary, values are quoted

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

from vison_etl import tables
from vison_etl.results import ddl
from vison_etl.results.channels import channel_rows
from vison_etl.results.db import Connection, run, values
from vison_etl.results.measurements import measurements_view
from vison_etl.results.requirements import requirement_rows
from vison_etl.sqlfiles import read_sql


@cache
def statements() -> tuple[str, ...]:
    """Return the statements that make the layout, in order."""
    return tuple(_statements())


@cache
def mark() -> str:
    """Return a digest of the layout: a snapshot with another one was made by another version and is made again."""
    text = "\n".join((str(tables.SCHEMA_VERSION), *statements(), read_sql("views/current_runs")))
    return hashlib.sha256(text.encode()).hexdigest()


def create(connection: Connection) -> None:
    """Make the layout in an empty database."""
    connection.begin()
    run(connection, statements())
    connection.commit()


def choose_current(connection: Connection) -> None:
    """Decide again which runs count."""
    connection.execute("delete from main.current_runs")
    connection.execute(f"insert into main.current_runs by name {read_sql('views/current_runs')}")


def _statements() -> Iterator[str]:
    yield from ddl.base_layout()
    yield read_sql("views/macros")
    yield from ddl.result_views()
    yield read_sql("views/adopted_gain")
    yield from measurements_view()
    for table in ddl.viewed_tables():
        yield from ddl.file_view(table, None)
    yield f"insert into main.channels values {values(channel_rows())}"
    yield f"insert into main.requirements values {values(requirement_rows())}"
    yield read_sql("views/dictionary")
