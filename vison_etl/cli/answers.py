"""How an answer leaves a command: as a table for people, or as data in one of the formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vison_etl.cli.console import say, show, table_lines

if TYPE_CHECKING:
    import polars as pl


def give(rows: pl.DataFrame, form: str, out: Path | None, shown: pl.DataFrame | None = None) -> None:
    """Write an answer to stdout or a file.

    Parameters
    ----------
    rows
        The answer with all its columns.
    form, out
        As checked by ``options.answer_format``.
    shown
        What a table shows of it; None: all.
    """
    table = rows if shown is None else shown
    if form == "table" and out is None:
        show(table)
        return
    if form == "table" and out is not None:
        header, body = table_lines(table)
        out.write_text("".join(f"{line}\n" for line in (*header, *body)), encoding="utf-8")
    else:
        from vison_etl.results.writers import write_rows

        write_rows(rows, form, out)
    if out is not None:
        say(f"{rows.height} rows written to {out}")
