"""Who gets the place: one frame per exposure and CCD, one housekeeping file per exposure; the others are rejects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vison_etl import tables
from vison_etl.instrument.chambers import filter_label, wavelength_nm
from vison_etl.pipeline.ingest_sources import FileAt, Row, chamber_for
from vison_etl.pipeline.ingest_state import KnownHk, Record
from vison_etl.pipeline.plan_ingest import Candidate, HkCandidate, Key, Knowledge, NotNeeded, ToRead, Unit
from vison_etl.pipeline.worker import FrameFacts, FrameRead, HkRead, Read, Refused, Task

Reject = dict[str, Any]
"""One row of ``rejects``."""


@dataclass(slots=True)
class Counts:
    """What became of the rows of one day folder."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Resolved:
    """What a unit is to hold, complete: nothing else stays.

    Parameters
    ----------
    exposures
        Rows per day and key.
    frames
        New readings of frames among them.
    hk
        Source per exposure.
    hk_new
        New readings among them.
    """

    exposures: dict[str, dict[Key, Record]] = field(default_factory=dict)
    frames: dict[Key, FrameRead] = field(default_factory=dict)
    hk: dict[int, KnownHk] = field(default_factory=dict)
    hk_new: dict[int, HkRead] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)


def resolve(unit: Unit, reads: Mapping[Task, Read], chamber: str | None) -> Resolved:
    """Decide a unit from what is known and what was read; ``chamber`` is the option."""
    resolved = Resolved()
    for row in unit.kept.values():
        resolved.exposures.setdefault(row["day"], {})[row["obsid"], row["ccd"]] = row
    resolved.hk |= unit.kept_hk
    for obsid, group in unit.hk.items():
        _resolve_hk(resolved, obsid, group, reads)
    for key, candidates in unit.groups.items():
        _resolve_frames(resolved, unit, key, candidates, reads, chamber)
    return resolved


def _resolve_hk(resolved: Resolved, obsid: int, group: list[HkCandidate], reads: Mapping[Task, Read]) -> None:
    for candidate in group:
        row = candidate.row
        found = reads[candidate.known.task] if isinstance(candidate.known, ToRead) else candidate.known
        if isinstance(found, HkRead):
            resolved.hk[obsid] = KnownHk(row.day, row.root, row.hk.name or "", found.stamp)
            resolved.hk_new[obsid] = found
        elif isinstance(found, KnownHk):
            resolved.hk[obsid] = found
        elif isinstance(found, Refused):
            reason = found.reason if found.reason.endswith("_hk") else f"{found.reason}_hk"
            resolved.rejects.append(_hk_reject(row, FileAt(row.hk.name, found.stamp, reason, found.detail)))
        elif row.hk.reason is not None:
            resolved.rejects.append(_hk_reject(row, row.hk))


def _hk_reject(row: Row, file: FileAt) -> Reject:
    path = file.name or f"HK_{row.obsid}_*_ROE1.txt"
    return reject("hk_file", row, path, file.reason or "", file.detail, obsid=row.obsid, file_stamp=file.stamp)


def _resolve_frames(
    resolved: Resolved, unit: Unit, key: Key, group: list[Candidate], reads: Mapping[Task, Read], chamber: str | None
) -> None:
    before = unit.held.exposure(key)
    holder = unit.kept.get(key)
    for candidate in group:
        row, found = candidate.row, _outcome(candidate.known, reads)
        counts = resolved.counts.setdefault(row.root, Counts())
        if isinstance(found, Refused):
            detail = f"{row.frame.name}: {found.detail}" if row.frame.name else found.detail
            resolved.rejects.append(row_reject(row, found.reason, detail, file_stamp=found.stamp))
            counts.rejected += 1
        elif holder is not None:
            resolved.rejects.append(_not_needed(row, _fingerprint(found), holder))
            counts.rejected += 1
        elif not isinstance(found, NotNeeded):
            facts = found.facts if isinstance(found, FrameRead) else found
            holder = exposure_row(row, facts, _hk_of(resolved, row), chamber)
            resolved.exposures.setdefault(row.day, {})[key] = holder
            if isinstance(found, FrameRead):
                resolved.frames[key] = found
            _count(counts, before, holder, is_new=isinstance(found, FrameRead))


def _count(counts: Counts, before: Record | None, after: Record, *, is_new: bool) -> None:
    if before is None:
        counts.added += 1
    elif is_new or before != after:
        counts.replaced += 1
    else:
        counts.unchanged += 1


def _outcome(known: Knowledge, reads: Mapping[Task, Read]) -> FrameFacts | FrameRead | NotNeeded | Refused:
    if not isinstance(known, ToRead):
        return known
    found = reads[known.task]
    if isinstance(found, HkRead):
        raise TypeError("a frame was read as housekeeping")
    return found


def _fingerprint(found: FrameFacts | FrameRead | NotNeeded) -> NotNeeded:
    if isinstance(found, NotNeeded):
        return found
    facts = found.facts if isinstance(found, FrameRead) else found
    return NotNeeded(facts.digest, facts.file_stamp)


def _not_needed(row: Row, frame: NotNeeded, holder: Record) -> Reject:
    same = frame.digest == holder["digest"]
    first = f"{holder['root']}/{holder['path']} ({holder['log_path']}, line {holder['log_row']})"
    said = "the same bytes as" if same else "another file than"
    return row_reject(
        row,
        "duplicate" if same else "conflict",
        f"{row.frame.name}: {said} {first}, which stays; if the data moved, run `vison-etl relocate`",
        file_stamp=frame.stamp,
        digest=frame.digest,
    )


def _hk_of(resolved: Resolved, row: Row) -> KnownHk | None:
    """Return the housekeeping of an exposure if it lies beside its frame."""
    found = resolved.hk.get(row.obsid or 0)
    return found if found is not None and found.root == row.root else None


def exposure_row(row: Row, facts: FrameFacts, hk: KnownHk | None, chamber: str | None) -> Record:
    """Return the row of ``exposures`` of a log row and its frame."""
    profile = chamber_for(row.block, chamber)
    slot = row.values.get("wave")
    slot = slot if isinstance(slot, int) else None
    columns = tables.table("exposures").names
    made: dict[str, Any] = dict.fromkeys(columns)
    made |= {name: value for name, value in row.values.items() if name in made}
    made |= {name: getattr(facts, name) for name in FrameFacts.__dataclass_fields__}
    made |= {
        "block": row.block,
        "block_source": row.block_source,
        "day": row.day,
        "chamber": profile,
        "filter": filter_label(profile, slot),
        "wavelength_nm": wavelength_nm(profile, slot),
        "elvis_version": row.version,
        "log_path": row.log,
        "log_row": row.line,
        "root": row.root,
        "path": row.frame.name,
        "hk_path": None if hk is None else hk.path,
        "hk_stamp": None if hk is None else hk.stamp,
    }
    return made


def row_reject(row: Row, reason: str, detail: str, **more: Any) -> Reject:
    """Return the reject of a log row."""
    return reject("log_row", row, row.log, reason, detail, row=row.line, obsid=row.obsid, ccd=row.ccd, **more)


def reject(kind: str, place: Row, path: str, reason: str, detail: str, **more: Any) -> Reject:
    """Return a row of ``rejects`` about a file of the block, day and folder of ``place``."""
    made: Reject = dict.fromkeys(tables.table("rejects").names)
    made |= {"kind": kind, "block": place.block, "day": place.day, "root": place.root, "path": printable(path)}
    return made | {"reason": "missing_file" if reason == "missing" else reason, "detail": printable(detail), **more}


def printable(text: str) -> str:
    """Return a text that can be stored: bytes of a file name that are no UTF-8 written out."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
