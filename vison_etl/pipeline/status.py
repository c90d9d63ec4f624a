"""Per block and test: expected, partial, complete, checked, analysed, stale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from vison_etl.campaign.definitions import test_names
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.analyse import Job, Options, latest_run, prepare, stale_reasons
from vison_etl.pipeline.block import BlockView, load_block
from vison_etl.pipeline.selection import in_order


def status_table(lake: Lake, blocks: Sequence[str]) -> pl.DataFrame:
    """Return one row per block and test: its state in the campaign, and why it is stale.

    Columns: block, test, state (``expected``, ``partial``, ``complete``, ``stale``, ``analysed``, ``failed``), acquisition, found, expected,
    repeats, run_id, run_status, flags, why.
    """
    rows = [row for block in blocks for row in _block_rows(lake, load_block(lake, block))]
    return pl.DataFrame(rows, infer_schema_length=None)


def _block_rows(lake: Lake, view: BlockView) -> list[dict[str, Any]]:
    rows = [_row(lake, view, test) for test in in_order(test_names())]
    return [*rows, *_unknown(view)]


def _row(lake: Lake, view: BlockView, test: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "block": view.block, "test": test, "state": "expected", "acquisition": None, "found": 0, "expected": None,
        "repeats": 0, "run_id": None, "run_status": None, "flags": None, "why": None,
    }  # fmt: skip
    acquisition = view.adopted(test)
    if acquisition is None:
        return row
    row |= {
        "state": acquisition["status"],
        "acquisition": acquisition["acquisition"],
        "found": acquisition["n_found"],
        "expected": acquisition["n_expected"],
        "repeats": view.acquisitions.filter(pl.col("test") == test).height,
        "why": acquisition["mismatch"],
    }
    job = prepare(lake, view, test, Options(partial=True))
    last = latest_run(lake, job) if isinstance(job, Job) else None
    if last is None or not isinstance(job, Job):
        return row
    reasons = stale_reasons(job, last)
    state = "failed" if last["status"] == "failed" else "stale" if reasons else "analysed"
    row |= {"state": state, "run_id": last["run_id"], "run_status": last["status"], "flags": last["flags"]}
    row["why"] = "; ".join(reasons) or row["why"]
    return row


def _unknown(view: BlockView) -> list[dict[str, Any]]:
    left = view.exposures.filter(pl.col("acquisition").is_null())
    counts = left.group_by("test_in_log").agg(pl.col("obsid").n_unique().alias("found")).sort("test_in_log")
    return [
        {
            "block": view.block, "test": row["test_in_log"], "state": "unmatched", "acquisition": None, "found": row["found"],
            "expected": None, "repeats": 0, "run_id": None, "run_status": None, "flags": None,
            "why": "no test of the campaign has this structure",
        }
        for row in counts.iter_rows(named=True)
    ]  # fmt: skip
