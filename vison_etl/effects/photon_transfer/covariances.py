"""The covariances of one channel: which pairs count, the fits with c free and with c = 0, sum rule and symmetry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.fit import fit_covariances
from vison_etl.effects.covariance.frames import MeasuredPairs
from vison_etl.effects.covariance.record import CovarianceFit, Prior
from vison_etl.effects.covariance.sum_rule import NO_SUM, SumRule, sum_rule
from vison_etl.effects.covariance.symmetry import symmetry_chi2
from vison_etl.effects.photon_transfer.model import Fit, Floats, Mask, NoisePrior, no_fit
from vison_etl.effects.photon_transfer.saturation import saturated_without_light


@dataclass(frozen=True, slots=True)
class CovarianceRules:
    """What counts; parameters of the effect, which documents them."""

    outlier_sigma: float
    saturated_fraction_max: float
    c_is_free: bool


@dataclass(frozen=True, slots=True, eq=False)
class ChannelCovariances:
    """Fits to the pairs of a channel.

    ``eligible`` marks the pairs given to the fits among those measured, ``used`` those that the chosen fit kept. ``chosen`` is
    ``free``, or ``zero`` where c shall be held or there are too few levels to tell it.
    """

    measured: MeasuredPairs
    eligible: Mask
    used: Mask
    free: CovarianceFit
    zero: CovarianceFit
    chosen: CovarianceFit

    @property
    def outliers(self) -> Mask:
        """Return the eligible pairs that a fit left out; none where there is no fit."""
        return self.eligible & ~self.used if self.chosen.has_values else np.zeros_like(self.used)


def fit_channel(
    measured: MeasuredPairs, allowed: Mask, prior: NoisePrior | None, rules: CovarianceRules
) -> ChannelCovariances:
    """Fit the pairs of a channel that are allowed and have few pixels saturated by light.

    Parameters
    ----------
    measured
        All pairs of the channel, P of them.
    allowed
        Pairs below the turn-off, shape (P,).
    prior
        What is known of n_00.
    rules
        What counts.
    """
    saturated = measured.frame["n_saturated"].fill_null(0).to_numpy().astype(np.int64)
    static = saturated_without_light(saturated, measured.pairs.mean_adu, np.zeros(saturated.size, np.int64))
    eligible = allowed & (saturated - static <= rules.saturated_fraction_max * measured.pairs.n[:, 0, 0])
    pairs = measured.pairs[eligible]
    known = Prior(prior.n00_adu2, prior.sigma_adu2) if prior else None
    zero = fit_covariances(pairs, c_is_free=False, prior=known, outlier_sigma=rules.outlier_sigma)
    near = zero.coefficients if zero.has_values else None
    free = fit_covariances(pairs, c_is_free=True, prior=known, outlier_sigma=rules.outlier_sigma, near=near)
    chosen = free if rules.c_is_free and free.status != "no_data" else zero
    used = np.zeros(allowed.size, bool)
    used[np.flatnonzero(eligible)[chosen.used]] = True
    return ChannelCovariances(measured, eligible, used, free, zero, chosen)


def as_curve(fit: CovarianceFit, prior: NoisePrior | None) -> Fit:
    """Return the variance's part of a covariance fit as a record of a photon-transfer fit; ``used`` are pairs."""
    if not fit.has_values:
        return no_fit("covariance", fit.status, fit.used.size)
    found, reach = fit.coefficients, fit.coefficients.reach
    gain, n00 = found.gain_e_per_adu, float(found.n_e2[0, 0])
    chosen = np.array([0, 1, 1 + 2 * reach**2])
    slopes = np.diag([1.0, 1.0, gain**-2])
    slopes[2, 0] = -2.0 * n00 / gain**3
    return Fit(
        model="covariance",
        status=fit.status,
        gain_e_per_adu=gain,
        a00_per_e=float(found.a_per_e[0, 0]),
        n00_adu2=n00 / gain**2,
        covariance=_carried(fit.covariance[np.ix_(chosen, chosen)], slopes),
        chi2=fit.chi2,
        dof=fit.dof,
        used=fit.used,
        n_outliers=fit.n_outliers,
        prior=prior,
    )


def _carried(covariance: Floats, slopes: Floats) -> Floats:
    """Return slopes covariance slopes^T; an a00 without error keeps none and gives none to the others."""
    known = np.nan_to_num(covariance)
    carried = slopes @ known @ slopes.T
    if math.isnan(float(covariance[1, 1])):
        carried[1, :] = carried[:, 1] = math.nan
    return carried


def conservation(fit: CovarianceFit) -> SumRule:
    """Return the sum rule of a fit; NaN where it has no a_ij or one is at a bound."""
    lags = fit.coefficients.reach**2
    if fit.status != "ok":
        return NO_SUM
    return sum_rule(fit.coefficients.a_per_e, fit.covariance[1 : 1 + lags, 1 : 1 + lags])


def symmetry(found: ChannelCovariances, fit: CovarianceFit) -> tuple[float, int]:
    """Return chi2 and degrees of freedom of C(+i, +j) - C(+i, -j); (NaN, 0) without a fit."""
    if not fit.has_values:
        return math.nan, 0
    pairs = found.measured.pairs[found.eligible]
    return symmetry_chi2(pairs[fit.used], fit.coefficients)
