"""Day folders to lake: every file read once, every log row accounted for, the same again changes nothing.

The work goes unit by unit (one bucket of exposures of one block), in order of exposure, through a bounded window of workers;
a unit is written when it is complete and then let go, so that memory does not grow with the folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vison_etl.instrument.chambers import chamber as known_chamber
from vison_etl.lake.locks import hold_all, ingest_lock
from vison_etl.lake.manage import clean_block
from vison_etl.lake.paths import Lake, safe_value
from vison_etl.pipeline.executors import Runner
from vison_etl.pipeline.fan_out import WorkerDiedError
from vison_etl.pipeline.ingest_commit import commit
from vison_etl.pipeline.ingest_rejects import standing_rejects, write_rejects
from vison_etl.pipeline.ingest_report import FolderReport, IngestReport, folder_report, planned_report, warnings_about
from vison_etl.pipeline.ingest_resolve import Counts, Reject, resolve
from vison_etl.pipeline.ingest_sources import DayFolder, IngestError, find_roots, read_folders, stamp_of
from vison_etl.pipeline.ingest_state import State, blocks_concerned
from vison_etl.pipeline.plan_ingest import Unit, plan
from vison_etl.pipeline.reconcile import reconcile
from vison_etl.pipeline.worker import Read, Refused, Task, read_task

_BLOCK = re.compile(r"[A-Z0-9][A-Z0-9_-]*")

_DEPTH = 16
"""Files in flight per worker: results are small, and workers must not wait while a unit is written."""

Refresh = Callable[[Lake, Iterable[str]], None]


class Progress(Protocol):
    """How far the work has come."""

    def total(self, n: int) -> None:
        """Say how many files there are to read."""

    def advance(self, n: int) -> None:
        """Say that ``n`` more were read."""


class _Silent:
    def total(self, n: int) -> None:
        pass

    def advance(self, n: int) -> None:
        pass


@dataclass(slots=True)
class _Books:
    """What was found so far, per day folder."""

    counts: dict[str, Counts] = field(default_factory=dict)
    rejects: dict[str, list[Reject]] = field(default_factory=dict)

    def add(self, counts: dict[str, Counts], rejects: Sequence[Reject]) -> None:
        for root, more in counts.items():
            mine = self.counts.setdefault(root, Counts())
            mine.added += more.added
            mine.replaced += more.replaced
            mine.unchanged += more.unchanged
            mine.rejected += more.rejected
        for reject in rejects:
            self.rejects.setdefault(reject["root"], []).append(reject)


def ingest(
    lake: Lake,
    folders: Iterable[str | Path],
    *,
    run: Runner,
    block: str | None = None,
    chamber: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    refresh: Refresh | None = None,
) -> IngestReport:
    """Bring the lake to what day folders hold now.

    Parameters
    ----------
    folders
        Day folders, or folders of day folders. Those that are none are reported, and the rest goes on.
    run
        Where files are read: what ``make_runner`` gives.
    block, chamber
        The options; None: the block by its full triple of CCD serials, the chamber of the block.
    dry_run
        Say what would be read and write nothing.
    refresh
        Finds the acquisitions of blocks again when their exposures may have changed; None: the campaign's.

    Raises
    ------
    IngestError
        If no folder or an option cannot be used, before anything is done.
    LakeError, WorkersError
        When lake or workers cannot be used. What was written until then is good; the next run goes on from there.
    ReconciliationError
        When the lake does not account for every log row.
    """
    block = _checked_block(block)
    _check_chamber(chamber)
    roots, unusable = find_roots(folders)
    found = read_folders(roots, block)
    locked = nullcontext() if dry_run else hold_all(lake, map(ingest_lock, blocks_concerned(lake, found)))
    with locked:
        units, state = plan(lake, found)
        if dry_run:
            n_tasks = sum(len(list(unit.tasks())) for unit in units)
            planned = [planned_report(folder, units) for folder in found]
            warnings = tuple(warnings_about(found, chamber))
            return IngestReport(tuple(planned), warnings, n_tasks, tuple(unusable), dry_run=True)
        for concerned in {unit.key[0] for unit in units}:
            clean_block(lake, concerned)
        books, n_read = _work(lake, units, run, chamber, progress or _Silent())
        reports = [_close(lake, folder, books, state, block) for folder in found]
        reconcile(lake, found)
        (refresh or _refresh_acquisitions)(lake, {unit.key[0] for unit in units})
    return IngestReport(tuple(reports), tuple(warnings_about(found, chamber)), n_read, tuple(unusable))


def _checked_block(block: str | None) -> str | None:
    if block is None:
        return None
    name = block.upper()
    if not _BLOCK.fullmatch(name):
        raise IngestError(f"--block {block}: a block is named in capitals, digits, _ and -")
    return safe_value("block", name)


def _check_chamber(chamber: str | None) -> None:
    if chamber is not None:
        try:
            known_chamber(chamber)
        except KeyError as error:
            raise IngestError(f"--chamber {chamber}: {error.args[0]}") from error


def _work(
    lake: Lake, units: Sequence[Unit], run: Runner, chamber: str | None, progress: Progress
) -> tuple[_Books, int]:
    """Read what must be read and write each unit when it is complete."""
    books = _Books()
    waiting = {unit.key: _Waiting(unit, len(list(unit.tasks()))) for unit in units}
    n_tasks = sum(entry.missing for entry in waiting.values())
    progress.total(n_tasks)
    for entry in [entry for entry in waiting.values() if not entry.missing]:
        _finish(lake, waiting.pop(entry.unit.key), chamber, books)
    items = (_Item(unit.key, task) for unit in units for task in unit.tasks())
    for item, read, error in run(_read_item, items, depth=_DEPTH):
        entry = waiting[item.unit]
        entry.reads[item.task] = read if read is not None else _failed(item.task, error)
        entry.missing -= 1
        progress.advance(1)
        if not entry.missing:
            _finish(lake, waiting.pop(item.unit), chamber, books)
    return books, n_tasks


@dataclass(slots=True)
class _Waiting:
    unit: Unit
    missing: int
    reads: dict[Task, Read] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Item:
    unit: tuple[str, int]
    task: Task

    @property
    def paths(self) -> tuple[str, ...]:
        return self.task.paths


def _read_item(item: _Item) -> Read:
    return read_task(item.task)


def _finish(lake: Lake, entry: _Waiting, chamber: str | None, books: _Books) -> None:
    resolved = resolve(entry.unit, entry.reads, chamber)
    commit(lake, entry.unit, resolved)
    books.add(resolved.counts, resolved.rejects)


def _failed(task: Task, error: BaseException | None) -> Refused:
    if isinstance(error, WorkerDiedError):
        detail = f"{error}; the file is left alone until it changes or its day is forgotten"
        return Refused("worker_died", detail, stamp_of(task.path))
    return Refused("failed", f"{type(error).__name__}: {error}")


def _close(lake: Lake, folder: DayFolder, books: _Books, state: State, block: str | None) -> FolderReport:
    rejects = [*books.rejects.get(folder.root, ()), *standing_rejects(folder, block, state.rejects)]
    write_rejects(lake, folder.root, rejects)
    return folder_report(folder, books.counts.get(folder.root, Counts()), rejects)


def _refresh_acquisitions(lake: Lake, blocks: Iterable[str]) -> None:
    from vison_etl.pipeline.acquisitions import refresh_acquisitions  # noqa: PLC0415 - the campaign is slow to import

    refresh_acquisitions(lake, blocks)
