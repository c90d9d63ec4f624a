"""A small campaign for the tests of the whole chain, and comparison of what two lakes hold."""

from pathlib import Path

import polars as pl

from vison_etl import tables
from vison_etl.lake.parts import part_files, read_files
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs, read_run_table
from vison_etl.pipeline.drive import choose_blocks, drive
from vison_etl.pipeline.executors import make_runner
from vison_etl.pipeline.ingest import ingest
from vison_etl.pipeline.job import Options

NOT_THE_SAME = {
    "run_id",
    "source_run_id",
    "started_at",
    "seconds",
    "digest",
    "name",
    "made_at",
    "file_stamp",
    "hk_stamp",
}
"""What two runs over the same data may differ in: run ids and times, and what is made from them."""


class Quiet:
    """No progress."""

    def total(self, n):
        """Do nothing."""

    def advance(self, n):
        """Do nothing."""


def take(lake: Lake, *folders: Path, jobs: int = 0):
    """Ingest."""
    with make_runner(jobs) as run:
        return ingest(lake, folders, run=run)


def work(lake: Lake, *tests: str, jobs: int = 0, **options):
    """Analyse; without tests all that is there."""
    with make_runner(jobs) as run:
        return drive(
            lake, list(tests) or None, choose_blocks(lake, None), Options(**options), run, lambda _: None, Quiet()
        )


def contents(lake: Lake) -> dict[str, pl.DataFrame]:
    """Return all tables of a lake and of the newest run of each acquisition, in key order, without ids and times."""
    found = {}
    for table in tables.tables_of("lake"):
        frame = read_files(table.name, part_files(lake, table.name))
        found[table.name] = comparable(table, frame)
    newest = {run["acquisition"]: run["run_id"] for run in sorted(list_runs(lake), key=lambda r: r["started_at"])}
    for table in (*tables.tables_of("result"), tables.table("run_inputs")):
        frames = [read_run_table(lake, run_id, table.name) for _, run_id in sorted(newest.items())]
        found[f"run {table.name}"] = comparable(table, pl.concat(frames)) if frames else pl.DataFrame()
    return found


def comparable(table: tables.Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table without what may differ, sorted by its keys."""
    keys = [k for k in table.keys if k not in NOT_THE_SAME]
    return frame.drop(NOT_THE_SAME & set(frame.columns)).sort(keys, nulls_last=True)


def assert_same(first: Lake, second: Lake) -> None:
    """Fail if two lakes do not hold the same values to the bit."""
    one, two = contents(first), contents(second)
    assert one.keys() == two.keys()
    for name, frame in one.items():
        assert frame.equals(two[name], null_equal=True), f"{name} differs: {_difference(frame, two[name])}"


def _difference(first: pl.DataFrame, second: pl.DataFrame) -> str:
    """Say how many rows there are, or in which columns and rows two frames differ."""
    if first.shape != second.shape:
        return f"{first.shape} and {second.shape}"
    differing = [name for name in first.columns if not first[name].equals(second[name], null_equal=True)]
    rows = (first[differing[0]].ne_missing(second[differing[0]])).arg_true()
    one, two = first[int(rows[0])].rows()[0], second[int(rows[0])].rows()[0]
    return f"{differing} in {len(rows)} of {first.height} rows, first {one} and {two}"
