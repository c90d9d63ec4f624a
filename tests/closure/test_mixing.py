"""Closure of the mixing of neighbours: what it does to gains, and that it is estimated with honest errors.

The truth is mixed per spatial frequency, as a filter on each frame: o(x) = (1 - beta) s(x) + beta s(x - 1) makes the power spectrum of a
flat field 1 - 2 beta (1 - beta) (1 - cos k) of what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from tests.closure.covariance_fit_truth import FULL_SCALE, PTC01, REACH, SIZE, Sample, Truth, bartlett, simulate
from tests.effects.covariance.pairs_of import pairs_of, prior_of
from tests.pulls import assert_pulls
from vison_etl.effects.covariance.fit import fit_covariances
from vison_etl.effects.covariance.record import CovarianceFit, Prior
from vison_etl.effects.photon_transfer.exponential import fit_exponential
from vison_etl.effects.photon_transfer.model import Points

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRUTH = Truth(a00=-1.5e-6)
SERIAL_CTI = 1e-6 * (51 + 1024)
PARALLEL_CTI = 1e-6 * 1033
"""Fraction left behind on the way from the middle of a quadrant, 1e-6 per transfer."""


@dataclass(frozen=True)
class Mixed:
    """Covariances of a mixed flat field: the change against the truth, ADU², as a function of the signal, ADU."""

    x: float
    y: float

    def change(self) -> CubicSpline:
        mean = np.linspace(0.02, 1.0, 50) * FULL_SCALE
        lost = 1.0 - np.cos(2.0 * np.pi * np.fft.fftfreq(SIZE))
        left_x, left_y = (1.0 - 2.0 * beta * (1.0 - beta) * lost for beta in (self.x, self.y))
        changed = TRUTH.power_spectra(mean) * (np.outer(left_x, left_y) - 1.0)
        lags = np.fft.ifft2(changed).real[:, :REACH, :REACH] / TRUTH.gain**2
        return CubicSpline(np.append(0.0, mean), np.concatenate([np.zeros((1, REACH, REACH)), lags]))


def fits_of(found: Sample) -> tuple[CovarianceFit, CovarianceFit]:
    pairs, prior = pairs_of(found), prior_of(found)
    held = fit_covariances(pairs, c_is_free=False, prior=prior)
    return held, fit_covariances(pairs, prior=prior, near=held.coefficients)


@pytest.mark.parametrize(
    ("n", "x", "y"),
    [
        (60, SERIAL_CTI, PARALLEL_CTI / 2),
        pytest.param(400, SERIAL_CTI, PARALLEL_CTI / 2, marks=pytest.mark.lengthy),
        pytest.param(400, 0.0, 0.0, marks=pytest.mark.lengthy),
    ],
)
def test_mixing_is_estimated_with_honest_errors(n: int, x: float, y: float) -> None:
    change = Mixed(x, y).change()
    kinds: tuple[list[CovarianceFit], ...] = ([], [])
    for rng in np.random.default_rng(n + 21).spawn(n):
        found = simulate(rng, TRUTH)
        found = replace(found, covariance_adu2=found.covariance_adu2 + change(found.mean_adu))
        for kind, fit in zip(kinds, fits_of(found), strict=True):
            kind.append(fit)
    for fits in kinds:
        mixings = [fit.mixing for fit in fits]
        assert_pulls([one.x for one in mixings], [one.x_err for one in mixings], x)
        assert_pulls([one.y for one in mixings], [one.y_err for one in mixings], y)
        assert_pulls([one.gain_bias for one in mixings], [one.gain_bias_err for one in mixings], 2.0 * (x + y))
        gains = np.array([fit.coefficients.gain_e_per_adu for fit in fits]) / TRUTH.gain - 1.0
        assert abs(gains.mean() - 2.0 * (x + y)) < 3.3 * gains.std() / np.sqrt(n) + 2e-5
        # why it is no free parameter: the gain would scatter four times as much at least
        error = np.array([fit.errors.gain_e_per_adu for fit in fits]) / TRUTH.gain
        assert np.median([one.gain_bias_err for one in mixings] / error) > 3.5


@pytest.mark.parametrize(
    ("mixed", "bias"),
    [
        (Mixed(1e-4, 0.0), 2.0e-4),
        (Mixed(SERIAL_CTI, 0.0), 2.15e-3),
        (Mixed(0.0, PARALLEL_CTI), 2.07e-3),
        (Mixed(1e-4 + SERIAL_CTI, PARALLEL_CTI), 4.43e-3),
    ],
    ids=["bounce", "serial", "parallel", "all"],
)
def test_what_it_does_to_a_gain(mixed: Mixed, bias: float) -> None:
    """A bounce of 1e-4: 0.02 %; transfer inefficiency of 1e-6 along rows or columns: 0.21 % each; all together 0.44 %.

    Any gain from the variance has it; that from the sum over lags does not (but see below).
    """
    mean = np.array(list(PTC01)) * FULL_SCALE
    lags = np.fft.ifft2(TRUTH.power_spectra(mean)).real[:, :REACH, :REACH] / TRUTH.gain**2
    change = mixed.change()(mean)
    found = simulate(np.random.default_rng(1), TRUTH, dict.fromkeys(PTC01, 1))
    noise = np.zeros((REACH, REACH))
    noise[0, 0] = TRUTH.n00_adu2
    still = replace(found, mean_adu=mean, imbalance=np.zeros(mean.size), spread_adu=np.zeros(mean.size))
    gains = []
    for covariance in (lags, lags + change):
        pairs = pairs_of(replace(still, covariance_adu2=covariance + noise))
        fit = fit_covariances(pairs, prior=Prior(TRUTH.n00_adu2, 0.05 * TRUTH.n00_adu2))
        variance = covariance[:, 0, 0] + TRUTH.n00_adu2
        curve = fit_exponential(Points(mean, variance, np.full(mean.size, 1e-3)), outlier_sigma=np.inf)
        weight = np.outer([1] + [2] * (REACH - 1), [1] + [2] * (REACH - 1))
        whole = np.sum(weight * covariance, axis=(1, 2))
        gains.append([fit.coefficients.gain_e_per_adu, curve.gain_e_per_adu, float(mean[0] / whole[0])])
    covariance, exponential, summed = (after / before - 1.0 for before, after in zip(*gains, strict=True))
    assert covariance == pytest.approx(bias, rel=0.02)
    assert exponential == pytest.approx(bias, rel=0.02)
    assert abs(summed) < 0.01 * bias


def test_the_sum_over_lags_scatters_too_much() -> None:
    """So it is no way out: seventeen times the relative error of the variance at 20 kADU."""
    power = TRUTH.power_spectra(np.array([2e4]))[0]
    weight = np.outer([1] + [2] * (REACH - 1), [1] + [2] * (REACH - 1)).ravel()
    lags, matrix = np.fft.ifft2(power).real[:REACH, :REACH].ravel(), bartlett(power)
    of_sum = np.sqrt(weight @ matrix @ weight) / (weight @ lags)
    assert of_sum > 10 * np.sqrt(matrix[0, 0]) / lags[0]
