"""Compiled sums over equally lit frames, pixel by pixel: one fast pass over tiles of a row, a second look where a value sticks out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

NO_DATA, CLIPPED, NOISY, ONE_HALF = 1, 2, 4, 8
"""Bits of the mask: no valid value; values left out; noisier than its light explains; all values in one half of the frames."""

_NEARLY_SATURATED = 65000.0
"""Codes whose mean lies above may hide saturated ones."""

_TILE = 512
"""Pixels of a row summed at a time: their sums stay in the processor's first cache while frame after frame is added."""

_ROOM = 1e-5
"""What rounding of single precision may add to a deviation: a pixel this close to a limit is looked at closely."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@compiled
def widened(reach: float, n: Any) -> float:
    """Return a clip about the median of n values: where one is wild, the median is that of n - 1 others and moves with them."""
    return reach * math.sqrt(1.0 + 1.0 / (n - 2)) if n > 2 else reach


@compiled
def _clipped(
    values: Doubles, valid: NDArray[np.bool_], clip: float, noise: tuple[float, float]
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
    limits: Doubles,
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
        spread = np.sum((values[used] - mean) ** 2) / (n - 1)
        if spread > limits[n] * variance:
            bits |= NOISY
        if bits & NOISY:
            variance = spread
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
def _first_of(line: NDArray[np.uint16], offset: Any, inverse: Any, sums: Floats) -> None:
    """Start the sums of a tile with its first frame: see ``_add``."""
    for x in range(line.size):
        sums[0, x] = (np.float32(line[x]) - offset) * inverse
    sums[1:] = np.float32(0)


@compiled
def _add(line: NDArray[np.uint16], offset: Any, inverse: Any, weight: Any, sums: Floats, total: Floats) -> None:
    """Add a frame: with t = (code - offset) inverse and d = t - t of the first frame, weight d to ``total``, d² and extremes to the sums.

    Planes of ``sums``: t of the first frame, weighted sums of the halves, squares, least and greatest d.
    """
    reference, square, low, high = sums[0], sums[3], sums[4], sums[5]
    for x in range(line.size):
        d = (np.float32(line[x]) - offset) * inverse - reference[x]
        total[x] += weight * d
        square[x] += d * d
        low[x] = min(low[x], d)
        high[x] = max(high[x], d)


@compiled
def _add_four(
    lines: tuple[NDArray[np.uint16], ...], offset: Floats, inverse: Floats, weight: Floats, sums: Floats, total: Floats
) -> None:
    """Add four frames of one half as ``_add`` adds one; the sums are read and written once instead of four times."""
    reference, square, low, high = sums[0], sums[3], sums[4], sums[5]
    line_0, line_1, line_2, line_3 = lines
    o_0, o_1, o_2, o_3 = offset[0], offset[1], offset[2], offset[3]
    i_0, i_1, i_2, i_3 = inverse[0], inverse[1], inverse[2], inverse[3]
    w_0, w_1, w_2, w_3 = weight[0], weight[1], weight[2], weight[3]
    for x in range(line_0.size):
        r = reference[x]
        d_0 = (np.float32(line_0[x]) - o_0) * i_0 - r
        d_1 = (np.float32(line_1[x]) - o_1) * i_1 - r
        d_2 = (np.float32(line_2[x]) - o_2) * i_2 - r
        d_3 = (np.float32(line_3[x]) - o_3) * i_3 - r
        total[x] += (w_0 * d_0 + w_1 * d_1) + (w_2 * d_2 + w_3 * d_3)
        square[x] += (d_0 * d_0 + d_1 * d_1) + (d_2 * d_2 + d_3 * d_3)
        low[x] = min(low[x], d_0, d_1, d_2, d_3)
        high[x] = max(high[x], d_0, d_1, d_2, d_3)


@compiled
def _sum_up(
    flat: NDArray[np.uint16],
    starts: NDArray[np.int64],
    columns: int,
    offsets: Floats,
    inverse: Floats,
    weight: Floats,
    n_first: int,
    sums: Floats,
) -> None:
    """Sum one tile of a row over the frames, whose codes begin at ``starts``; the first ``n_first`` are the first half."""
    _first_of(flat[starts[0] : starts[0] + columns], offsets[0], inverse[0], sums)
    for h in range(2):
        k, end = (n_first, starts.size) if h else (1, n_first)
        total = sums[1 + h]
        while k + 4 <= end:
            a, b, c, d = starts[k], starts[k + 1], starts[k + 2], starts[k + 3]
            lines = (flat[a : a + columns], flat[b : b + columns], flat[c : c + columns], flat[d : d + columns])
            _add_four(lines, offsets[k : k + 4], inverse[k : k + 4], weight[k : k + 4], sums, total)
            k += 4
        while k < end:
            _add(flat[starts[k] : starts[k] + columns], offsets[k], inverse[k], weight[k], sums, total)
            k += 1


@compiled
def _plain(
    sums: Floats,
    frames: int,
    weights: tuple[float, float],
    noise: tuple[float, float],
    limits: tuple[float, float, float],
    share: float,
    images: Floats,
    calm: NDArray[np.uint8],
) -> int:
    """Fill the halves and the error of a tile as if nothing stuck out, and where that is so; return at how many pixels.

    ``limits``: greatest d² and sum of d² about the mean, in units of the variance of one value, and greatest mean.
    """
    one, n = np.float32(1), np.float32(frames)
    per_frame, per_first, per_second = one / n, np.float32(1.0 / weights[0]), np.float32(1.0 / weights[1])
    floor, slope = np.float32(noise[0]), np.float32(noise[1])
    reach_2, most, top = np.float32(limits[0]), np.float32(limits[1]), np.float32(limits[2])
    part, zero = np.float32(share), np.float32(0)
    n_calm = 0
    for x in range(calm.size):
        shift = (sums[1, x] + sums[2, x]) * per_frame
        mean = sums[0, x] + shift
        variance = floor + slope * max(mean, zero)
        far = max(sums[5, x] - shift, shift - sums[4, x])
        is_calm = (
            (far * far <= reach_2 * variance) & (sums[3, x] - n * shift * shift <= most * variance) & (mean <= top)
        )
        images[0, x] = sums[0, x] + sums[1, x] * per_first
        images[1, x] = sums[0, x] + sums[2, x] * per_second
        images[2, x] = math.sqrt(variance * part)
        calm[x] = is_calm
        n_calm += is_calm
    return n_calm


@compiled
def stack_rows(
    flat: NDArray[np.uint16],
    steps: tuple[int, int],
    order: NDArray[np.int64],
    n_first: int,
    offsets: Floats,
    inverse: Floats,
    weight: Floats,
    clip: float,
    noise: tuple[float, float],
    shares: tuple[float, float],
    limits: Doubles,
    first: Floats,
    second: Floats,
    error: Floats,
    mask: NDArray[np.uint8],
) -> None:
    """Average frames pixel by pixel: means of both halves, error of their weighted mean, mask.

    Parameters
    ----------
    flat, steps
        Codes; that of (frame, row, column) is ``flat[steps[0] frame + steps[1] row + column]``.
    order, n_first
        Frames to average; the first ``n_first`` of them are the first half.
    offsets, inverse, weight
        In this order: offsets, shape (rows, frames); 1 / level; level.
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
    frames, columns = order.size, first.shape[1]
    half = (np.arange(frames) >= n_first).astype(np.int64)
    weights = (float(np.sum(weight[:n_first])), float(np.sum(weight[n_first:])))
    is_plain = 0 < n_first < frames
    share = shares[0] ** 2 / n_first + shares[1] ** 2 / (frames - n_first) if is_plain else 1.0
    # a value d from the mean of all lies d n/(n - 1) from the mean of the others
    reach_2 = (1.0 - _ROOM) * (widened(clip, frames) * (frames - 1) / frames) ** 2
    most = (1.0 - _ROOM) * limits[frames] * (frames - 1)
    sums, codes = np.empty((6, _TILE), np.float32), np.empty(frames, np.uint16)
    images, calm = np.empty((3, _TILE), np.float32), np.empty(_TILE, np.uint8)
    for y in range(first.shape[0]):
        top = _NEARLY_SATURATED - np.max(offsets[y])
        for x0 in range(0, columns, _TILE):
            n, n_calm = min(_TILE, columns - x0), 0
            starts = order * steps[0] + (y * steps[1] + x0)
            if is_plain:
                _sum_up(flat, starts, n, offsets[y], inverse, weight, n_first, sums)
                n_calm = _plain(sums, frames, weights, noise, (reach_2, most, top), share, images, calm[:n])
            first[y, x0 : x0 + n], second[y, x0 : x0 + n] = images[0, :n], images[1, :n]
            error[y, x0 : x0 + n], mask[y, x0 : x0 + n] = images[2, :n], 0
            if n_calm == n:
                continue
            for x in range(n):
                if is_plain and calm[x]:
                    continue
                for k in range(frames):
                    codes[k] = flat[starts[k] + x]
                first[y, x0 + x], second[y, x0 + x], error[y, x0 + x], mask[y, x0 + x] = _settle(
                    codes, offsets[y], inverse, weight, half, clip, noise, shares, limits
                )
