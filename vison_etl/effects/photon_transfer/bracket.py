"""Between which signals a turn-off lies: a bracket that holds the full well of the pixels, and a point estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.deficit import deficit, fraction_left, in_order
from vison_etl.effects.photon_transfer.model import Fit, Floats, Points, exponential_variance

_BINS_PER_LEVEL = 4
_BIN_SIGMA = 3.0
_DOUBTFUL = 0.25
_UNMISTAKABLE = 5.0
_AT_LIMIT = 0.1
_SPREADS = 3.0


@dataclass(frozen=True, slots=True)
class TurnoffLimits:
    """What counts: smallest deficit (fraction), kurtosis and correlation that matter, and significance in sigma.

    ``pixel_spread`` allows for the spread of the response and the full well of the pixels of a tile, rms, as a fraction, and for as much
    between the tiles of a channel.
    """

    deficit: float = 0.02
    kurtosis: float = 0.05
    correlation: float = 0.01
    sigma: float = 5.0
    pixel_spread: float = 0.01


@dataclass(frozen=True, slots=True)
class Turnoff:
    """Turn-off of one channel, ADU; NaN where there is none.

    ``lower_adu`` and ``upper_adu`` hold the full well of the pixels between them; ``value_adu`` is the signal at which the
    curve begins to fall. ``good_below_adu`` is the highest signal of a tile that the fits may use: below the turn-off and
    below the levels that the ADC cuts. ``whole_below_adu``, not less, is the highest signal of a tile of a level that is sound as a whole.
    """

    lower_adu: float
    upper_adu: float
    value_adu: float
    value_adu_err: float
    good_below_adu: float
    whole_below_adu: float


def bracket(points: Points, levels: list[NDArray[np.int64]], fit: Fit, limits: TurnoffLimits) -> Turnoff:
    """Narrow a turn-off by bins of the tiles of the levels about it, in order of signal.

    A bin is *bad* where it departs from the curve by more than ``deficit`` and 3 sigma, *doubtful* from a quarter of ``deficit``
    on, and *unmistakable* where it has a deficit of five times what is bad and all bins above it are bad too. Just below the
    full well the variance may grow before it falls, because some pixels spill in one frame of a pair and not in the other.

    The pixels of a tile scatter about its mean: by shot noise, and by their response and full well, for which
    ``pixel_spread`` allows. Three of these standard deviations below the full well 0.1 % of the pixels have reached it, too few
    for any departure that counts; so the full well is not further than that above the first bad bin. Tiles differ as well, and those of
    low full well make a bin bad: as much is allowed for their spread.

    Parameters
    ----------
    points
        Tiles of the channel.
    levels
        Indices of the tiles of each level, in order: two without a deficit (only the second is divided), then the first with
        one and all above it.
    fit
        Curve of the levels that are surely good.
    limits
        What counts.

    Returns
    -------
    Turnoff
        ``lower_adu``: lowest tile of the last bin before the first doubtful one; where that is the first bin, mean of the level
        below. ``upper_adu``: highest tile of the first unmistakable bin, but at least three spreads (of pixels and tiles)
        above the mean of the first bad one. ``value_adu``: middle between the mean of the last bin before those that are all bad and the highest tile of
        the first of these; its error that of a uniform distribution, width / sqrt(12), and the spread of the pixels. The fits stop one bin
        before the last that is not doubtful, because it may hold tiles that are bad by less than a bin can tell. What averages over
        the tiles of a level need not stop there: a quarter of them may be wrong by less than what is doubtful. So the level below the
        first with a deficit is sound as a whole if none of its bins is doubtful and its brightest tiles are like the others.
    """
    mean = points.mean_adu
    bins = [tiles for level in levels[1:] for tiles in _divided(points, level, fit)]
    bins.sort(key=lambda tiles: float(np.mean(mean[tiles])))
    value, error = np.array([deficit(points[tiles], fit) for tiles in bins]).T
    noise = _BIN_SIGMA * error
    limit = np.maximum(limits.deficit, noise)
    bad = np.abs(value) > limit
    all_bad_above = np.logical_and.accumulate(bad[::-1])[::-1]
    first_bad = next(
        (int(np.argmax(mask)) for mask in (all_bad_above, bad) if mask.any()), int(np.argmin(value / limit))
    )
    doubtful = np.flatnonzero(np.abs(value[:first_bad]) > np.maximum(_DOUBTFUL * limits.deficit, noise[:first_bad]))
    first_doubtful = int(doubtful[0]) if doubtful.size else first_bad
    sure = np.flatnonzero(all_bad_above & (value < -_UNMISTAKABLE * limit))
    first_sure = int(sure[0]) if sure.size else len(bins) - 1

    means = [float(np.mean(mean[levels[0]])), *(float(np.mean(mean[tiles])) for tiles in bins)]
    spread = float(pixel_spread(np.array(means[first_bad + 1 : first_bad + 2]), fit, limits.pixel_spread)[0])
    before, after = means[first_bad], float(np.max(mean[bins[first_bad]]))
    of_tiles = math.hypot(spread, limits.pixel_spread * means[first_bad + 1])
    upper = max(after, float(np.max(mean[bins[first_sure]])), means[first_bad + 1] + _SPREADS * of_tiles)
    lower = float(np.min(mean[bins[first_doubtful - 1]])) if first_doubtful > 0 else means[0]
    below_all = math.nextafter(float(np.min(mean[bins[0]])), 0.0)
    good = float(np.max(mean[bins[first_doubtful - 2]])) if first_doubtful > 1 else below_all
    top = float(np.max(mean[levels[1]]))
    is_sound = means[first_doubtful + 1] > top and _has_no_edge(points[levels[1]], fit)
    whole = top if is_sound else good
    middle_err = math.hypot((after - before) / math.sqrt(12.0), spread)
    return Turnoff(lower, upper, 0.5 * (before + after), middle_err, good, max(good, whole))


def _divided(points: Points, level: NDArray[np.int64], fit: Fit) -> list[NDArray[np.int64]]:
    """Return the bins of a level; a level without noise is one, because its signals are limits of the tiles and say nothing of the light."""
    is_at_limit = fraction_left(points[level], fit) < _AT_LIMIT
    return in_order(points, level, 1 if is_at_limit else _BINS_PER_LEVEL)


def _has_no_edge(level: Points, fit: Fit) -> bool:
    """Tell whether the brightest 2, 4, 8 ... tiles of a level (up to half) stand to the curve as its median does, within 3 sigma.

    Compared with the rest of the level nothing is extrapolated: it sees a tenth of what a bin against the levels below does.
    """
    order = np.argsort(level.mean_adu)[::-1]
    curve = exponential_variance(level.mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    ratio = (level.variance_adu2 / curve)[order]
    pulls = (ratio / np.median(ratio) - 1.0) / level.relative_err[order]
    sizes = 2 ** np.arange(1, max(2, int(np.log2(len(level)))))
    sums = np.cumsum(pulls)[sizes - 1] / np.sqrt(sizes)
    return bool(np.all(np.abs(sums) < _BIN_SIGMA))


def pixel_spread(mean_adu: Floats, fit: Fit, fraction: float) -> Floats:
    """Return the standard deviation of the signals of the pixels of tiles, ADU: shot noise of the curve, and ``fraction``."""
    shot = exponential_variance(mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    return np.hypot(np.sqrt(np.maximum(shot, 0.0)), fraction * mean_adu)
