"""Mean of equal frames per pixel, clipped against the known noise.

A clip at 4 times the standard deviation of the group itself can never fire with few frames: no value of N lies further than
(N - 1)/sqrt(N) standard deviations from their mean. So the noise of a pixel is taken from the differences of adjacent
frames over the whole quadrant, and values further than 4 sigma of that from the pixel's median are left out, sigma being widened by
sqrt(1 + 1/(N - 2)): where one of N values is wild, the median is that of N - 1 others and moves with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from vison_etl.pixels.clipping import CODES, clipped_moments
from vison_etl.pixels.compiled import compiled

NO_DATA = 1
CLIPPED = 2
NOISY = 4
"""Bits of the mask: no valid value; some values left out; pixel noisier than the others beyond doubt."""

_NOISY_PROBABILITY = 1e-6
_HALF_WIDTH = 2047


@dataclass(frozen=True, slots=True)
class Stack:
    """Stack of rows, shape (rows, columns) each. ``mean``, ``std``, ``sem`` in the unit of the frames, NaN where missing."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    sem: NDArray[np.float32]
    mask: NDArray[np.uint8]


def frame_noise(codes: NDArray[np.uint16]) -> float | None:
    """Return the standard deviation between frames of one pixel of one frame, from the differences of adjacent frames.

    Parameters
    ----------
    codes
        Shape (frames, rows, columns); a change of the offset from frame to frame does not matter.

    Returns
    -------
    float or None
        Clipped at 4 sigma and corrected; root mean square over the pairs. None for one frame or without valid pixels.
    """
    variances = []
    is_valid = (codes > 0) & (codes < CODES - 1)
    for first, second in pairwise(range(len(codes))):
        difference = (codes[first].astype(np.int64) - codes[second])[is_valid[first] & is_valid[second]]
        if difference.size:
            index = difference - round(float(np.median(difference))) + _HALF_WIDTH
            counts = np.bincount(index.clip(0, 2 * _HALF_WIDTH), minlength=2 * _HALF_WIDTH + 1)
            std = clipped_moments(counts, -_HALF_WIDTH).std
            variances.append(0.5 * std**2 if std is not None else math.nan)
    return math.sqrt(np.nanmean(variances)) if np.isfinite(variances).any() else None


@compiled
def _widened(reach: float, n: int) -> float:
    return reach * math.sqrt(1.0 + 1.0 / (n - 2)) if n > 2 else reach


@compiled
def _clipped_pixel(codes: NDArray[np.uint16], offsets: NDArray[np.float64], reach: float) -> tuple[float, float, int]:
    """Mean, sum of squared deviations and number of the values within ``reach`` of their median; of all if it is the minority."""
    is_valid = (codes > 0) & (codes < CODES - 1) & ~np.isnan(offsets)
    values = codes[is_valid] - offsets[is_valid]
    middle = np.median(values)
    reach = _widened(reach, values.size)
    n, total = 0, 0.0
    for value in values:
        if abs(value - middle) <= reach:
            n += 1
            total += value
    if 2 * n <= values.size:
        n, total, reach = values.size, values.sum(), math.inf
    mean, squares = total / n, 0.0
    for value in values:
        if abs(value - middle) <= reach:
            squares += (value - mean) ** 2
    return mean, squares, n


@compiled
def _stack(
    codes: NDArray[np.uint16],
    offsets: NDArray[np.float64],
    reach: float,
    mean: NDArray[np.float32],
    squares: NDArray[np.float32],
    n: NDArray[np.int32],
    n_valid: NDArray[np.int32],
) -> None:
    """Fill mean, sum of squared deviations, values used and valid values of every pixel."""
    frames, rows, columns = codes.shape
    total, square = np.empty(columns), np.empty(columns)
    low, high, count = np.empty(columns), np.empty(columns), np.empty(columns, np.int32)
    for y in range(rows):
        total[:], square[:], low[:], high[:], count[:] = 0.0, 0.0, math.inf, -math.inf, 0
        for k in range(frames):
            if math.isnan(offsets[k, y]):
                continue
            for x in range(columns):
                code = int(codes[k, y, x])
                if 0 < code < CODES - 1:
                    value = code - offsets[k, y]
                    total[x] += value
                    square[x] += value * value
                    low[x] = min(low[x], value)
                    high[x] = max(high[x], value)
                    count[x] += 1
        for x in range(columns):
            used = count[x]
            n_valid[y, x] = used
            if used == 0:
                mean[y, x], squares[y, x], n[y, x] = math.nan, math.nan, 0
                continue
            centre = total[x] / used
            # a value d from the mean of all lies d N/(N - 1) from the mean of the others
            if max(high[x] - centre, centre - low[x]) * used <= _widened(reach, used) * (used - 1) or used == 1:
                mean[y, x], squares[y, x] = centre, max(0.0, square[x] - total[x] * centre)
                n[y, x] = used
                continue
            mean[y, x], squares[y, x], n[y, x] = _clipped_pixel(codes[:, y, x], offsets[:, y], reach)


def _truncated_variance(sigma: float, n: int) -> float:
    """Return the variance of a standard normal cut where the clip of n frames cuts; 1 where nothing is cut."""
    if n < 3:
        return 1.0
    cut = _widened(sigma, n)
    density = math.exp(-0.5 * cut * cut) / math.sqrt(2.0 * math.pi)
    return 1.0 - 2.0 * cut * density / math.erf(cut / math.sqrt(2.0))


def clipped_stack(
    codes: NDArray[np.uint16], offsets: NDArray[np.float64], noise: float | None, sigma: float = 4.0
) -> Stack:
    """Average frames per pixel after a clip against the known noise.

    Parameters
    ----------
    codes
        Shape (frames, rows, columns). Codes 0 and 65535 do not count.
    offsets
        Shape (frames, rows), subtracted from every pixel of the row; a row with NaN does not count.
    noise
        Standard deviation of one pixel of one frame. None: nothing is clipped and there is no ``sem``.
    sigma
        Reach of the clip about the pixel's median, in units of ``noise`` (widened for few frames: see the module).

    Returns
    -------
    Stack
        ``std``: standard deviation between the frames used (n - 1 denominator, corrected for the truncation), NaN for one frame.
        ``sem``: error of the mean, noise / sqrt(n), because the scatter of few frames is itself a poor error; where a pixel is noisier
        than ``noise`` beyond doubt (chi-square probability below 1e-6, or most of its values outside the clip, which
        then are all used), its own std / sqrt(n), and the bit NOISY.
    """
    shape = codes.shape[1:]
    mean, squares = np.empty(shape, np.float32), np.empty(shape, np.float32)
    n, n_valid = np.empty(shape, np.int32), np.empty(shape, np.int32)
    _stack(codes, offsets, math.inf if noise is None else sigma * noise, mean, squares, n, n_valid)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(n > 1, squares / (_truncated_variance(sigma, len(codes)) * (n - 1)), np.nan)
    counts = np.arange(len(codes) + 1)
    limit = np.where(counts > 1, chdtri(np.maximum(counts - 1, 1), _NOISY_PROBABILITY), np.inf)
    is_noisy = np.zeros(shape, np.bool_) if noise is None else squares > limit[n] * noise**2
    one = np.where(is_noisy, variance, np.nan if noise is None else noise**2)
    mask = NO_DATA * (n == 0) + CLIPPED * (n < n_valid) + NOISY * is_noisy
    with np.errstate(divide="ignore", invalid="ignore"):
        sem = np.where(n > 0, np.sqrt(one / n), np.nan)
    return Stack(mean, np.sqrt(variance).astype(np.float32), sem.astype(np.float32), mask.astype(np.uint8))
