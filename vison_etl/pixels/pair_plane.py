"""Compiled loops over the difference image of one tile: plane, clip, moments. Pixels not to be used hold infinity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

Difference = NDArray[np.float32]
Floats = NDArray[np.float64]

_Kernel = TypeVar("_Kernel", bound=Callable[..., object])
_MAX_PASSES = 12


def vectorised(function: _Kernel) -> _Kernel:
    """Compile as ``compiled`` does, and let sums change their order, so that they run on vectors of numbers.

    Infinities and NaN keep their meaning. The order is the same for every call on one machine.
    """
    return cast("_Kernel", numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function))


@vectorised
def count_inside(line: Difference, limit: float) -> int:
    """Return the number of pixels of a row within +-``limit``."""
    n, bound = np.int32(0), np.float32(limit)
    for i in range(line.size):
        n += np.int32(abs(line[i]) <= bound)
    return int(n)


@vectorised
def _add_row(line: Difference, limit: float, sums: Floats, y: float) -> None:
    """Add one row to the normal equations of a plane: [n, x, y, xx, xy, yy, d, xd, yd, dd], x about the middle."""
    width = line.size
    middle, bound = 0.5 * (width - 1), np.float32(limit)
    n, d, xd, dd = np.int32(0), 0.0, 0.0, 0.0
    for i in range(width):
        inside = abs(line[i]) <= bound
        value = np.float64(line[i]) if inside else 0.0
        n += np.int32(inside)
        d += value
        xd += (i - middle) * value
        dd += value * value
    sum_x, sum_xx = 0.0, width * (width * width - 1) / 12.0
    if n < width:
        for i in range(width):
            if not abs(line[i]) <= bound:
                sum_x -= i - middle
                sum_xx -= (i - middle) ** 2
    count = float(n)
    terms = (count, sum_x, count * y, sum_xx, sum_x * y, count * y * y, d, xd, d * y, dd)
    for k in range(len(terms)):
        sums[k] += terms[k]


@compiled
def _solve_plane(sums: Floats) -> tuple[float, float, float, float]:
    """Solve the normal equations in moments about the mean: constant, slopes in x and y, sum of squared residuals."""
    n, x, y, xx, xy, yy, d, xd, yd, dd = sums
    cxx, cxy, cyy = xx - x * x / n, xy - x * y / n, yy - y * y / n
    cxd, cyd, cdd = xd - x * d / n, yd - y * d / n, dd - d * d / n
    determinant = cxx * cyy - cxy * cxy
    if not determinant > 1e-9 * cxx * cyy:
        return d / n, 0.0, 0.0, cdd
    slope_x = (cxd * cyy - cyd * cxy) / determinant
    slope_y = (cyd * cxx - cxd * cxy) / determinant
    return d / n - slope_x * x / n - slope_y * y / n, slope_x, slope_y, cdd - slope_x * cxd - slope_y * cyd


@vectorised
def _subtract(line: Difference, constant: float, slope_x: float) -> None:
    middle = 0.5 * (line.size - 1)
    for i in range(line.size):
        line[i] = np.float32(line[i] - (constant + slope_x * (i - middle)))


@compiled
def remove_plane(difference: Difference, sigma: float, clip: float, truncation: float) -> tuple[float, int]:
    """Remove, in place, the least-squares plane of the pixels within ``clip`` sigma, until the same number is kept.

    Parameters
    ----------
    difference
        Shape (height, width), ADU.
    sigma
        Robust estimate of the standard deviation to start from, ADU.
    clip
        Clip, sigma.
    truncation
        Variance of a unit normal distribution cut at the clip.

    Returns
    -------
    limit, n
        Limit of the clip, ADU, and the number of pixels within it.
    """
    height = difference.shape[0]
    middle = 0.5 * (height - 1)
    limit = clip * sigma
    kept, constant, slope_x, slope_y = -1, 0.0, 0.0, 0.0
    sums = np.empty(10)
    for _ in range(_MAX_PASSES):
        sums[:] = 0.0
        for j in range(height):
            if kept >= 0:
                _subtract(difference[j], constant + slope_y * (j - middle), slope_x)
            _add_row(difference[j], limit, sums, j - middle)
        n = int(sums[0])
        if n == kept or n < 4:
            return limit, n
        kept = n
        constant, slope_x, slope_y, squares = _solve_plane(sums)
        limit = clip * math.sqrt(max(squares, 0.0) / (n - 3) / truncation)
    return limit, kept


@compiled
def grow_clipped(difference: Difference, limit: float) -> None:
    """Mark the eight neighbours of every clipped pixel unusable: the tails of a cosmic ray are below the clip."""
    height, width = difference.shape
    hits = np.empty((height * width, 2), np.int64)
    n_hits = 0
    for j in range(height):
        if count_inside(difference[j], limit) == width:
            continue
        for i in range(width):
            if np.float32(limit) < abs(difference[j, i]) < np.inf:
                hits[n_hits, 0], hits[n_hits, 1] = j, i
                n_hits += 1
    for j, i in hits[:n_hits]:
        difference[max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2] = np.float32(np.inf)


@vectorised
def add_moments(difference: Difference, limit: float, moments: Floats) -> None:
    """Add, of the pixels kept: [n, sum, squares, fourth powers, y products, their number, x products, their number]."""
    height, width = difference.shape
    bound = np.float32(limit)
    for j in range(height):
        last = j + 1 == height
        line, above = difference[j], difference[j if last else j + 1]
        n, n_y, total, squares, fourths, along_y = np.int32(0), np.int32(0), 0.0, 0.0, 0.0, 0.0
        for i in range(width):
            inside, inside_above = abs(line[i]) <= bound, abs(above[i]) <= bound
            value = np.float64(line[i]) if inside else 0.0
            square = value * value
            n += np.int32(inside)
            total += value
            squares += square
            fourths += square * square
            n_y += np.int32(inside & inside_above)
            along_y += value * (np.float64(above[i]) if inside_above else 0.0)
        n_x, along_x = np.int32(0), 0.0
        for i in range(width - 1):
            both = (abs(line[i]) <= bound) & (abs(line[i + 1]) <= bound)
            n_x += np.int32(both)
            along_x += np.float64(line[i]) * line[i + 1] if both else 0.0
        if last:
            n_y, along_y = np.int32(0), 0.0
        terms = (float(n), total, squares, fourths, along_y, float(n_y), along_x, float(n_x))
        for k in range(len(terms)):
            moments[k] += terms[k]
