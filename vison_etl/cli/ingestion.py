"""Command: ingest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vison_etl.cli.console import progress, say
from vison_etl.cli.errors import UsageError
from vison_etl.cli.options import (
    JobsOption,
    LakeOption,
    SchedulerOption,
    lake_anywhere,
    lake_to_change,
    scheduler_address,
)


def register(app: typer.Typer) -> None:
    """Add the command of this room."""
    app.command()(ingest)


def ingest(
    dayfolder: Annotated[list[Path], typer.Argument(metavar="DAYFOLDER", help="Day folders, or folders of them.")],
    block: Annotated[
        str | None, typer.Option("--block", metavar="B", help="Block, by nickname [default: by its CCD serials].")
    ] = None,
    chamber: Annotated[
        str | None, typer.Option("--chamber", metavar="C", help="Chamber profile [default: the block's own].")
    ] = None,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read; write nothing.")] = False,
    lake: LakeOption = None,
) -> None:
    """Day folder to lake; a second run reads only what is new or changed.

    Exit codes: 0 every log row is in; 1 some rejected; 2 nothing usable.
    """
    from vison_etl.pipeline.executors import make_runner
    from vison_etl.pipeline.ingest import ingest as run_ingest

    place = lake_anywhere(lake) if dry_run else lake_to_change(lake, is_new=True)
    address = scheduler_address(scheduler)
    _keep_apart(place.root, dayfolder)
    with progress("files") as bar, make_runner(jobs, address) as run:
        result = run_ingest(place, dayfolder, block=block, chamber=chamber, run=run, dry_run=dry_run, progress=bar)
    for line in result.lines():
        say(line)
    raise typer.Exit(result.exit_code)


def _keep_apart(lake: Path, folders: Sequence[Path]) -> None:
    """Refuse a lake inside raw data, which are never written to; `cd DAYFOLDER; vison-etl ingest .` would make one."""
    from vison_etl.pipeline.ingest_sources import find_roots

    for path in folders:
        if path.is_file():
            raise UsageError(f"{path} is a file; name the day folder that holds it")
    for root in find_roots(folders)[0]:
        if lake.resolve().is_relative_to(Path(root).resolve()):
            raise UsageError(f"the lake {lake} would lie inside the day folder {root}; put it elsewhere with --lake")
