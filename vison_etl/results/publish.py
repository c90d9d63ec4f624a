"""Publishing: the runs and small tables of a lake as one read-only database file, swapped in whole.

A draft is made beside the published file, from a copy of it, and takes its place by a rename: readers keep the old file as
long as they have it open, and a publisher killed at any moment leaves the old one complete. Publishers take turns by a file
lock and look at the lake after they have it, so that a run stored before its publisher waited is in when that returns.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vison_etl import tables
from vison_etl.results import layout
from vison_etl.results.db import Connection, DatabaseError, first_line, open_to_write, rows
from vison_etl.results.load import Faults, apply_changes, find_changes, find_faults, info, note
from vison_etl.results.location import LakeLike, database_path, lake_root

_ATTEMPTS = 4
_READ_ONLY = 0o444


class PublishError(RuntimeError):
    """The snapshot could not be published; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publisher did.

    ``rebuilt``: the snapshot was made from nothing. ``changed``: a new snapshot was swapped in. ``problems``: runs and files
    of the lake that cannot be read and are not in it, each with its reason.
    """

    database: Path
    n_runs_added: int
    seconds: float
    rebuilt: bool
    changed: bool
    problems: tuple[str, ...]


def publish(
    lake: LakeLike | None = None, *, database: str | os.PathLike[str] | None = None, full: bool = False
) -> Published:
    """Bring the results database of a lake up to date; do nothing if it is.

    Parameters
    ----------
    lake
        Folder of the lake; ``$VISON_ETL_LAKE`` or ``./lake`` if None.
    database
        The file to publish; ``<lake>/results.duckdb`` if None.
    full
        Make it from nothing, and try files again that could not be read before.

    Raises
    ------
    PublishError
        If the lake is not there or keeps changing while it is read.
    OSError
        If the snapshot cannot be written; the old one stays.
    """
    started = time.perf_counter()
    root = lake_root(lake)
    target = database_path(root, database)
    if not root.is_dir():
        raise PublishError(f"{root} is no lake: there is no such folder; ingest a day folder first or give --lake")
    if not target.parent.is_dir():
        raise PublishError(f"{target.parent} does not exist: the results database needs a folder; see --db")
    with _turn(target):
        added, rebuilt, changed, problems = _publish(root, target, full=full)
    return Published(target, added, time.perf_counter() - started, rebuilt, changed, problems)


def _publish(root: Path, target: Path, *, full: bool) -> tuple[int, bool, bool, tuple[str, ...]]:
    """Return runs added, whether rebuilt, whether changed, problems."""
    draft = target.with_name(f"{target.name}.draft")
    faults, reason = Faults(), ""
    _wal(target).unlink(missing_ok=True)
    for _ in range(_ATTEMPTS):
        try:
            _remove(draft)
            connection, rebuilt = _open_draft(target, draft, full=full)
            with closing(connection):
                changes = find_changes(connection, root)
                if not changes and not rebuilt:
                    return 0, False, False, _problems(connection)
                if changes.vanished:
                    full = True
                    continue
                try:
                    added = apply_changes(connection, root, changes, faults)
                except DatabaseError as error:
                    reason = first_line(error)
                    faults = find_faults(connection, root, changes)
                    continue
                second = _finish(connection, root)
                problems = _problems(connection)
            _swap(draft, target, second)
        finally:
            _remove(draft)
        return added, rebuilt, True, problems
    raise PublishError(f"{root} changes faster than it can be read: run vison-etl publish again ({reason})")


def _open_draft(target: Path, draft: Path, *, full: bool) -> tuple[Connection, bool]:
    """Open a copy of the published file if it is what this version published, else an empty snapshot."""
    if not full and target.exists():
        before = target.stat()
        _copy(target, draft)
        after = target.stat()
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            with suppress(DatabaseError):
                return _open_copy(draft, before.st_mtime_ns), False
    return _fresh(draft), True


def _copy(source: Path, target: Path) -> None:
    """Copy a file; where the file system can, the two share their blocks until one of them changes."""
    try:
        with source.open("rb") as read, target.open("wb") as written:
            left = os.fstat(read.fileno()).st_size
            while left > 0:
                done = os.copy_file_range(read.fileno(), written.fileno(), left)
                left -= done or left
    except (AttributeError, OSError):
        shutil.copyfile(source, target)


def _open_copy(draft: Path, mtime_ns: int) -> Connection:
    connection = open_to_write(draft)
    try:
        notes = info(connection)
        if notes.get("layout") == layout.mark() and int(notes["published_s"]) * 10**9 == mtime_ns:
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    raise DatabaseError("published by another version, or written to since")


def _fresh(draft: Path) -> Connection:
    _remove(draft)
    connection = open_to_write(draft)
    try:
        layout.create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _finish(connection: Connection, root: Path) -> int:
    """Decide what counts, write the notes, flush; return the second of publication."""
    now = datetime.now(UTC).replace(microsecond=0)
    second = int(now.timestamp())
    connection.begin()
    layout.choose_current(connection)
    note(
        connection,
        layout=layout.mark(),
        schema_version=str(tables.SCHEMA_VERSION),
        software_version=_software_version(),
        lake_root=str(root),
        published_at=now.replace(tzinfo=None).isoformat(),
        published_s=str(second),
    )
    connection.commit()
    connection.execute("checkpoint")
    return second


def _swap(draft: Path, target: Path, second: int) -> None:
    """Put the draft in place of the published file.

    Its time of change is the whole second that it holds itself, so that a file somebody wrote to is known by its mark.
    """
    _wal(draft).unlink(missing_ok=True)
    os.utime(draft, ns=(second * 10**9, second * 10**9))
    draft.chmod(_READ_ONLY)
    _flush(draft)
    _wal(target).unlink(missing_ok=True)
    draft.replace(target)
    _flush(target.parent)


def _problems(connection: Connection) -> tuple[str, ...]:
    runs = rows(connection, "select 'run ' || run_id || ': ' || problem from snapshot.skipped_runs order by run_id")
    parts = rows(
        connection, "select path || ': ' || problem from snapshot.parts where problem is not null order by path"
    )
    return tuple(text for (text,) in (*runs, *parts))


def _software_version() -> str:
    try:
        return version("vison-etl")
    except PackageNotFoundError:
        return "unknown"


@contextmanager
def _turn(target: Path) -> Iterator[None]:
    """Hold the lock of the publishers of one file; it goes with the process, however that ends."""
    with target.with_name(f".{target.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove(draft: Path) -> None:
    draft.unlink(missing_ok=True)
    _wal(draft).unlink(missing_ok=True)


def _wal(database: Path) -> Path:
    return database.with_name(f"{database.name}.wal")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
