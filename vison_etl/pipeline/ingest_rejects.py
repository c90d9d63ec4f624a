"""The rejects of a run: the present state of each day folder, one part file per block and day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from vison_etl.lake.manage import rejects_part
from vison_etl.lake.parts import partition_of, remove_part, schema, write_part
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.ingest_resolve import Reject, printable, row_reject
from vison_etl.pipeline.ingest_sources import DayFolder, Row, stamp_of
from vison_etl.pipeline.ingest_state import Record, rejects_files
from vison_etl.tables import UNKNOWN_BLOCK


def standing_rejects(folder: DayFolder, block: str | None, before: Sequence[Record]) -> Iterator[Reject]:
    """Yield the rejects of a folder that need no file opened.

    Rows that cannot be used, logs that cannot be read with what was said about their rows before, and frames that no log names.
    """
    for row in folder.rows:
        if row.problem is not None:
            yield row_reject(row, "bad_row", row.problem)
    unread = {log.name for log in folder.logs} - folder.read_logs
    for log in folder.logs:
        if log.log is None:
            yield _file(folder, "log_file", log.name, block, log.day) | {"reason": log.reason, "detail": log.detail}
    for old in before:
        if old["root"] == folder.root and old["kind"] == "log_row" and old["path"] in unread:
            yield dict(old)
    for name in folder.unnamed:
        why = "no row of an exposure log names this frame; it may come when the log has grown"
        yield _file(folder, "frame_file", name, block, _day(folder)) | {"reason": "not_in_log", "detail": why}


def _file(folder: DayFolder, kind: str, name: str, block: str | None, day: str) -> Reject:
    made: Reject = dict.fromkeys(schema("rejects").names())
    stamp = stamp_of(f"{folder.root}/{name}")
    place = {"block": block or _block(folder.rows), "day": day, "root": folder.root, "path": printable(name)}
    return made | place | {"kind": kind, "file_stamp": stamp}


def _block(rows: Sequence[Row]) -> str:
    found = {row.block for row in rows}
    return found.pop() if len(found) == 1 else UNKNOWN_BLOCK


def _day(folder: DayFolder) -> str:
    return folder.logs[0].day


def write_rejects(lake: Lake, root: str, rejects: Sequence[Reject]) -> None:
    """Bring the part files of one day folder to these rejects; parts under other blocks and days go."""
    name = rejects_part(root)
    groups: dict[tuple[str, str], list[Reject]] = {}
    for row in rejects:
        groups.setdefault((row["block"], row["day"]), []).append(row)
    for (block, day), rows in groups.items():
        write_part(lake, "rejects", {"block": block, "day": day}, name, pl.DataFrame(rows, schema=schema("rejects")))
    for path in rejects_files(lake, root):
        if _place(partition_of(path)) not in groups:
            remove_part(path)


def _place(partition: Mapping[str, str]) -> tuple[str, str]:
    return partition["block"], partition["day"]
