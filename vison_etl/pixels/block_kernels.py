"""Compiled measurement of one block of pixels after another: what does not belong is left out, and what two images share is found.

Large defects go by the median and the spread of a few pixels, smaller ones by their distance from the surface of the block, in
units of the scatter about it, until nothing more goes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.surface_kernels import (
    N_TERMS,
    Floats,
    Floats32,
    abscissae,
    backward,
    common,
    common_about_surface,
    equations,
)

SIDE = 25
"""Side of a block, px: what is larger than this is no non-uniformity of pixels."""

_WIDTH = 32
"""Cells of a row in memory: whole vectors, the last ones never used."""

DOF, MEAN_A, MEAN_B, AUTO_A, AUTO_B, CROSS, CROSS_2, CROSS_5, N_VALUES = range(9)
"""Columns of ``measure_blocks``, and their number."""

_MAX_PASSES = 8
_ROUGH_STEP = 3
_ROUGH_CLIP = 8.0
_MIN_FRACTION = 0.6
_MIN_SAMPLE = 10


@compiled
def _rough_clip(block: Floats32, share: float) -> None:
    """Leave out of [a, b, used] what lies far from the median of a few pixels, in units of their spread."""
    a, b, used = block[0], block[1], block[2]
    s_a, s_b = np.float32(share), np.float32(1.0 - share)
    some = np.empty(a.size, np.float32)
    n = 0
    for j in range(0, SIDE, _ROUGH_STEP):
        for i in range(0, SIDE, _ROUGH_STEP):
            if used[j, i] > 0:
                some[n] = s_a * a[j, i] + s_b * b[j, i]
                n += 1
    if n < _MIN_SAMPLE:
        return
    middle = np.median(some[:n])
    limit = np.float32(_ROUGH_CLIP * 1.4826 * np.median(np.abs(some[:n] - middle)))
    if limit > 0:
        for j in range(SIDE):
            for i in range(SIDE):
                if abs(s_a * a[j, i] + s_b * b[j, i] - middle) > limit:
                    used[j, i], a[j, i], b[j, i] = np.float32(0), np.float32(0), np.float32(0)


@compiled
def _along_row(c: Floats, y: float) -> tuple[float, float, float, float]:
    """Return the coefficients of a surface in x at a given y; the terms are those of ``TERMS``."""
    return c[0] + y * (c[2] + y * (c[5] + y * c[9])), c[1] + y * (c[4] + y * c[8]), c[3] + y * c[7], c[6]


@compiled
def _deviations(
    a: Floats32,
    b: Floats32,
    used: Floats32,
    x: Floats32,
    c: tuple[float, float, float, float],
    s: float,
    sums: Floats32,
) -> float:
    """Add the deviations of s a + (1 - s) b from the surface, where used, to ``sums``; return the largest, absolute."""
    worst = np.float32(0)
    c0, c1, c2, c3 = np.float32(c[0]), np.float32(c[1]), np.float32(c[2]), np.float32(c[3])
    s_a, s_b = np.float32(s), np.float32(1.0 - s)
    for i in range(a.size):
        d = used[i] * (s_a * a[i] + s_b * b[i] - (c0 + x[i] * (c1 + x[i] * (c2 + x[i] * c3))))
        sums[i] += d
        worst = max(worst, abs(d))
    return float(worst)


@compiled
def _leave_out(
    a: Floats32, b: Floats32, used: Floats32, x: Floats32, c: tuple[float, float, float, float], s: float, limit: float
) -> None:
    for i in range(a.size):
        if abs(s * a[i] + (1.0 - s) * b[i] - (c[0] + x[i] * (c[1] + x[i] * (c[2] + x[i] * c[3])))) > limit:
            used[i], a[i], b[i] = np.float32(0), np.float32(0), np.float32(0)


@compiled
def _clip_block(
    a: Floats32, b: Floats32, used: Floats32, x: Floats32, s: float, clip: float, columns: Floats32, out: Floats
) -> float:
    """Leave out cells further than ``clip`` sigma from the surface until none is.

    Fills the mean deviation of each column and what both images share; returns the degrees of freedom.
    """
    gram, right, squares = np.empty((N_TERMS, N_TERMS)), np.empty((2, N_TERMS)), np.empty(3)
    z, c = np.empty((2, N_TERMS)), np.empty(N_TERMS)
    dof = 0.0
    for _ in range(_MAX_PASSES):
        n = equations(a, b, used, x, gram, right, squares)
        columns[:] = np.float32(0)
        dof = common(gram, right, squares, n, z, out)
        if dof == 0.0:
            return dof
        variance = s * s * out[0] + 2.0 * s * (1.0 - s) * out[1] + (1.0 - s) * (1.0 - s) * out[2]
        limit = clip * math.sqrt(max(0.0, variance))
        backward(gram, s * z[0] + (1.0 - s) * z[1], c)
        worst = 0.0
        for j in range(a.shape[0]):
            line = _along_row(c, float(x[j]))
            worst = max(worst, _deviations(a[j], b[j], used[j], x, line, s, columns))
        if worst <= limit:
            break
        for j in range(a.shape[0]):
            line = _along_row(c, float(x[j]))
            _leave_out(a[j], b[j], used[j], x, line, s, limit)
    for i in range(a.shape[1]):
        n_used = np.float32(0)
        for j in range(a.shape[0]):
            n_used += used[j, i]
        columns[i] = columns[i] / n_used if n_used > 0 else np.float32(0)
    return dof


@compiled
def _cells(a: Floats32, b: Floats32, used: Floats32, side: int, out: Floats32) -> None:
    """Fill the means of a, of b and of ``used`` over cells; a cell not all of whose pixels are used is 0 in all three."""
    scale = np.float32(1.0 / (side * side))
    out[:] = np.float32(0)
    for j in range(out.shape[1] * side):
        for k in range(side):
            to_a, to_b, to_n = out[0, j // side], out[1, j // side], out[2, j // side]
            for i in range(to_a.size):
                to_a[i] += scale * a[j, i * side + k]
                to_b[i] += scale * b[j, i * side + k]
                to_n[i] += used[j, i * side + k]
    whole = np.float32(side * side)
    for j in range(out.shape[1]):
        for i in range(out.shape[2]):
            is_whole = out[2, j, i] == whole
            out[2, j, i] = np.float32(is_whole)
            if not is_whole:
                out[0, j, i], out[1, j, i] = np.float32(0), np.float32(0)


@compiled
def _load(
    first: Floats32, second: Floats32, bad: NDArray[np.bool_], bad_columns: NDArray[np.bool_], block: Floats32
) -> None:
    """Fill [a, b, used] of one block: response less 1, 0 where it does not count."""
    for j in range(SIDE):
        for i in range(SIDE):
            va, vb = first[j, i] - np.float32(1), second[j, i] - np.float32(1)
            is_good = not (bad[j, i] or bad_columns[i] or math.isnan(va + vb))
            block[0, j, i] = va if is_good else np.float32(0)
            block[1, j, i] = vb if is_good else np.float32(0)
            block[2, j, i] = np.float32(is_good)


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
    x_1, x_2, x_5 = np.zeros(_WIDTH, np.float32), np.zeros(_WIDTH // 2, np.float32), np.zeros(_WIDTH // 5, np.float32)
    x_1[:SIDE], x_2[: SIDE // 2], x_5[: SIDE // 5] = abscissae(SIDE), abscissae(SIDE // 2), abscissae(SIDE // 5)
    block, found, sums = np.zeros((3, SIDE, _WIDTH), np.float32), np.empty(3), np.empty(_WIDTH, np.float32)
    small = np.empty((3, SIDE // 2, _WIDTH // 2), np.float32)
    tiny = np.empty((3, SIDE // 5, _WIDTH // 5), np.float32)
    for by in range(values.shape[0]):
        for bx in range(values.shape[1]):
            out = values[by, bx]
            out[:] = math.nan
            out[DOF] = 0.0
            y0, x0 = by * SIDE, bx * SIDE
            y1, x1 = y0 + SIDE, x0 + SIDE
            _load(first[y0:y1, x0:x1], second[y0:y1, x0:x1], bad[y0:y1, x0:x1], bad_columns[by, x0:x1], block)
            _rough_clip(block, share)
            dof = _clip_block(block[0], block[1], block[2], x_1, share, clip, sums, found)
            columns[by, x0:x1] = sums[:SIDE]
            n = dof + N_TERMS
            if n < _MIN_FRACTION * SIDE * SIDE:
                continue
            out[DOF], out[AUTO_A], out[CROSS], out[AUTO_B] = dof, found[0], found[1], found[2]
            out[MEAN_A], out[MEAN_B] = np.sum(block[0]) / n, np.sum(block[1]) / n
            _cells(block[0], block[1], block[2], 2, small)
            if common_about_surface(small[0], small[1], small[2], x_2, found) > 0:
                out[CROSS_2] = found[1]
            _cells(block[0], block[1], block[2], 5, tiny)
            if common_about_surface(tiny[0], tiny[1], tiny[2], x_5, found) > 2:
                out[CROSS_5] = found[1]
