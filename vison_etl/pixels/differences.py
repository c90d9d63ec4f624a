"""Sums over differences of adjacent frames, streamed by bands: all that an analysis of temporal noise needs.

For each pair of adjacent frames and each region: the exact integer histogram of the differences, and sums by row and by column of
the pixels inside a clip. Bands are seen once and in any order; only histograms and sums by column are kept, 40 kB per pair and
quadrant not yet complete, so that memory hardly grows with the number of frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import REGIONS, Geometry, region_window
from vison_etl.pixels.clipping import CODES, ClippedMoments, clipped_moments
from vison_etl.pixels.compiled import compiled

HALF_WIDTH = 511
"""Largest difference that is counted, ADU, from the pair's pivot."""

BAND_BYTES = 32_000_000
_IMAGE_ROWS, _OVERSCAN_ROWS = 0, 1
_OUTSIDE, _INVALID = HALF_WIDTH + 1, HALF_WIDTH + 2

Band = tuple[str, int, NDArray[np.uint16]]
"""Quadrant, first canonical row, and codes of shape (n_frames, rows, quadrant width)."""


@dataclass(frozen=True, slots=True)
class DifferenceSums:
    """Sums of d = code_1 - code_2 - pivot over the valid pixels of one quadrant; arrays [pair, region] unless said.

    A pixel is valid if neither code is 0 or 65535, and retained if d lies within 4 sigma of the median, judged by the rows seen
    by then. ``counts`` holds all valid pixels with |d| <= HALF_WIDTH; all other sums are over retained pixels.

    Parameters
    ----------
    rows_read
        Shape (regions,): rows of the region that were read out.
    pivot
        Shape (pairs,): whole ADU near the median difference.
    counts
        Shape (pairs, regions, 2 HALF_WIDTH + 3): pixels per value of d, from -HALF_WIDTH; the last two: valid pixels beyond, and
        pixels that are not valid.
    n, total, squares
        Pixels, sum of d and sum of d².
    n_rows, n_columns
        Rows and columns with a retained pixel.
    row_squares, column_squares
        Sum over rows (columns) of (sum of d)² / pixels.
    row_pixels, column_pixels
        Sum over rows (columns) of pixels².
    """

    rows_read: NDArray[np.int64]
    pivot: NDArray[np.int64]
    counts: NDArray[np.uint32]
    n: NDArray[np.int64]
    total: NDArray[np.int64]
    squares: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    n_columns: NDArray[np.int64]
    row_squares: NDArray[np.float64]
    column_squares: NDArray[np.float64]
    row_pixels: NDArray[np.int64]
    column_pixels: NDArray[np.int64]

    def clipped(self, pair: int, region: int) -> ClippedMoments:
        """Return the moments of the differences after the clip, pivot not added."""
        return clipped_moments(self.counts[pair, region, :-2], -HALF_WIDTH)

    def n_outside(self, pair: int, region: int) -> int:
        """Return how many valid pixels lie beyond the histogram."""
        return int(self.counts[pair, region, -2])

    def covers_clip(self, pair: int, region: int) -> bool:
        """Tell whether the histogram is wide enough for the clip to have been decided on all pixels."""
        moments = self.clipped(pair, region)
        reach = max(abs(moments.first), abs(moments.last))
        return self.n_outside(pair, region) == 0 or reach <= HALF_WIDTH


@dataclass(slots=True)
class _Growing:
    """Work in progress of one quadrant. ``limits``: retained d, (pairs, regions, 2); ``rows_at_limits``: (regions,)."""

    sums: DifferenceSums
    column_total: NDArray[np.int32]
    column_count: NDArray[np.int32]
    limits: NDArray[np.int64]
    rows_due: int
    rows_at_limits: NDArray[np.int64]


def band_rows(n_frames: int, geometry: Geometry, n_bytes: int = BAND_BYTES) -> int:
    """Return how many rows of ``n_frames`` frames to hold at a time: at least 16."""
    return min(geometry.quadrant_rows, max(16, n_bytes // (2 * n_frames * geometry.quadrant_columns)))


@compiled
def _differences(band: NDArray[np.uint16], pivot: NDArray[np.int64]) -> NDArray[np.int16]:
    """Return code_1 - code_2 - pivot of each pair, shape (pairs, rows, columns); _OUTSIDE or _INVALID where it has no place."""
    out = np.empty((band.shape[0] - 1, band.shape[1], band.shape[2]), np.int16)
    for pair in range(out.shape[0]):
        centre = np.int32(pivot[pair])
        for y in range(out.shape[1]):
            first, second, row = band[pair, y], band[pair + 1, y], out[pair, y]
            for x in range(out.shape[2]):
                d = int(np.int32(first[x]) - np.int32(second[x]) - centre)
                d = d if -HALF_WIDTH <= d <= HALF_WIDTH else _OUTSIDE
                is_valid = 0 < first[x] < CODES - 1 and 0 < second[x] < CODES - 1
                row[x] = d if is_valid else _INVALID
    return out


@compiled
def _count(differences: NDArray[np.int16], windows: NDArray[np.int64], counts: NDArray[np.uint32]) -> None:
    """Add the differences inside ``windows`` (regions, [x0, x1, y0, y1] in the band) to the histograms."""
    for pair in range(differences.shape[0]):
        for region in range(windows.shape[0]):
            x0, x1, y0, y1 = windows[region]
            histogram = counts[pair, region]
            for y in range(y0, y1):
                for d in differences[pair, y, x0:x1]:
                    histogram[d + HALF_WIDTH] += np.uint32(1)


@compiled
def _add_rows(
    differences: NDArray[np.int16],
    windows: NDArray[np.int64],
    column_set: NDArray[np.int64],
    limits: NDArray[np.int64],
    column_total: NDArray[np.int32],
    column_count: NDArray[np.int32],
    n: NDArray[np.int64],
    total: NDArray[np.int64],
    squares: NDArray[np.int64],
    n_rows: NDArray[np.int64],
    row_squares: NDArray[np.float64],
    row_pixels: NDArray[np.int64],
) -> None:
    """Add the retained differences to the sums by row and by column."""
    for pair in range(differences.shape[0]):
        for region in range(windows.shape[0]):
            x0, x1, y0, y1 = windows[region]
            low, high = np.int32(limits[pair, region, 0]), np.int32(limits[pair, region, 1])
            by_column = column_total[pair, column_set[region], x0:x1]
            in_column = column_count[pair, column_set[region], x0:x1]
            for y in range(y0, y1):
                row = differences[pair, y, x0:x1]
                row_total, row_count, row_square = np.int32(0), np.int32(0), np.int64(0)
                for x in range(x1 - x0):
                    d = np.int32(row[x])
                    one = np.int32(low <= d <= high)
                    d = d * one
                    row_total += d
                    row_count += one
                    row_square += d * d
                    by_column[x] += d
                    in_column[x] += one
                if row_count > 0:
                    n[pair, region] += row_count
                    total[pair, region] += row_total
                    squares[pair, region] += row_square
                    n_rows[pair, region] += 1
                    row_squares[pair, region] += float(row_total) * float(row_total) / row_count
                    row_pixels[pair, region] += np.int64(row_count) * np.int64(row_count)


def _band_windows(geometry: Geometry, vstart: int, vend: int, y0: int, rows: int) -> NDArray[np.int64]:
    """Return [x0, x1, y0, y1] of each region inside a band of ``rows`` rows from canonical row ``y0``; empty if outside."""
    found = np.zeros((len(REGIONS), 4), np.int64)
    for r, region in enumerate(REGIONS):
        window = region_window(geometry, region, vstart, vend)
        if window is not None:
            low, high = max(window.y0, y0) - y0, min(window.y1, y0 + rows) - y0
            found[r] = (window.x0, window.x1, low, max(low, high))
    return found


def _pivots(band: NDArray[np.uint16], windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return whole numbers near the median difference of each pair, from the first window of the band that has rows."""
    x0, x1, y0, y1 = next(w for w in windows[[1, 3, 0, 2]] if w[3] > w[2])
    medians = np.median(band[:, y0:y1, x0:x1].reshape(band.shape[0], -1), axis=1)
    differences: NDArray[np.float64] = -np.diff(medians)
    return np.rint(differences).astype(np.int64)


def _start(band: NDArray[np.uint16], windows: NDArray[np.int64], rows_due: int) -> _Growing:
    pairs, regions = band.shape[0] - 1, len(REGIONS)
    shapes = {"rows_read": (regions,), "pivot": (pairs,), "counts": (pairs, regions, 2 * HALF_WIDTH + 3)}
    types = {"counts": np.uint32, "row_squares": np.float64, "column_squares": np.float64}
    arrays = {
        f.name: np.zeros(shapes.get(f.name, (pairs, regions)), types.get(f.name, np.int64))
        for f in fields(DifferenceSums)
    }
    arrays["pivot"] = _pivots(band, windows)
    by_column = (pairs, 2, band.shape[2])
    return _Growing(
        DifferenceSums(**arrays),
        np.zeros(by_column, np.int32),
        np.zeros(by_column, np.int32),
        np.zeros((pairs, regions, 2), np.int64),
        rows_due,
        np.zeros(regions, np.int64),
    )


def _set_limits(growing: _Growing) -> None:
    """Take each region's clip from its histogram so far, again whenever its rows have doubled."""
    seen = growing.sums.rows_read
    is_due = seen > np.maximum(0, 2 * growing.rows_at_limits - 1)
    growing.rows_at_limits[is_due] = seen[is_due]
    for region in (int(r) for r in np.flatnonzero(is_due)):
        for pair in range(growing.limits.shape[0]):
            moments = growing.sums.clipped(pair, region)
            growing.limits[pair, region] = max(moments.first, -HALF_WIDTH), min(moments.last, HALF_WIDTH)


def _add(
    growing: _Growing, band: NDArray[np.uint16], windows: NDArray[np.int64], column_set: NDArray[np.int64]
) -> None:
    s = growing.sums
    differences = _differences(np.ascontiguousarray(band), s.pivot)
    _count(differences, windows, s.counts)
    s.rows_read[:] += windows[:, 3] - windows[:, 2]
    _set_limits(growing)
    _add_rows(
        differences, windows, column_set, growing.limits, growing.column_total, growing.column_count,
        s.n, s.total, s.squares, s.n_rows, s.row_squares, s.row_pixels,
    )  # fmt: skip


def _finish(growing: _Growing, geometry: Geometry, column_set: NDArray[np.int64]) -> DifferenceSums:
    """Reduce the sums by column."""
    s = growing.sums
    windows = _band_windows(geometry, 0, geometry.quadrant_rows, 0, geometry.quadrant_rows)
    for r, (x0, x1, _, _) in enumerate(windows):
        total = growing.column_total[:, column_set[r], x0:x1].astype(np.float64)
        count = growing.column_count[:, column_set[r], x0:x1].astype(np.int64)
        s.n_columns[:, r] = np.count_nonzero(count, axis=1)
        s.column_squares[:, r] = np.sum(total**2 / np.maximum(count, 1), axis=1)
        s.column_pixels[:, r] = np.sum(count**2, axis=1)
    return s


def difference_sums(
    bands: Iterable[Band], geometry: Geometry, vstart: int, vend: int
) -> Iterator[tuple[str, DifferenceSums]]:
    """Yield the sums over the differences of adjacent frames, quadrant by quadrant as their rows are complete.

    Parameters
    ----------
    bands
        (quadrant, y0, codes of shape (n_frames, rows, quadrant width)), every row once, in any order. Read-only.
    vstart, vend
        Canonical rows kept, half open.

    Yields
    ------
    (quadrant, DifferenceSums)
        Pairs (0, 1), (1, 2), ...; nothing for a single frame.
    """
    column_set = np.array([_OVERSCAN_ROWS if region == "pov" else _IMAGE_ROWS for region in REGIONS])
    whole = _band_windows(geometry, vstart, vend, 0, geometry.quadrant_rows)
    rows_due = int(np.sum((whole[:, 3] - whole[:, 2])[[1, 3]]))
    growing: dict[str, _Growing] = {}
    for quadrant, y0, band in bands:
        windows = _band_windows(geometry, vstart, vend, y0, band.shape[1])
        rows = int(np.sum((windows[:, 3] - windows[:, 2])[[1, 3]]))
        if band.shape[0] < 2 or rows == 0:
            continue
        if quadrant not in growing:
            growing[quadrant] = _start(band, windows, rows_due)
        current = growing[quadrant]
        _add(current, band, windows, column_set)
        current.rows_due -= rows
        if current.rows_due == 0:
            yield quadrant, _finish(growing.pop(quadrant), geometry, column_set)
