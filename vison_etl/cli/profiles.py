"""Command: profile."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vison_etl.cli.console import say
from vison_etl.cli.errors import UsageError
from vison_etl.cli.options import DbOption, LakeOption, OutFileOption, lake_root, lake_to_read
from vison_etl.cli.published import say_if_behind

if TYPE_CHECKING:
    import polars as pl


def register(app: typer.Typer) -> None:
    """Add the command of this room."""
    app.command()(profile)


def profile(
    block: Annotated[str, typer.Option("--block", metavar="B", help="Block whose measurements are used.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the profile [default: <chamber>_<block>].")
    ] = None,
    out: OutFileOption = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Propose a chamber profile (TOML) from the measured saturation times and shutter offsets of the flat source.

    Only measured values, each with its error and its run; of each filter the run with the smallest error. It changes nothing: whoever
    keeps the profiles decides.
    """
    from vison_etl.effects.light_source.profile import measured, profile_text
    from vison_etl.results.query import run_sql
    from vison_etl.sqlfiles import read_sql

    root = lake_to_read(lake).root if db is None else lake_root(lake)
    rows = run_sql(root, read_sql("chambers/flat_source.sql"), db)
    mine = rows.filter(rows["block"] == block.upper())
    say_if_behind(root, db)
    if mine.is_empty():
        known = ", ".join(rows["block"].unique().sort()) or "no block"
        raise UsageError(f"--block {block}: no saturation time measured; measured: {known}")
    text = "\n".join(
        profile_text(name or f"{of_chamber or 'UNKNOWN'}_{block.upper()}", of_chamber, measured(part.to_dicts()))
        for of_chamber, part in _by_chamber(mine)
    )
    if out is None:
        sys.stdout.write(text)
        return
    out.write_text(text, encoding="utf-8")
    say(f"written to {out}")


def _by_chamber(rows: pl.DataFrame) -> list[tuple[str | None, pl.DataFrame]]:
    return [(part["chamber"][0], part) for part in rows.partition_by("chamber", maintain_order=True)]
