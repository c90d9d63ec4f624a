"""All that one page about a test needs, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vison_etl import tables
from vison_etl.campaign.derived import sources_of
from vison_etl.effects.charts import empty
from vison_etl.report import source
from vison_etl.report.drawing import wanted_tables
from vison_etl.report.headlines import requirements
from vison_etl.report.source import Snapshot

Row = Mapping[str, Any]

_BY_EXPOSURE = ("exposures", "hk_summary", "quadrant_stats")


@dataclass(frozen=True, slots=True)
class Gathered:
    """One test of one block.

    Parameters
    ----------
    block, test
        Which.
    run
        Row of ``runs`` of the current run; None if there is none.
    last_run
        The newest run of all, where it is another than the current one: a failed one, or a trial.
    acquisition
        Row of ``acquisitions`` of the acquisition that the run analysed, else of the adopted one, else of the last.
    others
        The further acquisitions of the test.
    tables
        Every result table with rows, the lake tables that charts and sections ask for, of this acquisition, and
        ``requirements`` (metric, lo, hi).
    """

    block: str
    test: str
    run: Row | None
    last_run: Row | None
    acquisition: Row | None
    others: pl.DataFrame
    tables: Mapping[str, pl.DataFrame]

    def table(self, name: str) -> pl.DataFrame:
        """Return a table, typed and empty where the snapshot has nothing."""
        return self.tables.get(name, empty(name))


def gather(snapshot: Snapshot, block: str, test: str) -> Gathered:
    """Read one test of one block."""
    runs = current_flagged_runs(snapshot, block, test)
    current = runs.filter(pl.col("is_current"))
    run = _first(current)
    newest = _first(runs.sort("started_at", "run_id", descending=True, nulls_last=True))
    last_run = newest if newest is not None and (run is None or newest["run_id"] != run["run_id"]) else None
    acquisitions = source.select(snapshot, "acquisitions", block=block, test=test)
    acquisition = _acquisition(snapshot, acquisitions, run)
    others = acquisitions.filter(pl.col("acquisition") != (acquisition or {}).get("acquisition", ""))
    return Gathered(block, test, run, last_run, acquisition, others, _tables(snapshot, block, run, acquisition))


def current_flagged_runs(snapshot: Snapshot, block: str | None = None, test: str | None = None) -> pl.DataFrame:
    """Return the rows of ``runs`` with ``is_current``; a snapshot that does not say has current runs only."""
    blank = empty("runs").with_columns(is_current=pl.lit(None, pl.Boolean))
    if "runs" not in snapshot.names:
        return blank
    wanted = [(name, value) for name, value in (("block", block), ("test", test)) if value is not None]
    condition = " and ".join(f"{name} = ?" for name, _ in wanted) or "true"
    frame = snapshot.connection.sql(f"select * from runs where {condition}", params=[v for _, v in wanted]).pl()  # noqa: S608
    if "is_current" not in frame.columns:
        frame = frame.with_columns(is_current=pl.lit(value=True))
    return source.typed(frame, blank)


def _first(frame: pl.DataFrame) -> Row | None:
    return frame.row(0, named=True) if frame.height else None


def _acquisition(snapshot: Snapshot, acquisitions: pl.DataFrame, run: Row | None) -> Row | None:
    if run is not None and run["acquisition"] is not None:
        return _first(source.select(snapshot, "acquisitions", acquisition=str(run["acquisition"])))
    adopted = acquisitions.filter(pl.col("is_adopted"))
    return _first(adopted if adopted.height else acquisitions.sort("repeat", descending=True, nulls_last=True))


def _tables(snapshot: Snapshot, block: str, run: Row | None, acquisition: Row | None) -> dict[str, pl.DataFrame]:
    found: dict[str, pl.DataFrame] = {}
    if run is not None:
        for table in tables.tables_of("result"):
            found[table.name] = source.select(snapshot, table.name, run_id=str(run["run_id"]))
        found["run_inputs"] = source.select(snapshot, "run_inputs", run_id=str(run["run_id"]))
    parts = (
        []
        if acquisition is None
        else [_of_acquisition(snapshot, block, row) for row in _sources(snapshot, acquisition)]
    )
    for name in {name for part in parts for name in part} - set(found):
        found[name] = pl.concat([part[name] for part in parts])
    return {name: frame for name, frame in found.items() if frame.height} | {"requirements": requirements()}


def _sources(snapshot: Snapshot, acquisition: Row) -> list[Row]:
    """Return the acquisitions that have the exposures of one."""
    names = sources_of(acquisition)
    if names == (acquisition["acquisition"],):
        return [acquisition]
    rows = (_first(source.select(snapshot, "acquisitions", acquisition=name)) for name in names)
    return [row for row in rows if row is not None]


def _of_acquisition(snapshot: Snapshot, block: str, acquisition: Row) -> dict[str, pl.DataFrame]:
    """Read the lake tables that charts and sections ask for, of one acquisition with exposures of its own."""
    bounds = {"obsid_from": acquisition["obsid_first"], "obsid_to": acquisition["obsid_last"]}
    found = {name: source.select(snapshot, name, block=block, **bounds) for name in _BY_EXPOSURE}
    for name in sorted(wanted_tables() - set(found)):
        if "acquisition" in tables.table(name).names and tables.table(name).stage == "lake":
            key = str(acquisition["acquisition"])
            found[name] = source.select(snapshot, name, block=block, test=str(acquisition["test"]), acquisition=key)
    return found
