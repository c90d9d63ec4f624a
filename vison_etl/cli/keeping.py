"""Commands: publish, forget, relocate, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vison_etl.cli.answers import give
from vison_etl.cli.console import say
from vison_etl.cli.errors import UsageError
from vison_etl.cli.options import (
    DbOption,
    FormatOption,
    LakeOption,
    OutFileOption,
    answer_format,
    lake_anywhere,
    lake_to_change,
    lake_to_read,
)
from vison_etl.cli.published import bring_up_to_date


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(publish)
    app.command()(forget)
    app.command()(relocate)
    app.command()(doctor)


def publish(
    full: Annotated[
        bool, typer.Option("--full", help="Rebuild from nothing, and try again what could not be read.")
    ] = False,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Bring results.duckdb up to date with the lake."""
    place = lake_to_change(lake) if db is None else lake_to_read(lake)
    done = bring_up_to_date(place, db, full=full)
    what = "rebuilt" if done.rebuilt else "brought up to date" if done.changed else "up to date"
    say(f"{done.database}: {what}, {done.n_runs_added} runs added in {done.seconds:.2f} s")


def forget(
    block: Annotated[str, typer.Option("--block", metavar="B", help="Block, by nickname.")],
    day: Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="Day of the exposure log.")],
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Remove what was ingested from one day of a block; raw data, runs and decisions stay."""
    from vison_etl.lake.manage import forget as remove
    from vison_etl.lake.paths import safe_value
    from vison_etl.pipeline.acquisitions import refresh_acquisitions

    place = lake_to_change(lake)
    name = safe_value("--block", block.upper())
    removed = remove(place, name, day)
    refresh_acquisitions(place, [name])
    bring_up_to_date(place, db)
    say(f"{name} {day}: {sum(removed.values())} part files removed; `vison-etl ingest` reads the day again")


def relocate(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Folder where the raw data were.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder where they are now.")],
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Tell the lake that raw data have moved from OLD to NEW; no file is read again."""
    from vison_etl.lake.manage import relocate as move

    place = lake_to_change(lake)
    if not new.is_dir():
        raise UsageError(f"{new}: no such folder; move the raw data first")
    changed = move(place, str(old.absolute()), str(new.absolute()))
    bring_up_to_date(place, db)
    say(f"{changed.get('exposures', 0)} exposures now point to {new.absolute()}")


def doctor(format_: FormatOption = None, out: OutFileOption = None, lake: LakeOption = None) -> None:
    """Print versions, disk, locks, and what is out of place in the lake; `state` is ok, note or bad."""
    from vison_etl.pipeline.doctor import examine

    form = answer_format(format_, out)
    findings = examine(lake_anywhere(lake))
    give(findings, form, out)
    bad = findings.filter(findings["state"] == "bad").height
    if bad:
        say(f"{bad} findings are bad")
