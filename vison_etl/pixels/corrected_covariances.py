"""Covariances between the pixels of a pair of exposures that were corrected as pixels: the brighter-fatter effect taken out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from vison_etl.pixels import covariance_kernels as kernels
from vison_etl.pixels.brighter_fatter import correct
from vison_etl.pixels.covariances import DEPARTURE_SIGMA, Difference, cells_of, covariances_of_one
from vison_etl.pixels.departing import departing
from vison_etl.pixels.lag_covariances import LAGS, MIN_PIXELS, bartlett_errors
from vison_etl.pixels.lag_products import inside, padded
from vison_etl.pixels.pair_plane import remove_plane
from vison_etl.pixels.pair_sampling import Floats, balancing_weights, median_and_sigma
from vison_etl.pixels.pair_tiles import truncated_normal
from vison_etl.pixels.walls import Walls

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SAMPLE_STEP = 8
_SATURATED = 65535


@dataclass(frozen=True, slots=True)
class CorrectedFrame:
    """A quadrant of one frame after the correction.

    ``signal_adu``: offset removed, corrected, shape (rows, columns), float32. ``is_known``: pixels that no unknown charge pushes.
    ``n_rounds``, ``max_change_e``, ``is_converged``: see `brighter_fatter.Corrected`.
    """

    signal_adu: Float32
    is_known: Mask
    n_rounds: int
    max_change_e: float
    is_converged: bool


@dataclass(frozen=True, slots=True)
class CorrectedCovariances:
    """Covariances of one frame of a pair, as `covariances.QuadrantCovariances` has them; NaN: not measured.

    ``n_clipped``: pixels that the clip left out, those of cells that depart among them; ``n_unknown``: those that unknown charge may push.
    """

    covariance_adu2: Floats
    covariance_adu2_err: Floats
    n: NDArray[np.int64]
    mean_1_adu: float
    mean_2_adu: float
    mean_adu: float
    mean_adu_err: float
    n_clipped: int
    n_unknown: int


def correct_frame(
    codes: NDArray[np.uint16],
    offset_adu: float,
    gain_e_per_adu: float,
    walls: Walls,
    level_walls: Walls | None,
    *,
    tolerance_e: float,
) -> CorrectedFrame:
    """Take the brighter-fatter effect out of the image area of one quadrant.

    A pixel at code 65535 holds an unknown charge, at least that of the code, which is put in; one at code 0 was not read, and the mean
    of the others is put in, which pushes nothing. What unknown charge pushes is not known either: all pixels with a wall within the
    reach of the walls of such a pixel, along both axes, are marked. Charge of a cosmic ray is taken to have come with the light.

    Parameters
    ----------
    codes
        Codes as read, shape (rows, columns).
    offset_adu, gain_e_per_adu
        What turns codes into electrons.
    walls, level_walls, tolerance_e
        See `brighter_fatter.correct`.
    """
    unknown = (codes == 0) | (codes == _SATURATED)
    image = (codes - np.float32(offset_adu)) * np.float32(gain_e_per_adu)
    if unknown.any() and not unknown.all():
        image[codes == 0] = image[~unknown].mean(dtype=np.float64)
        for axis in (0, 1):
            unknown = maximum_filter1d(unknown, 2 * walls.reach + 3, axis=axis)
    found = correct(image, walls, level_walls, tolerance_e=tolerance_e)
    signal = found.image
    signal /= np.float32(gain_e_per_adu)
    return CorrectedFrame(signal, ~unknown, found.n_rounds, found.max_change_e, found.is_converged)


def measure_corrected(
    first: CorrectedFrame,
    second: CorrectedFrame,
    offset_errors_adu: tuple[float, float],
    clip_sigma: float,
    departure: float,
) -> CorrectedCovariances:
    """Measure the covariances of a pair of corrected frames with the arithmetic of `covariances.measure_covariances`.

    The balanced difference, planes in cells, the clip, cells that depart, integers, sums, truncation and errors are the same; pixels
    that are not known in both frames are left out.

    Parameters
    ----------
    first, second
        The frames, canonical.
    offset_errors_adu
        Standard errors of their offsets.
    clip_sigma
        Clip, standard deviations.
    departure
        Least departure of the variance of a cell, as a fraction, for which it is left out.
    """
    usable = first.is_known & second.is_known
    n_unknown = int(usable.size - np.count_nonzero(usable))
    truncation = truncated_normal(clip_sigma)[0]
    found = _difference(first.signal_adu, second.signal_adu, usable, clip_sigma, truncation, departure)
    n = int(found.counts.sum())
    n_clipped = usable.size - n_unknown - n
    if n < MIN_PIXELS or found.step_adu <= 0.0:
        return _nothing(n_clipped, n_unknown)
    covariance, n_pairs = covariances_of_one(found, truncation, 1)
    if not covariance[0] > 0.0:
        return _nothing(n_clipped, n_unknown)
    used = inside(found.used).astype(bool)
    means = [float(frame.signal_adu.mean(dtype=np.float64, where=used)) for frame in (first, second)]
    error = 0.5 * covariance[0] / n + 0.25 * (offset_errors_adu[0] ** 2 + offset_errors_adu[1] ** 2)
    return CorrectedCovariances(
        covariance_adu2=covariance,
        covariance_adu2_err=bartlett_errors(covariance, n_pairs),
        n=n_pairs,
        mean_1_adu=means[0],
        mean_2_adu=means[1],
        mean_adu=0.5 * (means[0] + means[1]),
        mean_adu_err=math.sqrt(error),
        n_clipped=n_clipped,
        n_unknown=n_unknown,
    )


def _nothing(n_clipped: int, n_unknown: int) -> CorrectedCovariances:
    unknown, none = np.full(len(LAGS), np.nan), np.zeros(len(LAGS), np.int64)
    return CorrectedCovariances(unknown, unknown, none, math.nan, math.nan, math.nan, math.nan, n_clipped, n_unknown)


def _difference(
    first: Float32, second: Float32, usable: Mask, clip: float, truncation: float, departure: float
) -> Difference:
    lattice = np.zeros_like(usable)
    lattice[::_SAMPLE_STEP, ::_SAMPLE_STEP] = True
    lattice &= usable
    weights = (1.0, 1.0)
    if lattice.any():
        weights = balancing_weights(first[lattice].astype(np.float64), second[lattice].astype(np.float64), 0.0, 0.0)
    difference = np.float32(weights[1]) * first
    difference -= np.float32(weights[0]) * second
    difference[~usable] = np.inf
    cells = cells_of((0, 0, *usable.shape))
    limits, means, numbers = np.full(len(cells), -1.0), np.full(len(cells), np.nan), np.ones(len(cells))
    for k, (y, x, height, width) in enumerate(cells.tolist()):
        part = slice(y, y + height), slice(x, x + width)
        sampled = difference[part][lattice[part]].astype(np.float64)
        if sampled.size and np.count_nonzero(usable[part]) >= kernels.MIN_PIXELS:
            centre, sigma = median_and_sigma(sampled)
            cell = difference[part] - np.float32(centre)
            limits[k] = remove_plane(cell, sigma, clip, truncation)[0]
            difference[part] = cell
            means[k] = 0.5 * float((first[part] + second[part])[lattice[part]].mean(dtype=np.float64))
            numbers[k] = np.count_nonzero(usable[part])
    variances = np.where(limits > 0.0, limits, np.nan) ** 2
    apart = departing(means, variances, np.sqrt(2.0 / numbers), departure, DEPARTURE_SIGMA)
    for y, x, height, width in cells[apart].tolist():
        difference[y : y + height, x : x + width] = np.inf
    limits[apart] = -1.0
    values, used, counts = padded(*usable.shape), padded(*usable.shape), np.empty(usable.shape[0], np.int64)
    step = kernels.quantise(difference, cells, (0, 0), limits, values, used, counts)
    return Difference(weights, values, used, counts, step, limits, np.zeros((0, 0, 0, 4), np.int64), apart)
