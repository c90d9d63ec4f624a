"""Compiled helpers of the pair tiles: codes of raw frames, robust levels, a sample of a tile and its balancing weights.

A *box* is (row, column, height, width) in the CCD frame as stored. Codes 0 (not read) and 65535 (saturated) are never used.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

Frame = NDArray[np.uint16]
Boxes = NDArray[np.int64]
Floats = NDArray[np.float64]
Decoding = tuple[int, int]
"""How a stored word becomes a code: shift by which its bytes change places, bits inverted after it."""

AS_STORED: Decoding = (0, 0)
FROM_FILE: Decoding = (8, 0x8000)
"""Big-endian signed words of a FITS file with BZERO 32768, seen through a native unsigned view."""

_MAD_TO_SIGMA = 1.4826022185056018
_MAX_PASSES = 12
_SAMPLES = 900
_BALANCE_SIGMA = 5.0
_MEAN_CLIP = 4.0


@compiled
def code_of(word: int, decoding: Decoding) -> int:
    """Return the code of a stored word."""
    return (((word << decoding[0]) | (word >> decoding[0])) & 0xFFFF) ^ decoding[1]


@compiled
def median_and_sigma(values: Floats) -> tuple[float, float]:
    """Return the median and 1.4826 times the median absolute deviation, the latter at least half a code."""
    middle = np.median(values)
    return middle, max(_MAD_TO_SIGMA * np.median(np.abs(values - middle)), 0.5)


@compiled
def mean_about(values: Floats, centre: float, half_width: float) -> tuple[float, float, int]:
    """Return mean, standard deviation and number of the values within ``half_width`` of ``centre``; NaN if none is."""
    n, total, squares = 0, 0.0, 0.0
    for value in values:
        d = value - centre
        if abs(d) <= half_width:
            n += 1
            total += d
            squares += d * d
    if n == 0:
        return math.nan, math.nan, 0
    return centre + total / n, math.sqrt(max(squares / n - (total / n) ** 2, 0.0)), n


@compiled
def box_levels(image: Frame, boxes: Boxes, decoding: Decoding) -> Floats:
    """Measure the clipped mean of boxes of one frame: iterated clip at 4 sigma about the median.

    Parameters
    ----------
    image
        CCD frame, shape (NAXIS2, NAXIS1).
    boxes
        Shape (n, 4).

    Returns
    -------
    ndarray
        Shape (n, 2): mean and its error (standard deviation / sqrt(n)), ADU; NaN where no pixel is usable.
    """
    levels = np.full((boxes.shape[0], 2), np.nan)
    for k in range(boxes.shape[0]):
        row, column, height, width = boxes[k]
        values = np.empty(height * width)
        n = 0
        for y in range(row, row + height):
            for x in range(column, column + width):
                code = code_of(image[y, x], decoding)
                if 0 < code < 65535:
                    values[n] = code
                    n += 1
        if n == 0:
            continue
        middle, sigma = median_and_sigma(values[: n : max(1, n // _SAMPLES)])
        kept, mean = 0, middle
        for _ in range(_MAX_PASSES):
            # half a code more, because a small sigma of integers is a coarse number
            mean, sigma, found = mean_about(values[:n], middle, _MEAN_CLIP * sigma + 0.5)
            if found == kept:
                break
            kept = found
        levels[k, 0] = mean
        levels[k, 1] = sigma / math.sqrt(kept)
    return levels


@compiled
def sample_pair(first: Frame, second: Frame, box: Boxes, decoding: Decoding) -> tuple[Floats, Floats]:
    """Return about 900 pixels of the tile on a regular lattice, those usable in both frames."""
    row, column, height, width = box
    step = max(1, int(math.sqrt(height * width / _SAMPLES)))
    size = (height // step + 1) * (width // step + 1)
    sample_1, sample_2 = np.empty(size), np.empty(size)
    n = 0
    for y in range(row, row + height, step):
        for x in range(column, column + width, step):
            code_1, code_2 = code_of(first[y, x], decoding), code_of(second[y, x], decoding)
            if 0 < code_1 < 65535 and 0 < code_2 < 65535:
                sample_1[n], sample_2[n] = code_1, code_2
                n += 1
    return sample_1[:n], sample_2[:n]


@compiled
def balancing_weights(sample_1: Floats, sample_2: Floats, offset_1: float, offset_2: float) -> tuple[float, float]:
    """Return w_i = m_i / mean(m_1, m_2), or 1 where a mean is below 5 sigma of one pixel (then nothing is to balance)."""
    middle_1, sigma_1 = median_and_sigma(sample_1)
    middle_2, sigma_2 = median_and_sigma(sample_2)
    mean_1 = mean_about(sample_1, middle_1, _MEAN_CLIP * sigma_1)[0] - offset_1
    mean_2 = mean_about(sample_2, middle_2, _MEAN_CLIP * sigma_2)[0] - offset_2
    noise = median_and_sigma(sample_1 - sample_2)[1] / math.sqrt(2.0)
    if not (mean_1 > _BALANCE_SIGMA * noise and mean_2 > _BALANCE_SIGMA * noise):
        return 1.0, 1.0
    mean = 0.5 * (mean_1 + mean_2)
    return mean_1 / mean, mean_2 / mean
