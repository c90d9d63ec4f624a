"""Command: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    test: Annotated[list[str], typer.Option("--test", metavar="T", help="Test, or `all`; may be given several times.")],
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
    """Write an ELVIS day folder from simulated photons and, beside it, the truth as tables named like the results."""
    from vison_etl.campaign.definitions import test_names
    from vison_etl.pipeline.drive import choose_tests
    from vison_etl.simulate.day import simulate_day

    if size.lower() not in SIZES:
        raise one_of("--size", size, SIZES)
    check_out_folder(out, "OUT")
    of_campaign = test_names(campaign)
    tests = choose_tests(test) or list(of_campaign)
    with progress("exposures") as bar:
        day = simulate_day(
            out,
            block.upper(),
            tests,
            campaign=campaign,
            chamber=chamber,
            size=size.lower(),
            seed=seed,
            jobs=jobs,
            progress=bar.advance,
        )
    say(f"{day.n_exposures} exposures in {day.folder}, truth in {day.truth}")
