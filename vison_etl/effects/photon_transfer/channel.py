"""All that is done with one channel: which tiles and pairs count, where the curve turns off, the fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.frames import MeasuredPairs
from vison_etl.effects.photon_transfer.adoption import LevelChi2, adopted_model
from vison_etl.effects.photon_transfer.bracket import Turnoff
from vison_etl.effects.photon_transfer.covariances import (
    ChannelCovariances,
    CovarianceRules,
    as_curve,
    fit_channel,
)
from vison_etl.effects.photon_transfer.exponential import fit_exponential
from vison_etl.effects.photon_transfer.goodness import level_chi2
from vison_etl.effects.photon_transfer.model import Fit, Floats, Mask, Model, NoisePrior
from vison_etl.effects.photon_transfer.noise import noise_prior
from vison_etl.effects.photon_transfer.points import Pair, pair_point
from vison_etl.effects.photon_transfer.quadratic import fit_quadratic
from vison_etl.effects.photon_transfer.selection import Selection, TileRules, select
from vison_etl.effects.photon_transfer.tiles import Integers, Tiles


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts; the parameters of the effect, which documents them."""

    tiles: TileRules
    outlier_sigma: float
    noise_prior_fraction: float
    quadratic_low_adu: float
    quadratic_high_adu: float
    badfit_p: float
    covariance: CovarianceRules


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredChannel:
    """Tiles and covariances of one channel; ``covariance_pair``: the label that the tiles have for each pair of covariances."""

    tiles: Tiles
    covariances: MeasuredPairs
    covariance_pair: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """Results of one channel."""

    fits: Mapping[Model, Fit]
    adopted: Model
    level_chi2: LevelChi2
    fit_max_adu: Mapping[Model, float]
    selection: Selection
    tiles_used: Mask
    pairs: tuple[Pair, ...]
    covariances: ChannelCovariances
    prior: NoisePrior | None

    @property
    def turnoff(self) -> Turnoff:
        """Return the turn-off."""
        return self.selection.turnoff

    @property
    def fit(self) -> Fit:
        """Return the adopted fit."""
        return self.fits[self.adopted]


def analyse_channel(given: MeasuredChannel, rules: Rules) -> Channel:
    """Fit one channel.

    The fits take the tiles up to the turn-off, all but the quadratic also the noise of their prescan. For the covariances of a
    pair, averages over the quadrant, see ``_allowed``.
    """
    tiles, selection = given.tiles, select(given.tiles, rules.tiles)
    chosen = np.flatnonzero(selection.chosen)
    points = selection.points[chosen]
    prior = _prior(tiles, chosen, rules.noise_prior_fraction)
    exponential = fit_exponential(points, outlier_sigma=rules.outlier_sigma, prior=prior)
    kept = chosen[exponential.used] if exponential.has_values else chosen
    low, high = rules.quadratic_low_adu, rules.quadratic_high_adu
    quadratic = fit_quadratic(selection.points[kept], low_adu=low, high_adu=high)
    covariances = fit_channel(given.covariances, _allowed(given, selection), prior, rules.covariance)
    fits: dict[Model, Fit] = {
        "covariance": as_curve(covariances.chosen, prior),
        "exponential": exponential,
        "quadratic": quadratic,
    }
    levels: LevelChi2 = {
        "covariance": covariances.chosen.goodness[1:],
        "exponential": [level_chi2(exponential, points, tiles.level[chosen])],
        "quadratic": [(math.nan, 0)],
    }
    adopted = adopted_model(fits, levels, rules.badfit_p)
    used = _tiles_used(given, selection, adopted, exponential, covariances)
    reasons = _reasons(given, selection, fits[adopted], covariances, used)
    return Channel(
        fits=fits,
        adopted=adopted,
        level_chi2=levels,
        fit_max_adu={
            "covariance": _highest(given.covariances.pairs.mean_adu[covariances.used]),
            "exponential": _highest(tiles.mean_adu[chosen[exponential.used]]),
            "quadratic": _highest(tiles.mean_adu[kept[quadratic.used]]),
        },
        selection=selection,
        tiles_used=used,
        pairs=tuple(
            pair_point(tiles, int(label), selection.measured, used, reasons) for label in np.unique(tiles.pair)
        ),
        covariances=covariances,
        prior=prior,
    )


def fit_without_prior(given: MeasuredChannel, rules: Rules) -> tuple[ChannelCovariances, NoisePrior | None]:
    """Fit the covariances of the pairs below the turn-off without the noise of the prescan, and say what that is.

    Tests fitted together share one prior, which must not count in each of them.
    """
    selection = select(given.tiles, rules.tiles)
    prior = _prior(given.tiles, np.flatnonzero(selection.chosen), rules.noise_prior_fraction)
    return fit_channel(given.covariances, _allowed(given, selection), None, rules.covariance), prior


def _allowed(given: MeasuredChannel, selection: Selection) -> Mask:
    """Mark the covariances of pairs of levels that are below the turn-off as a whole.

    Weak tiles may be among them if their cells were left out when the covariances were measured.
    """
    has_cells_out = given.covariances.frame["n_cells_out"].fill_null(0).to_numpy() > 0
    is_clean = has_cells_out | ~np.isin(given.covariance_pair, selection.weak_pairs)
    return np.isin(given.covariance_pair, selection.whole_pairs) & is_clean


def _prior(tiles: Tiles, chosen: Integers, fraction: float) -> NoisePrior | None:
    return noise_prior(
        tiles.pair[chosen],
        tiles.y[chosen],
        tiles.noise_variance_adu2[chosen],
        tiles.noise_variance_adu2_err[chosen],
        fraction,
    )


def _tiles_used(
    given: MeasuredChannel, selection: Selection, adopted: Model, exponential: Fit, covariances: ChannelCovariances
) -> Mask:
    """Mark the tiles behind the adopted fit: those it took, or those of the pairs whose covariances it took."""
    if adopted == "covariance":
        return selection.averaged & np.isin(given.tiles.pair, given.covariance_pair[covariances.used])
    used = np.zeros(given.tiles.pair.size, bool)
    used[np.flatnonzero(selection.chosen)[exponential.used]] = True
    return used


def _reasons(
    given: MeasuredChannel, selection: Selection, fit: Fit, covariances: ChannelCovariances, used: Mask
) -> dict[str, Mask]:
    """Mark by reason the tiles that the adopted fit did not take.

    A pair below the turn-off whose covariances are not whole, because some of its tiles are saturated, is saturated.
    """
    good, below, pair = selection.good, selection.chosen, given.tiles.pair
    cut, without = selection.cut, np.zeros_like(good)
    if fit.model == "covariance":
        below = good & np.isin(pair, selection.whole_pairs)
        is_above = np.isin(pair, pair[good & ~selection.averaged])
        cut = cut | (good & ~below & ~is_above & np.isin(pair, pair[cut]))
        without = below & ~np.isin(pair, given.covariance_pair[covariances.eligible])
    return {
        "flux_mismatch": selection.mismatched,
        "saturated": cut,
        "too_few_tiles": selection.sparse,
        "above_turnoff": good & ~below & ~cut,
        "no_covariances": without,
        "no_fit": good & (not fit.has_values),
        "outlier": good & ~used,
    }


def _highest(values: Floats) -> float:
    return float(values.max()) if values.size else math.nan
