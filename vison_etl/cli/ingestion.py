"""Command: ingest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vison_etl.cli.console import progress, say
from vison_etl.cli.options import JobsOption, LakeOption, SchedulerOption, lake_root


def register(app: typer.Typer) -> None:
    """Add the command of this room."""
    app.command()(ingest)


def ingest(
    dayfolder: Annotated[list[Path], typer.Argument(metavar="DAYFOLDER...", help="Day folders, or folders of them.")],
    block: Annotated[
        str | None, typer.Option("--block", metavar="B", help="Block [default: by its CCD serials].")
    ] = None,
    chamber: Annotated[
        str | None, typer.Option("--chamber", metavar="C", help="Chamber profile [default: the block's own].")
    ] = None,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    lake: LakeOption = None,
) -> None:
    """Day folder to lake. A second run changes nothing; a grown folder adds what is new; a changed file is read again.

    Exit code 0: every log row is in; 1: some rejected; 2: nothing usable.
    """
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.executors import make_runner
    from vison_etl.pipeline.ingest import ingest as run_ingest

    place = Lake(lake_root(lake).absolute())
    with progress("files") as bar, make_runner(jobs, scheduler) as run:
        result = run_ingest(place, dayfolder, block=block, chamber=chamber, run=run, dry_run=dry_run, progress=bar)
    for line in result.lines():
        say(line)
    raise typer.Exit(result.exit_code)
