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
def _block_means(image: NDArray[np.floating], side: int, out: NDArray[np.float32]) -> None:
    rows, columns = image.shape
    total, n = np.empty(columns), np.empty(columns, np.int32)
    for j in range(out.shape[0]):
        total[:], n[:] = 0.0, 0
        for y in range(j * side, min((j + 1) * side, rows)):
            line = image[y]
            for x in range(columns):
                is_known = abs(line[x]) < np.inf
                total[x] += line[x] if is_known else 0.0
                n[x] += is_known
        for i in range(out.shape[1]):
            value, count = 0.0, 0
            for x in range(i * side, min((i + 1) * side, columns)):
                value += total[x]
                count += n[x]
            out[j, i] = value / count if count > 0 else np.nan


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
    out = np.empty(tuple(-(-n // factor) for n in image.shape), np.float32)
    _block_means(image, factor, out)
    return out


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
