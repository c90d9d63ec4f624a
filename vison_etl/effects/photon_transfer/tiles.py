"""Tiles of one channel as arrays, and which pairs of exposures are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.model import Floats, Mask

Integers = NDArray[np.int64]

_MISMATCH_SIGMA = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Tiles of one channel, arrays of equal length, named as in table ``pair_tiles``; NaN where not measured.

    ``pair`` and ``level`` label the pair of exposures and the script column, ``area_px`` is the size of a tile.
    """

    pair: Integers
    level: Integers
    tile: Integers
    y: Integers
    area_px: Integers
    n: Integers
    n_saturated: Integers
    mean_1_adu: Floats
    mean_2_adu: Floats
    mean_adu: Floats
    mean_adu_err: Floats
    variance_adu2: Floats
    variance_adu2_err: Floats
    excess_kurtosis: Floats
    excess_kurtosis_err: Floats
    corr_01: Floats
    corr_01_err: Floats
    noise_variance_adu2: Floats
    noise_variance_adu2_err: Floats


def bad_pairs(
    tiles: Tiles, measured: Mask, saturated: Mask, *, min_tiles: int, flux_mismatch_max: float
) -> tuple[Mask, Mask]:
    """Mark the tiles of pairs whose fluxes differ, and of pairs with too few tiles that are measured or saturated."""
    mismatched, sparse = np.zeros(tiles.pair.size, bool), np.zeros(tiles.pair.size, bool)
    for label in np.unique(tiles.pair):
        here = tiles.pair == label
        sparse[here] = np.count_nonzero(here & (measured | saturated)) < min_tiles
        both = here & measured
        if both.any():
            mean_1, mean_2 = float(np.mean(tiles.mean_1_adu[both])), float(np.mean(tiles.mean_2_adu[both]))
            noise = 2.0 * float(np.mean(tiles.mean_adu_err[both]))
            limit = max(flux_mismatch_max * 0.5 * (mean_1 + mean_2), _MISMATCH_SIGMA * noise)
            mismatched[here] = abs(mean_1 - mean_2) > limit
    return mismatched, sparse
