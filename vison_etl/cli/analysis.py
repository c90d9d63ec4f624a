"""Commands: analyse, status, check, adopt, exclude."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vison_etl.cli.console import progress, say, show
from vison_etl.cli.options import BlockOption, JobsOption, LakeOption, SchedulerOption, lake_root, obsid_range

if TYPE_CHECKING:
    from vison_etl.pipeline.analyse import Outcome


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(analyse)
    app.command()(status)
    app.command()(check)
    app.command()(adopt)
    app.command()(exclude)


def analyse(
    test: Annotated[list[str], typer.Option("--test", metavar="T", help="Test, or `all`; may be given several times.")],
    block: BlockOption = None,
    obsids: Annotated[str | None, typer.Option(metavar="A:B", help="Only these exposures: a trial.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Analyse acquisitions that are not complete.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Analyse again what is up to date.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another parameter or input: a trial.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    lake: LakeOption = None,
) -> None:
    """Lake to results: measure what is missing, calibrate, store. Skips what is up to date and says what is stale and why."""
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.analyse import Options
    from vison_etl.pipeline.drive import choose_blocks, choose_tests, drive, exit_code
    from vison_etl.pipeline.executors import make_runner
    from vison_etl.results.publish import publish

    place = Lake(lake_root(lake).absolute())
    tests = choose_tests(test)
    options = Options(obsid_range(obsids), partial, force, tuple(set_ or ()), dry_run, " ".join(sys.argv))
    blocks = choose_blocks(place, block)
    with progress("units") as bar, make_runner(jobs, scheduler) as run:
        outcomes = drive(place, tests, blocks, options, run, lambda o: say(_line(o)), bar)
    if any(o.action in {"stored", "failed"} for o in outcomes):
        publish(place)
    raise typer.Exit(exit_code(outcomes))


def _line(outcome: Outcome) -> str:
    text = f"{outcome.block} {outcome.test}: {outcome.action.replace('_', ' ')}"
    if outcome.run_id:
        text += f" as {outcome.run_id} in {outcome.seconds:.1f} s"
        text += f" ({outcome.n_measured} units measured, {outcome.n_kept} kept)"
    if outcome.flags:
        text += f"; flags {', '.join(outcome.flags)}"
    return f"{text}; {'; '.join(outcome.reasons)}" if outcome.reasons else text


def status(block: BlockOption = None, lake: LakeOption = None) -> None:
    """Per block and test: expected, partial, complete, analysed, stale, and why."""
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.drive import choose_blocks
    from vison_etl.pipeline.status import status_table

    place = Lake(lake_root(lake).absolute())
    show(status_table(place, choose_blocks(place, block)))


def check(
    block: BlockOption = None,
    test: Annotated[str | None, typer.Option("--test", metavar="T", help="Test.")] = None,
    lake: LakeOption = None,
) -> None:
    """Print the compliance failures of the current runs, the worst offender first."""
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.drive import choose_blocks, choose_tests
    from vison_etl.results.query import run_sql
    from vison_etl.sqlfiles import read_sql

    place = Lake(lake_root(lake).absolute())
    blocks = choose_blocks(place, block)
    tests = choose_tests([test]) if test else None
    rows = run_sql(place, read_sql("checks/compliance_failures.sql"))
    rows = rows.filter(rows["block"].is_in(blocks))
    rows = rows.filter(rows["test"].is_in(tests)) if tests else rows
    if rows.is_empty():
        say("no compliance failure")
        raise typer.Exit(0)
    show(rows)
    raise typer.Exit(1)


def adopt(
    run_or_acquisition: Annotated[str, typer.Argument(metavar="RUN_OR_ACQUISITION")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
    lake: LakeOption = None,
) -> None:
    """Make a run or an acquisition the one that counts."""
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.decisions import adopt as decide
    from vison_etl.results.publish import publish

    place = Lake(lake_root(lake).absolute())
    say(decide(place, run_or_acquisition, reason))
    publish(place)


def exclude(
    block: Annotated[str, typer.Option("--block", metavar="B", help="Block.")],
    obsids: Annotated[str, typer.Option("--obsids", metavar="A:B", help="Exposures left out.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
    ccd: Annotated[str | None, typer.Option(metavar="C", help="Only this CCD.")] = None,
    quadrant: Annotated[str | None, typer.Option(metavar="Q", help="Only this quadrant.")] = None,
    lake: LakeOption = None,
) -> None:
    """Leave frames or channels out; their results become stale."""
    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.decisions import exclude as decide
    from vison_etl.results.publish import publish

    place = Lake(lake_root(lake).absolute())
    span = obsid_range(obsids)
    if span is None:
        raise typer.BadParameter("--obsids is empty")
    say(decide(place, block, span, ccd, quadrant, reason))
    publish(place)
