"""Runs: one folder each, ``runs/<run_id>/`` with ``run.json`` and a Parquet file per table, there whole or not at all."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from vison_etl import tables
from vison_etl.lake.atomic import make_folder, sync
from vison_etl.lake.locks import hold, try_hold
from vison_etl.lake.parts import read_files, schema, write_new
from vison_etl.lake.paths import PART_SUFFIX, TEMPORARY_PREFIX, Lake, LakeError, safe_value

RECORD = "run.json"


def new_run_id() -> str:
    """Return a new run id: UTC time to the microsecond and 8 random hexadecimal digits. Ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"


def write_run(
    lake: Lake,
    run: Mapping[str, Any],
    frames: Mapping[str, pl.DataFrame],
    fill: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Store one run, all of it or nothing.

    Parameters
    ----------
    run
        The record, with ``run_id``; what JSON cannot hold is written as text.
    frames
        Result tables by name, complete columns.
    fill
        May put further files into the folder before it takes its name.

    Returns
    -------
    Path
        The folder of the run.

    Raises
    ------
    LakeError
        If the run exists already.
    """
    run_id = safe_value("run_id", str(run["run_id"]))
    final = lake.runs / run_id
    temporary = lake.runs / f"{TEMPORARY_PREFIX}{run_id}"
    make_folder(lake.runs)
    with hold(lake, _lock(run_id)):
        if final.exists():
            raise LakeError(f"{final}: this run is stored already")
        temporary.mkdir()
        try:
            _fill(temporary, run, frames, fill)
            temporary.rename(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            (lake.locks / f"{_lock(run_id)}.lock").unlink(missing_ok=True)
    sync(lake.runs)
    return final


def _fill(
    folder: Path, run: Mapping[str, Any], frames: Mapping[str, pl.DataFrame], fill: Callable[[Path], None]
) -> None:
    for name, frame in frames.items():
        write_new(folder / f"{name}{PART_SUFFIX}", name, _checked(name, frame))
    fill(folder)
    record = folder / RECORD
    record.write_text(json.dumps(dict(run), indent=1, default=_as_text), encoding="utf-8")
    sync(record)
    sync(folder)


def _checked(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    wanted = schema(name)
    if set(frame.columns) != set(wanted):
        differ = ", ".join(sorted(set(frame.columns) ^ set(wanted)))
        raise LakeError(f"table {name}: columns missing or not in the table: {differ}")
    fitted = frame.select(pl.col(column).cast(kind) for column, kind in wanted.items())
    return fitted.with_columns(pl.selectors.float().fill_nan(None)).sort(list(tables.table(name).keys))


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _lock(run_id: str) -> str:
    return f"run-{run_id}"


def list_runs(lake: Lake) -> list[dict[str, Any]]:
    """Return the records of all runs, sorted by run id.

    Raises
    ------
    LakeError
        Naming a record that cannot be read.
    """
    return [read_run(lake, run_id) for run_id in run_ids(lake)]


def run_ids(lake: Lake) -> list[str]:
    """Return the ids of all runs, sorted."""
    if not lake.runs.is_dir():
        return []
    return sorted(
        f.name for f in lake.runs.iterdir() if not f.name.startswith(TEMPORARY_PREFIX) and (f / RECORD).is_file()
    )


def read_run(lake: Lake, run_id: str) -> dict[str, Any]:
    """Return the record of one run; ``LakeError`` if it is not there or cannot be read."""
    path = lake.runs / run_id / RECORD
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise LakeError(f"{lake.root}: no run {run_id}") from None
    except (OSError, ValueError) as error:
        raise LakeError(f"{path}: cannot be read ({error}); move that run folder away and analyse again") from error
    if not isinstance(record, dict):
        raise LakeError(f"{path}: no run record; move that run folder away and analyse again")
    return record


def run_files(lake: Lake, table: str, wanted: Iterable[str] | None = None) -> list[Path]:
    """Return the files of one table in the wanted runs (all if None), in order of run id."""
    name = tables.table(table).name
    ids = run_ids(lake) if wanted is None else sorted(wanted)
    return [path for path in (lake.runs / run_id / f"{name}{PART_SUFFIX}" for run_id in ids) if path.is_file()]


def read_run_table(lake: Lake, run_id: str, table: str) -> pl.DataFrame:
    """Read one table of one run; typed and empty if the run has none."""
    return read_run_tables(lake, table, [run_id])


def read_run_tables(lake: Lake, table: str, wanted: Sequence[str] | None = None) -> pl.DataFrame:
    """Read one table of several runs (all if None), in order of run id."""
    return read_files(table, run_files(lake, table, wanted))


def clean_runs(lake: Lake) -> list[Path]:
    """Remove what runs that died while being stored left behind; return what was removed. Runs being stored now are left alone."""
    removed = []
    for folder in sorted(lake.runs.glob(f"{TEMPORARY_PREFIX}*")):
        name = _lock(folder.name.removeprefix(TEMPORARY_PREFIX))
        with try_hold(lake, name) as free:
            if free:
                shutil.rmtree(folder, ignore_errors=True)
                (lake.locks / f"{name}.lock").unlink(missing_ok=True)
                removed.append(folder)
    return removed
