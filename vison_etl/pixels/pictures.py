"""Small pictures of large frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

MAX_SIDE = 530
_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True, slots=True)
class Picture:
    """8-bit picture, top row first: ``lo`` is black, ``hi`` white. Pixels without a value are black."""

    image: NDArray[np.uint8]
    lo: float | None
    hi: float | None


@compiled
def _column_sums(strip: NDArray[np.floating], total: NDArray[np.float64], n: NDArray[np.int64]) -> None:
    """Fill sum and number of the finite values of every column."""
    total[:], n[:] = 0.0, 0
    for y in range(strip.shape[0]):
        line = strip[y]
        for x in range(line.size):
            is_known = abs(line[x]) < np.inf
            total[x] += line[x] if is_known else 0.0
            n[x] += is_known


def binned(image: NDArray[np.floating], max_side: int = MAX_SIDE) -> NDArray[np.float32]:
    """Average square blocks so that neither side exceeds ``max_side`` pixels.

    Parameters
    ----------
    image
        Shape (rows, columns); NaN does not count. The last block of a side may be smaller.

    Returns
    -------
    NDArray of float32
        Block means; NaN where a block has no value.
    """
    factor = -(-max(image.shape) // max_side)
    starts, columns = np.arange(0, image.shape[1], factor), image.shape[1]
    total, n = np.empty(columns), np.empty(columns, np.int64)
    rows = []
    for y in range(0, image.shape[0], factor):
        _column_sums(image[y : y + factor], total, n)
        value, count = np.add.reduceat(total, starts), np.add.reduceat(n, starts)
        rows.append(np.where(count > 0, value / np.maximum(count, 1), np.nan).astype(np.float32))
    return np.array(rows)


def picture(
    image: NDArray[np.floating], max_side: int = MAX_SIDE, stretch_over: Sequence[NDArray[np.floating]] = ()
) -> Picture:
    """Bin a CCD frame, stretch it between its 1st and 99th percentile and turn its first row to the bottom.

    ``stretch_over`` names the parts of it whose percentiles count, all of it if empty: the settling of the first prescan columns is
    much larger than anything in the image area.
    """
    small = binned(image, max_side)
    factor_side = max_side * max((max(part.shape) for part in stretch_over), default=0) // max(image.shape)
    parts = [binned(part, max(1, factor_side)).ravel() for part in stretch_over] or [small.ravel()]
    known = np.concatenate(parts)
    known = known[np.isfinite(known)]
    if known.size == 0:
        known = small[np.isfinite(small)]
    if known.size == 0:
        return Picture(np.zeros(small.shape, np.uint8), None, None)
    lo, hi = (float(v) for v in np.percentile(known, _PERCENTILES))
    scaled = (np.nan_to_num(small, nan=lo) - lo) / (hi - lo if hi > lo else 1.0)
    return Picture(np.rint(255 * scaled.clip(0.0, 1.0)).astype(np.uint8)[::-1], lo, hi)
