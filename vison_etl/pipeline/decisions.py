"""Decisions of people: adoption and exclusion, each an override row for ever."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from vison_etl import tables
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.override_rows import read_decisions
from vison_etl.lake.decisions import append_override
from vison_etl.lake.parts import partition_filters, read, schema
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs
from vison_etl.pipeline.acquisitions import refresh_acquisitions
from vison_etl.pipeline.block import blocks_of, load_block

_NO_ROWS = pl.DataFrame(schema=schema("acquisitions"))


class DecisionError(ValueError):
    """A decision about something that does not exist; the message says what does."""


def adopt(lake: Lake, name: str, reason: str) -> str:
    """Make a run or an acquisition the one that counts for its block and test; return what was decided.

    Raises
    ------
    DecisionError
        If ``name`` is neither a run nor an acquisition of the lake, or the run failed.
    """
    run = next((r for r in list_runs(lake) if r["run_id"] == name), None)
    if run is not None:
        if run["status"] == "failed":
            raise DecisionError(f"run {name} failed: it has no results to adopt")
        what = {"block": run["block"], "test": run["test"], "acquisition": run["acquisition"], "run_id": name}
    else:
        what = _acquisition(lake, name)
    _decide(lake, {"kind": "adopt", **what}, reason)
    refresh_acquisitions(lake, [what["block"]])
    return f"{what['block']} {what['test']}: {name} adopted"


def _acquisition(lake: Lake, name: str) -> dict[str, Any]:
    blocks = blocks_of(lake)
    block = name.upper().split("/", maxsplit=1)[0]
    rows = pl.concat([load_block(lake, b).acquisitions for b in ([block] if block in blocks else blocks)] or [_NO_ROWS])
    mine = rows.filter(pl.col("acquisition") == name.upper())
    if mine.is_empty():
        known = [*rows.get_column("acquisition").to_list(), *(run["run_id"] for run in list_runs(lake))]
        near = ", ".join(get_close_matches(name.upper(), known, n=3)) or "none similar; see `vison-etl sql 'from runs'`"
        raise DecisionError(f"{name} is neither a run nor an acquisition of {lake.root}; nearest: {near}")
    row = mine.row(0, named=True)
    return {"block": block, "test": row["test"], "acquisition": row["acquisition"], "run_id": None}


def exclude(lake: Lake, block: str, obsids: tuple[int, int], ccd: str | None, quadrant: str | None, reason: str) -> str:
    """Leave exposures of a block out, or channels of them; return what was decided.

    Raises
    ------
    DecisionError
        If there is nothing to exclude or a CCD or quadrant does not exist.
    """
    block, ccd, quadrant = block.upper(), ccd and ccd.upper(), quadrant and quadrant.upper()
    if ccd is not None and ccd not in tables.CCDS:
        raise DecisionError(f"--ccd {ccd}: one of {', '.join(tables.CCDS)}")
    if quadrant is not None and quadrant not in tables.QUADRANTS:
        raise DecisionError(f"--quadrant {quadrant}: one of {', '.join(tables.QUADRANTS)}")
    rows = read(lake, "exposures", **partition_filters(block=block)).filter(pl.col("obsid").is_between(*obsids))
    if rows.is_empty():
        raise DecisionError(
            f"block {block} has no exposure from {obsids[0]} to {obsids[1]}; blocks: {', '.join(blocks_of(lake)) or 'none'}"
        )
    what = {
        "kind": "exclude",
        "block": block,
        "obsid_first": obsids[0],
        "obsid_last": obsids[1],
        "ccd": ccd,
        "quadrant": quadrant,
    }
    _decide(lake, what, reason)
    return f"{block}: {rows.get_column('obsid').n_unique()} exposures excluded; analyse their tests again"


def decide_by_file(lake: Lake, path: Path) -> str:
    """Take over the decisions of a file, those that the lake does not have yet; return how many there were.

    A decision is known if one with the same content is in the lake, whenever it was made unless the file says when. It may be about
    exposures that are still to come, but not about a test or an acquisition that does not exist.

    Raises
    ------
    OverrideError, UnknownTest, DecisionError
        For a file that cannot be read or a row that cannot be followed; then nothing is taken over.
    """
    decisions = read_decisions(path)
    for decision in decisions:
        if decision["test"] is not None:
            definition(decision["test"])
        if decision["kind"] == "adopt":
            decision.update(_acquisition(lake, decision["acquisition"]))
    stored = read(lake, "overrides").to_dicts()
    new = [decision for decision in decisions if not any(_is_same(decision, row) for row in stored)]
    for decision in new:
        append_override(lake, decision)
    refresh_acquisitions(lake, sorted({decision["block"] for decision in new}))
    return f"{path}: {len(new)} of {len(decisions)} decisions are new; analyse the tests they concern again"


def _is_same(decision: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return all(row[name] == value for name, value in decision.items())


def _decide(lake: Lake, what: dict[str, Any], reason: str) -> None:
    if not reason.strip():
        raise DecisionError("--reason is empty: say why, it is kept with the decision")
    append_override(lake, {**what, "reason": reason})
