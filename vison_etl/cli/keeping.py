"""Commands: publish, forget, relocate, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vison_etl.cli.console import say, show
from vison_etl.cli.options import LakeOption, lake_root


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(publish)
    app.command()(forget)
    app.command()(relocate)
    app.command()(doctor)


def publish(
    full: Annotated[bool, typer.Option("--full", help="Rebuild from nothing.")] = False, lake: LakeOption = None
) -> None:
    """Bring results.duckdb up to date with the lake."""
    from vison_etl.lake.paths import Lake
    from vison_etl.results.publish import publish as build

    done = build(Lake(lake_root(lake).absolute()), full=full)
    say(f"{done.n_runs_added} runs added in {done.seconds:.2f} s{' (rebuilt)' if done.rebuilt else ''}")


def forget(
    block: Annotated[str, typer.Option("--block", metavar="B", help="Block.")],
    day: Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="Day of the exposure log.")],
    lake: LakeOption = None,
) -> None:
    """Remove what was ingested from one day of a block. Never touches raw data or results."""
    from vison_etl.lake.manage import forget as remove
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.acquisitions import refresh_acquisitions
    from vison_etl.results.publish import publish as build

    place = Lake(lake_root(lake).absolute())
    removed = remove(place, block, day)
    refresh_acquisitions(place, [block])
    build(place)
    say(f"{block} {day}: {sum(removed.values())} part files removed")


def relocate(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Folder where the raw data were.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder where they are now.")],
    lake: LakeOption = None,
) -> None:
    """Tell the lake that raw data have moved; nothing is read again."""
    from vison_etl.lake.manage import relocate as move
    from vison_etl.lake.paths import Lake
    from vison_etl.results.publish import publish as build

    place = Lake(lake_root(lake).absolute())
    changed = move(place, str(old.absolute()), str(new.absolute()))
    build(place)
    say(f"{changed.get('exposures', 0)} exposures now point to {new}")


def doctor(lake: LakeOption = None) -> None:
    """Print versions, disk, locks, and what is out of place in the lake."""
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.doctor import examine

    findings = examine(Lake(lake_root(lake).absolute()))
    show(findings)
    raise typer.Exit(int(findings.filter(findings["state"] == "bad").height > 0))
