"""Compiled sums over equally lit frames, pixel by pixel: one fast pass over rows, a second look only where a value sticks out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

NO_DATA, CLIPPED, NOISY, ONE_HALF = 1, 2, 4, 8
"""Bits of the mask: no valid value; values left out; noisier than its light explains; all values in one half of the frames."""

N_SUMS = 6
"""Planes of the sums: reference, first half, second half, squares, least, greatest."""

_NEARLY_SATURATED = 65000.0
"""Codes whose mean lies above may hide saturated ones."""

Floats = NDArray[np.float32]


@compiled
def accumulate(
    codes: NDArray[np.uint16], offsets: Floats, inverse: Floats, weight: Floats, half: NDArray[np.int64], sums: Floats
) -> None:
    """Add up frames relative to the first of them, every code taken as valid.

    With t = (code - offset) inverse and d = t - t of the first frame, the planes of ``sums``, shape (6, rows, columns), become
    t of the first frame; sum of weight d over the frames of half 0; of half 1; sum of d²; least and greatest d.
    """
    frames, rows, columns = codes.shape
    for y in range(rows):
        reference, square, low, high = sums[0, y], sums[3, y], sums[4, y], sums[5, y]
        offset, scale, line = offsets[0, y], inverse[0], codes[0, y]
        for x in range(columns):
            reference[x] = (np.float32(line[x]) - offset) * scale
        sums[1:, y] = np.float32(0.0)
        for k in range(1, frames):
            offset, scale, share, line = offsets[k, y], inverse[k], weight[k], codes[k, y]
            total = sums[1 + half[k], y]
            for x in range(columns):
                d = (np.float32(line[x]) - offset) * scale - reference[x]
                total[x] += share * d
                square[x] += d * d
                low[x] = min(low[x], d)
                high[x] = max(high[x], d)


@compiled
def widened(reach: float, n: Any) -> float:
    """Return a clip about the median of n values: where one is wild, the median is that of n - 1 others and moves with them."""
    return reach * math.sqrt(1.0 + 1.0 / (n - 2)) if n > 2 else reach


@compiled
def _clipped(
    values: NDArray[np.float64], valid: NDArray[np.bool_], clip: float, noise: tuple[float, float]
) -> tuple[NDArray[np.bool_], int]:
    """Return which values of a pixel lie within the clip about their median, and the mask bits; all of them if most do not."""
    n = np.count_nonzero(valid)
    middle = float(np.median(values[valid]))
    reach = widened(clip, n) * math.sqrt(noise[0] + noise[1] * max(middle, 0.0))
    used = valid & (np.abs(values - middle) <= reach)
    if 2 * np.count_nonzero(used) <= n:
        return valid, NOISY | (CLIPPED if n < values.size else 0)
    return used, CLIPPED if np.count_nonzero(used) < values.size else 0


@compiled
def _settle(
    codes: NDArray[np.uint16],
    offsets: Floats,
    inverse: Floats,
    weight: Floats,
    half: NDArray[np.int64],
    clip: float,
    noise: tuple[float, float],
    shares: tuple[float, float],
    limits: NDArray[np.float64],
) -> tuple[float, float, float, int]:
    """Return the means of both halves, the error of their weighted mean and the mask bits of one pixel, looked at closely."""
    valid = (codes > 0) & (codes < 65535)
    if 2 * np.count_nonzero(valid) <= codes.size:
        return math.nan, math.nan, math.nan, NO_DATA
    values = (codes.astype(np.float64) - offsets) * inverse
    used, bits = _clipped(values, valid, clip, noise)
    n = np.count_nonzero(used)
    mean = float(np.mean(values[used]))
    variance = noise[0] + noise[1] * max(mean, 0.0)
    if n > 1:
        scatter = np.sum((values[used] - mean) ** 2) / (n - 1)
        if scatter > limits[n] * variance:
            bits |= NOISY
        if bits & NOISY:
            variance = scatter
    halves, share = np.zeros(2), 0.0
    for h in range(2):
        mine = used & (half == h)
        if np.count_nonzero(mine) > 0:
            halves[h] = np.sum((values * weight)[mine]) / np.sum(weight[mine])
            share += shares[h] ** 2 / np.count_nonzero(mine)
        else:
            halves[h], bits = math.nan, bits | ONE_HALF
    if bits & ONE_HALF:
        filled = halves[0] if math.isnan(halves[1]) else halves[1]
        halves[0], halves[1], share = filled, filled, 1.0 / n
    return halves[0], halves[1], math.sqrt(variance * share), bits


@compiled
def finish(
    codes: NDArray[np.uint16],
    offsets: Floats,
    inverse: Floats,
    weight: Floats,
    half: NDArray[np.int64],
    sums: Floats,
    clip: float,
    noise: tuple[float, float],
    shares: tuple[float, float],
    limits: NDArray[np.float64],
    first: Floats,
    second: Floats,
    error: Floats,
    mask: NDArray[np.uint8],
) -> None:
    """Turn the sums into the means of both halves, the error of their weighted mean and the mask.

    Parameters
    ----------
    clip
        Reach of the clip, sigma.
    noise
        Variance of one value: noise[0] + noise[1] max(mean, 0).
    shares
        Weights of the halves in the mean, of sum 1.
    limits
        Greatest variance of n values in units of the expected one that chance allows, index n.
    first, second, error, mask
        Filled, shape (rows, columns). A pixel none of whose values sticks out, and whose scatter is that expected, has the plain
        means; any other is looked at closely.
    """
    frames, rows, columns = codes.shape
    weights, counts = np.zeros(2), np.zeros(2)
    for k in range(frames):
        weights[half[k]] += weight[k]
        counts[half[k]] += 1
    is_plain = counts[0] > 0 and counts[1] > 0
    share = shares[0] ** 2 / counts[0] + shares[1] ** 2 / counts[1] if is_plain else 1.0
    # a value d from the mean of all lies d n/(n - 1) from the mean of the others
    reach_2 = (widened(clip, frames) * (frames - 1) / frames) ** 2
    for y in range(rows):
        top = _NEARLY_SATURATED - np.max(offsets[:, y])
        for x in range(columns):
            shift = (sums[1, y, x] + sums[2, y, x]) / frames
            mean = sums[0, y, x] + shift
            variance = noise[0] + noise[1] * max(mean, 0.0)
            far = max(sums[5, y, x] - shift, shift - sums[4, y, x])
            squares = sums[3, y, x] - frames * shift * shift
            is_calm = far * far <= reach_2 * variance and squares <= limits[frames] * (frames - 1) * variance
            if is_plain and is_calm and mean <= top:
                first[y, x] = sums[0, y, x] + sums[1, y, x] / weights[0]
                second[y, x] = sums[0, y, x] + sums[2, y, x] / weights[1]
                error[y, x], mask[y, x] = math.sqrt(variance * share), 0
            else:
                first[y, x], second[y, x], error[y, x], mask[y, x] = _settle(
                    codes[:, y, x], offsets[:, y], inverse, weight, half, clip, noise, shares, limits
                )
