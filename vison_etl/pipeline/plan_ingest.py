"""What a run has to read: for every row of the logs, whether its frame is known, known to be bad, or must be opened."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vison_etl.lake.paths import Lake
from vison_etl.pipeline.ingest_sources import DayFolder, Row
from vison_etl.pipeline.ingest_state import Held, KnownHk, Record, State, UnitKey, load_state, unit_of
from vison_etl.pipeline.worker import FrameFacts, FrameTask, HkTask, Refused, Task

Key = tuple[int, str]
"""Exposure and CCD."""

NOT_NEEDED = frozenset({"duplicate", "conflict"})
"""Reasons of frames that are good but whose place is taken."""

_FACTS = tuple(FrameFacts.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """A frame that was read before and found to be good but not needed: all that is kept of it is its digest."""

    digest: str
    stamp: str


@dataclass(frozen=True, slots=True)
class ToRead:
    """A frame or housekeeping file that must be opened."""

    task: Task


Knowledge = FrameFacts | NotNeeded | Refused | ToRead


@dataclass(slots=True)
class Candidate:
    """One row that names a frame, and what is known of it before anything is opened."""

    row: Row
    known: Knowledge


@dataclass(slots=True)
class HkCandidate:
    """The housekeeping file that one day folder has for an exposure, if it has one. ``known`` None: not needed."""

    row: Row
    known: KnownHk | Refused | ToRead | None


@dataclass(slots=True)
class Unit:
    """One bucket of one block: what is read, decided and written together.

    Parameters
    ----------
    groups
        Candidates per exposure and CCD, the one whose frame is in the lake first, then in the order of the run.
    kept
        Rows of the lake, per key, that no log of this run can change.
    hk
        Candidates per exposure, the one that counts first.
    kept_hk
        Exposures whose housekeeping comes from a folder outside this run.
    """

    key: UnitKey
    held: Held
    groups: dict[Key, list[Candidate]] = field(default_factory=dict)
    kept: dict[Key, Record] = field(default_factory=dict)
    hk: dict[int, list[HkCandidate]] = field(default_factory=dict)
    kept_hk: dict[int, KnownHk] = field(default_factory=dict)

    def tasks(self) -> Iterator[Task]:
        """Yield what must be read, in order of exposure: its frames, then its housekeeping. Nothing twice."""
        for obsid in sorted({obsid for obsid, _ in self.groups} | set(self.hk)):
            frames = [c.known for key in sorted(self.groups) if key[0] == obsid for c in self.groups[key]]
            found = [*frames, *(c.known for c in self.hk.get(obsid, ()))]
            yield from dict.fromkeys(known.task for known in found if isinstance(known, ToRead))


@dataclass(frozen=True, slots=True)
class _Known:
    """What earlier runs found about files, by stamp."""

    frames: Mapping[tuple[str, int, str, str], Record]
    hk: Mapping[tuple[str, str, str], Record]


def plan(lake: Lake, folders: Sequence[DayFolder]) -> tuple[list[Unit], State]:
    """Return the units of a run, sorted by block and bucket, and the state of the lake that they start from."""
    state = load_state(lake, folders)
    rows = [row for folder in folders for row in folder.rows if row.obsid is not None]
    units = {key: Unit(key, held) for key, held in state.units.items()}
    known = _Known(
        {(r["root"], r["obsid"], r["ccd"], r["file_stamp"]): r for r in state.rejects if r["kind"] == "log_row"},
        {(r["root"], r["path"], r["file_stamp"]): r for r in state.rejects if r["kind"] == "hk_file"},
    )
    for row in rows:
        unit = units.setdefault(unit_of(row), Unit(unit_of(row), Held()))
        if row.problem is None and row.ccd is not None:
            candidate = Candidate(row, _know_frame(row, unit.held, known))
            unit.groups.setdefault((row.obsid or 0, row.ccd), []).append(candidate)
        _add_hk(unit, row)
    accountable = {(folder.root, log) for folder in folders for log in folder.read_logs}
    whole = {folder.root for folder in folders if all(log.log is not None for log in folder.logs)}
    for unit in units.values():
        _settle_frames(unit, accountable)
        _settle_hk(unit, {folder.root for folder in folders}, whole, known)
    return [units[key] for key in sorted(units)], state


def _know_frame(row: Row, held: Held, known: _Known) -> Knowledge:
    name, stamp = row.frame.name, row.frame.stamp
    if name is None or stamp is None:
        return Refused(row.frame.reason or "missing_file", row.frame.detail or f"{name} is gone")
    mine = held.exposure((row.obsid or 0, row.ccd or ""))
    if mine is not None and _is_unchanged(row, mine) and row.day in held.complete:
        return FrameFacts(**{name: mine[name] for name in _FACTS})
    refused = known.frames.get((row.root, row.obsid or 0, row.ccd or "", stamp))
    if refused is None:
        return _to_read(row)
    if refused["reason"] in NOT_NEEDED:
        return NotNeeded(refused["digest"], stamp)
    return Refused(refused["reason"], _without_name(refused["detail"], name), stamp)


def _is_unchanged(row: Row, mine: Record) -> bool:
    return (mine["day"], mine["root"], mine["path"], mine["file_stamp"], mine["vstart"], mine["vend"]) == (
        row.day, row.root, row.frame.name, row.frame.stamp, row.values.get("vstart"), row.values.get("vend"),
    )  # fmt: skip


def _without_name(detail: str, name: str) -> str:
    return detail.removeprefix(f"{name}: ")


def _to_read(row: Row) -> ToRead:
    rows = [_whole(row.values.get(name)) for name in ("vstart", "vend")]
    return ToRead(FrameTask(f"{row.root}/{row.frame.name}", row.obsid or 0, row.ccd or "", *rows))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _settle_frames(unit: Unit, accountable: Collection[tuple[str, str]]) -> None:
    """Put the holder of each place first, keep what other folders hold, and open what may have to take a place."""
    for day_rows in unit.held.exposures.values():
        for key, row in day_rows.items():
            named = any(_is_file_of(c.row, row) for c in unit.groups.get(key, ()))
            if not named and (row["root"], row["log_path"]) not in accountable:
                unit.kept[key] = row
    for key, group in unit.groups.items():
        mine = unit.held.exposure(key)
        group.sort(key=lambda c: (mine is None or not _is_file_of(c.row, mine), c.row.order))
        if key not in unit.kept and not any(isinstance(c.known, FrameFacts) for c in group):
            for candidate in group:
                if isinstance(candidate.known, NotNeeded):
                    candidate.known = _to_read(candidate.row)


def _is_file_of(row: Row, held: Record) -> bool:
    return bool(row.root == held["root"] and row.frame.name == held["path"])


def _add_hk(unit: Unit, row: Row) -> None:
    group = unit.hk.setdefault(row.obsid or 0, [])
    if all(candidate.row.root != row.root for candidate in group):
        group.append(HkCandidate(row, None))


def _settle_hk(unit: Unit, roots: Collection[str], whole: Collection[str], known: _Known) -> None:
    """Choose the file of each exposure: that of a folder outside this run stays, else the one in the lake, else the first.

    ``whole`` are the folders of this run whose logs could all be read: an exposure that they no longer have is gone.
    """
    with_frames = {obsid for obsid, _ in unit.kept}
    for found in unit.held.hk.values():
        for obsid, source in found.items():
            gone = source.root in whole and obsid not in with_frames
            if source.root not in roots or (obsid not in unit.hk and not gone):
                unit.kept_hk[obsid] = source
    for obsid, group in unit.hk.items():
        held = unit.held.hk_of(obsid)
        group.sort(key=lambda c: (c.row.hk.name is None, held is None or c.row.root != held.root, c.row.order))
        if obsid not in unit.kept_hk and group[0].row.hk.name is not None:
            group[0].known = _know_hk(group[0].row, unit.held, held, known)


def _know_hk(row: Row, lake_has: Held, held: KnownHk | None, known: _Known) -> KnownHk | Refused | ToRead:
    name, stamp = row.hk.name or "", row.hk.stamp or ""
    if held == KnownHk(row.day, row.root, name, stamp) and row.day in lake_has.complete_hk:
        return held
    refused = known.hk.get((row.root, name, stamp))
    if refused is not None:
        return Refused(refused["reason"], refused["detail"], stamp)
    return ToRead(HkTask(f"{row.root}/{name}", row.obsid or 0))
