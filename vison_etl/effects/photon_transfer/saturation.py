"""Which tiles, pairs and levels the ADC cuts: what saturates with light, not what is saturated in every frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.model import Floats, Mask

Integers = NDArray[np.int64]

_FAINT = 0.5
_CUT_TILES = 0.1
_MOST = 0.5


def saturated_without_light(n_saturated: Integers, signal_adu: Floats, place: Integers) -> Integers:
    """Return how many pixels of each place are saturated whatever the light: hot columns, clusters, single pixels.

    Half of the brightest signal saturates no pixel that responds to light, so what is saturated there is a defect. Its number is the
    median over the exposures up to that signal (the lower one of two): a bad frame or a particle does not count.

    Parameters
    ----------
    n_saturated
        Saturated pixels, one element per place and exposure, shape (n,).
    signal_adu
        Mean signal of the exposure, shape (n,); NaN where not measured.
    place
        Label of the place.

    Returns
    -------
    array
        The number of its place for every element, shape (n,); 0 where nothing was exposed to so little light.
    """
    brightest = float(np.nanmax(signal_adu, initial=-math.inf))
    with np.errstate(invalid="ignore"):
        faint = signal_adu <= _FAINT * brightest if brightest > 0.0 else np.zeros(place.size, bool)
    labels, index = np.unique(place, return_inverse=True)
    found = np.zeros(labels.size, np.int64)
    for row in np.unique(index[faint]):
        found[row] = np.quantile(n_saturated[faint & (index == row)], 0.5, method="lower")
    return found[index]


def signal_of_pairs(mean_adu: Floats, pair: Integers, measured: Mask) -> Floats:
    """Return for every tile the mean signal of the measured tiles of its pair, shape (n,); NaN where there are none."""
    _, index = np.unique(pair, return_inverse=True)
    n = np.bincount(index, measured)
    total = np.bincount(index, np.where(measured, mean_adu, 0.0))
    return np.asarray(np.divide(total, n, out=np.full(n.size, np.nan), where=n > 0)[index], np.float64)


def cut_by_adc(
    pair: Integers, level: Integers, signal_adu: Floats, saturated: Mask, sound: Mask, votes: Mask | None = None
) -> Mask:
    """Mark the tiles of pairs and levels that the ADC cuts, and of all levels above such a one.

    A pair is cut if more than 10 % of its tiles are saturated, a level if more than half of its sound pairs are. Brighter levels go with
    it; but what the ADC cuts it cuts at all brighter levels too, so a level with one above it that is not cut was
    spoiled by something else and goes alone.

    Parameters
    ----------
    pair, level
        Labels of the pair of exposures and of the script column of each tile, shape (n,).
    signal_adu
        Mean signal of the pair of each tile, NaN where nothing was measured.
    saturated
        Tiles with too many pixels saturated by light.
    sound
        Tiles of pairs that tell something about their level.
    votes
        Tiles that count among the 10 %; None: all.
    """
    if not pair.size:
        return np.zeros(0, bool)
    votes = np.ones(pair.size, bool) if votes is None else votes
    _, first, index = np.unique(pair, return_index=True, return_inverse=True)
    n = np.maximum(np.bincount(index, votes), 1)
    pair_is_cut = np.bincount(index, votes & saturated) > _CUT_TILES * n
    is_sound = np.bincount(index, sound) > 0
    labels, of_level = np.unique(level[first], return_inverse=True)
    n_sound = np.bincount(of_level, is_sound, labels.size)
    cut = np.bincount(of_level, is_sound & pair_is_cut, labels.size) > _MOST * n_sound
    seen = is_sound & np.isfinite(signal_adu[first])
    n_seen = np.bincount(of_level, seen, labels.size)
    total = np.bincount(of_level, np.where(seen, signal_adu[first], 0.0), labels.size)
    signal = np.divide(total, n_seen, out=np.full(labels.size, math.inf), where=n_seen > 0)
    whole = float(np.max(signal[~cut & (n_seen > 0)], initial=-math.inf))
    ceiling = float(np.min(signal[cut & (signal > whole)], initial=math.inf))
    if math.isfinite(ceiling):
        cut = cut | (signal >= ceiling)
    return np.asarray((cut[of_level] | pair_is_cut)[index], bool)
