"""What the lake holds already of the exposures that a run is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vison_etl.lake.manage import rejects_part
from vison_etl.lake.parts import part_files, partition_of, read_files
from vison_etl.lake.paths import PART_PREFIX, PART_SUFFIX, Lake, bucket_name, bucket_of
from vison_etl.pipeline.ingest_sources import DayFolder, Row

UnitKey = tuple[str, int]
"""Block and first exposure of a bucket: what is read, decided and written together."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KnownHk:
    """Housekeeping of one exposure in the lake."""

    day: str
    root: str
    path: str
    stamp: str


@dataclass(slots=True)
class Held:
    """What the lake holds of one unit.

    ``exposures`` and ``hk`` have a row or source per day and key; ``complete`` names the days whose tables are all there.
    """

    exposures: dict[str, dict[tuple[int, str], Record]] = field(default_factory=dict)
    hk: dict[str, dict[int, KnownHk]] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    complete_hk: set[str] = field(default_factory=set)

    def exposure(self, key: tuple[int, str]) -> Record | None:
        """Return the row of an (obsid, ccd), on whatever day."""
        return next((rows[key] for rows in self.exposures.values() if key in rows), None)

    def hk_of(self, obsid: int) -> KnownHk | None:
        """Return where the housekeeping of an exposure came from."""
        return next((found[obsid] for found in self.hk.values() if obsid in found), None)


@dataclass(frozen=True, slots=True)
class State:
    """What the lake holds: units by key, and the rejects of the day folders of this run."""

    units: Mapping[UnitKey, Held]
    rejects: tuple[Record, ...]


def unit_of(row: Row) -> UnitKey:
    """Return the unit of a row that has an exposure number."""
    return row.block, bucket_of(row.obsid or 0)


def load_state(lake: Lake, folders: Sequence[DayFolder]) -> State:
    """Read what can concern these folders: the same buckets of any block and day, and everything else of the same days.

    Rows that belong to other folders are kept only in units that this run works on.
    """
    rows = [row for folder in folders for row in folder.rows]
    buckets = {bucket_name(bucket_of(row.obsid)) for row in rows if row.obsid is not None}
    days = {log.day for folder in folders for log in folder.logs}
    roots = {folder.root for folder in folders}
    wanted = {unit_of(row) for row in rows if row.obsid is not None}
    units: dict[UnitKey, Held] = {}
    _load_exposures(_concerned(lake, "exposures", buckets, days), units)
    _load_hk(_concerned(lake, "hk_summary", buckets, days), units)
    units = {key: held for key, held in units.items() if key in wanted or _has_root(held, roots)}
    for (block, bucket), held in units.items():
        _check_complete(lake, block, bucket_name(bucket), held)
    return State(units, tuple(load_rejects(lake, roots)))


def load_rejects(lake: Lake, roots: Iterable[str]) -> list[Record]:
    """Read the rejects of day folders, whatever block and day they are under."""
    files = [path for root in roots for path in rejects_files(lake, root)]
    return list(read_files("rejects", files).iter_rows(named=True))


def rejects_files(lake: Lake, root: str) -> list[Path]:
    """Return the part files with the rejects of one day folder."""
    return _concerned(lake, "rejects", {rejects_part(root)}, ())


def _concerned(lake: Lake, table: str, names: Collection[str], days: Collection[str]) -> list[Path]:
    wanted = {f"{PART_PREFIX}{name}{PART_SUFFIX}" for name in names}
    return [path for path in part_files(lake, table) if path.name in wanted or partition_of(path)["day"] in days]


def _load_exposures(files: Sequence[Path], units: dict[UnitKey, Held]) -> None:
    for row in read_files("exposures", files).iter_rows(named=True):
        held = units.setdefault((row["block"], bucket_of(row["obsid"])), Held())
        held.exposures.setdefault(row["day"], {})[row["obsid"], row["ccd"]] = row


def _load_hk(files: Sequence[Path], units: dict[UnitKey, Held]) -> None:
    columns = ["block", "obsid", "day", "root", "hk_path", "hk_stamp"]
    found = read_files("hk_summary", files).select(columns).unique(["block", "obsid", "day"])
    for block, obsid, day, root, path, stamp in found.fill_null("").iter_rows():
        held = units.setdefault((block, bucket_of(obsid)), Held())
        held.hk.setdefault(day, {})[obsid] = KnownHk(day, root, path, stamp)


def _has_root(held: Held, roots: Collection[str]) -> bool:
    exposures = (row["root"] for rows in held.exposures.values() for row in rows.values())
    hk = (known.root for found in held.hk.values() for known in found.values())
    return any(root in roots for root in exposures) or any(root in roots for root in hk)


def _check_complete(lake: Lake, block: str, name: str, held: Held) -> None:
    """Note the days whose other tables are there: a part file that someone deleted makes its frames work again."""
    for day in {*held.exposures, *held.hk}:
        partition = {"block": block, "day": day}
        if lake.part("quadrant_stats", partition, name).exists():
            held.complete.add(day)
        if lake.part("housekeeping", partition, name).exists():
            held.complete_hk.add(day)


def blocks_concerned(lake: Lake, folders: Sequence[DayFolder]) -> set[str]:
    """Return every block in which this run may change something: to be locked."""
    blocks = {row.block for folder in folders for row in folder.rows}
    state = load_state(lake, folders)
    blocks |= {block for block, _ in state.units}
    return blocks | {str(reject["block"]) for reject in state.rejects}
