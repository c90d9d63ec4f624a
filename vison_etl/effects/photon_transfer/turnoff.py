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
_BIN_SIGMA = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class TurnoffData:
    """Tiles of one channel as the search wants them, arrays of equal length.

    ``level`` labels the script column; ``measured`` marks tiles with a variance that may be used, ``saturated`` those with
    too many saturated pixels (used by none but the rule for levels). The rest is NaN where not measured.
    """

    points: Points
    kurtosis: Floats
    correlation: Floats
    correlation_err: Floats
    kurtosis_err: Floats
    level: NDArray[np.int64]
    measured: Mask
    saturated: Mask


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
    the ADC cuts (infinite where nothing was tested).
    """

    lower_adu: float
    upper_adu: float
    value_adu: float
    value_adu_err: float
    good_below_adu: float


def find_turnoff(data: TurnoffData, limits: TurnoffLimits, outlier_sigma: float = 5.0) -> Turnoff:
    """Find the turn-off of one channel.

    Levels are taken in order of mean signal, those with more than 10 % saturated tiles left out with all above (there the ADC
    ends the curve first). Each level from the third on is compared with an exponential fit to the levels below it: it is bad
    if the mean of V / fit - 1 is below -``deficit`` and significant, and if kurtosis or parallel correlation departs from the
    trend of the levels below by as much as ``limits`` say. The first bad level followed by another, or the last of all,
    holds the turn-off. The tiles of that level and of the one below, in order of signal, then narrow the bracket: from the
    mean of the last good bin to the highest tile of the first bad one.

    Returns
    -------
    Turnoff
        Not reached: ``lower_adu`` is the mean signal of the highest level tested and good, the rest NaN. Fewer than three
        levels: all NaN.
    """
    levels = _levels(data)
    if len(levels) <= _FIRST_TESTED:
        return Turnoff(math.nan, math.nan, math.nan, math.nan, math.inf)
    for k in range(_FIRST_TESTED, len(levels)):
        below = np.concatenate(levels[:k])
        fit = _baseline(data.points[below], k, outlier_sigma)
        if fit is None or not _is_bad(data, levels[:k], levels[k], fit, limits):
            continue
        if k + 1 == len(levels) or _is_bad(data, levels[:k], levels[k + 1], fit, limits):
            lower_fit = _baseline(data.points[np.concatenate(levels[: k - 1])], k - 1, outlier_sigma) if k > 2 else None
            return _bracket(data.points, np.concatenate(levels[k - 1 : k + 1]), lower_fit or fit, limits)
    top = data.points.mean_adu[levels[-1]]
    return Turnoff(float(np.mean(top)), math.nan, math.nan, math.nan, float(np.max(top)))


def _levels(data: TurnoffData) -> list[NDArray[np.int64]]:
    """Return the indices of the measured tiles of each level that the ADC does not cut, in order of mean signal."""
    levels: list[tuple[float, NDArray[np.int64]]] = []
    ceiling = math.inf
    for label in np.unique(data.level):
        here = data.level == label
        tiles = np.flatnonzero(here & data.measured & ~data.saturated)
        signal = float(np.mean(data.points.mean_adu[tiles])) if tiles.size else math.inf
        if np.mean(data.saturated[here]) > _SATURATED_LEVEL:
            ceiling = min(ceiling, signal)
        elif tiles.size:
            levels.append((signal, tiles))
    return [tiles for signal, tiles in sorted(levels, key=lambda item: item[0]) if signal < ceiling]


def _baseline(below: Points, n_levels: int, outlier_sigma: float) -> Fit | None:
    """Fit the levels below; two of them do not tell n00, which matters little there and is held at zero."""
    fit = fit_exponential(below, outlier_sigma=outlier_sigma, fixed_n00_adu2=0.0 if n_levels < 3 else None)
    return fit if fit.has_values else None


def _deficit(points: Points, fit: Fit) -> tuple[float, float]:
    """Return the mean of V / fit - 1 and its error: scatter, or statistics if larger, and the covariance of the fit."""
    curve, jacobian = exponential_jacobian(points.mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    ratio = points.variance_adu2 / curve - 1.0
    slope = np.mean(jacobian / curve[:, None], axis=0)
    extrapolation = float(slope @ np.nan_to_num(fit.covariance) @ slope)
    scatter = max(float(np.var(ratio)), float(np.mean(points.relative_err**2))) / len(points)
    return float(np.mean(ratio)), math.sqrt(scatter + extrapolation)


def _is_bad(
    data: TurnoffData,
    below: list[NDArray[np.int64]],
    level: NDArray[np.int64],
    fit: Fit,
    limits: TurnoffLimits,
) -> bool:
    deficit, error = _deficit(data.points[level], fit)
    if not deficit < -max(limits.deficit, limits.sigma * error):
        return False
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
    weight = 1.0 / np.array([_mean_error(values[tiles], errors[tiles]) for tiles in below])
    solution = np.linalg.pinv(design * weight[:, None])
    jump = here - float(np.sum(solution @ (y * weight)))
    error = math.hypot(_mean_error(values[level], errors[level]), float(np.linalg.norm(np.sum(solution, axis=0))))
    return abs(jump) > max(smallest, sigma * error)


def _mean_error(values: Floats, errors: Floats) -> float:
    return math.sqrt(max(float(np.var(values)), float(np.mean(errors**2))) / values.size)


def _bracket(points: Points, tiles: NDArray[np.int64], fit: Fit, limits: TurnoffLimits) -> Turnoff:
    """Narrow the turn-off between the two levels that hold it, by bins of their tiles in order of signal."""
    ordered = tiles[np.argsort(points.mean_adu[tiles], kind="stable")]
    bins = np.array_split(ordered, max(2, min(2 * _BINS_PER_LEVEL, ordered.size // _BIN_TILES)))
    first_bad = len(bins) - 1
    for k, tiles_of_bin in enumerate(bins):
        deficit, error = _deficit(points[tiles_of_bin], fit)
        if deficit < -max(limits.deficit, _BIN_SIGMA * error):
            first_bad = k
            break
    upper = float(np.max(points.mean_adu[bins[first_bad]]))
    last_good = bins[first_bad - 1] if first_bad else None
    lower = float(np.mean(points.mean_adu[last_good])) if last_good is not None else float(points.mean_adu[ordered[0]])
    good_below = float(np.max(points.mean_adu[last_good])) if last_good is not None else lower
    return Turnoff(lower, upper, 0.5 * (lower + upper), (upper - lower) / math.sqrt(12.0), good_below)
