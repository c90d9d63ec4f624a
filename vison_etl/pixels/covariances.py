"""Covariances between the pixels of a pair of equal exposures, at all lags up to 8 px."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import QUADRANTS, Geometry, Window, region_window, side_of
from vison_etl.pixels import covariance_kernels as kernels
from vison_etl.pixels.departing import departing
from vison_etl.pixels.lag_covariances import LAGS, MIN_PIXELS, bartlett_errors, covariances_of
from vison_etl.pixels.lag_products import MAX_LAG, Values, lag_products, padded
from vison_etl.pixels.pair_sampling import Boxes, Decoding, Floats, Frame, balancing_weights, box_levels
from vison_etl.pixels.pair_tiles import box_of, pair_words, truncated_normal

CELL_PX = 256
"""Side of the cells in which a plane is removed, about."""

PLANE_TERMS = 3
"""Terms of a plane."""

DEPARTURE_SIGMA = 5.0


@dataclass(frozen=True, slots=True)
class QuadrantCovariances:
    """Covariances of one quadrant of a pair. NaN: not measured.

    ``covariance_adu2``, its error and ``n`` (pairs of pixels) have one element per element of ``LAGS``: covariance of one frame
    between pixels (x, y) and (x + lag_x, y + lag_y), canonical, read noise and quantisation included. ``mean_*`` in ADU, offset
    removed, of the pixels used; ``spread_adu`` is the rms over the quadrant of the smooth part of the signal. ``n_cells_out``: cells left
    out because their variance departs; their pixels are in no other number.
    """

    quadrant: str
    covariance_adu2: Floats
    covariance_adu2_err: Floats
    n: NDArray[np.int64]
    mean_1_adu: float
    mean_2_adu: float
    mean_adu: float
    mean_adu_err: float
    spread_adu: float
    n_clipped: int
    n_saturated: int
    n_cells_out: int = 0


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two frames as native words and what holds for all of their quadrants."""

    first: Frame
    second: Frame
    decoding: Decoding
    geometry: Geometry
    clip: float
    truncation: float
    departure: float


def measure_covariances(
    first: NDArray[Any],
    second: NDArray[Any],
    geometry: Geometry,
    *,
    vstart: int = 0,
    vend: int | None = None,
    clip_sigma: float = 5.5,
    departure: float = 0.02,
) -> list[QuadrantCovariances]:
    """Measure the covariances between the image pixels of every quadrant of two equal exposures of one CCD.

    With m_i the mean of frame i in the quadrant, offset removed, and w_i = m_i / mean(m_1, m_2), the difference

        D = w_2 I_1 - w_1 I_2

    is free of illumination and fixed pattern. In each cell of about 256 x 256 px a plane is removed by least squares over the pixels
    within ``clip_sigma`` (iterated, see ``pair_tiles.measure_pair``); pixels are clipped once, never products, and the eight
    neighbours of a clipped pixel go with it. With weights w = 1 for the N pixels used in K cells and else 0, at the lag (i, j)

        n_ij = sum w(x, y) w(x + i, y + j)
        S_ij = sum w D(x, y) w D(x + i, y + j) / n_ij
        C_ij = (S_ij / f_ij + 3 K / N V) / (2 w_1 w_2),      V = S_00 / f_00

    f_00 = f is the variance of a unit normal distribution cut at the clip; f_ij = f^2 elsewhere, because both factors of a weak
    correlation are cut. A plane takes 3 K / N of the noise out of every lag, which the second term gives back. Means of D need not be
    removed: they are zero in every cell. D is rounded to 1 / 1023 of the largest limit, so that all sums are integers; the 1/12 of a
    squared step that this adds is taken off S_00.

    Errors: by Bartlett's formula, with rho = C / C_00 where it is above 5 / sqrt(n) and else 0,

        var C_ij = C_00^2 / n_ij sum_k (rho_k^2 + rho_(k + ij) rho_(k - ij)),

    that is C_00 / sqrt(n_ij), and sqrt(2) times as much at (0, 0), where neighbours are hardly correlated.

    Cells whose variance departs by more than ``departure`` and 5 sigma from what the others of the quadrant let expect at their signal
    (see ``departing``) do not count: a region with a low full well spills while the rest is sound.

    Offsets of rows are not removed: the mean of a row's prescan would add its own noise to all serial lags. What noise rows have in
    common stays in the covariances at lag_y = 0, the same at any signal.

    Parameters
    ----------
    first, second
        CCD frames as stored, shape (NAXIS2, NAXIS1): native uint16, or '>i2' with BZERO 32768 as in the file.
    geometry
        Their geometry.
    vstart, vend
        Canonical rows kept.
    clip_sigma
        Clip, in standard deviations.
    departure
        Least departure of the variance of a cell, as a fraction, for which it is left out.

    Returns
    -------
    list of QuadrantCovariances
        In the order E, F, G, H. Where fewer than 1000 pixels are usable, or the variance is not positive, counts only.
    """
    words_1, words_2, decoding = pair_words(first, second, geometry)
    pair = _Pair(words_1, words_2, decoding, geometry, clip_sigma, truncated_normal(clip_sigma)[0], departure)
    end = geometry.prescan + geometry.image_columns
    rows = max(vstart, 0), min(geometry.quadrant_rows if vend is None else vend, geometry.image_rows)
    return [_measure_quadrant(pair, quadrant, Window(geometry.prescan, end, *rows)) for quadrant in QUADRANTS]


def _box(pair: _Pair, quadrant: str, window: Window) -> tuple[int, int, int, int]:
    return box_of(pair.geometry, quadrant, window.x0, window.y0, window.x1 - window.x0, window.y1 - window.y0)


def cells_of(box: tuple[int, int, int, int]) -> Boxes:
    """Share a box out in cells of equal size to a pixel, about 256 px wide and high, shape (n, 4)."""
    edges = [np.linspace(0, side, max(1, round(side / CELL_PX)) + 1).astype(np.int64) for side in box[2:]]
    return np.array(
        [
            (box[0] + y0, box[1] + x0, y1 - y0, x1 - x0)
            for y0, y1 in zip(edges[0], edges[0][1:], strict=False)
            for x0, x1 in zip(edges[1], edges[1][1:], strict=False)
        ],
        np.int64,
    )


def _offsets(pair: _Pair, quadrant: str, window: Window) -> Floats:
    """Return offset and its error of both frames, shape (2, 2); NaN without a prescan."""
    pre = region_window(pair.geometry, "pre", window.y0, window.y1)
    if pre is None:
        return np.full((2, 2), np.nan)
    boxes = np.array([_box(pair, quadrant, pre)], np.int64)
    return np.vstack([box_levels(words, boxes, pair.decoding) for words in (pair.first, pair.second)])


@dataclass(frozen=True, slots=True)
class Difference:
    """The balanced difference of a quadrant as integers in units of ``step_adu``, with margins, and what was found on the way.

    ``used``: 1 where a pixel counts; ``counts``: how many of each row do; ``limits``: of the clip in each cell, negative where it was
    left out; ``blocks``: sums of codes, see ``covariance_kernels.load_cell``; ``apart``: cells whose variance departs.
    """

    weights: tuple[float, float]
    values: Values
    used: Values
    counts: NDArray[np.int64]
    step_adu: float
    limits: Floats
    blocks: NDArray[np.int64]
    apart: NDArray[np.bool_]


def _difference(pair: _Pair, box: tuple[int, int, int, int], offsets: Floats) -> Difference:
    origin, cells = box[:2], cells_of(box)
    sample_1, sample_2, starts = kernels.sample_cells(pair.first, pair.second, cells, pair.decoding)
    weights = (1.0, 1.0)
    if sample_1.size:
        weights = balancing_weights(sample_1, sample_2, offsets[0, 0], offsets[1, 0])
    difference = np.empty(box[2:], np.float32)
    limits, blocks = np.empty(len(cells)), np.zeros((len(cells), kernels.BLOCKS, kernels.BLOCKS, 4), np.int64)
    kernels.load_differences(
        pair.first,
        pair.second,
        cells,
        origin,
        pair.decoding,
        weights,
        starts,
        weights[1] * sample_1 - weights[0] * sample_2,
        pair.clip,
        pair.truncation,
        difference,
        limits,
        blocks,
    )
    apart = _apart(pair, blocks, limits, offsets)
    for y, x, height, width in cells[apart].tolist():
        difference[y - box[0] : y - box[0] + height, x - box[1] : x - box[1] + width] = np.inf
    limits[apart] = -1.0
    values, used, counts = padded(*box[2:]), padded(*box[2:]), np.empty(box[2], np.int64)
    step = kernels.quantise(difference, cells, origin, limits, values, used, counts)
    return Difference(weights, values, used, counts, step, limits, blocks, apart)


def _apart(pair: _Pair, blocks: NDArray[np.int64], limits: Floats, offsets: Floats) -> NDArray[np.bool_]:
    """Mark the cells whose variance departs from that of the others, shape (n,)."""
    n, _, sum_1, sum_2 = blocks.sum(axis=(1, 2)).T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = 0.5 * ((sum_1 + sum_2) / n - offsets[:, 0].sum())
        variance, error = np.where(limits > 0.0, limits, np.nan) ** 2, np.sqrt(2.0 / n)
    return departing(mean, variance, error, pair.departure, DEPARTURE_SIGMA)


def _measure_quadrant(pair: _Pair, quadrant: str, window: Window) -> QuadrantCovariances:
    if window.y1 <= window.y0:
        return _nothing(quadrant, 0, 0)
    box, offsets = _box(pair, quadrant, window), _offsets(pair, quadrant, window)
    found = _difference(pair, box, offsets)
    usable, n_saturated = (int(total) for total in found.blocks[~found.apart, ..., :2].sum(axis=(0, 1, 2)))
    sum_1, sum_2 = (int(total) for total in found.blocks[..., 2:].sum(axis=(0, 1, 2)))
    n_out = int(np.count_nonzero(found.apart))
    n = int(found.counts.sum())
    if n < MIN_PIXELS or found.step_adu <= 0.0:
        return _nothing(quadrant, usable - n, n_saturated)
    left_1, left_2 = kernels.sums_left_out(pair.first, pair.second, box[:2], pair.decoding, found.used, found.counts)
    means = np.array([(sum_1 - left_1) / n, (sum_2 - left_2) / n]) - offsets[:, 0]
    sign = -1 if sum(side_of(quadrant)) == 1 else 1
    covariance, n_pairs = covariances_of_one(found, pair.truncation, sign)
    if not covariance[0] > 0.0:
        return _nothing(quadrant, usable - n, n_saturated)
    return QuadrantCovariances(
        quadrant=quadrant,
        covariance_adu2=covariance,
        covariance_adu2_err=bartlett_errors(covariance, n_pairs),
        n=n_pairs,
        mean_1_adu=float(means[0]),
        mean_2_adu=float(means[1]),
        mean_adu=float(means.mean()),
        mean_adu_err=math.sqrt(0.5 * covariance[0] / n + 0.25 * float(np.sum(offsets[:, 1] ** 2))),
        spread_adu=_spread(found.blocks[~found.apart], covariance[0]),
        n_clipped=usable - n,
        n_saturated=n_saturated,
        n_cells_out=n_out,
    )


def covariances_of_one(found: Difference, truncation: float, sign: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return the covariances of one frame, ADU², and the pairs of pixels, in the order of ``LAGS``, from a balanced difference.

    Parameters
    ----------
    truncation
        Variance of a unit normal distribution cut at the clip.
    sign
        -1 where one axis of the difference runs against the canonical one, 1 where none or both do.
    """
    columns = found.values.shape[1] - 2 * MAX_LAG
    products, pairs = lag_products(found.values, found.used, found.counts == columns)
    lost = PLANE_TERMS * np.count_nonzero(found.limits >= 0.0) / found.counts.sum()
    covariance, n_pairs = covariances_of(products, pairs, found.step_adu, truncation, lost, sign)
    return covariance / (2.0 * found.weights[0] * found.weights[1]), n_pairs


def _nothing(quadrant: str, n_clipped: int, n_saturated: int) -> QuadrantCovariances:
    unknown = np.full(len(LAGS), np.nan)
    none = np.zeros(len(LAGS), np.int64)
    return QuadrantCovariances(
        quadrant, unknown, unknown, none, math.nan, math.nan, math.nan, math.nan, math.nan, n_clipped, n_saturated
    )


def _spread(blocks: NDArray[np.int64], variance: float) -> float:
    """Return the rms of the means of blocks about their mean, the noise of the pixels taken off, ADU."""
    n = blocks[..., 0].ravel()
    lit = n > 0
    n, level = n[lit], 0.5 * blocks[..., 2:].sum(axis=-1).ravel()[lit] / n[lit]
    mean = np.average(level, weights=n)
    square = np.average((level - mean) ** 2, weights=n) - 0.5 * variance * n.size / n.sum()
    return math.sqrt(max(float(square), 0.0))
