"""Command: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vison_etl.cli.console import progress, say
from vison_etl.cli.errors import one_of
from vison_etl.cli.options import check_out_folder

SIZES = ("small", "full")


def register(app: typer.Typer) -> None:
    """Add the command of this room."""
    app.command()(simulate)


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that gets the day folder and truth.parquet/.")],
    block: Annotated[str, typer.Option("--block", metavar="B", help="Block, by nickname.")],
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test", metavar="T", help="Test, or `all`; may be given several times [default: the whole campaign]."
        ),
    ] = None,
    campaign: Annotated[str, typer.Option(metavar="NAME", help="Campaign.")] = "Full",
    chamber: Annotated[
        str | None, typer.Option(metavar="C", help="Chamber profile [default: the block's own].")
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="full|small", help="Quadrants of 2048 x 2066 or 256 x 256 image pixels.")
    ] = "small",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all that is random.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Worker processes.")] = 2,
) -> None:
    """Write ELVIS day folders from simulated photons and, beside them, the truth as tables named like the results.

    Tests that are named go into one day folder. A whole campaign takes days, and gets a folder for each.
    """
    from vison_etl.pipeline.drive import choose_tests
    from vison_etl.simulate.day import commanded_tests, simulate_campaign, simulate_day

    if size.lower() not in SIZES:
        raise one_of("--size", size, SIZES)
    check_out_folder(out, "OUT")
    chosen = choose_tests(test or ["all"])
    of_campaign = commanded_tests(campaign)
    with progress("exposures") as bar:
        how: dict[str, Any] = {"campaign": campaign, "chamber": chamber, "size": size.lower()}
        how |= {"seed": seed, "jobs": jobs, "progress": bar.advance}
        days = (
            simulate_campaign(out, block.upper(), tests=of_campaign, **how)
            if chosen is None
            else (simulate_day(out, block.upper(), chosen, **how),)
        )
    for day in days:
        say(f"{day.n_exposures} exposures in {day.folder}, truth in {day.truth}")
