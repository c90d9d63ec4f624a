"""Offset of each row from its serial prescan, smoothed along y so that it adds next to no noise of its own.

The 21 prescan pixels of one row would add 0.22 of the read noise, common to the row. A Gaussian of standard deviation s rows
averages over 2 sqrt(pi) s of them: at s = 12 the added noise is 0.034 of the read noise, and 0.048 at the first and last row,
where half of the Gaussian is missing; drifts over more than some 30 rows are followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry, region_window
from vison_etl.pixels.clipping import CODES
from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.differences import Band

SMOOTHING_ROWS = 12.0
_REACH = 3.0
_TRIMMED = 0.1


def row_offsets(prescan: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return the robust mean of the prescan pixels of each row.

    Parameters
    ----------
    prescan
        Codes, shape (..., columns). Codes 0 and 65535 do not count.

    Returns
    -------
    NDArray of float64, shape (...)
        Mean of the valid pixels without the lowest and highest tenth (rounded down); NaN where none is valid.
    """
    lines = np.ascontiguousarray(prescan).reshape(-1, prescan.shape[-1])
    out = np.empty(len(lines))
    _trimmed_means(lines, out)
    return out.reshape(prescan.shape[:-1])


@compiled
def _trimmed_means(lines: NDArray[np.uint16], out: NDArray[np.float64]) -> None:
    """Fill the trimmed mean of each line; up to four codes left out need no sorting."""
    ordered = np.empty(lines.shape[1], np.uint16)
    for j in range(lines.shape[0]):
        n, total = 0, 0
        least, next_least, most, next_most = CODES, CODES, 0, 0
        for code in lines[j]:
            if 0 < code < CODES - 1:
                ordered[n] = code
                n += 1
                value = int(code)
                total += value
                next_least = min(next_least, max(least, value))
                least = min(least, value)
                next_most = max(next_most, min(most, value))
                most = max(most, value)
        cut = int(_TRIMMED * n)
        if cut == 1:
            total -= least + most
        elif cut == 2:
            total -= least + next_least + most + next_most
        elif cut > 2:
            ordered[:n].sort()
            total = 0
            for i in range(cut, n - cut):
                total += ordered[i]
        out[j] = total / (n - 2 * cut) if n > 0 else np.nan


def smoothed(offsets: NDArray[np.float64], rows: float) -> NDArray[np.float64]:
    """Smooth along the last axis with a Gaussian of ``rows`` standard deviation, cut at 3.

    NaN carries no weight and is filled from its neighbours; it stays NaN where nothing within reach is known. ``rows`` = 0 leaves
    the offsets as they are.
    """
    if rows <= 0:
        return offsets
    distance = np.arange(-reach_of(rows), reach_of(rows) + 1)
    kernel = np.exp(-0.5 * (distance / rows) ** 2)
    known = np.isfinite(offsets)
    level = np.mean(offsets, where=known) if known.any() else 0.0
    weight = _convolved(known.astype(np.float64), kernel)
    total = _convolved(np.where(known, offsets - level, 0.0), kernel)
    # a sum of kernel values below the smallest of them is rounding, not weight
    has_weight = weight > 0.5 * kernel[0]
    return np.where(has_weight, level + total / np.where(has_weight, weight, 1.0), np.nan)


def _convolved(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve along the last axis with a kernel of odd length, nothing beyond the ends."""
    reach, length = len(kernel) // 2, values.shape[-1]
    lines = [np.convolve(line, kernel)[reach : reach + length] for line in values.reshape(-1, length)]
    return np.array(lines).reshape(values.shape)


def reach_of(rows: float) -> int:
    """Return how many rows to either side the smoothing of :func:`smoothed` looks."""
    return round(_REACH * rows)


@dataclass(slots=True)
class _Waiting:
    """Bands of one quadrant whose neighbours are not all known yet. ``offsets``: (frames, hQ); ``is_known``: (hQ,)."""

    offsets: NDArray[np.float64]
    is_known: NDArray[np.bool_]
    bands: list[tuple[int, NDArray[np.uint16]]]


def bands_with_offsets(
    bands: Iterable[Band], geometry: Geometry, vstart: int, vend: int, rows: float = SMOOTHING_ROWS
) -> Iterator[tuple[str, int, NDArray[np.uint16], NDArray[np.float64]]]:
    """Add the smoothed row offsets to bands of frames, holding each back until the rows that its smoothing needs were seen.

    Parameters
    ----------
    bands
        (quadrant, y0, codes of shape (frames, rows, quadrant width)), every row once, in any order.
    vstart, vend
        Canonical rows kept, half open; bands are cut to them.
    rows
        Standard deviation of the smoothing.

    Yields
    ------
    (quadrant, y0, codes, offsets)
        ``offsets`` in ADU, shape (frames, rows); NaN where the prescan was lost.
    """
    reach, stop = reach_of(rows), min(vend, geometry.quadrant_rows)
    prescan = region_window(geometry, "pre", 0, geometry.quadrant_rows)
    waiting: dict[str, _Waiting] = {}
    for quadrant, start, whole_band in bands:
        y0, y1 = max(start, vstart), min(start + whole_band.shape[1], stop)
        if prescan is None or y1 <= y0:
            continue
        band = whole_band[:, y0 - start : y1 - start]
        if quadrant not in waiting:
            shape = (band.shape[0], geometry.quadrant_rows)
            waiting[quadrant] = _Waiting(np.full(shape, np.nan), np.zeros(shape[1], np.bool_), [])
        queue = waiting[quadrant]
        queue.offsets[:, y0:y1] = row_offsets(band[:, :, prescan.x0 : prescan.x1])
        queue.is_known[y0:y1] = True
        queue.bands.append((y0, band.copy()))
        for ready in list(queue.bands):
            first, last = max(ready[0] - reach, vstart), min(ready[0] + ready[1].shape[1] + reach, stop)
            if queue.is_known[first:last].all():
                queue.bands.remove(ready)
                local = smoothed(queue.offsets[:, first:last], rows)[:, ready[0] - first :]
                yield quadrant, *ready, local[:, : ready[1].shape[1]]
