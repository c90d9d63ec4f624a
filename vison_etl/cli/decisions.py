"""Commands: adopt, exclude, overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vison_etl.cli.console import say
from vison_etl.cli.options import DbOption, LakeOption, ReasonOption, lake_to_change, obsid_range
from vison_etl.cli.published import bring_up_to_date


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(adopt)
    app.command()(exclude)
    app.command()(overrides)


def adopt(
    run_or_acquisition: Annotated[
        str, typer.Argument(metavar="RUN_OR_ACQUISITION", help="Run id, or acquisition as BLOCK/TEST/FIRST_OBSID.")
    ],
    reason: ReasonOption,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Make a run or an acquisition the one that counts for its block and test."""
    from vison_etl.pipeline.decisions import adopt as decide

    place = lake_to_change(lake)
    say(decide(place, run_or_acquisition, reason))
    bring_up_to_date(place, db)


def exclude(
    block: Annotated[str, typer.Option("--block", metavar="B", help="Block, by nickname.")],
    obsids: Annotated[str, typer.Option("--obsids", metavar="A:B", help="Exposures A to B, both left out.")],
    reason: ReasonOption,
    ccd: Annotated[str | None, typer.Option(metavar="C", help="Only this CCD: CCD1, CCD2 or CCD3.")] = None,
    quadrant: Annotated[str | None, typer.Option(metavar="Q", help="Only this quadrant: E, F, G or H.")] = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Leave exposures or channels of them out; the results that used them become stale."""
    from vison_etl.pipeline.decisions import exclude as decide

    place = lake_to_change(lake)
    say(decide(place, block, obsid_range(obsids), ccd, quadrant, reason))
    bring_up_to_date(place, db)


def overrides(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Decisions as rows: CSV, or TOML with [[override]].")],
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Take over the decisions of a file: exclusions and adoptions, each with reason, author and date.

    Columns: block, test, acquisition, obsids, ccd, quadrant, action, reason, author, date. Rows that the lake has are left out.
    """
    from vison_etl.pipeline.decisions import decide_by_file

    place = lake_to_change(lake)
    say(decide_by_file(place, file))
    bring_up_to_date(place, db)
