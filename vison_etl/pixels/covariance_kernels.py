"""The compiled difference of a pair for covariances: balanced, without its smooth part, clipped, as small integers.

Boxes lie in the CCD frame as stored, as those of the pair tiles. Cells are boxes that share the image area of a quadrant out: in
each of them a plane is removed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.lag_products import LARGEST, MAX_LAG, Values
from vison_etl.pixels.pair_plane import Difference, remove_plane
from vison_etl.pixels.pair_sampling import Boxes, Decoding, Floats, Frame, code_of, median_and_sigma, sample_pair

BLOCKS = 8
"""Blocks along each side of a cell, whose means tell how even the light is."""

MIN_PIXELS = 100
"""A cell with fewer usable pixels is left out."""

_Columns = NDArray[np.int32]


@compiled
def sample_cells(
    first: Frame, second: Frame, cells: Boxes, decoding: Decoding
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return lattice samples of all cells of both frames, one after the other, and where each begins, shape (n_cells + 1,)."""
    starts = np.zeros(cells.shape[0] + 1, np.int64)
    size = 0
    for k in range(cells.shape[0]):
        size += sample_pair(first, second, cells[k], decoding)[0].size
        starts[k + 1] = size
    samples_1, samples_2 = np.empty(size), np.empty(size)
    for k in range(cells.shape[0]):
        part = slice(starts[k], starts[k + 1])
        samples_1[part], samples_2[part] = sample_pair(first, second, cells[k], decoding)
    return samples_1, samples_2, starts


@compiled
def _load_row(
    line_1: Frame,
    line_2: Frame,
    decoding: Decoding,
    weights: tuple[float, float],
    centre: float,
    out: Difference,
    columns: _Columns,
) -> None:
    """Fill a row with w_2 I_1 - w_1 I_2 - centre, infinity where unusable; add to the sums of each column [n, saturated, 1, 2]."""
    w1, w2 = weights
    n, n_saturated, sum_1, sum_2 = columns[0], columns[1], columns[2], columns[3]
    zero = np.int32(0)
    for i in range(out.size):
        code_1, code_2 = np.int32(code_of(line_1[i], decoding)), np.int32(code_of(line_2[i], decoding))
        saturated = (code_1 == 65535) | (code_2 == 65535)
        usable = (code_1 > 0) & (code_2 > 0) & (not saturated)
        n[i] += np.int32(usable)
        n_saturated[i] += np.int32(saturated)
        sum_1[i] += code_1 if usable else zero
        sum_2[i] += code_2 if usable else zero
        out[i] = np.float32(w2 * code_1 - w1 * code_2 - centre) if usable else np.float32(np.inf)


@compiled
def load_cell(
    first: Frame,
    second: Frame,
    box: Boxes,
    decoding: Decoding,
    weights: tuple[float, float],
    centre: float,
    difference: Difference,
    blocks: NDArray[np.int64],
) -> None:
    """Fill the difference of a cell and the sums of its blocks.

    Parameters
    ----------
    box
        Row, column, height and width.
    weights, centre
        The difference is w_2 I_1 - w_1 I_2 - centre, ADU; infinity where either code is 0 or 65535.
    difference
        Filled, shape (height, width).
    blocks
        Filled, shape (8, 8, 4): usable pixels, saturated pixels, sums of the usable codes of the first and of the second frame.
    """
    row, column, height, width = box
    columns = np.zeros((4, width), np.int32)
    for block in range(BLOCKS):
        columns[:] = 0
        for j in range(block * height // BLOCKS, (block + 1) * height // BLOCKS):
            line_1 = first[row + j, column : column + width]
            line_2 = second[row + j, column : column + width]
            _load_row(line_1, line_2, decoding, weights, centre, difference[j], columns)
        for b in range(BLOCKS):
            for i in range(b * width // BLOCKS, (b + 1) * width // BLOCKS):
                for k in range(4):
                    blocks[block, b, k] += columns[k, i]


@compiled
def load_differences(
    first: Frame,
    second: Frame,
    cells: Boxes,
    origin: tuple[int, int],
    decoding: Decoding,
    weights: tuple[float, float],
    starts: NDArray[np.int64],
    sampled: Floats,
    clip: float,
    truncation: float,
    difference: Difference,
    limits: Floats,
    blocks: NDArray[np.int64],
) -> None:
    """Fill the difference image of a quadrant without the least-squares plane of each cell.

    Parameters
    ----------
    cells
        Shape (n, 4).
    origin
        Row and column of the quadrant's image area.
    starts, sampled
        Samples of the balanced difference of all cells, and where those of each begin.
    clip, truncation
        Clip, sigma, and the variance of a unit normal distribution cut there.
    difference
        Filled, shape (rows, columns), ADU; infinity where a pixel is not usable.
    limits
        Filled, shape (n,): limit of the clip, ADU; negative where a cell has too few usable pixels.
    blocks
        Filled, shape (n, 8, 8, 4), see ``load_cell``.
    """
    scratch = np.empty(np.max(cells[:, 2] * cells[:, 3]), dtype=np.float32)
    for k in range(cells.shape[0]):
        row, column, height, width = cells[k]
        cell = scratch[: height * width].reshape((height, width))
        values = sampled[starts[k] : starts[k + 1]]
        centre, sigma = 0.0, 0.0
        if values.size:
            centre, sigma = median_and_sigma(values)
        load_cell(first, second, cells[k], decoding, weights, centre, cell, blocks[k])
        limits[k] = -1.0
        if np.sum(blocks[k, :, :, 0]) >= MIN_PIXELS and values.size:
            limits[k] = remove_plane(cell, sigma, clip, truncation)[0]
        y, x = row - origin[0], column - origin[1]
        difference[y : y + height, x : x + width] = cell


@compiled
def _round_row(line: Difference, bound: np.float32, per_adu: np.float32, values: Values, weights: Values) -> None:
    for i in range(line.size):
        inside = abs(line[i]) <= bound
        weights[i] = np.int16(1) if inside else np.int16(0)
        values[i] = np.int16(np.rint(line[i] * per_adu)) if inside else np.int16(0)


@compiled
def _count_rows(weights: Values, counts: NDArray[np.int64]) -> None:
    """Count the pixels kept of each row of the image."""
    for y in range(counts.size):
        line = weights[y]
        n = np.int32(0)
        for i in range(line.size):
            n = np.int32(n + line[i])
        counts[y] = n


@compiled
def _clipped_pixels(difference: Difference, weights: Values, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return row and column of the pixels that are usable but beyond the clip, shape (n, 2)."""
    rows, columns = difference.shape
    found = np.empty((0, 2), np.int64)
    for is_second_pass in (False, True):
        n = 0
        for y in range(rows):
            if counts[y] == columns:
                continue
            for x in range(columns):
                if weights[y, x + MAX_LAG] == 0 and difference[y, x] < np.inf:
                    if is_second_pass:
                        found[n, 0], found[n, 1] = y, x
                    n += 1
        if not is_second_pass:
            found = np.empty((n, 2), np.int64)
    return found


@compiled
def quantise(
    difference: Difference,
    cells: Boxes,
    origin: tuple[int, int],
    limits: Floats,
    values: Values,
    weights: Values,
    counts: NDArray[np.int64],
) -> float:
    """Turn the difference into integers of at most 1023, without the pixels beyond the clip and their eight neighbours.

    Parameters
    ----------
    difference, cells, origin, limits
        As filled by ``load_differences``.
    values, weights
        Filled, zero before, with margins (see ``lag_products``): difference in units of the step, and 1 where a pixel counts.
    counts
        Filled, shape (rows,): pixels of each row that count.

    Returns
    -------
    float
        The step, ADU: largest limit / 1023.
    """
    step = max(np.max(limits), 0.0) / LARGEST
    per_adu = np.float32(1.0 / step) if step > 0.0 else np.float32(0.0)
    for k in range(cells.shape[0]):
        y0, x0 = cells[k, 0] - origin[0], cells[k, 1] - origin[1]
        bound = np.float32(limits[k])
        inner = slice(x0 + MAX_LAG, x0 + MAX_LAG + cells[k, 3])
        for y in range(y0, y0 + cells[k, 2]):
            _round_row(difference[y, x0 : x0 + cells[k, 3]], bound, per_adu, values[y, inner], weights[y, inner])
    _count_rows(weights, counts)
    clipped = _clipped_pixels(difference, weights, counts)
    for n in range(clipped.shape[0]):
        y, x = clipped[n]
        around = slice(max(y - 1, 0), y + 2), slice(x + MAX_LAG - 1, x + MAX_LAG + 2)
        values[around] = 0
        weights[around] = 0
    if clipped.shape[0]:
        _count_rows(weights, counts)
    return step


@compiled
def sums_left_out(
    first: Frame,
    second: Frame,
    origin: tuple[int, int],
    decoding: Decoding,
    weights: Values,
    counts: NDArray[np.int64],
) -> tuple[int, int]:
    """Return the sums of the codes, of either frame, of usable pixels that the clip left out."""
    columns = weights.shape[1] - 2 * MAX_LAG
    sum_1, sum_2 = 0, 0
    for y in range(counts.size):
        if counts[y] == columns:
            continue
        for x in range(columns):
            if weights[y, x + MAX_LAG] == 0:
                code_1 = code_of(first[origin[0] + y, origin[1] + x], decoding)
                code_2 = code_of(second[origin[0] + y, origin[1] + x], decoding)
                if 0 < code_1 < 65535 and 0 < code_2 < 65535:
                    sum_1 += code_1
                    sum_2 += code_2
    return sum_1, sum_2
