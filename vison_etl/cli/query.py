"""Commands: sql, metatest, fpa, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vison_etl.cli.console import progress, say, show
from vison_etl.cli.options import BlockOption, DbOption, LakeOption, lake_root

FORMATS = ("table", "csv", "json", "parquet", "xlsx")


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(sql)
    app.command()(metatest)
    app.command()(fpa)
    app.command()(report)


def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY_OR_FILE", help="SQL text, or a file that holds it.")],
    format_: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="Form of the answer.")] = "table",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here instead of to the terminal.")] = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Ad-hoc SQL, read-only, over results and lake tables."""
    from vison_etl.lake.paths import Lake
    from vison_etl.results.query import run_sql
    from vison_etl.results.writers import write_rows

    if format_ not in FORMATS:
        raise typer.BadParameter(f"--format {format_}: one of {', '.join(FORMATS)}")
    if out is None and format_ in {"parquet", "xlsx"}:
        raise typer.BadParameter(f"--format {format_} needs --out FILE")
    is_file = len(query) < 4096 and "\n" not in query and Path(query).is_file()
    text = Path(query).read_text(encoding="utf-8") if is_file else query
    rows = run_sql(Lake(lake_root(lake).absolute()), text, db)
    if format_ == "table":
        show(rows)
    else:
        write_rows(rows, format_, out)
        if out is not None:
            say(f"{rows.height} rows written to {out}")


def metatest(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Summary; without it they are listed.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write CSV, xlsx, JSON and a page here.")] = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Print an SQL summary over all blocks, or list them."""
    _summary("metatests", name, out, lake, db)


def fpa(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Map; without it they are listed.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write CSV, xlsx, JSON and a page here.")] = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Print an SQL summary over the focal plane, or list them."""
    _summary("fpa", name, out, lake, db)


def _summary(folder: str, name: str | None, out: Path | None, lake: Path | None, db: Path | None) -> None:
    from vison_etl.lake.paths import Lake
    from vison_etl.results.query import run_sql
    from vison_etl.sqlfiles import about, list_sql, read_sql

    if name is None:
        for known in list_sql(folder):
            sys.stdout.write(f"{known:28s} {about(f'{folder}/{known}.sql')}\n")
        return
    if name not in list_sql(folder):
        raise typer.BadParameter(f"no summary {name}; there are: {', '.join(list_sql(folder))}")
    path = f"{folder}/{name}.sql"
    rows = run_sql(Lake(lake_root(lake).absolute()), read_sql(path), db)
    show(rows, about(path))
    if out is not None:
        from vison_etl.report.summary_page import write_summary_page
        from vison_etl.results.writers import write_rows

        out.mkdir(parents=True, exist_ok=True)
        for form in ("csv", "xlsx", "json"):
            write_rows(rows, form, out / f"{name}.{form}")
        write_summary_page(out / f"{name}.html", name, about(path), read_sql(path), rows)
        say(f"{name}.csv, .xlsx, .json, .html written to {out}")


def report(
    block: BlockOption = None,
    test: Annotated[str | None, typer.Option("--test", metavar="T", help="Test.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where [default: <lake>/reports].")] = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Write self-contained HTML pages: one per block and test, and an index."""
    from vison_etl.report.build import build_reports
    from vison_etl.results.connect import connect

    root = lake_root(lake).absolute()
    folder = out or root / "reports"
    with progress("pages") as bar, connect(root, db) as connection:
        pages = build_reports(connection, root, folder, block=block, test=test, progress=lambda _name: bar.advance(1))
    say(f"{len(pages)} pages, start at {folder / 'index.html'}")
