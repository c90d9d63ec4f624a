"""Rows from the lake into a snapshot: what changed, and how it gets in."""
# ruff: noqa: S608 - names come from the vocabulary, values are quoted

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from vison_etl import tables
from vison_etl.results import ddl
from vison_etl.results.db import Connection, DatabaseError, first_line, literal, rows, run, values
from vison_etl.results.inventory import Part, has_parts, list_parts, list_run_ids, read_run_record
from vison_etl.tables import Table

Folder = tuple[str, str]
"""Table and partition folder."""

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between a lake and a snapshot of it.

    ``runs`` are missing in the snapshot, ``vanished`` missing in the lake. ``folders`` are the partitions of copied tables
    whose files changed, with their present files (none: the partition is gone). ``viewed`` are the large tables that have
    files, where the views over them must be made again, else None.
    """

    runs: tuple[str, ...]
    vanished: frozenset[str]
    folders: Mapping[Folder, tuple[Part, ...]]
    viewed: frozenset[str] | None

    def __bool__(self) -> bool:
        return bool(self.runs or self.vanished or self.folders or self.viewed is not None)


@dataclass(slots=True)
class Faults:
    """What cannot be read, and why: run by name, file by path."""

    runs: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


def find_changes(connection: Connection, root: Path) -> Changes:
    """Compare a snapshot with the lake as it is now."""
    present = {name for (name,) in rows(connection, "select run_id from history.runs")}
    skipped = {name for (name,) in rows(connection, "select run_id from snapshot.skipped_runs")}
    in_lake = list_run_ids(root)
    viewed = frozenset(t.name for t in ddl.viewed_tables() if has_parts(root, t))
    same_views = info(connection).get("viewed") == _viewed_mark(root, viewed)
    return Changes(
        runs=tuple(sorted(in_lake - present - skipped)),
        vanished=frozenset((present | skipped) - in_lake),
        folders=_changed_folders(connection, root),
        viewed=None if same_views else viewed,
    )


def info(connection: Connection) -> dict[str, str]:
    """Return the notes of a snapshot about itself."""
    return dict(rows(connection, "select item, content from snapshot.info"))


def note(connection: Connection, **items: str) -> None:
    """Write notes of a snapshot about itself."""
    for item, content in items.items():
        connection.execute("delete from snapshot.info where item = ?", [item])
        connection.execute("insert into snapshot.info values (?, ?)", [item, content])


def apply_changes(connection: Connection, root: Path, changes: Changes, faults: Faults) -> int:
    """Bring a snapshot up to the lake, leaving out what ``faults`` names; return the number of runs added.

    Raises
    ------
    duckdb.Error
        If a file cannot be read: nothing is changed then; ``find_faults`` says which.
    """
    connection.begin()
    try:
        added = _append_runs(connection, root, changes.runs, faults)
        _refresh_folders(connection, root, changes.folders, faults)
        if changes.viewed is not None:
            for table in ddl.viewed_tables():
                run(connection, ddl.file_view(table, root if table.name in changes.viewed else None))
            note(connection, viewed=_viewed_mark(root, changes.viewed))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return added


def find_faults(connection: Connection, root: Path, changes: Changes) -> Faults:
    """Read every file of ``changes`` on its own and return those that cannot be. Files that vanished are no fault."""
    faults = Faults()
    for run_id in changes.runs:
        for table, file in _run_files(root, run_id):
            problem = _problem(connection, table, file, hive=False)
            if problem:
                faults.runs[run_id] = f"{file.name}: {problem}"
    for (name, _), parts in changes.folders.items():
        for part in parts:
            problem = _problem(connection, tables.table(name), root / part.path, hive=ddl.is_hive(root))
            if problem:
                faults.parts[part.path] = problem
    return faults


def _changed_folders(connection: Connection, root: Path) -> dict[Folder, tuple[Part, ...]]:
    known: dict[Folder, set[Part]] = {}
    for row in rows(connection, "select table_name, folder, path, file_bytes, mtime_ns from snapshot.parts"):
        part = Part(*row)
        known.setdefault((part.table, part.folder), set()).add(part)
    present: dict[Folder, list[Part]] = {}
    for table in ddl.copied_tables():
        for part in list_parts(root, table):
            present.setdefault((table.name, part.folder), []).append(part)
    everything = sorted(known.keys() | present.keys())
    return {key: tuple(present.get(key, ())) for key in everything if known.get(key) != set(present.get(key, ()))}


def _append_runs(connection: Connection, root: Path, run_ids: Sequence[str], faults: Faults) -> int:
    records, files = [], dict[str, list[str]]()
    for run_id in run_ids:
        if run_id not in faults.runs:
            try:
                records.append(read_run_record(root, run_id))
            except (OSError, ValueError) as error:
                faults.runs[run_id] = str(error)
                continue
            for table, file in _run_files(root, run_id):
                files.setdefault(table.name, []).append(str(file))
    for run_id, problem in faults.runs.items():
        connection.execute("insert into snapshot.skipped_runs values (?, ?)", [run_id, problem])
    if records:
        connection.execute(f"insert into history.runs values {values(records)}")
    for name, paths in files.items():
        _insert(connection, f"history.{name}", tables.table(name), paths, hive=False)
    return len(records)


def _refresh_folders(
    connection: Connection, root: Path, folders: Mapping[Folder, tuple[Part, ...]], faults: Faults
) -> None:
    for name in ddl.COPIED:
        table, mine = tables.table(name), {f: parts for (t, f), parts in folders.items() if t == name}
        if not mine:
            continue
        for folder in mine:
            connection.execute(f"delete from main.{name} where {_where(folder)}")
        connection.execute(
            "delete from snapshot.parts where table_name = ? and folder in (select unnest(?))", [name, list(mine)]
        )
        parts = [part for some in mine.values() for part in some]
        good = [str(root / part.path) for part in parts if part.path not in faults.parts]
        if good:
            _insert(connection, f"main.{name}", table, good, hive=ddl.is_hive(root))
        if parts:
            marks = [(p.table, p.folder, p.path, p.file_bytes, p.mtime_ns, faults.parts.get(p.path)) for p in parts]
            connection.execute(f"insert into snapshot.parts values {values(marks)}")


def _insert(connection: Connection, target: str, table: Table, files: Sequence[str], *, hive: bool) -> None:
    """Insert the rows of files in the order of the files and of the rows in them: sorted by key, as they were written."""
    connection.execute(f"insert into {target} by name {_select(table, files, hive=hive)}")


def _select(table: Table, files: Sequence[str], *, hive: bool) -> str:
    """Select every column of the table in its type, NULL where the files, of any version, do not have it."""
    cast = ", ".join(f"{column.name}::{ddl.TYPES[column.kind]} as {column.name}" for column in table.columns)
    source = ddl.scan(table, files, hive=hive)
    return f"select {cast} from ((select {ddl.typed_nulls(table)} where false) union all by name (from {source}))"


def _run_files(root: Path, run_id: str) -> list[tuple[Table, Path]]:
    folder = root / "runs" / run_id
    try:
        names = set(os.listdir(folder))  # noqa: PTH208 - names are wanted, 800 folders at a time
    except FileNotFoundError:
        return []
    wanted = ((table, f"{table.name}.parquet") for table in ddl.run_tables() if table.name != "runs")
    return [(table, folder / name) for table, name in wanted if name in names]


def _where(folder: str) -> str:
    """Choose the rows of one partition. Values are compared as the text in the folder's name, as they were read from it."""
    pairs = [step.split("=", maxsplit=1) for step in folder.split("/")[1:]]
    tests = (
        f"{name} is null" if value == _HIVE_NULL else f"{name} = {literal(unquote(value))}" for name, value in pairs
    )
    return " and ".join(tests) or "true"


def _problem(connection: Connection, table: Table, file: Path, *, hive: bool) -> str | None:
    if not file.exists():
        return None
    try:
        rows(connection, f"select count(columns(*)) from ({_select(table, [str(file)], hive=hive)})")
    except DatabaseError as error:
        return first_line(error)
    return None


def _viewed_mark(root: Path, viewed: frozenset[str]) -> str:
    return " ".join((str(root), *sorted(viewed)))
