"""What a lake holds, as far as a snapshot is concerned: runs, and files of the copied tables with their marks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vison_etl import tables
from vison_etl.results.db import Constant
from vison_etl.tables import Column, Table


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a lake table. ``folder`` is its partition; both paths are relative to the lake."""

    table: str
    folder: str
    path: str
    file_bytes: int
    mtime_ns: int


def list_run_ids(root: Path) -> frozenset[str]:
    """Return the runs that are complete: folders with a ``run.json``. Hidden folders are runs being written."""
    try:
        with os.scandir(root / "runs") as entries:
            folders = [(entry.name, entry.path) for entry in entries if not entry.name.startswith((".", "_"))]
    except FileNotFoundError:
        return frozenset()
    return frozenset(name for name, path in folders if os.path.exists(f"{path}/run.json"))  # noqa: PTH110 - 800 at a time


def list_parts(root: Path, table: Table) -> Iterator[Part]:
    """Yield the files of a lake table, in order of path."""
    for folder in _partitions(root, table.name, table.partitions):
        for name, status in _files(root / folder):
            yield Part(table.name, folder, f"{folder}/{name}", status.st_size, status.st_mtime_ns)


def has_parts(root: Path, table: Table) -> bool:
    """Return whether a lake table has any file."""
    return next(list_parts(root, table), None) is not None


def read_run_record(root: Path, run_id: str) -> tuple[Constant, ...]:
    """Return the row of table ``runs`` from the record of a run.

    Raises
    ------
    ValueError
        If the record is no JSON object, names another run, or holds a value that does not fit its column.
    """
    text = (root / "runs" / run_id / "run.json").read_text(encoding="utf-8")
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("run.json holds no object")  # noqa: TRY004 - the file is wrong, not the caller
    if record.get("run_id") != run_id:
        raise ValueError(f"run.json is that of run {record.get('run_id')}")
    return tuple(_value(column, record) for column in tables.table("runs").columns)


def _value(column: Column, record: Mapping[str, Any]) -> Constant:
    value = record.get(column.name)
    if value is None:
        return None
    try:
        match column.kind:
            case "timestamp":
                return _utc(datetime.fromisoformat(str(value)))
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "bool":
                return bool(value)
            case "text":
                return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"run.json: {column.name} is {value!r}, not {column.kind}") from error


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _partitions(root: Path, folder: str, columns: Sequence[str]) -> Iterator[str]:
    if not columns:
        yield folder
        return
    try:
        with os.scandir(root / folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith(f"{columns[0]}="))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        yield from _partitions(root, f"{folder}/{name}", columns[1:])


def _files(folder: Path) -> list[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            parts = [entry for entry in entries if entry.name.startswith("part-") and entry.name.endswith(".parquet")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for entry in parts:
        with suppress(FileNotFoundError):
            found.append((entry.name, entry.stat()))
    return sorted(found)
