"""Command: sql."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vison_etl.cli.answers import give
from vison_etl.cli.errors import UsageError
from vison_etl.cli.options import (
    DbOption,
    FormatOption,
    LakeOption,
    OutFileOption,
    answer_format,
    lake_root,
    lake_to_read,
)
from vison_etl.cli.published import say_if_behind
from vison_etl.cli.waiting import wait_for


def register(app: typer.Typer) -> None:
    """Add the command of this room."""
    app.command()(sql)


def sql(
    query: Annotated[
        str, typer.Argument(metavar="QUERY_OR_FILE", help="SQL text, or a file that holds it; - reads it from stdin.")
    ],
    format_: FormatOption = None,
    out: OutFileOption = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Ad-hoc SQL, read-only, over results and lake tables; `from dictionary` lists every column with unit and meaning."""
    from vison_etl.results.query import run_sql

    form = answer_format(format_, out)
    text = query_text(query)
    root = lake_to_read(lake).root if db is None else lake_root(lake)
    rows = wait_for(lambda: run_sql(root, text, db))
    say_if_behind(root, db)
    give(rows, form, out)


def query_text(query: str) -> str:
    """Return the SQL that an argument means: itself, the file it names, or stdin.

    Raises
    ------
    UsageError
        For a file that is not there or holds no text.
    """
    if query == "-":
        return sys.stdin.read()
    if not query.strip():
        raise UsageError("the query is empty; give SQL text, or a file that holds it")
    if not _is_there(query):
        if query.lower().endswith(".sql") and " " not in query.strip():
            raise UsageError(f"{query}: no such file of SQL")
        return query
    if Path(query).is_dir():
        raise UsageError(f"{query} is a folder; give SQL text, or a file that holds it")
    try:
        return Path(query).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{query}: no text in UTF-8; give a file that holds one SQL statement") from None


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        # SQL that no file can have as its name
        return False
