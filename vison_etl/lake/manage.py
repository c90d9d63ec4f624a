"""Housework: forget a day, follow raw data that have moved, clear what dead processes left behind."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import xxhash

from vison_etl import tables
from vison_etl.lake.atomic import sync
from vison_etl.lake.locks import hold, hold_all, ingest_lock
from vison_etl.lake.parts import part_files, partition_of, partition_values, read_files, write_part
from vison_etl.lake.paths import PART_PREFIX, PART_SUFFIX, TEMPORARY_PREFIX, Lake, LakeError

INGESTED = ("exposures", "quadrant_stats", "hk_summary", "housekeeping", "rejects")
"""Tables that ingest fills, partitioned by block and day, in the order in which they are forgotten."""

_WITH_ROOT = ("rejects", "hk_summary", "exposures")
_DAY_S = 86400.0


def forget(lake: Lake, block: str, day: str) -> dict[str, int]:
    """Remove what was ingested of one block and day; raw data, runs and other days stay.

    Returns
    -------
    dict
        Part files removed per table.

    Raises
    ------
    LakeError
        If the lake holds nothing of that block and day; the message lists what it holds.
    """
    removed: dict[str, int] = {}
    with hold(lake, ingest_lock(block)):
        for table in INGESTED:
            folder = lake.partition_folder(table, {"block": block, "day": day})
            if folder.is_dir():
                removed[table] = len(list(folder.glob(f"{PART_PREFIX}*{PART_SUFFIX}")))
                _remove_folder(folder)
    if not removed:
        raise LakeError(f"{lake.root}: nothing of block {block}, day {day}; {_what_is_there(lake, block)}")
    return removed


def _remove_folder(folder: Path) -> None:
    aside = folder.parent / f"{TEMPORARY_PREFIX}{folder.name}-{uuid.uuid4().hex[:12]}"
    folder.rename(aside)
    sync(folder.parent)
    shutil.rmtree(aside)


def _what_is_there(lake: Lake, block: str) -> str:
    days = sorted({partition_of(path)["day"] for table in INGESTED for path in part_files(lake, table, block=block)})
    if days:
        return f"days of {block}: {', '.join(days)}"
    return f"blocks: {', '.join(partition_values(lake, 'exposures', 'block')) or 'none'}"


def rejects_part(root: str) -> str:
    """Return the name of the part files with the rejects of one day folder."""
    return xxhash.xxh3_64_hexdigest(root.encode())


def relocate(lake: Lake, old: str, new: str) -> dict[str, int]:
    """Tell the lake that the raw data under folder ``old`` are now under ``new``.

    Every ``root`` that is ``old`` or below it is rewritten; a call that was interrupted is completed by the next one.

    Returns
    -------
    dict
        Rows changed per table.

    Raises
    ------
    LakeError
        If no row lies under ``old``; the message lists the roots there are.
    """
    old, new = old.rstrip("/"), new.rstrip("/")
    blocks = {block for table in _WITH_ROOT for block in partition_values(lake, table, "block")}
    with hold_all(lake, [ingest_lock(block) for block in blocks]):
        changed = {
            table: sum(_relocate(lake, table, path, old, new) for path in part_files(lake, table))
            for table in _WITH_ROOT
        }
    if not any(changed.values()):
        roots = sorted(
            set(read_files("exposures", part_files(lake, "exposures")).get_column("root").unique().to_list())
        )
        raise LakeError(f"{old}: no exposure lies there; the day folders are {', '.join(roots) or 'none'}")
    return changed


def _relocate(lake: Lake, table: str, path: Path, old: str, new: str) -> int:
    frame = read_files(table, [path])
    root = pl.col("root")
    below = (root == old) | root.str.starts_with(f"{old}/")
    n_rows = frame.filter(below).height
    if not n_rows:
        return 0
    moved = frame.with_columns(
        pl.when(below).then(pl.lit(new) + root.str.slice(len(old))).otherwise(root).alias("root")
    )
    name = path.name.removeprefix(PART_PREFIX).removesuffix(PART_SUFFIX)
    target = rejects_part(moved.get_column("root")[0]) if table == "rejects" else name
    write_part(lake, table, partition_of(path), target, moved)
    if target != name:
        path.unlink()
    return n_rows


def leftovers(lake: Lake, *, older_than_s: float = 0.0) -> list[Path]:
    """Return temporary files and folders in the lake, outside ``runs/``, that are at least that old."""
    found = []
    for table in tables.all_tables().values():
        if table.stage == "lake":
            found += [
                p for p in lake.table_folder(table.name).rglob(f"{TEMPORARY_PREFIX}*") if _age_s(p) >= older_than_s
            ]
    return sorted(found)


def clean(lake: Lake, *, older_than_s: float = _DAY_S) -> list[Path]:
    """Remove temporary files that no process can still be writing, by their age; return what was removed."""
    return _remove_all(leftovers(lake, older_than_s=older_than_s))


def clean_block(lake: Lake, block: str) -> list[Path]:
    """Remove temporary files of the ingested tables of a block. The caller holds ``ingest_lock(block)``."""
    folders = [lake.table_folder(table) / f"block={block}" for table in (*INGESTED, "acquisitions")]
    return _remove_all([path for folder in folders for path in folder.rglob(f"{TEMPORARY_PREFIX}*")])


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return -1.0


def _remove_all(paths: Sequence[Path]) -> list[Path]:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return list(paths)
