"""The turn-off of a photon-transfer curve: where the variance falls because pixels lose charge to their neighbours.

The brighter-fatter effect makes the curve roll off too, smoothly. At the full well three things come together: the variance
falls below what the levels below foretell (just before, it may rise above that), the difference of two frames is no longer
normal, and neighbours along the transfer direction become alike at once. A turn-off is a sustained departure of the variance
together with one of the other two. Far above the full well, where every pixel is at its limit, the noise is normal again, but little
is left of it: neither lamp nor gain change by so much.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.bracket import Turnoff, TurnoffLimits, bracket
from vison_etl.effects.photon_transfer.deficit import baseline, deficit, medians
from vison_etl.effects.photon_transfer.model import Fit, Floats, Mask, Points

_FIRST_TESTED = 2
_COLLAPSE = 0.2
_MOST = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class TurnoffData:
    """Tiles of one channel as the search wants them, arrays of equal length.

    ``pair`` and ``level`` label the pair of exposures and the script column; ``usable`` marks the tiles that count. The rest is NaN where not measured.
    """

    points: Points
    kurtosis: Floats
    kurtosis_err: Floats
    correlation: Floats
    correlation_err: Floats
    pair: NDArray[np.int64]
    level: NDArray[np.int64]
    usable: Mask


def find_turnoff(data: TurnoffData, limits: TurnoffLimits) -> Turnoff:
    """Find the turn-off of one channel.

    Levels are taken in order of mean signal. Each from the third on is compared with an exponential fit to the levels below
    it. The turn-off lies at the first whose mean of V / fit - 1 is beyond +-``deficit`` and significant, the next level having a
    deficit (for the highest level, itself), provided that at it or above kurtosis or parallel correlation departs from the trend
    of the levels below by as much as ``limits`` say, or a fifth of the variance is gone there and at the next. The tiles of the level below and of all above then narrow it (see
    ``bracket``).

    Returns
    -------
    Turnoff
        Not reached: ``lower_adu`` is the mean signal of the highest level tested that does not depart, the rest NaN. Fewer than
        three levels, or no fit to those below: all NaN.
    """
    levels = _levels(data)
    curves = [medians(data.points, tiles) for tiles in levels]
    good = math.nan
    fit = None
    for k in range(_FIRST_TESTED, len(levels)):
        lower_fit, fit = fit, baseline(curves[:k], fit)
        if fit is None:
            continue
        if not _is_off(data.points[levels[k]], fit, limits):
            good = float(np.mean(data.points.mean_adu[levels[k]]))
            continue
        following = levels[min(k + 1, len(levels) - 1)]
        has_fallen = _is_off(data.points[following], fit, limits, only_below=True)
        if has_fallen and (
            any(_looks_bloomed(data, levels[:k], tiles, limits) for tiles in levels[k:])
            or _has_collapsed(data, levels[k:], fit, limits)
        ):
            # the level below may already hold some of it: judge its tiles by the levels below that one
            return bracket(data.points, levels[k - 2 :], lower_fit or fit, limits)
    top = float(np.max(data.points.mean_adu[levels[-1]])) if levels else math.inf
    return Turnoff(good, math.nan, math.nan, math.nan, top, top)


def _levels(data: TurnoffData) -> list[NDArray[np.int64]]:
    """Return the indices of the usable tiles of each level, in order of mean signal."""
    levels = [np.flatnonzero(data.usable & (data.level == label)) for label in np.unique(data.level[data.usable])]
    return sorted(levels, key=lambda tiles: float(np.mean(data.points.mean_adu[tiles])))


def _is_off(level: Points, fit: Fit, limits: TurnoffLimits, *, only_below: bool = False) -> bool:
    value, error = deficit(level, fit)
    return (-value if only_below else abs(value)) > max(limits.deficit, limits.sigma * error)


def _has_collapsed(data: TurnoffData, levels: list[NDArray[np.int64]], fit: Fit, limits: TurnoffLimits) -> bool:
    """Tell whether a fifth of the variance is gone in most pairs of two successive levels, or of two pairs or more of the highest."""
    gone = []
    for tiles in levels:
        pairs = np.unique(data.pair[tiles])
        deficits = [deficit(data.points[tiles[data.pair[tiles] == pair]], fit) for pair in pairs]
        fallen = sum(-value > max(_COLLAPSE, limits.sigma * error) for value, error in deficits)
        gone.append((fallen > _MOST * pairs.size, pairs.size))
    lasting = any(first and second for (first, _), (second, _) in itertools.pairwise(gone))
    return lasting or (gone[-1][0] and gone[-1][1] > 1)


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
