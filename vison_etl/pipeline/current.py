"""Which run counts: the same rule as the views of the snapshot, on the run records of the lake.

Current is the newest run with status ok or flagged, no trial, of the whole adopted acquisition, unless the latest decision
for that block and test adopts a run. A failed run never replaces a good one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

Run = Mapping[str, Any]


def order(run: Run) -> tuple[str, str]:
    """Return the sort key by age."""
    return str(run["started_at"]), str(run["run_id"])


def is_good(run: Run) -> bool:
    """Return whether a run may be current without anybody's decision."""
    return run["status"] in {"ok", "flagged"} and not run["is_trial"]


def current_of_acquisition(runs: Iterable[Run], acquisition: Mapping[str, Any]) -> Run | None:
    """Return the current run of one acquisition, or None."""
    fitting = [
        run
        for run in runs
        if is_good(run)
        and run["acquisition"] == acquisition["acquisition"]
        and run["obsid_first"] == acquisition["obsid_first"]
        and run["obsid_last"] == acquisition["obsid_last"]
    ]
    return max(fitting, key=order, default=None)


def adopted_run_id(overrides: pl.DataFrame, block: str, test: str) -> str | None:
    """Return the run that the latest adoption of this block and test names, or None if it names an acquisition."""
    decisions = overrides.filter(
        (pl.col("kind") == "adopt") & (pl.col("block") == block) & (pl.col("test") == test)
    ).sort("made_at")
    return None if decisions.is_empty() else decisions.get_column("run_id")[-1]


def current_run(
    runs: Sequence[Run], acquisitions: Sequence[Mapping[str, Any]], overrides: pl.DataFrame, block: str, test: str
) -> Run | None:
    """Return the current run of a block and test, or None."""
    pinned = adopted_run_id(overrides, block, test)
    if pinned is not None:
        found = next((run for run in runs if run["run_id"] == pinned), None)
        if found is not None:
            return found
    for acquisition in acquisitions:
        if acquisition["block"] == block and acquisition["test"] == test and acquisition["is_adopted"]:
            return current_of_acquisition(runs, acquisition)
    return None
