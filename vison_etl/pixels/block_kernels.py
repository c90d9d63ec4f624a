"""Compiled measurement of one block of pixels after another: what does not belong is left out, and what two images share is found.

Large defects go by the median and the spread of a few pixels, smaller ones by their distance from the surface of the block, in
units of the scatter about it, until nothing more goes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.block_load import SIDE, leave_out, load, rough_clip
from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.surface_kernels import (
    N_SUMS,
    N_TERMS,
    Floats,
    Floats32,
    abscissae,
    backward,
    common,
    common_about_surface,
    factorise,
    normal_matrix,
    right_sides,
)

_WIDTH = 32
"""Cells of a row in memory: whole vectors, the last ones never used."""

__all__ = [
    "AUTO_A",
    "AUTO_B",
    "CROSS",
    "CROSS_2",
    "CROSS_5",
    "DOF",
    "MEAN_A",
    "MEAN_B",
    "N_VALUES",
    "SIDE",
    "measure_blocks",
]

DOF, MEAN_A, MEAN_B, AUTO_A, AUTO_B, CROSS, CROSS_2, CROSS_5, N_VALUES = range(9)
"""Columns of ``measure_blocks``, and their number."""

_MAX_PASSES = 8
_MIN_FRACTION = 0.6
_MIN_CELLS = 2


@compiled
def _along_row(c: Floats, y: float) -> tuple[float, float, float, float]:
    """Return the coefficients of a surface in x at a given y; the terms are those of ``TERMS``."""
    return c[0] + y * (c[2] + y * (c[5] + y * c[9])), c[1] + y * (c[4] + y * c[8]), c[3] + y * c[7], c[6]


@compiled
def _deviations(block: Floats32, x: Floats32, c: Floats, out: Floats32) -> float:
    """Fill the deviations of the mean from the surface, 0 where not used, and their sums and greatest per column; return the greatest.

    ``out``: shape (2, columns).
    """
    out[:] = np.float32(0)
    total, worst = out[0], out[1]
    for j in range(SIDE):
        line = _along_row(c, float(x[j]))
        c0, c1, c2, c3 = np.float32(line[0]), np.float32(line[1]), np.float32(line[2]), np.float32(line[3])
        mean, used = block[3, j], block[2, j]
        for i in range(x.size):
            d = used[i] * (mean[i] - (c0 + x[i] * (c1 + x[i] * (c2 + x[i] * c3))))
            total[i] += d
            worst[i] = max(worst[i], abs(d))
    greatest = np.float32(0)
    for i in range(x.size):
        greatest = max(greatest, worst[i])
    return float(greatest)


@compiled
def _leave_out_beyond(block: Floats32, x: Floats32, c: Floats, limit: float) -> int:
    n = 0
    for j in range(SIDE):
        c0, c1, c2, c3 = _along_row(c, float(x[j]))
        for i in range(SIDE):
            surface = c0 + x[i] * (c1 + x[i] * (c2 + x[i] * c3))
            if block[2, j, i] > 0 and abs(block[3, j, i] - surface) > limit:
                leave_out(block, j, i)
                n += 1
    return n


@compiled
def _clip_block(
    block: Floats32,
    n: int,
    x: Floats32,
    whole: Floats,
    s: float,
    clip: float,
    rooms: tuple[Floats32, Floats, Floats, Floats, Floats, Floats],
    columns: Floats32,
    out: Floats,
) -> float:
    """Leave out cells further than ``clip`` sigma from the surface until none is; ``whole``: factor for a block that lacks none of its n.

    Fills the mean deviation of each column, and [aa, ab, bb about the surfaces, means of a and b]; returns the degrees of freedom.
    """
    room, own, right, z, squares, c = rooms
    columns[:], out[:] = np.float32(0), math.nan
    dof = 0.0
    for _ in range(_MAX_PASSES):
        factor = whole
        if n < SIDE * SIDE:
            factor = own
            normal_matrix(block[2], x, own)
            if n <= N_TERMS or not factorise(own):
                columns[:], out[:] = np.float32(0), math.nan
                return 0.0
        right_sides(block[0], block[1], x, room, right, squares)
        dof = common(factor, right, squares, float(n), z, out)
        out[3], out[4] = right[0, 0] / n, right[1, 0] / n
        variance = s * s * out[0] + 2.0 * s * (1.0 - s) * out[1] + (1.0 - s) * (1.0 - s) * out[2]
        limit = clip * math.sqrt(max(0.0, variance))
        backward(factor, s * z[0] + (1.0 - s) * z[1], c)
        if _deviations(block, x, c, room) <= limit:
            break
        n -= _leave_out_beyond(block, x, c, limit)
    for i in range(SIDE):
        n_used = np.float32(SIDE)
        if n < SIDE * SIDE:
            n_used = np.float32(0)
            for j in range(SIDE):
                n_used += block[2, j, i]
        columns[i] = room[0, i] / n_used if n_used > 0 else np.float32(0)
    return dof


@compiled
def _cells(plane: Floats32, side: int, line: Floats32, out: Floats32) -> None:
    """Fill the sums over cells of ``side`` px; ``line`` is room for a row."""
    n = out.shape[0]
    for j in range(n):
        row = plane[j * side]
        for i in range(row.size):
            line[i] = row[i]
        for m in range(1, side):
            row = plane[j * side + m]
            for i in range(row.size):
                line[i] += row[i]
        for i in range(n):
            total = line[i * side]
            for m in range(1, side):
                total += line[i * side + m]
            out[j, i] = total


@compiled
def _of_cells(
    block: Floats32,
    side: int,
    x: Floats32,
    whole: Floats,
    rooms: tuple[Floats32, Floats, Floats, Floats, Floats, Floats],
    line: Floats32,
    cells: Floats32,
    found: Floats,
) -> float:
    """Return the covariance of a with b over the means of cells about their surfaces; NaN where too few are whole.

    ``whole``: factor where all cells are whole, that is where no pixel of the block is left out.
    """
    room, _, right, z, squares, _ = rooms
    n_pixels = side * side
    _cells(block[0], side, line, cells[0])
    _cells(block[1], side, line, cells[1])
    if whole.size:
        right_sides(cells[0], cells[1], x, room, right, squares)
        common(whole, right, squares, float(cells.shape[1] ** 2), z, found)
        return float(found[1]) / n_pixels**2
    _cells(block[2], side, line, cells[2])
    for j in range(cells.shape[1]):
        for i in range(cells.shape[1]):
            is_whole = cells[2, j, i] == n_pixels
            cells[2, j, i] = np.float32(is_whole)
            if not is_whole:
                cells[0, j, i], cells[1, j, i] = np.float32(0), np.float32(0)
    dof = common_about_surface(cells[0], cells[1], cells[2], x, found)
    return float(found[1]) / n_pixels**2 if dof > _MIN_CELLS else math.nan


@compiled
def _padded(n: int, size: int) -> Floats32:
    """Return n abscissae and zeros up to ``size``."""
    x = np.zeros(size, np.float32)
    x[:n] = abscissae(n)
    return x


@compiled
def _rooms(width: int) -> tuple[Floats32, Floats, Floats, Floats, Floats, Floats]:
    """Return room for sums down columns, an own factor, right sides, z, squares and coefficients."""
    square, two = np.empty((N_TERMS, N_TERMS)), (2, N_TERMS)
    return np.empty((N_SUMS, width), np.float32), square, np.empty(two), np.empty(two), np.empty(3), np.empty(N_TERMS)


@compiled
def _factor_of(side: int, x: Floats32) -> Floats:
    """Return the Cholesky factor for a square of ``side`` cells all of which are used."""
    used, gram = np.zeros((side, x.size), np.float32), np.empty((N_TERMS, N_TERMS))
    used[:, :side] = np.float32(1)
    normal_matrix(used, x, gram)
    factorise(gram)
    return gram


@compiled
def measure_blocks(
    first: Floats32,
    second: Floats32,
    bad: NDArray[np.bool_],
    bad_columns: NDArray[np.bool_],
    share: float,
    clip: float,
    values: Floats,
    columns: Floats32,
) -> None:
    """Measure square blocks of two images of the same pixels.

    Parameters
    ----------
    first, second
        Response about 1, shape (25 n_y, 25 n_x).
    bad
        Pixels that do not count, same shape.
    bad_columns
        Columns of a row of blocks that do not count, shape (n_y, 25 n_x).
    share
        Weight of the first in the mean of both, which alone decides what is clipped.
    clip
        Reach of the clip about the surface of a block, sigma of its own pixels.
    values
        Filled, shape (n_y, n_x, N_VALUES): degrees of freedom (0: not measured), mean of each image less 1, covariances about the surface
        of a, b and of a with b; of a with b for the means of cells of 2 x 2 and of 5 x 5 px (NaN where there are too few).
    columns
        Filled, shape (n_y, 25 n_x): mean deviation of each column of a block from the surface.
    """
    x_1, x_2, x_5 = _padded(SIDE, _WIDTH), _padded(SIDE // 2, _WIDTH // 2), _padded(SIDE // 5, _WIDTH // 4)
    whole_1, whole_2, whole_5 = _factor_of(SIDE, x_1), _factor_of(SIDE // 2, x_2), _factor_of(SIDE // 5, x_5)
    block, found, sums = np.zeros((4, SIDE, _WIDTH), np.float32), np.empty(5), np.empty(_WIDTH, np.float32)
    small, tiny = np.zeros((3, SIDE // 2, x_2.size), np.float32), np.zeros((3, SIDE // 5, x_5.size), np.float32)
    none, rooms_1, rooms_2, rooms_5 = np.empty((0, 0)), _rooms(_WIDTH), _rooms(x_2.size), _rooms(x_5.size)
    for by in range(values.shape[0]):
        for bx in range(values.shape[1]):
            out = values[by, bx]
            out[:] = math.nan
            out[DOF] = 0.0
            y0, x0 = by * SIDE, bx * SIDE
            y1, x1 = y0 + SIDE, x0 + SIDE
            n = load(first[y0:y1, x0:x1], second[y0:y1, x0:x1], bad[y0:y1, x0:x1], bad_columns[by, x0:x1], share, block)
            n -= rough_clip(block)
            dof = _clip_block(block, n, x_1, whole_1, share, clip, rooms_1, sums, found)
            columns[by, x0:x1] = sums[:SIDE]
            if dof + N_TERMS < _MIN_FRACTION * SIDE * SIDE:
                continue
            out[DOF], out[AUTO_A], out[CROSS], out[AUTO_B] = dof, found[0], found[1], found[2]
            out[MEAN_A], out[MEAN_B] = found[3], found[4]
            is_whole = dof + N_TERMS == SIDE * SIDE
            out[CROSS_2] = _of_cells(block, 2, x_2, whole_2 if is_whole else none, rooms_2, sums, small, found)
            out[CROSS_5] = _of_cells(block, 5, x_5, whole_5 if is_whole else none, rooms_5, sums, tiny, found)
