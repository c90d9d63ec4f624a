"""What an ingest did, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from vison_etl.instrument.blocks import block_names
from vison_etl.pipeline.ingest_resolve import Counts, Reject
from vison_etl.pipeline.ingest_sources import DayFolder, Row, chamber_for
from vison_etl.pipeline.plan_ingest import ToRead, Unit
from vison_etl.pipeline.worker import FrameFacts, Refused
from vison_etl.tables import UNKNOWN_BLOCK


@dataclass(frozen=True, slots=True)
class FolderReport:
    """One day folder.

    Parameters
    ----------
    rows
        Rows of its logs that are not blank = added + replaced + unchanged + rejected + to_read; the last of a dry run only.
    reasons
        Number of rejects per (kind, reason), log rows and others.
    """

    root: str
    logs: tuple[str, ...]
    blocks: tuple[str, ...]
    rows: int
    added: int
    replaced: int
    unchanged: int
    rejected: int
    to_read: int
    reasons: Mapping[tuple[str, str], int]

    @property
    def has_unread_log(self) -> bool:
        """Return whether a log could not be read, so that nobody knows its rows."""
        return any(kind == "log_file" for kind, _ in self.reasons)

    def lines(self) -> Iterator[str]:
        """Yield what a user wants to read about it."""
        what = f"{self.added} added, {self.replaced} replaced, {self.unchanged} unchanged, {self.rejected} rejected"
        if self.to_read:
            what = f"{self.to_read} to read, {self.unchanged} unchanged, {self.rejected} rejected"
        yield f"{self.root}: {', '.join(self.blocks) or 'no block'}: {self.rows} log rows: {what}"
        for (kind, reason), n in sorted(self.reasons.items()):
            yield f"  {n} x {kind.replace('_', ' ')}: {reason}"


@dataclass(frozen=True, slots=True)
class IngestReport:
    """All day folders of a run. ``to_read``: files that had to be opened; with ``dry_run`` none was. ``unusable``: folders that are none."""

    folders: tuple[FolderReport, ...]
    warnings: tuple[str, ...]
    to_read: int
    unusable: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """Return 0 if every log row is in, 1 if some were rejected or a log or folder could not be read, 2 if nothing was usable."""
        if all(folder.rows == 0 and folder.has_unread_log for folder in self.folders):
            return 2
        return int(bool(self.unusable) or any(folder.rejected or folder.has_unread_log for folder in self.folders))

    def lines(self) -> Iterator[str]:
        """Yield what a user wants to read."""
        for folder in self.folders:
            yield from folder.lines()
        yield from self.unusable
        for warning in self.warnings:
            yield f"warning: {warning}"
        if self.dry_run:
            yield f"dry run: {self.to_read} files would be read, nothing was written"


def folder_report(folder: DayFolder, counts: Counts, rejects: Sequence[Reject]) -> FolderReport:
    """Return the report of one folder from its counts and its rejects."""
    return FolderReport(
        root=folder.root,
        logs=tuple(log.name for log in folder.logs),
        blocks=tuple(sorted({row.block for row in folder.rows})),
        rows=len(folder.rows),
        added=counts.added,
        replaced=counts.replaced,
        unchanged=counts.unchanged,
        rejected=len(folder.rows) - counts.added - counts.replaced - counts.unchanged,
        to_read=0,
        reasons=Counter((str(row["kind"]), str(row["reason"])) for row in rejects),
    )


def planned_report(folder: DayFolder, units: Sequence[Unit]) -> FolderReport:
    """Return the report of one folder from what is known before any file is opened."""
    mine = [c.known for u in units for group in u.groups.values() for c in group if c.row.root == folder.root]
    unchanged = sum(isinstance(known, FrameFacts) for known in mine)
    to_read = sum(isinstance(known, ToRead) for known in mine)
    reasons = Counter(("log_row", known.reason) for known in mine if isinstance(known, Refused))
    reasons[("log_row", "bad_row")] = sum(row.problem is not None for row in folder.rows)
    reasons.update(("log_file", log.reason) for log in folder.logs if log.log is None)
    return FolderReport(
        root=folder.root,
        logs=tuple(log.name for log in folder.logs),
        blocks=tuple(sorted({row.block for row in folder.rows})),
        rows=len(folder.rows),
        added=0,
        replaced=0,
        unchanged=unchanged,
        rejected=len(folder.rows) - unchanged - to_read,
        to_read=to_read,
        reasons=+reasons,
    )


def warnings_about(folders: Sequence[DayFolder], chamber: str | None) -> Iterator[str]:
    """Yield what a user should know although nothing was rejected for it."""
    rows = [row for folder in folders for row in folder.rows]
    for block in sorted({row.block for row in rows}):
        yield from _about_block(block, [row for row in rows if row.block == block], chamber)
    for folder in folders:
        for log in folder.logs:
            for problem in log.log.problems if log.log else ():
                yield f"{log.name}: {problem}"
        notes = Counter(note for log in folder.logs if log.log for row in log.log.rows for note in row.notes)
        for note, n in sorted(notes.items()):
            yield f"{folder.root}: {n} log rows: {note}; stored as missing"


def _about_block(block: str, rows: Sequence[Row], chamber: str | None) -> Iterator[str]:
    if block == UNKNOWN_BLOCK:
        yield f"{len(rows)} log rows of an unknown block: its CCD serials are not registered; name it with --block"
        return
    if block not in block_names():
        near = ", ".join(get_close_matches(block, block_names(), n=3)) or "none similar"
        yield f"block {block} is not registered (nearest: {near}); nothing is known of its serials, offsets and chamber"
    other = sum(row.block_source == "option_over_serials" for row in rows)
    if other:
        yield f"{other} log rows have the CCD serials of another block; --block {block} overrules them"
    if chamber_for(block, chamber) is None:
        yield f"block {block} has no chamber profile: wavelengths are NULL; name one with --chamber"
