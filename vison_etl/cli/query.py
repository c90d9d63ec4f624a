"""Command: sql."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

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

if TYPE_CHECKING:
    from vison_etl.results.query import QueryError

_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


class _SqlCommand(TyperCommand):
    """A command whose argument may begin with ``--``, as SQL does that begins with a comment."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take text with a blank in it, which no option has in its name, for SQL."""
        comments = [text for text in args if _is_comment(text)]
        if comments and "--" not in args:
            args = [*(text for text in args if not _is_comment(text)), "--", *comments]
        return super().parse_args(ctx, args)


def _is_comment(text: str) -> bool:
    name = text.partition("=")[0]
    return name.startswith("--") and len(name.split(maxsplit=1)) > 1


def register(app: typer.Typer) -> None:
    """Add the command of this room."""
    app.command(cls=_SqlCommand)(sql)


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
    from vison_etl.results.query import QueryError, run_sql

    form = answer_format(format_, out)
    text = query_text(query)
    root = lake_to_read(lake).root if db is None else lake_root(lake)
    try:
        rows = wait_for(lambda: run_sql(root, text, db))
    except QueryError as error:
        raise UsageError(_at_fault(query, root, error)) from error
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


def _at_fault(query: str, root: Path, error: QueryError) -> str:
    """Return what is wrong, with the place in the text, and who can help."""
    place = "SQL" if not _is_there(query) else query
    line = _LINE.search(str(error.__cause__))
    if line is not None:
        place += f" line {line.group(1)}"
    in_lake = f"{root}{os.sep}" in str(error)
    remedy = (
        "`vison-etl doctor` says what can be done"
        if in_lake
        else "`vison-etl sql 'from dictionary'` lists tables and columns"
    )
    is_told = error.__cause__ is None or "; " in str(error)
    return f"{place}: {error}{'' if is_told else f'; {remedy}'}"


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        # SQL that no file can have as its name
        return False
