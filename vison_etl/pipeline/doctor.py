"""Versions, disk, locks, and what is out of place in a lake."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from vison_etl.lake.locks import held_locks
from vison_etl.lake.parts import part_files, partition_values, read, read_files, scan_files
from vison_etl.lake.paths import TEMPORARY_PREFIX, Lake, LakeError
from vison_etl.lake.runs import read_run, run_files, run_ids
from vison_etl.pipeline.store import git_commit, software_version
from vison_etl.results.connect import ResultsError, behind
from vison_etl.tables import tables_of

_LIBRARIES = ("polars", "duckdb", "pyarrow", "numpy", "scipy", "numba", "astropy", "altair", "distributed")
_LOW_DISK_GB = 5.0

Finding = tuple[str, str, str]


def examine(lake: Lake) -> pl.DataFrame:
    """Return findings as rows (state, what, detail); state is ``ok``, ``note`` or ``bad``. What cannot be read is a finding."""
    rows = [*_versions(), *_disk(lake)]
    if lake.root.is_dir():
        for look in (_leftovers, _locks, _files, _orphans, _raw_data, _runs, _snapshot):
            rows += _looked(look, lake)
    return pl.DataFrame(rows, schema={"state": pl.String, "what": pl.String, "detail": pl.String}, orient="row")


def _looked(look: Callable[[Lake], Iterator[Finding]], lake: Lake) -> Iterator[Finding]:
    try:
        yield from look(lake)
    except (LakeError, OSError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        yield "bad", look.__name__.removeprefix("_").replace("_", " "), said


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
    left = list(lake.root.rglob(f"{TEMPORARY_PREFIX}*"))
    if left:
        detail = (
            f"{len(left)}, e.g. {left[0]}: in use now, or left by a killed process until ingest or analyse removes it"
        )
        yield "note", "unfinished writes", detail


def _locks(lake: Lake) -> Iterator[Finding]:
    for held in held_locks(lake) if os.access(lake.locks, os.W_OK) else ():
        who = f"process {held.get('pid', '?')} on {held.get('host', '?')} since {held.get('since', '?')}"
        yield "note", f"lock {held['lock']}", f"held by {who}"


def _files(lake: Lake) -> Iterator[Finding]:
    """Find files without the end that tells what is in them; the data in them are not read."""
    for table in (*tables_of("lake"), *tables_of("result"), *tables_of("engine")):
        stored = part_files if table.stage == "lake" else run_files
        for path in stored(lake, table.name):
            try:
                scan_files(table.name, [path]).select(pl.len()).collect()
            except (pl.exceptions.PolarsError, OSError):
                try:
                    read_files(table.name, [path])
                except LakeError as error:
                    yield "bad", f"table {table.name}", str(error)


def _orphans(lake: Lake) -> Iterator[Finding]:
    for block in sorted(partition_values(lake, "exposures", "block")):
        try:
            known = read(lake, "exposures", block=block).select("obsid", "ccd")
            rows = read(lake, "quadrant_stats", block=block).select("obsid", "ccd").unique()
        except LakeError:
            # said with the files
            continue
        without = known.join(rows, on=["obsid", "ccd"], how="anti").height
        beyond = rows.join(known, on=["obsid", "ccd"], how="anti").height
        if without or beyond:
            detail = f"{without} frames without statistics, {beyond} statistics without frame; ingest the day again"
            yield "bad" if without else "note", f"{block} orphans", detail


def _raw_data(lake: Lake) -> Iterator[Finding]:
    for block in sorted(partition_values(lake, "exposures", "block")):
        try:
            roots = read(lake, "exposures", block=block).get_column("root").unique().sort()
        except LakeError:
            # said with the files
            continue
        for root in roots:
            if not Path(root).is_dir():
                yield (
                    "bad",
                    f"{block} raw data",
                    f"{root} is gone; `vison-etl relocate {shlex.quote(root)} NEW` if it moved",
                )


def _runs(lake: Lake) -> Iterator[Finding]:
    runs = []
    for run_id in run_ids(lake):
        try:
            record = read_run(lake, run_id)
        except LakeError as error:
            yield "bad", f"run {run_id}", str(error)
            continue
        if record.get("run_id") != run_id:
            yield "bad", f"run {run_id}", "its run.json is not its own; move that run folder away and analyse again"
        runs.append(record)
    failed = sum(run.get("status") == "failed" for run in runs)
    yield "note" if failed else "ok", "runs", f"{len(runs)} stored, {failed} of them failed"


def _snapshot(lake: Lake) -> Iterator[Finding]:
    try:
        late = behind(lake)
    except ResultsError as error:
        yield "bad" if lake.database.exists() else "note", "results", str(error)
        return
    yield ("note", "results", late) if late else ("ok", "results", f"{lake.database} is up to date")
