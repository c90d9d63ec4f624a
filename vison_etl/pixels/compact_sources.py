"""Compact sources of light in a quadrant: places brighter than their row, apart from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SIGMA = 8.0
_LEAST_ADU = 300.0
_CANDIDATES = 4000
_APART_PX = 10
_EDGE_PX = 2


@dataclass(frozen=True, slots=True)
class Source:
    """One source: its brightest pixel in the array given, that pixel and the sum of 3 x 3 pixels above the level of their rows."""

    x: int
    y: int
    peak_adu: float
    sum_adu: float


def compact_sources(codes: NDArray[np.uint16], levels: NDArray[np.float64], most: int) -> list[Source]:
    """Return the brightest sources, the brightest first.

    Parameters
    ----------
    codes
        Image pixels of a quadrant, shape (rows, columns).
    levels
        Level of each row, NaN where unknown: such rows have no sources.
    most
        How many to return at most.

    Returns
    -------
    list of Source
        Local maxima of the 3 x 3 sum at least 300 ADU and eight times the robust scatter of the pixels above their row, ten pixels or more
        apart.
    """
    excess = codes.astype(np.float32)
    excess -= np.nan_to_num(levels, nan=np.inf)[:, None].astype(np.float32)
    scatter = 1.4826 * float(np.median(np.abs(excess[:: max(1, excess.shape[0] // 64)])))
    limit = max(_LEAST_ADU, _SIGMA * scatter) if np.isfinite(scatter) else _LEAST_ADU
    y, x = np.nonzero(excess > limit)
    inside = (y >= _EDGE_PX) & (y < excess.shape[0] - _EDGE_PX) & (x >= _EDGE_PX) & (x < excess.shape[1] - _EDGE_PX)
    y, x = y[inside], x[inside]
    sums = np.zeros(y.size)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            sums += np.maximum(excess[y + dy, x + dx], 0.0)
    order = np.lexsort((x, y, -sums))[:_CANDIDATES]
    found: list[Source] = []
    for at in order:
        row, column = int(y[at]), int(x[at])
        if all(max(abs(row - one.y), abs(column - one.x)) >= _APART_PX for one in found):
            found.append(Source(column, row, float(excess[row, column]), float(sums[at])))
            if len(found) == most:
                break
    return found
