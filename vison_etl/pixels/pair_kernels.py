"""The compiled measurement of the tiles of a pair: one tile of two raw frames at a time, no float copy of a frame.

Boxes lie in the CCD frame as stored. A quadrant there is a mirror image of its canonical self, and means, variances about a
plane and neighbour correlations do not know mirrors.
"""

from __future__ import annotations

import math

import numpy as np

from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.pair_plane import (
    Difference,
    add_moments,
    count_inside,
    grow_clipped,
    remove_plane,
)
from vison_etl.pixels.pair_sampling import (
    Boxes,
    Decoding,
    Floats,
    Frame,
    balancing_weights,
    code_of,
    median_and_sigma,
    sample_pair,
)

N, MEAN_1, MEAN_2, MEAN_ERR, VARIANCE, VARIANCE_ERR, KURTOSIS, KURTOSIS_ERR = range(8)
CORR_Y, CORR_Y_ERR, CORR_X, CORR_X_ERR, N_CLIPPED, N_SATURATED, N_QUANTITIES = range(8, 15)
"""Columns of the result of ``measure_boxes``, and their number."""


@compiled
def _load(
    first: Frame,
    second: Frame,
    box: Boxes,
    decoding: Decoding,
    weights: tuple[float, float],
    centre: float,
    difference: Difference,
) -> tuple[int, int, int, int]:
    """Fill the scratch with w_2 I_1 - w_1 I_2 - centre, infinity where unusable.

    Returns the number of usable pixels, the number saturated in either frame and the sums of the usable codes.
    """
    row, column, height, width = box
    w1, w2 = weights
    n, n_saturated, sum_1, sum_2 = 0, 0, 0, 0
    for j in range(height):
        line_1 = first[row + j, column : column + width]
        line_2 = second[row + j, column : column + width]
        out = difference[j]
        row_n, row_saturated, row_1, row_2 = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        for i in range(width):
            code_1, code_2 = np.int32(code_of(line_1[i], decoding)), np.int32(code_of(line_2[i], decoding))
            saturated = (code_1 == 65535) | (code_2 == 65535)
            usable = (code_1 > 0) & (code_2 > 0) & (not saturated)
            row_n += np.int32(usable)
            row_saturated += np.int32(saturated)
            row_1 += code_1 if usable else np.int32(0)
            row_2 += code_2 if usable else np.int32(0)
            out[i] = np.float32(w2 * code_1 - w1 * code_2 - centre) if usable else np.float32(np.inf)
        n += int(row_n)
        n_saturated += int(row_saturated)
        sum_1 += int(row_1)
        sum_2 += int(row_2)
    return n, n_saturated, sum_1, sum_2


@compiled
def _sum_left_out(
    first: Frame, second: Frame, box: Boxes, decoding: Decoding, difference: Difference, limit: float
) -> tuple[int, int]:
    """Return the sums of the codes that were usable but that the clip left out."""
    row, column, height, width = box
    sum_1, sum_2 = 0, 0
    for j in range(height):
        if count_inside(difference[j], limit) == width:
            continue
        for i in range(width):
            if not abs(difference[j, i]) <= np.float32(limit):
                code_1 = code_of(first[row + j, column + i], decoding)
                code_2 = code_of(second[row + j, column + i], decoding)
                if 0 < code_1 < 65535 and 0 < code_2 < 65535:
                    sum_1 += code_1
                    sum_2 += code_2
    return sum_1, sum_2


@compiled
def _store(
    out: Floats, moments: Floats, weights: tuple[float, float], truncation: tuple[float, float], level_error: float
) -> None:
    """Turn the moments of the balanced difference into variance, kurtosis, correlations and their errors."""
    n = moments[0]
    squares = moments[2] - moments[1] * moments[1] / n
    clipped = squares / (n - 3)
    variance = clipped / truncation[0] / (2.0 * weights[0] * weights[1])
    kurtosis = moments[3] * n / (squares * squares) - 3.0 - truncation[1] if squares > 0 else math.nan
    kurtosis_err = math.sqrt(24.0 / n)
    excess = kurtosis if kurtosis > 3.0 * kurtosis_err else 0.0
    out[MEAN_ERR] = math.sqrt(0.5 * variance / n + level_error * level_error)
    out[VARIANCE] = variance
    out[VARIANCE_ERR] = variance * math.sqrt(2.0 / (n - 1) + excess / n)
    out[KURTOSIS], out[KURTOSIS_ERR] = kurtosis, kurtosis_err
    for k, column in ((4, CORR_Y), (6, CORR_X)):
        pairs = moments[k + 1]
        if pairs > 0 and clipped > 0:
            # removing a plane takes 3 / n of the variance from every product of neighbours
            out[column] = moments[k] / pairs / clipped + 3.0 / n
            out[column + 1] = 1.0 / math.sqrt(pairs)


@compiled
def measure_boxes(
    first: Frame,
    second: Frame,
    boxes: Boxes,
    offsets: Floats,
    decoding: Decoding,
    clip: float,
    truncation: tuple[float, float],
    min_pixels: int,
) -> Floats:
    """Measure every tile of a pair; see ``pair_tiles.measure_pair`` for the definitions.

    Parameters
    ----------
    first, second
        CCD frames, shape (NAXIS2, NAXIS1).
    boxes
        Tiles, shape (n, 4).
    offsets
        Shape (n, 4): offset of the first frame, its error, offset of the second, its error, ADU.
    decoding
        How words become codes.
    clip
        Clip, sigma.
    truncation
        Variance and excess kurtosis of a unit normal distribution cut at the clip.
    min_pixels
        Tiles with fewer pixels give counts only.

    Returns
    -------
    ndarray
        Shape (n, 14), columns as the constants of this module; NaN where not measured.
    """
    result = np.full((boxes.shape[0], N_QUANTITIES), np.nan)
    scratch = np.empty(np.max(boxes[:, 2] * boxes[:, 3]), dtype=np.float32)
    for k in range(boxes.shape[0]):
        box, out = boxes[k], result[k]
        difference = scratch[: box[2] * box[3]].reshape((box[2], box[3]))
        out[N], out[N_CLIPPED], out[N_SATURATED] = 0, 0, 0
        sample_1, sample_2 = sample_pair(first, second, box, decoding)
        weights, centre, sigma = (1.0, 1.0), 0.0, 0.0
        if sample_1.size:
            weights = balancing_weights(sample_1, sample_2, offsets[k, 0], offsets[k, 2])
            centre, sigma = median_and_sigma(weights[1] * sample_1 - weights[0] * sample_2)
        usable, saturated, sum_1, sum_2 = _load(first, second, box, decoding, weights, centre, difference)
        out[N], out[N_SATURATED] = usable, saturated
        if sample_1.size == 0 or usable < min_pixels:
            continue
        limit, kept = remove_plane(difference, sigma, clip, truncation[0])
        if kept < usable:
            grow_clipped(difference, limit)
        moments = np.zeros(8)
        add_moments(difference, limit, moments)
        out[N], out[N_CLIPPED] = moments[0], usable - moments[0]
        if moments[0] < min_pixels:
            continue
        if moments[0] < usable:
            out_1, out_2 = _sum_left_out(first, second, box, decoding, difference, limit)
            sum_1, sum_2 = sum_1 - out_1, sum_2 - out_2
        out[MEAN_1], out[MEAN_2] = sum_1 / moments[0] - offsets[k, 0], sum_2 / moments[0] - offsets[k, 2]
        _store(out, moments, weights, truncation, 0.5 * math.hypot(offsets[k, 1], offsets[k, 3]))
    return result
