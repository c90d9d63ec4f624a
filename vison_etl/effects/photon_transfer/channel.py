"""All that is done with the tiles of one channel: which of them count, where the curve turns off, the fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.bracket import Turnoff, TurnoffLimits
from vison_etl.effects.photon_transfer.exponential import fit_exponential
from vison_etl.effects.photon_transfer.goodness import level_chi2
from vison_etl.effects.photon_transfer.model import Fit, Floats, Mask, Model, Points, adopted_model
from vison_etl.effects.photon_transfer.noise import noise_prior
from vison_etl.effects.photon_transfer.quadratic import fit_quadratic
from vison_etl.effects.photon_transfer.turnoff import TurnoffData, find_turnoff, levels_cut_by_adc

_MISMATCH_SIGMA = 5.0

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Tiles of one channel, arrays of equal length, named as in table ``pair_tiles``; NaN where not measured.

    ``pair`` and ``level`` label the pair of exposures and the script column, ``area_px`` is the size of a tile.
    """

    pair: Integers
    level: Integers
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


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts; the parameters of the effect, which documents them."""

    flux_mismatch_max: float
    saturated_fraction_max: float
    min_pixel_fraction: float
    min_tiles: int
    outlier_sigma: float
    noise_prior_fraction: float
    quadratic_low_adu: float
    quadratic_high_adu: float
    turnoff: TurnoffLimits


@dataclass(frozen=True, slots=True)
class Pair:
    """One point of the curve: means over the tiles used (over the measured ones if none is). NaN where there is none."""

    pair: int
    mean_adu: float
    mean_adu_err: float
    variance_adu2: float
    variance_adu2_err: float
    n_tiles: int
    n_tiles_used: int
    reject_reason: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """Results of one channel; ``usable`` marks the tiles that count, above the turn-off too."""

    fits: Mapping[Model, Fit]
    adopted: Model
    turnoff: Turnoff
    level_chi2: tuple[float, int]
    fit_max_adu: Mapping[Model, float]
    pairs: tuple[Pair, ...]
    usable: Mask


def analyse_channel(tiles: Tiles, rules: Rules) -> Channel:
    """Fit one channel.

    A tile is measured if enough of its pixels were used and saturated if too many are. Levels that the ADC cuts, pairs whose
    frames differ in flux and pairs with too few tiles are left out whole. The fits take the other tiles up to the turn-off, the
    exponential also the noise of their prescan.
    """
    saturated = tiles.n_saturated > rules.saturated_fraction_max * tiles.area_px
    measured = np.isfinite(tiles.variance_adu2) & np.isfinite(tiles.mean_adu) & (tiles.variance_adu2 > 0.0)
    measured &= tiles.n >= rules.min_pixel_fraction * tiles.area_px
    mismatched, sparse = _bad_pairs(tiles, measured, saturated, rules)
    with np.errstate(invalid="ignore", divide="ignore"):
        points = Points(tiles.mean_adu, tiles.variance_adu2, tiles.variance_adu2_err / tiles.variance_adu2)
    cut = saturated | levels_cut_by_adc(tiles.mean_adu, tiles.level, measured, saturated)
    good = measured & ~cut & ~mismatched & ~sparse
    turnoff = find_turnoff(_turnoff_data(tiles, points, good), rules.turnoff)
    chosen = np.flatnonzero(good & (np.nan_to_num(tiles.mean_adu, nan=math.inf) <= turnoff.good_below_adu))
    prior = noise_prior(
        tiles.pair[chosen],
        tiles.y[chosen],
        tiles.noise_variance_adu2[chosen],
        tiles.noise_variance_adu2_err[chosen],
        rules.noise_prior_fraction,
    )
    exponential = fit_exponential(points[chosen], outlier_sigma=rules.outlier_sigma, prior=prior)
    kept = chosen[exponential.used] if exponential.has_values else chosen
    low, high = rules.quadratic_low_adu, rules.quadratic_high_adu
    quadratic = fit_quadratic(points[kept], low_adu=low, high_adu=high)
    fits: dict[Model, Fit] = {"exponential": exponential, "quadratic": quadratic}
    adopted = adopted_model(fits)
    used = np.zeros(tiles.pair.size, bool)
    used[chosen[fits[adopted].used]] = True
    reasons = {
        "flux_mismatch": mismatched,
        "saturated": cut,
        "too_few_tiles": sparse,
        "above_turnoff": good & ~np.isin(np.arange(good.size), chosen),
        "no_fit": good & (not fits[adopted].has_values),
        "outlier": good & ~used,
    }
    return Channel(
        fits=fits,
        adopted=adopted,
        turnoff=turnoff,
        level_chi2=level_chi2(exponential, points[chosen], tiles.level[chosen]),
        fit_max_adu={
            "exponential": _highest(tiles.mean_adu[chosen[exponential.used]]),
            "quadratic": _highest(tiles.mean_adu[kept[quadratic.used]]),
        },
        pairs=tuple(_pair(tiles, int(label), measured, used, reasons) for label in np.unique(tiles.pair)),
        usable=good,
    )


def _bad_pairs(tiles: Tiles, measured: Mask, saturated: Mask, rules: Rules) -> tuple[Mask, Mask]:
    """Mark the tiles of pairs whose fluxes differ, and of pairs with too few tiles that are measured or saturated."""
    mismatched, sparse = np.zeros(tiles.pair.size, bool), np.zeros(tiles.pair.size, bool)
    for label in np.unique(tiles.pair):
        here = tiles.pair == label
        sparse[here] = np.count_nonzero(here & (measured | saturated)) < rules.min_tiles
        both = here & measured
        if both.any():
            mean_1, mean_2 = float(np.mean(tiles.mean_1_adu[both])), float(np.mean(tiles.mean_2_adu[both]))
            noise = 2.0 * float(np.mean(tiles.mean_adu_err[both]))
            limit = max(rules.flux_mismatch_max * 0.5 * (mean_1 + mean_2), _MISMATCH_SIGMA * noise)
            mismatched[here] = abs(mean_1 - mean_2) > limit
    return mismatched, sparse


def _turnoff_data(tiles: Tiles, points: Points, good: Mask) -> TurnoffData:
    return TurnoffData(
        points=points,
        kurtosis=tiles.excess_kurtosis,
        kurtosis_err=tiles.excess_kurtosis_err,
        correlation=tiles.corr_01,
        correlation_err=tiles.corr_01_err,
        level=tiles.level,
        usable=good,
    )


def _highest(values: Floats) -> float:
    return float(values.max()) if values.size else math.nan


def _pair(tiles: Tiles, label: int, measured: Mask, used: Mask, reasons: Mapping[str, Mask]) -> Pair:
    here = tiles.pair == label
    chosen = here & used if (here & used).any() else here & measured
    n = int(np.count_nonzero(chosen))
    reason: str | None = None
    if not (here & used).any():
        counts = {name: int(np.count_nonzero(here & mask)) for name, mask in reasons.items()}
        reason = max(counts, key=lambda name: counts[name]) if any(counts.values()) else "too_few_tiles"

    def mean(values: Floats) -> float:
        return float(np.mean(values[chosen])) if n else math.nan

    def error(values: Floats) -> float:
        return float(np.sqrt(np.sum(values[chosen] ** 2))) / n if n else math.nan

    return Pair(
        pair=label,
        mean_adu=mean(tiles.mean_adu),
        mean_adu_err=error(tiles.mean_adu_err),
        variance_adu2=mean(tiles.variance_adu2),
        variance_adu2_err=error(tiles.variance_adu2_err),
        n_tiles=int(np.count_nonzero(here & measured)),
        n_tiles_used=int(np.count_nonzero(here & used)),
        reject_reason=reason,
    )
