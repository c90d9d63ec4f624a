"""The turn-off of each tile: between which levels the variance falls off the curve of its channel.

Full well and pinning differ over a CCD. A tile has a few pairs of each level only, too few for a curve of its own; gain and
brighter-fatter effect are those of its channel. So the points of each level of a tile are held against the curve fitted to the
channel below its turn-off, and what is looked for is what ``turnoff`` looks for: a sustained deficit of the variance together with
a loss of Gaussianity or a jump of the correlation along the transfer direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.bracket import TurnoffLimits, pixel_spread
from vison_etl.effects.photon_transfer.model import Fit, Floats, Mask, exponential_jacobian
from vison_etl.effects.photon_transfer.turnoff import TurnoffData

_DOUBTFUL = 0.25
_DOUBTFUL_SIGMA = 1.5
_UNMISTAKABLE = 5.0
_COLLAPSE = 0.2
_SPREADS = 3.0
_MIN_LEVELS = 2
_TREND_DEGREE = 2


@dataclass(frozen=True, slots=True)
class TileTurnoff:
    """Turn-off of one tile, ADU; NaN where there is none.

    ``status``: ``ok``, found between ``lower_adu`` and ``upper_adu``; ``bound``, not reached up to ``lower_adu``; ``failed``, the
    channel has no curve; ``no_data``, fewer than two levels to be judged. ``n_points`` pairs were used.
    """

    tile: int
    status: Literal["ok", "bound", "failed", "no_data"]
    lower_adu: float = math.nan
    upper_adu: float = math.nan
    value_adu: float = math.nan
    value_adu_err: float = math.nan
    n_points: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """What is known of each level of each tile, shape (tiles, levels), levels of a tile in order of signal, those without data last.

    ``deficit`` is the mean of V / curve - 1, negative where the variance has fallen.
    """

    n: NDArray[np.int64]
    mean_adu: Floats
    deficit: Floats
    deficit_err: Floats
    is_bloomed: Mask


def tile_turnoffs(
    data: TurnoffData,
    tile: NDArray[np.int64],
    fit: Fit,
    fit_max_adu: float,
    limits: TurnoffLimits,
    trusted: Mask | None = None,
) -> list[TileTurnoff]:
    """Find the turn-off of every tile of a channel.

    A level of a tile is *off* where |V / curve - 1| exceeds ``limits.deficit`` and is significant, *fallen* where the deficit does.
    The turn-off lies below the first that is off and the next one fallen (the highest: itself), provided that at it or above kurtosis
    or parallel correlation departs from the trend of the channel below its turn-off, or a fifth of the variance is gone: far above the
    full well the noise is normal again, and neither gain nor lamp change by so much. A level below it is *doubtful* from a quarter
    of ``limits.deficit`` and 1.5 sigma on: a level that has begun to fall, but by less than its noise, seldom looks better.

    Pixels of a tile scatter about its mean by three spreads at most that matter (shot noise, response and full well, see
    ``bracket``), which both ends allow for.

    Parameters
    ----------
    data
        Tiles of all pairs of one channel.
    tile
        Index of each, shape as ``data.level``.
    fit
        Curve of the channel.
    fit_max_adu
        Highest signal of a tile that the curve was fitted to: up to there the trends of kurtosis and correlation are taken.
    limits
        What counts.
    trusted
        Tiles that the trends are taken of, shape as ``data.level``; None: all that are usable.

    Returns
    -------
    list
        One per index that occurs, in order. ``lower_adu``: mean of the last level before the turn-off that is not doubtful, less three
        spreads; NaN if there is none. ``upper_adu``: mean of the first level that is unmistakably fallen with all above it off (the
        highest if none is), at least three spreads above the first that is off. ``value_adu``: middle between the last level before
        and the first that is off, with the error of a uniform distribution and one spread. Not reached: ``lower_adu`` is the
        mean of the last level that is not off and has none such below it, less three spreads.
    """
    labels = np.unique(tile)
    if not fit.has_values:
        return [TileTurnoff(int(label), "failed") for label in labels]
    below = np.flatnonzero((data.usable if trusted is None else trusted) & (data.points.mean_adu <= fit_max_adu))
    levels = _levels(data, np.searchsorted(labels, tile), below, fit, limits)
    return [_of_tile(int(label), levels, row, fit, limits) for row, label in enumerate(labels)]


def _of_tile(label: int, levels: _Levels, row: int, fit: Fit, limits: TurnoffLimits) -> TileTurnoff:
    count = int(np.count_nonzero(levels.n[row]))
    n_points = int(np.sum(levels.n[row]))
    if count < _MIN_LEVELS:
        return TileTurnoff(label, "no_data", n_points=n_points)
    mean, value, error = (a[row, :count] for a in (levels.mean_adu, levels.deficit, levels.deficit_err))
    limit = np.maximum(limits.deficit, limits.sigma * error)
    off, fallen = np.abs(value) > limit, -value > limit
    followed = np.append(fallen[1:], fallen[-1])
    is_bloomed = levels.is_bloomed[row, :count] | (-value > np.maximum(_COLLAPSE, limit))
    bloomed = np.logical_or.accumulate(is_bloomed[::-1])[::-1]
    first = _first(off & followed & bloomed)
    spreads = pixel_spread(mean, fit, limits.pixel_spread)
    if first is None:
        good = _first(off)
        last = count - 1 if good is None else good - 1
        lower = float(mean[last] - _SPREADS * spreads[last]) if last >= 0 else math.nan
        return TileTurnoff(label, "bound", lower_adu=lower, n_points=n_points)
    doubtful = np.abs(value) > np.maximum(_DOUBTFUL * limits.deficit, _DOUBTFUL_SIGMA * error)
    before = first - 1
    while before >= 0 and doubtful[before]:
        before -= 1
    all_off = np.logical_and.accumulate(off[::-1])[::-1]
    sure = _first(all_off & (-value > _UNMISTAKABLE * limits.deficit))
    sure = count - 1 if sure is None else max(sure, first)
    below = float(mean[first - 1]) if first > 0 else 0.0
    return TileTurnoff(
        label,
        "ok",
        lower_adu=float(mean[before] - _SPREADS * spreads[before]) if before >= 0 else math.nan,
        upper_adu=float(max(mean[sure], mean[first] + _SPREADS * spreads[first])),
        value_adu=0.5 * (below + float(mean[first])),
        value_adu_err=math.hypot((float(mean[first]) - below) / math.sqrt(12.0), float(spreads[first])),
        n_points=n_points,
    )


def _first(mask: Mask) -> int | None:
    return int(np.argmax(mask)) if mask.any() else None


def _levels(
    data: TurnoffData, row: NDArray[np.int64], below: NDArray[np.int64], fit: Fit, limits: TurnoffLimits
) -> _Levels:
    """Take means over the pairs of each level of each tile; ``below`` are the indices of the points that give the trends."""
    n_tiles = int(np.max(row)) + 1
    names, column = np.unique(data.level, return_inverse=True)
    shape = (n_tiles, names.size)
    used = data.usable
    cell = (row * names.size + column)[used]
    n = np.bincount(cell, minlength=n_tiles * names.size)

    def mean(values: Floats) -> Floats:
        total = np.bincount(cell, values[used], n.size)
        return np.asarray(np.divide(total, n, out=np.full(n.size, np.nan), where=n > 0), np.float64)

    curve, jacobian = exponential_jacobian(data.points.mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    slope = np.stack([mean(jacobian[:, k] / curve) for k in range(jacobian.shape[1])], axis=1)
    extrapolation = np.einsum("ci,ij,cj->c", slope, np.nan_to_num(fit.covariance), slope)
    mean_adu = mean(data.points.mean_adu)
    statistics = mean(data.points.relative_err**2) / np.maximum(n, 1)
    bloomed = np.zeros(n.size, bool)
    for values, errors, degree, smallest in (
        (data.kurtosis, data.kurtosis_err, 0, limits.kurtosis),
        (data.correlation, data.correlation_err, _TREND_DEGREE, limits.correlation),
    ):
        centre, error = _trend(data.points.mean_adu[below], values[below], errors[below], degree, mean_adu)
        error = np.hypot(error, np.sqrt(mean(errors**2) / np.maximum(n, 1)))
        bloomed |= np.abs(mean(values) - centre) > np.maximum(smallest, limits.sigma * error)
    order = np.argsort(mean_adu.reshape(shape), axis=1, kind="stable")

    def arranged(values: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.take_along_axis(values.reshape(shape), order, axis=1)

    return _Levels(
        arranged(n),  # type: ignore[arg-type]
        arranged(mean_adu),  # type: ignore[arg-type]
        arranged(mean(data.points.variance_adu2 / curve - 1.0)),  # type: ignore[arg-type]
        arranged(np.sqrt(statistics + extrapolation)),  # type: ignore[arg-type]
        arranged(bloomed),  # type: ignore[arg-type]
    )


def _trend(x: Floats, y: Floats, error: Floats, degree: int, at: Floats) -> tuple[Floats, Floats]:
    """Fit a polynomial and return it and its error at other signals."""
    levels = max(1, np.unique(np.round(x, -3)).size)
    degree = min(degree, levels - 1)
    scale = float(np.max(x))
    solution, covariance = np.polyfit(x / scale, y, degree, w=1.0 / error, cov="unscaled")
    design = np.vander(at / scale, degree + 1)
    error = np.sqrt(np.einsum("ci,ij,cj->c", design, covariance, design))
    return np.asarray(design @ solution, np.float64), np.asarray(error, np.float64)
