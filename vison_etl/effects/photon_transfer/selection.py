"""Which tiles of a channel count: sound ones, and of these those below the turn-off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.photon_transfer.bracket import Turnoff, TurnoffLimits
from vison_etl.effects.photon_transfer.model import Mask, Points
from vison_etl.effects.photon_transfer.saturation import cut_by_adc, saturated_without_light, signal_of_pairs
from vison_etl.effects.photon_transfer.tiles import Integers, Tiles, bad_pairs
from vison_etl.effects.photon_transfer.turnoff import TurnoffData, find_turnoff
from vison_etl.effects.photon_transfer.weak_tiles import weak_points


@dataclass(frozen=True, slots=True)
class TileRules:
    """What counts; parameters of the effect, which documents them."""

    flux_mismatch_max: float
    saturated_fraction_max: float
    min_pixel_fraction: float
    min_tiles: int
    turnoff: TurnoffLimits


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Tiles of one channel, masks of shape (n,).

    ``measured``: with enough pixels; ``mismatched``, ``sparse``: of pairs that are none; ``cut``: saturated by light, or of pairs
    or levels that the ADC cuts; ``sound``: measured and nothing of these; ``weak``: of tiles that spill at a level at which most of the quadrant does
    not; ``good``: sound and not weak; ``chosen``: good and below the turn-off; ``averaged``: good and of levels that are below the turn-off as a whole.
    """

    points: Points
    measured: Mask
    mismatched: Mask
    sparse: Mask
    cut: Mask
    sound: Mask
    weak: Mask
    good: Mask
    chosen: Mask
    averaged: Mask
    turnoff: Turnoff
    whole_pairs: Integers
    """Labels of the pairs all of whose tiles may be averaged, but for weak ones and those not measured."""
    weak_pairs: Integers
    """Labels of the pairs that have weak tiles."""


def select(tiles: Tiles, rules: TileRules) -> Selection:
    """Choose the tiles of one channel.

    A tile is measured if enough of its pixels were used and saturated if too many are by light: those saturated in every frame are
    left out of its measurement and do no harm. Levels that the ADC cuts, pairs whose
    frames differ in flux and pairs with too few tiles are left out whole. Weak tiles leave before a turn-off is looked for.
    """
    measured = np.isfinite(tiles.variance_adu2) & np.isfinite(tiles.mean_adu) & (tiles.variance_adu2 > 0.0)
    measured &= tiles.n >= rules.min_pixel_fraction * tiles.area_px
    signal = signal_of_pairs(tiles.mean_adu, tiles.pair, measured)
    static = saturated_without_light(tiles.n_saturated, signal, tiles.tile)
    most = rules.saturated_fraction_max * tiles.area_px
    saturated, votes = tiles.n_saturated - static > most, static <= most
    if np.unique(tiles.tile[votes]).size < rules.min_tiles:
        votes = np.ones_like(votes)
    mismatched, sparse = bad_pairs(
        tiles, measured, saturated, min_tiles=rules.min_tiles, flux_mismatch_max=rules.flux_mismatch_max
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        points = Points(tiles.mean_adu, tiles.variance_adu2, tiles.variance_adu2_err / tiles.variance_adu2)
    cut = saturated | cut_by_adc(tiles.pair, tiles.level, signal, saturated, ~mismatched & ~sparse, votes)
    sound = measured & ~cut & ~mismatched & ~sparse
    weak = weak_points(tiles, points, sound, least=rules.turnoff.deficit, sigma=rules.turnoff.sigma)
    good = sound & ~weak
    turnoff = find_turnoff(turnoff_data(tiles, points, good), rules.turnoff)
    mean = np.nan_to_num(tiles.mean_adu, nan=math.inf)
    chosen, averaged = good & (mean <= turnoff.good_below_adu), good & (mean <= turnoff.whole_below_adu)
    whole = np.setdiff1d(tiles.pair[averaged], tiles.pair[(measured | saturated) & ~weak & ~averaged])
    weak_pairs = np.unique(tiles.pair[weak & (measured | saturated)])
    return Selection(
        points, measured, mismatched, sparse, cut, sound, weak, good, chosen, averaged, turnoff, whole, weak_pairs
    )


def turnoff_data(tiles: Tiles, points: Points, good: Mask) -> TurnoffData:
    """Return what the search for a turn-off wants to know of the tiles, ``good`` of which count."""
    return TurnoffData(
        points=points,
        kurtosis=tiles.excess_kurtosis,
        kurtosis_err=tiles.excess_kurtosis_err,
        correlation=tiles.corr_01,
        correlation_err=tiles.corr_01_err,
        pair=tiles.pair,
        level=tiles.level,
        usable=good,
    )
