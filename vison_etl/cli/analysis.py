"""Commands: analyse, status, check."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vison_etl.cli.answers import give
from vison_etl.cli.console import progress, say
from vison_etl.cli.options import (
    BlockOption,
    DbOption,
    FormatOption,
    JobsOption,
    LakeOption,
    OutFileOption,
    SchedulerOption,
    TestOption,
    answer_format,
    lake_to_change,
    lake_to_read,
    obsid_range,
    scheduler_address,
)
from vison_etl.cli.published import bring_up_to_date, say_if_behind

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from vison_etl.lake.paths import Lake
    from vison_etl.pipeline.job import Outcome

_STATUS_SHOWN = ("block", "test", "state", "frames", "outside", "flags", "why")
_CHECK_SHOWN = ("block", "test", "rule", "obsid", "ccd", "quadrant", "value", "limits", "excess")


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(analyse)
    app.command()(status)
    app.command()(check)


def analyse(
    test: Annotated[list[str], typer.Option("--test", metavar="T", help="Test, or `all`; may be given several times.")],
    block: Annotated[
        str | None,
        typer.Option("--block", metavar="B", help="Only this block [default: every block that has the test]."),
    ] = None,
    obsids: Annotated[str | None, typer.Option(metavar="A:B", help="Only exposures A to B: a trial.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Analyse acquisitions that are not complete, too.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Analyse again what is up to date.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Another parameter or input: a trial; may be given several times."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Lake to results: measure what is missing, calibrate, store, publish; skips what is up to date.

    Says what is stale and why. Trials are stored, but are not current unless adopted.

    Exit codes: 0 all stored or up to date; 1 some failed, partial or skipped.
    """
    from vison_etl.pipeline.drive import choose_blocks, choose_tests, drive, exit_code
    from vison_etl.pipeline.executors import make_runner
    from vison_etl.pipeline.job import Options

    place = lake_to_read(lake) if dry_run else lake_to_change(lake)
    tests = choose_tests(test)
    span = None if obsids is None else obsid_range(obsids)
    address = scheduler_address(scheduler)
    options = Options(span, partial, force, tuple(set_ or ()), dry_run, shlex.join(["vison-etl", *sys.argv[1:]]))
    blocks = choose_blocks(place, block)
    with progress("units") as bar, make_runner(jobs, address) as run:
        outcomes = drive(place, tests, blocks, options, run, lambda o: say(_line(o)), bar, all_blocks=block is None)
    is_published = dry_run or _publish(place, db)
    raise typer.Exit(exit_code(outcomes) or int(not is_published))


def _publish(lake: Lake, db: Path | None) -> bool:
    """Publish what was stored; it stays stored where that fails."""
    from vison_etl.results.publish import PublishError

    try:
        bring_up_to_date(lake, db)
    except PublishError as error:
        say(f"warning: stored but not published: {error}")
        return False
    return True


def _line(outcome: Outcome) -> str:
    text = f"{outcome.block} {outcome.test}: {outcome.action.replace('_', ' ')}".lstrip()
    if outcome.run_id:
        text += f" as {outcome.run_id} in {outcome.seconds:.1f} s"
        text += f" ({outcome.n_measured} units measured, {outcome.n_kept} kept)"
    if outcome.flags:
        text += f"; flags {', '.join(outcome.flags)}"
    return f"{text}; {'; '.join(outcome.reasons)}" if outcome.reasons else text


def status(
    block: BlockOption = None,
    campaign: Annotated[
        str, typer.Option("--campaign", metavar="NAME", help="Campaign whose tests are expected.")
    ] = "Full",
    format_: FormatOption = None,
    out: OutFileOption = None,
    lake: LakeOption = None,
) -> None:
    """Per block and test: expected, partial, complete, checked, analysed, stale, and why.

    `frames` are exposures found of those commanded, `outside` values outside their limits of those checked. The other formats have
    more columns: acquisition, run, repeats.
    """
    import polars as pl

    from vison_etl.pipeline.drive import choose_blocks
    from vison_etl.pipeline.status import status_table

    form = answer_format(format_, out)
    place = lake_to_read(lake)
    rows = status_table(place, choose_blocks(place, block), campaign)
    shown = rows.with_columns(
        _of(pl.col("found"), pl.col("expected")).alias("frames"),
        _of(pl.col("outside"), pl.col("checked")).alias("outside"),
        pl.col("flags").str.replace_all(",", ", "),
    )
    give(rows, form, out, shown.select(_STATUS_SHOWN))


def _of(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    import polars as pl

    both = pl.concat_str(part, pl.lit(" of "), whole)
    return pl.coalesce(both, pl.when(part > 0).then(part.cast(pl.String)))


def check(
    block: BlockOption = None,
    test: TestOption = None,
    format_: FormatOption = None,
    out: OutFileOption = None,
    lake: LakeOption = None,
    db: DbOption = None,
) -> None:
    """Values of the current runs outside their limits, the worst offender first.

    `excess` says how far outside: the distance beyond the limit in half widths between the limits (of the limit itself where it has
    one side only); a value that is missing comes last. Values and limits have the unit that the rule's name ends with.

    Exit codes: 0 none; 1 any.
    """
    from vison_etl.pipeline.drive import choose_blocks, choose_tests
    from vison_etl.results.query import run_sql
    from vison_etl.sqlfiles import read_sql

    form = answer_format(format_, out)
    place = lake_to_read(lake)
    blocks = choose_blocks(place, block)
    tests = choose_tests([test]) if test else None
    rows = run_sql(place, read_sql("checks/compliance_failures.sql"), db)
    checked = run_sql(place, "select block, test, count(*) as n from compliance group by all", db)
    rows, checked = (_only(frame, blocks, tests) for frame in (rows, checked))
    say_if_behind(place.root, db)
    if not rows.is_empty() or form != "table":
        give(rows, form, out, _with_limits(rows).select(_CHECK_SHOWN))
    n_checked = int(checked["n"].sum())
    if n_checked:
        say(f"{rows.height} of {n_checked} values outside their limits")
    else:
        say("nothing has been checked: no current run; `vison-etl analyse --test all` first")
    raise typer.Exit(int(not rows.is_empty()))


def _only(frame: pl.DataFrame, blocks: list[str], tests: list[str] | None) -> pl.DataFrame:
    mine = frame.filter(frame["block"].is_in(blocks))
    return mine if tests is None else mine.filter(mine["test"].is_in(tests))


def _with_limits(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    from vison_etl.cli.text import cell

    texts = [
        f"{cell(lo)} to {cell(hi)}" if None not in {lo, hi} else f"<= {cell(hi)}" if lo is None else f">= {cell(lo)}"
        for lo, hi in rows.select("lo", "hi").iter_rows()
    ]
    return rows.with_columns(pl.Series("limits", texts, dtype=pl.String))
