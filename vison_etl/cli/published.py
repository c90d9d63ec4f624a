"""The snapshot as the commands use it: bring it up to date and say what is not in it, or say that it is old."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vison_etl.cli.console import say

if TYPE_CHECKING:
    from vison_etl.lake.paths import Lake
    from vison_etl.results.publish import Published


def bring_up_to_date(lake: Lake, db: Path | None, *, full: bool = False) -> Published:
    """Publish a lake, and say what could not be read."""
    from vison_etl.results.publish import publish

    done = publish(lake, database=db, full=full)
    for problem in done.problems:
        say(f"warning: not in {done.database.name}: {problem}")
    return done


def say_if_behind(root: Path, db: Path | None) -> None:
    """Say that the answer comes from a snapshot older than the lake, if it does."""
    from vison_etl.results.connect import ResultsError, behind

    if not root.is_dir():
        return
    with suppress(ResultsError):
        note = behind(root, db)
        if note is not None:
            say(f"note: {note}")
