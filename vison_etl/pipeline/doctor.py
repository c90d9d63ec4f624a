"""Versions, disk, locks, and what is out of place in a lake."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from vison_etl.lake.parts import partition_values, read
from vison_etl.lake.paths import Lake, LakeError
from vison_etl.lake.runs import list_runs
from vison_etl.pipeline.store import git_commit, software_version

_LIBRARIES = ("polars", "duckdb", "pyarrow", "numpy", "scipy", "numba", "astropy", "altair", "distributed")
_LOW_DISK_GB = 5.0

Finding = tuple[str, str, str]


def examine(lake: Lake) -> pl.DataFrame:
    """Return findings as rows (state, what, detail); state is ``ok``, ``note`` or ``bad``."""
    rows = [*_versions(), *_disk(lake), *_leftovers(lake), *_orphans(lake), *_raw_data(lake), *_runs(lake)]
    return pl.DataFrame(rows, schema={"state": pl.String, "what": pl.String, "detail": pl.String}, orient="row")


def _versions() -> Iterator[Finding]:
    commit = git_commit()
    yield "ok", "vison-etl", software_version() + (f" at {commit[:12]}" if commit else "")
    yield "ok", "python", platform.python_version()
    for name in _LIBRARIES:
        try:
            yield "ok", name, version(name)
        except PackageNotFoundError:
            yield "note", name, "not installed (optional)" if name == "distributed" else "not installed"


def _disk(lake: Lake) -> Iterator[Finding]:
    if not lake.root.is_dir():
        yield "note", "lake", f"{lake.root} does not exist yet"
        return
    free = shutil.disk_usage(lake.root).free / 1e9
    yield "bad" if free < _LOW_DISK_GB else "ok", "disk", f"{free:.1f} GB free at {lake.root}"


def _leftovers(lake: Lake) -> Iterator[Finding]:
    left = list(lake.root.rglob(".tmp-*")) if lake.root.is_dir() else []
    if left:
        yield (
            "note",
            "unfinished writes",
            f"{len(left)} left by killed processes, e.g. {left[0]}; the next run removes them",
        )


def _orphans(lake: Lake) -> Iterator[Finding]:
    for block in sorted(partition_values(lake, "exposures", "block")):
        try:
            known = read(lake, "exposures", block=block).select("obsid", "ccd")
            rows = read(lake, "quadrant_stats", block=block).select("obsid", "ccd").unique()
        except LakeError as error:
            yield "bad", f"{block} tables", str(error)
            continue
        without = known.join(rows, on=["obsid", "ccd"], how="anti").height
        beyond = rows.join(known, on=["obsid", "ccd"], how="anti").height
        if without or beyond:
            detail = f"{without} frames without statistics, {beyond} statistics without frame; ingest the day again"
            yield "bad" if without else "note", f"{block} orphans", detail


def _raw_data(lake: Lake) -> Iterator[Finding]:
    for block in sorted(partition_values(lake, "exposures", "block")):
        for root in read(lake, "exposures", block=block).get_column("root").unique().sort():
            if not Path(root).is_dir():
                yield "bad", f"{block} raw data", f"{root} is gone; `vison-etl relocate {root} NEW` if it moved"


def _runs(lake: Lake) -> Iterator[Finding]:
    runs = list_runs(lake)
    failed = sum(run["status"] == "failed" for run in runs)
    yield "note" if failed else "ok", "runs", f"{len(runs)} stored, {failed} of them failed"
