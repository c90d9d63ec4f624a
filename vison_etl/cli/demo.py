"""Command: demo, from simulated photons to pages in one go."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vison_etl.cli.console import progress, say, show
from vison_etl.cli.options import check_out_folder
from vison_etl.cli.published import bring_up_to_date

if TYPE_CHECKING:
    from vison_etl.lake.paths import Lake

BLOCKS = ("BORN", "NIELS")
TESTS = ("BIAS01", "BIAS02", "PTC01", "PTC02_730", "FLATFLUX00_800")


def register(app: typer.Typer) -> None:
    """Add the command of this room."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for raw/, lake/ and reports/.")] = Path("demo"),
    all_: Annotated[bool, typer.Option("--all", help="Every test of the campaign; takes several minutes.")] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Worker processes.")] = 2,
) -> None:
    """Simulate two blocks, ingest and analyse them, write the pages, print the focal-plane summary."""
    from vison_etl.lake.paths import Lake
    from vison_etl.simulate.day import commanded_tests

    started = time.perf_counter()
    check_out_folder(out)
    place = Lake((out / "lake").absolute())
    raw = out / "raw"
    tests = [t for t in commanded_tests("Full") if all_ or t in TESTS]
    folders = [f for number, block in enumerate(BLOCKS) for f in _simulate(raw / block, block, tests, jobs, number)]
    _process(place, folders, jobs)
    index = _pages(place, out / "reports")
    _summary(place)
    say(f"{time.perf_counter() - started:.0f} s in all. Pages: {index}")
    say(f"Ask it something:  vison-etl sql --lake {shlex.quote(str(place.root))} 'from adopted_gain'")


def _simulate(out: Path, block: str, tests: list[str], jobs: int, number: int) -> list[Path]:
    from vison_etl.simulate.day import simulate_campaign

    with progress(f"simulate {block}") as bar:
        seed = 20190312 + number
        days = simulate_campaign(out, block, tests=tests, size="small", seed=seed, jobs=jobs, progress=bar.advance)
    for day in days:
        say(f"{block}: {day.n_exposures} exposures simulated in {day.folder}")
    return [Path(day.folder) for day in days]


def _process(place: Lake, folders: list[Path], jobs: int) -> None:
    from vison_etl.pipeline.drive import choose_blocks, drive
    from vison_etl.pipeline.executors import make_runner
    from vison_etl.pipeline.ingest import ingest
    from vison_etl.pipeline.job import Options

    with make_runner(jobs, None) as run:
        with progress("ingest") as bar:
            taken = ingest(place, folders, block=None, chamber=None, run=run, dry_run=False, progress=bar)
        for line in taken.lines():
            say(line)
        with progress("analyse") as bar:
            outcomes = drive(place, None, choose_blocks(place, None), Options(argv="demo"), run, lambda _: None, bar)
    bring_up_to_date(place, None)
    say(f"{len(outcomes)} analyses stored")


def _pages(place: Lake, out: Path) -> Path:
    from vison_etl.report.build import build_reports
    from vison_etl.results.connect import connect

    with progress("pages") as bar, connect(place.root) as connection:
        build_reports(connection, place.root, out, progress=lambda _name: bar.advance(1))
    return out / "index.html"


def _summary(place: Lake) -> None:
    from vison_etl.results.query import run_sql
    from vison_etl.sqlfiles import about, read_sql

    say(about("fpa/summary.sql"))
    show(run_sql(place, read_sql("fpa/summary.sql")))
