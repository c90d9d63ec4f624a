"""The books: every log row that is not blank is an exposure or a reject, never both, never neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from vison_etl.lake.parts import read
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.ingest_sources import DayFolder
from vison_etl.pipeline.ingest_state import load_rejects

Place = tuple[str, str, str, str, int]
"""Block, day, folder, log and line of a row."""

_SHOWN = 5


class ReconciliationError(Exception):
    """The lake does not account for every log row: a fault of this software, never of the data."""


def reconcile(lake: Lake, folders: Sequence[DayFolder]) -> None:
    """Check the lake against the logs that were read, per block and day.

    Raises
    ------
    ReconciliationError
        Listing the rows that are missing, counted twice or not of these logs.
    """
    logs = {(folder.root, log) for folder in folders for log in folder.read_logs}
    wanted = Counter((row.block, row.day, row.root, row.log, row.line) for folder in folders for row in folder.rows)
    found = Counter(_exposures(lake, folders, logs))
    found.update(_rejects(lake, folders, logs))
    if wanted != found:
        raise ReconciliationError(_explain(wanted, found))


def _exposures(lake: Lake, folders: Sequence[DayFolder], logs: set[tuple[str, str]]) -> Iterable[Place]:
    days = sorted({log.day for folder in folders for log in folder.logs})
    frame = read(lake, "exposures", day=days).select("block", "day", "root", "log_path", "log_row")
    return [row for row in frame.iter_rows() if (row[2], row[3]) in logs]


def _rejects(lake: Lake, folders: Sequence[DayFolder], logs: set[tuple[str, str]]) -> Iterable[Place]:
    rows = load_rejects(lake, [folder.root for folder in folders])
    rows = [row for row in rows if row["kind"] == "log_row" and (row["root"], row["path"]) in logs]
    return [(row["block"], row["day"], row["root"], row["path"], row["row"]) for row in rows]


def _explain(wanted: Counter[Place], found: Counter[Place]) -> str:
    lines = []
    for what, rows in (("not accounted for", wanted - found), ("counted too often or of no log", found - wanted)):
        shown = [f"{root}/{log} line {line} ({block}, {day})" for block, day, root, log, line in sorted(rows)[:_SHOWN]]
        if shown:
            more = ", ..." if len(rows) > _SHOWN else ""
            lines.append(f"{len(rows)} log rows {what}: {', '.join(shown)}{more}")
    n_wanted, n_found = sum(wanted.values()), sum(found.values())
    return f"the lake has {n_found} of {n_wanted} log rows; {'; '.join(lines)}; please report this"
