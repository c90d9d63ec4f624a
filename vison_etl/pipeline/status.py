"""Per block and test: expected, partial, complete, checked, analysed, stale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from vison_etl.campaign.definitions import definition, test_names
from vison_etl.campaign.derived import is_due
from vison_etl.lake.paths import Lake, LakeError
from vison_etl.lake.runs import read_run_table
from vison_etl.pipeline.block import BlockView, load_block
from vison_etl.pipeline.job import Job, Options, latest_run, prepare, stale_reasons
from vison_etl.pipeline.selection import in_order

_COLUMNS: dict[str, type[pl.DataType]] = {
    "block": pl.String, "test": pl.String, "state": pl.String, "acquisition": pl.String, "found": pl.Int64,
    "expected": pl.Int64, "repeats": pl.Int64, "run_id": pl.String, "run_status": pl.String, "checked": pl.Int64,
    "outside": pl.Int64, "flags": pl.String, "why": pl.String,
}  # fmt: skip


def status_table(lake: Lake, blocks: Sequence[str], campaign: str | None = None) -> pl.DataFrame:
    """Return one row per block and test: its state in the campaign, and why it is stale.

    Columns: block, test, state (``expected``, ``partial``, ``aborted``, ``complete``, ``stale``, ``checked`` for a test that feeds no
    effect and has been checked, ``analysed``, ``failed``; ``unmatched`` for exposures of no known test, ``unreadable`` for what is
    damaged in the lake), acquisition, found, expected, repeats, run_id, run_status, checked and outside (values compared with limits by
    the last run, and those outside), flags, why. A test that uses the frames of others has their state. Tests of other
    campaigns than ``campaign`` are in it where they have been acquired.

    Raises
    ------
    UnknownTest
        For a campaign that does not exist.
    """
    expected = frozenset(test_names(campaign))
    rows = [row for block in blocks for row in _block_rows(lake, block, expected)]
    return pl.DataFrame(rows, schema=_COLUMNS)


def _block_rows(lake: Lake, block: str, expected: frozenset[str]) -> Iterator[dict[str, Any]]:
    try:
        view = load_block(lake, block)
    except LakeError as error:
        yield {"block": block, "state": "unreadable", "why": str(error)}
        return
    for test in in_order(test_names()):
        row = _row(lake, view, test)
        if test in expected or (row["state"] != "expected" and (row["run_id"] or _is_wanted(view, test))):
            yield row
    yield from _unknown(view)


def _row(lake: Lake, view: BlockView, test: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "block": view.block, "test": test, "state": "expected", "found": 0, "repeats": 0, "run_id": None,
    }  # fmt: skip
    sources = definition(test).frames_of
    uses = None if sources == (test,) else f"uses the frames of {', '.join(sources)}"
    acquisition = view.adopted(test)
    if acquisition is None:
        return row | {"why": uses}
    row |= {
        "state": acquisition["status"],
        "acquisition": acquisition["acquisition"],
        "found": acquisition["n_found"],
        "expected": acquisition["n_expected"],
        "repeats": view.acquisitions.filter(pl.col("test") == test).height,
        "why": acquisition["mismatch"] or uses,
    }
    try:
        return row | _of_last_run(lake, view, test, row["why"])
    except LakeError as error:
        return row | {"state": "unreadable", "why": str(error)}


def _is_wanted(view: BlockView, test: str) -> bool:
    """Tell whether a test of another campaign counts as acquired; its sources alone do not make it so."""
    acquisition = view.adopted(test)
    return definition(test).has_frames or (acquisition is not None and is_due(test, acquisition))


def _of_last_run(lake: Lake, view: BlockView, test: str, why: str | None) -> dict[str, Any]:
    job = prepare(lake, view, test, Options(partial=True))
    last = latest_run(lake, job) if isinstance(job, Job) else None
    if last is None or not isinstance(job, Job):
        return {}
    reasons = stale_reasons(job, last)
    passed = read_run_table(lake, str(last["run_id"]), "compliance").get_column("pass")
    done = "analysed" if job.effects else "checked"
    return {
        "state": "failed" if last["status"] == "failed" else "stale" if reasons else done,
        "run_id": last["run_id"],
        "run_status": last["status"],
        "checked": passed.len(),
        "outside": int((~passed).sum()),
        "flags": last["flags"],
        "why": "; ".join(reasons) or why,
    }


def _unknown(view: BlockView) -> Iterator[dict[str, Any]]:
    left = view.exposures.filter(pl.col("acquisition").is_null())
    counts = left.group_by("test_in_log").agg(pl.col("obsid").n_unique().alias("found")).sort("test_in_log")
    for row in counts.iter_rows(named=True):
        yield {
            "block": view.block, "test": row["test_in_log"], "state": "unmatched", "found": row["found"], "repeats": 0,
            "why": "no test of the campaign has this structure",
        }  # fmt: skip
