"""The turn-off of a photon-transfer curve: where the variance falls because pixels lose charge to their neighbours.

The brighter-fatter effect makes the curve roll off too, smoothly. At the full well three things come together: the variance
falls below what the levels below foretell, the difference of two frames is no longer normal, and neighbours along the
transfer direction become alike at once. A turn-off is a sustained deficit together with one of the other two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.exponential import fit_exponential
from vison_etl.effects.photon_transfer.model import Fit, Floats, Mask, Points, exponential_jacobian

_FIRST_TESTED = 2
_SATURATED_LEVEL = 0.1
_BIN_TILES = 12
_BINS_PER_LEVEL = 4
_BASELINE_BINS = 6
_MEDIAN_ERROR = 1.2533
_BIN_SIGMA = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class TurnoffData:
    """Tiles of one channel as the search wants them, arrays of equal length.

    ``level`` labels the script column; ``usable`` marks the tiles that count. The rest is NaN where not measured.
    """

    points: Points
    kurtosis: Floats
    kurtosis_err: Floats
    correlation: Floats
    correlation_err: Floats
    level: NDArray[np.int64]
    usable: Mask


@dataclass(frozen=True, slots=True)
class TurnoffLimits:
    """What counts: smallest deficit (fraction), kurtosis and correlation that matter, and significance in sigma."""

    deficit: float = 0.02
    kurtosis: float = 0.05
    correlation: float = 0.01
    sigma: float = 5.0


@dataclass(frozen=True, slots=True)
class Turnoff:
    """Bracket of the turn-off, ADU; NaN where there is none.

    ``value_adu`` is the middle of the bracket and its error that of a uniform distribution, width / sqrt(12).
    ``good_below_adu`` is the highest signal of a tile that the fits may use: below the turn-off and below the levels that
    the ADC cuts.
    """

    lower_adu: float
    upper_adu: float
    value_adu: float
    value_adu_err: float
    good_below_adu: float


def find_turnoff(data: TurnoffData, limits: TurnoffLimits) -> Turnoff:
    """Find the turn-off of one channel.

    Levels are taken in order of mean signal. Each from the third on is compared with an exponential fit to the levels below
    it. The turn-off lies at the first whose mean of V / fit - 1 is below -``deficit`` and significant, the next level's too
    (unless it is the last), provided that at it or above kurtosis or parallel correlation departs from the trend of the levels
    below by as much as ``limits`` say. The tiles of that level and of the one below, in order of signal, then narrow the
    bracket: from the mean of the last good bin to the highest tile of the first bad one. The fits stop one bin earlier,
    because the last good bin may hold tiles that are bad by less than the bin can tell.

    Returns
    -------
    Turnoff
        Not reached: ``lower_adu`` is the mean signal of the highest level tested that has no deficit, the rest NaN. Fewer than
        three levels, or no fit to those below: all NaN.
    """
    levels = _levels(data)
    medians = [_medians(data.points, tiles) for tiles in levels]
    good = math.nan
    for k in range(_FIRST_TESTED, len(levels)):
        fit = _baseline(medians[:k])
        if fit is None:
            continue
        if not _has_deficit(data.points[levels[k]], fit, limits):
            good = float(np.mean(data.points.mean_adu[levels[k]]))
            continue
        is_sustained = all(_has_deficit(data.points[tiles], fit, limits) for tiles in levels[k + 1 : k + 2])
        if is_sustained and any(_looks_bloomed(data, levels[:k], tiles, limits) for tiles in levels[k:]):
            # the level below may already hold some of it: judge its tiles by the levels below that one
            lower_fit = _baseline(medians[: k - 1]) if k > _FIRST_TESTED else None
            return _bracket(data.points, np.concatenate(levels[k - 1 : k + 1]), lower_fit or fit, limits)
    top = float(np.max(data.points.mean_adu[levels[-1]])) if levels else math.inf
    return Turnoff(good, math.nan, math.nan, math.nan, top)


def levels_cut_by_adc(mean_adu: Floats, level: NDArray[np.int64], measured: Mask, saturated: Mask) -> Mask:
    """Mark the tiles of levels with more than 10 % saturated tiles, and of all levels above such a one.

    Parameters
    ----------
    mean_adu, level, measured
        Mean signal of each tile, label of its script column, whether it was measured; shape (n,).
    saturated
        Tiles with too many saturated pixels.
    """
    labels, index = np.unique(level, return_inverse=True)
    cut = np.bincount(index, saturated, labels.size) > _SATURATED_LEVEL * np.bincount(index, minlength=labels.size)
    signal = np.full(labels.size, math.inf)
    for k in range(labels.size):
        tiles = measured & (index == k)
        signal[k] = float(np.mean(mean_adu[tiles])) if tiles.any() else math.inf
    ceiling = float(np.min(signal[cut], initial=math.inf))
    if math.isfinite(ceiling):
        cut |= signal >= ceiling
    return np.asarray(cut[index], bool)


def _levels(data: TurnoffData) -> list[NDArray[np.int64]]:
    """Return the indices of the usable tiles of each level, in order of mean signal."""
    levels = [np.flatnonzero(data.usable & (data.level == label)) for label in np.unique(data.level[data.usable])]
    return sorted(levels, key=lambda tiles: float(np.mean(data.points.mean_adu[tiles])))


def _medians(points: Points, level: NDArray[np.int64]) -> Points:
    """Return medians of bins of the tiles of a level, which no outlier moves."""
    bins = _in_order(points, level, _BASELINE_BINS)
    return Points(
        np.array([np.median(points.mean_adu[tiles]) for tiles in bins]),
        np.array([np.median(points.variance_adu2[tiles]) for tiles in bins]),
        np.array([_MEDIAN_ERROR * np.median(points.relative_err[tiles]) / math.sqrt(tiles.size) for tiles in bins]),
    )


def _baseline(medians: list[Points]) -> Fit | None:
    """Fit these levels. Two of them do not tell n00, which matters little there and is held at zero."""
    joined = Points(
        np.concatenate([part.mean_adu for part in medians]),
        np.concatenate([part.variance_adu2 for part in medians]),
        np.concatenate([part.relative_err for part in medians]),
    )
    fit = fit_exponential(joined, outlier_sigma=math.inf, fixed_n00_adu2=0.0 if len(medians) < 3 else None)
    return fit if fit.has_values else None


def _in_order(points: Points, tiles: NDArray[np.int64], n_bins: int) -> list[NDArray[np.int64]]:
    """Split tiles into at most ``n_bins`` bins of at least 12 by signal."""
    ordered = tiles[np.argsort(points.mean_adu[tiles], kind="stable")]
    return np.array_split(ordered, max(1, min(n_bins, ordered.size // _BIN_TILES)))


def _deficit(points: Points, fit: Fit) -> tuple[float, float]:
    """Return the mean of V / fit - 1 and its error: statistics of the tiles and covariance of the fit.

    The scatter of the tiles is no part of it: where only some tiles of a level are above the full well it is the signal.
    """
    curve, jacobian = exponential_jacobian(points.mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    slope = np.mean(jacobian / curve[:, None], axis=0)
    extrapolation = float(slope @ np.nan_to_num(fit.covariance) @ slope)
    statistics = float(np.mean(points.relative_err**2)) / len(points)
    return float(np.mean(points.variance_adu2 / curve - 1.0)), math.sqrt(statistics + extrapolation)


def _has_deficit(level: Points, fit: Fit, limits: TurnoffLimits) -> bool:
    deficit, error = _deficit(level, fit)
    return deficit < -max(limits.deficit, limits.sigma * error)


def _looks_bloomed(
    data: TurnoffData, below: list[NDArray[np.int64]], level: NDArray[np.int64], limits: TurnoffLimits
) -> bool:
    """Tell whether a level's kurtosis departs from the mean, or its correlation from the trend, of the levels below."""
    mean = data.points.mean_adu
    return _departs(mean, data.kurtosis, data.kurtosis_err, below, level, 0, limits.kurtosis, limits.sigma) or _departs(
        mean, data.correlation, data.correlation_err, below, level, 2, limits.correlation, limits.sigma
    )


def _departs(
    mean: Floats,
    values: Floats,
    errors: Floats,
    below: list[NDArray[np.int64]],
    level: NDArray[np.int64],
    degree: int,
    smallest: float,
    sigma: float,
) -> bool:
    """Tell whether a level's mean departs from the polynomial through the means of the levels below."""
    x = np.array([np.mean(mean[tiles]) for tiles in below])
    y = np.array([np.mean(values[tiles]) for tiles in below])
    here, x_here = float(np.mean(values[level])), float(np.mean(mean[level]))
    degree = min(degree, x.size - 1)
    design = np.vander(x / x_here, degree + 1)
    weight = 1.0 / np.array([max(_mean_error(errors[t]), float(np.std(values[t])) / math.sqrt(t.size)) for t in below])
    solution = np.linalg.pinv(design * weight[:, None])
    jump = here - float(np.sum(solution @ (y * weight)))
    error = math.hypot(_mean_error(errors[level]), float(np.linalg.norm(np.sum(solution, axis=0))))
    return abs(jump) > max(smallest, sigma * error)


def _mean_error(errors: Floats) -> float:
    return math.sqrt(float(np.mean(errors**2)) / errors.size)


def _bracket(points: Points, tiles: NDArray[np.int64], fit: Fit, limits: TurnoffLimits) -> Turnoff:
    """Narrow the turn-off between the two levels that hold it, by bins of their tiles in order of signal."""
    bins = _in_order(points, tiles, 2 * _BINS_PER_LEVEL)
    first_bad = len(bins) - 1
    for k, tiles_of_bin in enumerate(bins):
        deficit, error = _deficit(points[tiles_of_bin], fit)
        if deficit < -max(limits.deficit, _BIN_SIGMA * error):
            first_bad = k
            break
    mean = points.mean_adu
    lowest = float(np.min(mean[tiles]))
    upper = float(np.max(mean[bins[first_bad]]))
    lower = float(np.mean(mean[bins[first_bad - 1]])) if first_bad > 0 else lowest
    good_below = float(np.max(mean[bins[first_bad - 2]])) if first_bad > 1 else math.nextafter(lowest, 0.0)
    return Turnoff(lower, upper, 0.5 * (lower + upper), (upper - lower) / math.sqrt(12.0), good_below)
