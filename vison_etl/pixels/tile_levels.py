"""Level of the tiles of one frame: clipped means above the prescan of the same rows, in one or two passes over the integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import QUADRANTS, Geometry, tiles
from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.pair_sampling import (
    Boxes,
    Decoding,
    Floats,
    Frame,
    box_levels,
    code_of,
    median_and_sigma,
)
from vison_etl.pixels.pair_tiles import MIN_PIXELS, box_of, of_bands, prescan_boxes, truncated_normal, words_of

_N, _MEAN, _VARIANCE, _CLIPPED, _SATURATED, _QUANTITIES = range(6)
_SAMPLES = 900
_MAX_PASSES = 6
_Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TileLevels:
    """Measurements of all tiles of a frame, one element per quadrant (E, F, G, H) and tile. NaN: not measured.

    ``mean_adu``: clipped mean, offset removed; its error holds the spread of the pixels (noise and pattern) and the offset's.
    ``offset_adu``: clipped mean of the prescan in the rows of the tile, shared by the tiles of these rows. ``variance_adu2``: of the
    pixels of the tile in this one frame, pattern included, truncation corrected.
    """

    quadrant: NDArray[np.str_]
    tile: _Integers
    x: _Integers
    y: _Integers
    width_px: _Integers
    height_px: _Integers
    n: _Integers
    mean_adu: Floats
    mean_adu_err: Floats
    offset_adu: Floats
    offset_adu_err: Floats
    variance_adu2: Floats
    n_clipped: _Integers
    n_saturated: _Integers


@compiled
def _sampled(image: Frame, box: Boxes, decoding: Decoding) -> Floats:
    """Return about 900 usable codes of a box on a regular lattice."""
    row, column, height, width = box
    step = max(1, int(math.sqrt(height * width / _SAMPLES)))
    sample = np.empty((height // step + 1) * (width // step + 1))
    n = 0
    for y in range(row, row + height, step):
        for x in range(column, column + width, step):
            code = code_of(image[y, x], decoding)
            if 0 < code < 65535:
                sample[n] = code
                n += 1
    return sample[:n]


@compiled
def _sums_between(image: Frame, box: Boxes, decoding: Decoding, low: int, high: int, sums: _Integers) -> None:
    """Fill ``sums``: pixels with low <= code <= high, sum and sum of squares of code - low, usable and saturated pixels."""
    row, column, height, width = box
    sums[:] = 0
    for j in range(height):
        line = image[row + j, column : column + width]
        n, total, usable, saturated = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        squares = np.int64(0)
        for i in range(width):
            code = np.int32(code_of(line[i], decoding))
            is_in = (code >= low) & (code <= high)
            d = code - np.int32(low) if is_in else np.int32(0)
            n += np.int32(is_in)
            total += d
            squares += np.int64(d) * np.int64(d)
            saturated += np.int32(code == 65535)
            usable += np.int32((code > 0) & (code < 65535))
        sums[0] += n
        sums[1] += total
        sums[2] += squares
        sums[3] += usable
        sums[4] += saturated


@compiled
def _measure(image: Frame, boxes: Boxes, decoding: Decoding, clip: float, truncation: float) -> Floats:
    """Measure boxes: the clip is about the median of a sample at first, then about the mean, until it leaves out the same pixels."""
    out = np.full((boxes.shape[0], _QUANTITIES), np.nan)
    sums = np.empty(5, np.int64)
    for k in range(boxes.shape[0]):
        low, high = 1, 65534
        sample = _sampled(image, boxes[k], decoding)
        if sample.size:
            middle, sigma = median_and_sigma(sample)
            low, high = _limits(middle, sigma, clip)
        for _ in range(_MAX_PASSES):
            _sums_between(image, boxes[k], decoding, low, high, sums)
            n = sums[0]
            if n < 2:
                break
            mean = sums[1] / n
            # the same codes again are the same sums
            variance = (sums[2] - n * mean * mean) / (n - 1) / truncation
            middle, sigma = low + mean, math.sqrt(max(variance, 0.0))
            out[k, _MEAN], out[k, _VARIANCE] = middle, variance
            next_low, next_high = _limits(middle, sigma, clip)
            if (next_low == low and next_high == high) or sums[0] == sums[3]:
                break
            low, high = next_low, next_high
        out[k, _N], out[k, _CLIPPED], out[k, _SATURATED] = sums[0], sums[3] - sums[0], sums[4]
    return out


@compiled
def _limits(middle: float, sigma: float, clip: float) -> tuple[int, int]:
    """Return the lowest and highest code that count."""
    reach = clip * sigma + 0.5
    return max(1, math.ceil(middle - reach)), min(65534, math.floor(middle + reach))


def measure_levels(
    image: NDArray[Any], geometry: Geometry, *, vstart: int = 0, vend: int | None = None, clip_sigma: float = 5.0
) -> TileLevels:
    """Measure the level of every tile of one frame.

    The mean is that of the pixels within ``clip_sigma`` standard deviations, which removes cosmic rays; the same share of the pattern
    is clipped in every frame of the same light. Mean of whole numbers of 90 000 pixels: no rounding, unlike a median. The offset is
    that of the prescan, never of the overscan: what follows the image in time holds some of its charge (deferred transfer) and of the
    amplifier's memory of it; before the prescan lies the whole line time of the overscan.

    Parameters
    ----------
    image
        CCD frame as stored, shape (NAXIS2, NAXIS1): native uint16, or '>i2' with BZERO 32768 as in the file. Codes 0 and 65535 never
        count.
    geometry
        Its geometry.
    vstart, vend
        Canonical rows kept, half open.
    clip_sigma
        Clip, standard deviations of the pixels of a tile.
    """
    if image.shape != (geometry.naxis2, geometry.naxis1):
        raise ValueError(f"frame of shape {image.shape}, geometry of {geometry.naxis1} x {geometry.naxis2} px")
    words, decoding = words_of(image)
    places = [(quadrant, tile) for quadrant in QUADRANTS for tile in tiles(geometry)]
    boxes = np.array([box_of(geometry, q, t.x, t.y, t.width, t.height) for q, t in places], np.int64)
    result = _measure(words, boxes, decoding, clip_sigma, truncated_normal(clip_sigma)[0])
    window = (vstart, geometry.quadrant_rows if vend is None else vend)
    prescans, of_tile = prescan_boxes(geometry, places, window)
    offsets = of_bands(box_levels(words, prescans, decoding), of_tile)
    n = result[:, _N].astype(np.int64)
    is_measured = n >= MIN_PIXELS
    mean, variance = (np.where(is_measured, result[:, column], np.nan) for column in (_MEAN, _VARIANCE))
    corners = np.array([(t.index, t.x, t.y, t.width, t.height) for _, t in places], np.int64)
    return TileLevels(
        quadrant=np.array([quadrant for quadrant, _ in places]),
        tile=corners[:, 0],
        x=corners[:, 1],
        y=corners[:, 2],
        width_px=corners[:, 3],
        height_px=corners[:, 4],
        n=n,
        mean_adu=mean - offsets[:, 0],
        mean_adu_err=np.sqrt(variance / np.maximum(n, 1) + offsets[:, 1] ** 2),
        offset_adu=offsets[:, 0],
        offset_adu_err=offsets[:, 1],
        variance_adu2=variance,
        n_clipped=result[:, _CLIPPED].astype(np.int64),
        n_saturated=result[:, _SATURATED].astype(np.int64),
    )
