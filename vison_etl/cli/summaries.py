"""Commands: metatest, fpa, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vison_etl.cli.answers import give
from vison_etl.cli.console import progress, say
from vison_etl.cli.errors import one_of
from vison_etl.cli.options import (
    BlockOption,
    DbOption,
    LakeOption,
    TestOption,
    check_out_folder,
    lake_root,
    lake_to_read,
)
from vison_etl.cli.published import say_if_behind

if TYPE_CHECKING:
    import polars as pl

_FILES = ("csv", "xlsx", "json")
_SHOWN = ("table", "csv", "json")

NameArgument = Annotated[str | None, typer.Argument(metavar="NAME", help="Which summary; without it they are listed.")]
FolderOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Also write NAME.csv, .xlsx, .json and .html here.")
]
ShownFormatOption = Annotated[
    str, typer.Option("--format", metavar="|".join(_SHOWN), help="Form of the answer on stdout.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(metatest)
    app.command()(fpa)
    app.command()(report)


def metatest(
    name: NameArgument = None,
    format_: ShownFormatOption = "table",
    out: FolderOption = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Print an SQL summary over all blocks, or list the summaries."""
    _summary("metatests", name, format_, out, lake, db)


def fpa(
    name: NameArgument = None,
    format_: ShownFormatOption = "table",
    out: FolderOption = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Print an SQL summary over the focal plane, or list the summaries."""
    _summary("fpa", name, format_, out, lake, db)


def _summary(folder: str, name: str | None, form: str, out: Path | None, lake: Path | None, db: Path | None) -> None:
    from vison_etl.results.query import run_sql
    from vison_etl.sqlfiles import about, list_sql, read_sql

    known = list_sql(folder)
    if name is None:
        for each in known:
            sys.stdout.write(f"{each:22s}  {about(f'{folder}/{each}.sql')}\n")
        return
    if name.lower() not in known:
        raise one_of("summary", name, known)
    if form not in _SHOWN:
        raise one_of("--format", form, _SHOWN)
    if out is not None:
        check_out_folder(out)
    path = f"{folder}/{name.lower()}.sql"
    root = lake_to_read(lake).root if db is None else lake_root(lake)
    rows = run_sql(root, read_sql(path), db)
    say_if_behind(root, db)
    say(about(path))
    give(rows, form, None)
    if out is not None:
        _write_files(rows, path, out)


def _write_files(rows: pl.DataFrame, path: str, out: Path) -> None:
    from vison_etl.report.summary_page import write_summary_page
    from vison_etl.results.writers import write_rows
    from vison_etl.sqlfiles import about, read_sql

    name = Path(path).stem
    out.mkdir(parents=True, exist_ok=True)
    for form in _FILES:
        write_rows(rows, form, out / f"{name}.{form}")
    write_summary_page(out / f"{name}.html", name, about(path), read_sql(path), rows)
    say(f"{name}.csv, .xlsx, .json, .html written to {out}")


def report(
    block: BlockOption = None,
    test: TestOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the pages [default: <lake>/reports].")
    ] = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Write self-contained HTML pages: one per block and test, and an index."""
    from vison_etl.report.build import build_reports
    from vison_etl.results.connect import connect

    root = lake_to_read(lake).root if db is None else lake_root(lake)
    folder = out or root / "reports"
    check_out_folder(folder)
    block, test = (name.upper() if name else None for name in (block, test))
    with progress("pages") as bar, connect(root, db) as connection:
        pages = build_reports(connection, root, folder, block=block, test=test, progress=lambda _name: bar.advance(1))
    say_if_behind(root, db)
    say(f"{len(pages)} pages, start at {folder / 'index.html'}")
