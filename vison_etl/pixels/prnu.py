"""How unequally pixels respond: rms and power over scales, from two half-stacks whose noise is independent.

The mean of the product of two stacks is the variance of what they share. Photon noise, read noise, the clip and the rounding are
not shared; nothing has to be known of them and nothing is subtracted. Blocks of 25 x 25 px are freed of a surface of third order
(whatever light or silicon do on larger scales), with the ten fitted numbers counted: see :mod:`vison_etl.pixels.surface_kernels`.

Scales. With C_s the variance of the means of cells of s x s px about the surface of their block, structure between
s and t px has the variance C_s - C_t: 1-2, 2-5 and 5-25 px. Means of blocks about the surface of 8 x 8 blocks give 25-200 px.

Left out: pixels further than ``clip_sigma`` from the surface of their block; columns of a block whose mean deviates by more than
5 times the robust scatter of all such columns of the quadrant; blocks whose variance lies beyond 6 robust sigma of that of all
blocks (the edge of a dust grain, a hair).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.block_kernels import (
    AUTO_A,
    AUTO_B,
    CROSS,
    CROSS_2,
    CROSS_5,
    DOF,
    MEAN_A,
    MEAN_B,
    N_VALUES,
    SIDE,
    measure_blocks,
)
from vison_etl.pixels.surface_kernels import N_TERMS, abscissae, common_about_surface

GROUP = 8
"""Blocks along the side of the largest cell: 200 px."""

SCALES = ((1, 2), (2, 5), (5, SIDE), (SIDE, GROUP * SIDE))
"""Ranges of scales, px."""

CLIP_SIGMA = 5.0
_COLUMN_SIGMA = 5.0
_BLOCK_SIGMA = 6.0
_FEW_BLOCKS = 20


@dataclass(frozen=True, slots=True)
class Variance:
    """Variance of the relative response and its error; None where it could not be measured. It may be negative by chance."""

    value: float | None
    error: float | None


NO_VARIANCE = Variance(None, None)


@dataclass(frozen=True, slots=True)
class NonUniformity:
    """Non-uniformity of one quadrant.

    Parameters
    ----------
    variance
        Of the response on scales below 25 px.
    scales
        The same for each of ``SCALES``.
    total
        Mean over blocks of the variance of the mean of both stacks, noise included: what the plain standard deviation gives.
    n_pixels
        Pixels used.
    n_blocks, n_blocks_left_out
        Blocks used, and left out for their variance.
    n_clipped
        Pixels of the blocks used that were left out.
    n_columns
        Columns of blocks that were left out.
    """

    variance: Variance
    scales: tuple[Variance, ...]
    total: float | None
    n_pixels: int
    n_blocks: int
    n_blocks_left_out: int
    n_clipped: int
    n_columns: int


def non_uniformity(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    bad: NDArray[np.bool_],
    share: float = 0.5,
    clip_sigma: float = CLIP_SIGMA,
) -> NonUniformity:
    """Measure the non-uniformity of the response of the pixels of a quadrant.

    Parameters
    ----------
    first, second
        Response of each pixel about 1 in two stacks with independent noise, shape (rows, columns). NaN does not count.
    bad
        Pixels that do not count, same shape.
    share
        Weight of the first in their mean.
    clip_sigma
        Reach of the clip about the surface of a block.

    Returns
    -------
    NonUniformity
        Errors: scatter of the n blocks / sqrt(n), which knows what no formula does, times sqrt((n - 1)/(n - 3)), because the scatter of
        few is uncertain itself; below 20 blocks that of white Gaussian structure and noise, sqrt((V_a V_b + C²) / degrees of
        freedom). They are those of a sample of pixels from a population.
    """
    n_y, n_x = first.shape[0] // SIDE, first.shape[1] // SIDE
    y0, x0 = (first.shape[0] - n_y * SIDE) // 2, (first.shape[1] - n_x * SIDE) // 2
    at = slice(y0, y0 + n_y * SIDE), slice(x0, x0 + n_x * SIDE)
    values = np.empty((n_y, n_x, N_VALUES))
    columns = np.zeros((n_y, n_x * SIDE), np.float32)
    bad_columns = np.zeros(columns.shape, np.bool_)
    if values.size:
        images = (first[at], second[at], bad[at])
        measure_blocks(*images, bad_columns, share, clip_sigma, values, columns)
        bad_columns = _outlying(columns)
        _measure_again(images, bad_columns, share, clip_sigma, values)
    blocks = values.reshape(-1, N_VALUES)
    blocks = blocks[blocks[:, DOF] > 0]
    kept = ordinary(blocks)
    used = blocks[kept]
    n_pixels = int(np.sum(used[:, DOF] + N_TERMS))
    return NonUniformity(
        _mean(used, used[:, CROSS]),
        (
            _mean(used, used[:, CROSS] - used[:, CROSS_2]),
            _mean(used, used[:, CROSS_2] - used[:, CROSS_5]),
            _mean(used, used[:, CROSS_5]),
            _between_blocks(values),
        ),
        _total(used, share),
        n_pixels,
        len(used),
        len(blocks) - len(used),
        len(used) * SIDE**2 - n_pixels,
        int(bad_columns.sum()),
    )


def _robust_sigma(values: NDArray[np.floating]) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def _outlying(columns: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which columns of blocks deviate from what is usual."""
    middle, sigma = _robust_sigma(columns)
    return np.asarray(np.abs(columns - middle) > _COLUMN_SIGMA * sigma)


def _measure_again(
    images: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]],
    bad_columns: NDArray[np.bool_],
    share: float,
    clip_sigma: float,
    values: NDArray[np.float64],
) -> None:
    """Measure the blocks with outlying columns without them."""
    n_y, n_x = values.shape[:2]
    scratch, out = np.empty((1, SIDE), np.float32), np.empty((1, 1, N_VALUES))
    for by, bx in np.argwhere(bad_columns.reshape(n_y, n_x, SIDE).any(axis=2)):
        at = slice(by * SIDE, (by + 1) * SIDE), slice(bx * SIDE, (bx + 1) * SIDE)
        parts = (images[0][at], images[1][at], images[2][at], bad_columns[by : by + 1, at[1]])
        measure_blocks(*parts, share, clip_sigma, out, scratch)
        values[by, bx] = out[0, 0]


def ordinary(blocks: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which blocks have a variance like the others."""
    if len(blocks) < 4:
        return np.ones(len(blocks), np.bool_)
    middle, sigma = _robust_sigma(blocks[:, CROSS])
    return np.asarray(np.abs(blocks[:, CROSS] - middle) <= _BLOCK_SIGMA * sigma)


def _mean(blocks: NDArray[np.float64], values: NDArray[np.float64]) -> Variance:
    """Return the mean over blocks, weighted with their degrees of freedom."""
    known = np.isfinite(values)
    if not known.any():
        return NO_VARIANCE
    weight, value = blocks[known, DOF], values[known]
    mean = float(np.average(value, weights=weight))
    n = len(value)
    if n >= _FEW_BLOCKS:
        spread = np.sum(weight**2 * (value - mean) ** 2) / np.sum(weight) ** 2 * n / (n - 3)
    else:
        auto = blocks[known, AUTO_A] * blocks[known, AUTO_B] + blocks[known, CROSS] ** 2
        spread = np.sum(weight * auto) / np.sum(weight) ** 2
    return Variance(mean, math.sqrt(spread))


def _total(blocks: NDArray[np.float64], share: float) -> float | None:
    if not len(blocks):
        return None
    a, b = share, 1.0 - share
    both = a**2 * blocks[:, AUTO_A] + 2 * a * b * blocks[:, CROSS] + b**2 * blocks[:, AUTO_B]
    return float(np.average(both, weights=blocks[:, DOF]))


def _between_blocks(values: NDArray[np.float64]) -> Variance:
    """Return the variance of the means of blocks about the surface of 8 x 8 of them."""
    n_y, n_x = values.shape[0] // GROUP, values.shape[1] // GROUP
    x, found, rows = abscissae(GROUP), np.empty(3), []
    for j in range(n_y):
        for i in range(n_x):
            part = values[j * GROUP : (j + 1) * GROUP, i * GROUP : (i + 1) * GROUP]
            used = np.isfinite(part[:, :, MEAN_A]).astype(np.float32)
            a, b = (np.nan_to_num(part[:, :, k]).astype(np.float32) for k in (MEAN_A, MEAN_B))
            dof = common_about_surface(a, b, used, x, found)
            if dof > 0:
                rows.append((dof, *found))
    if not rows:
        return NO_VARIANCE
    table = np.full((len(rows), N_VALUES), np.nan)
    table[:, [DOF, AUTO_A, CROSS, AUTO_B]] = rows
    return _mean(table, table[:, CROSS])
