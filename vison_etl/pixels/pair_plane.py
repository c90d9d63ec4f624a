"""Compiled loops over the difference image of one tile: plane, clip, moments. Pixels not to be used hold infinity.

Sums of floats run down the columns first and then along them, in an order that the source says. So each row is added to its
columns by vectors of numbers, and no compiler needs the freedom to reorder sums: where it has that, the same code compiled at
another time or linked to other code gives other last bits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

Difference = NDArray[np.float32]
Floats = NDArray[np.float64]

_MAX_PASSES = 12


@compiled
def count_inside(line: Difference, limit: float) -> int:
    """Return the number of pixels of a row within +-``limit``."""
    n, bound = np.int32(0), np.float32(limit)
    for i in range(line.size):
        n += np.int32(abs(line[i]) <= bound)
    return int(n)


@compiled
def _add_row(line: Difference, bound: np.float32, columns: Floats, y: float) -> int:
    """Add one row to sums by column [n, n y, d, d y, dd]; return the number of pixels within +-``bound``."""
    n, ny, d, dy, dd = columns[0], columns[1], columns[2], columns[3], columns[4]
    kept = np.int32(0)
    for i in range(line.size):
        inside = abs(line[i]) <= bound
        kept += np.int32(inside)
        n[i] += 1.0 if inside else 0.0
        ny[i] += y if inside else 0.0
    for i in range(line.size):
        value = np.float64(line[i]) if abs(line[i]) <= bound else 0.0
        d[i] += value
        dy[i] += value * y
        dd[i] += value * value
    return int(kept)


@compiled
def _normal_equations(difference: Difference, limit: float, columns: Floats) -> Floats:
    """Return the sums for a plane, x and y about the middle: [n, x, y, xx, xy, yy, d, xd, yd, dd]; ``columns`` is scratch."""
    height, width = difference.shape
    middle_x, middle_y, bound = 0.5 * (width - 1), 0.5 * (height - 1), np.float32(limit)
    columns[:] = 0.0
    sums = np.zeros(10)
    for j in range(height):
        y = j - middle_y
        sums[5] += _add_row(difference[j], bound, columns, y) * y * y
    for i in range(width):
        x, (n, ny, d, dy, dd) = i - middle_x, columns[:, i]
        terms = (n, n * x, ny, n * x * x, ny * x, 0.0, d, d * x, dy, dd)
        for k in range(len(terms)):
            sums[k] += terms[k]
    return sums


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


@compiled
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
    limit, kept = clip * sigma, -1
    columns = np.empty((5, difference.shape[1]))
    for _ in range(_MAX_PASSES):
        sums = _normal_equations(difference, limit, columns)
        n = int(sums[0])
        if n == kept or n < 4:
            return limit, n
        kept = n
        constant, slope_x, slope_y, squares = _solve_plane(sums)
        limit = clip * math.sqrt(max(squares, 0.0) / (n - 3) / truncation)
        for j in range(height):
            _subtract(difference[j], constant + slope_y * (j - middle), slope_x)
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


@compiled
def _add_products(line: Difference, other: Difference, bound: np.float32, products: Floats) -> int:
    """Add the products of the pixels of two rows, both within +-``bound``, by column; return their number."""
    n = np.int32(0)
    for i in range(other.size):
        both = (abs(line[i]) <= bound) & (abs(other[i]) <= bound)
        n += np.int32(both)
        products[i] += np.float64(line[i]) * np.float64(other[i]) if both else 0.0
    return int(n)


@compiled
def _add_powers(line: Difference, bound: np.float32, total: Floats, squares: Floats, fourths: Floats) -> int:
    """Add values, squares and fourth powers of the pixels of a row within +-``bound``, by column; return their number."""
    n = np.int32(0)
    for i in range(line.size):
        inside = abs(line[i]) <= bound
        value = np.float64(line[i]) if inside else 0.0
        square = value * value
        n += np.int32(inside)
        total[i] += value
        squares[i] += square
        fourths[i] += square * square
    return int(n)


@compiled
def add_moments(difference: Difference, limit: float, moments: Floats) -> None:
    """Add, of the pixels kept: [n, sum, squares, fourth powers, y products, their number, x products, their number]."""
    height, width = difference.shape
    bound = np.float32(limit)
    columns = np.zeros((5, width))
    for j in range(height):
        line = difference[j]
        moments[0] += _add_powers(line, bound, columns[0], columns[1], columns[2])
        if j + 1 < height:
            moments[5] += _add_products(line, difference[j + 1], bound, columns[3])
        moments[7] += _add_products(line, line[1:], bound, columns[4])
    for i in range(width):
        for k, place in enumerate((1, 2, 3, 4, 6)):
            moments[place] += columns[k, i]
