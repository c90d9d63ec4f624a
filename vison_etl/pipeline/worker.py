"""What a worker does for ingest: read one file once, return small numbers. No table, no Parquet: nothing heavy but numpy and numba."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from vison_etl.elvis.files import file_stamp
from vison_etl.elvis.frames import FrameError, header_mismatch
from vison_etl.elvis.housekeeping import HkError, read_hk
from vison_etl.elvis.scan import FrameScan, TakeRows, scan_frame
from vison_etl.instrument.geometry import Geometry
from vison_etl.pixels.clipping import STATISTICS
from vison_etl.pixels.histograms import RegionCounts, begin_counts, count_rows, histograms_of, statistics_of

Number = int | float | None


@dataclass(frozen=True, slots=True)
class FrameTask:
    """One frame to read: where, whose it must be, and the canonical rows that were read out (None: all)."""

    path: str
    obsid: int
    ccd: str
    vstart: int | None
    vend: int | None

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the files a worker must see."""
        return (self.path,)


@dataclass(frozen=True, slots=True)
class HkTask:
    """One housekeeping file to read."""

    path: str
    obsid: int

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the files a worker must see."""
        return (self.path,)


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What is known of a good frame beside its pixels."""

    file_bytes: int
    digest: str
    file_stamp: str
    image_columns: int
    image_rows: int
    overscan_columns: int
    overscan_rows: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a file cannot be used, and its stamp if the content is to blame: the same file need not be tried again."""

    reason: str
    detail: str
    stamp: str | None = None


@dataclass(frozen=True, slots=True)
class FrameRead:
    """A good frame: its facts, and per region (quadrant, region, *STATISTICS)."""

    facts: FrameFacts
    statistics: tuple[tuple[str | Number, ...], ...]


@dataclass(frozen=True, slots=True)
class HkRead:
    """A good housekeeping file.

    Parameters
    ----------
    values
        Shape (readings, keys), float64, NaN where a reading is no number.
    texts
        (reading, key index, text) where a reading is a text.
    summary
        Per key (n, mean, std, min, max, first, last) of the numbers.
    """

    stamp: str
    keys: tuple[str, ...]
    read_at: tuple[datetime | None, ...]
    values: NDArray[np.float64]
    texts: tuple[tuple[int, int, str], ...]
    summary: tuple[tuple[Number, ...], ...]


Task = FrameTask | HkTask
Read = FrameRead | HkRead | Refused


def read_task(task: Task) -> Read:
    """Read one file; a file that cannot be used is a result, not an error."""
    return _read_frame(task) if isinstance(task, FrameTask) else _read_hk(task)


def _read_frame(task: FrameTask) -> FrameRead | Refused:
    before = _stamp(task.path)
    counts: list[RegionCounts] = []
    try:
        frame = scan_frame(task.path, lambda geometry: _begin(task, geometry, counts))
    except FrameError as error:
        return _refused(error, before)
    if _stamp(task.path) != frame.stamp:
        return Refused("changing", "the file changed while it was read; ingest again when it is complete")
    mismatch = header_mismatch(frame.header, task.obsid, task.ccd)
    if mismatch is not None:
        return Refused("header_mismatch", mismatch, frame.stamp)
    return FrameRead(_facts(frame), _statistics(counts[0]))


def _begin(task: FrameTask, geometry: Geometry, counts: list[RegionCounts]) -> TakeRows:
    vstart = 0 if task.vstart is None else task.vstart
    vend = geometry.quadrant_rows if task.vend is None else task.vend
    begun = begin_counts(geometry, vstart, vend)
    counts.append(begun)
    return lambda rows, first_row: count_rows(begun, rows, first_row)


def _stamp(path: str) -> str | None:
    try:
        return file_stamp(os.stat(path))  # noqa: PTH116 - as the readers do
    except OSError:
        return None


def _refused(error: FrameError | HkError, before: str | None) -> Refused:
    """Blame the content, as it was before it was read, unless the file could not be read at all."""
    return Refused(error.reason, error.detail, None if error.reason in {"missing", "unreadable"} else before)


def _facts(frame: FrameScan) -> FrameFacts:
    geometry = frame.geometry
    return FrameFacts(
        file_bytes=frame.size,
        digest=frame.digest,
        file_stamp=frame.stamp,
        image_columns=geometry.image_columns,
        image_rows=geometry.image_rows,
        overscan_columns=geometry.overscan,
        overscan_rows=geometry.parallel_overscan,
    )


def _statistics(counted: RegionCounts) -> tuple[tuple[str | Number, ...], ...]:
    rows = statistics_of(histograms_of(counted))
    return tuple((row["quadrant"], row["region"], *(row[name] for name in STATISTICS)) for row in rows)


def _read_hk(task: HkTask) -> HkRead | Refused:
    before = _stamp(task.path)
    try:
        found = read_hk(task.path)
    except HkError as error:
        return _refused(error, before)
    texts = tuple((reading, key, text) for (reading, key), text in sorted(found.texts.items()))
    return HkRead(found.stamp, found.keys, found.read_at, found.values, texts, summarise(found.values))


def summarise(values: NDArray[np.float64]) -> tuple[tuple[Number, ...], ...]:
    """Summarise readings per key.

    Parameters
    ----------
    values
        Shape (readings, keys); NaN is left out.

    Returns
    -------
    tuple
        Per key (n, mean, std with N denominator, min, max, first, last); None for all but n where there is no number.
    """
    valid = np.isfinite(values)
    n = valid.sum(axis=0)
    safe = np.maximum(n, 1)
    filled = np.where(valid, values, 0.0)
    mean = filled.sum(axis=0) / safe
    std = np.sqrt((np.where(valid, values - mean, 0.0) ** 2).sum(axis=0) / safe)
    columns = np.arange(values.shape[1])
    first = filled[valid.argmax(axis=0), columns]
    last = filled[len(values) - 1 - valid[::-1].argmax(axis=0), columns]
    lowest = np.where(valid, values, np.inf).min(axis=0)
    highest = np.where(valid, values, -np.inf).max(axis=0)
    numbers = np.stack([mean, std, lowest, highest, first, last], axis=1).tolist()
    return tuple((count, *row) if count else (0, *[None] * 6) for count, row in zip(n.tolist(), numbers, strict=True))
