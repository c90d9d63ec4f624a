"""Gain of the straight line through corrected variances: 400 channels from the true statistics of covariances.

The correction acts on the covariances of a pair as it does on its pixels (`residuals.inverse`): the pairs judged are the first of each
level, a fifth of those that made the coefficients.
"""

import numpy as np
import pytest

from tests.closure.covariance_fit_truth import Truth, simulate
from tests.effects.covariance.pairs_of import pairs_of, prior_of
from tests.pulls import assert_pulls
from vison_etl.effects.brighter_fatter.corrected_ptc import Line, Point, fit_line
from vison_etl.effects.brighter_fatter.residuals import inverse, photon_covariances, residuals
from vison_etl.effects.covariance.fit import fit_covariances
from vison_etl.effects.covariance.kernel import kernels_of

N_PX = 512 * 512
TRUTH = Truth(gain=3.4, a00=-1.3e-6, b_per_e=5e-7, power=4.0)


def lines(seed, n_channels):
    """Return per channel: covariance gain and its error, line after, line before."""
    found = []
    for rng in np.random.default_rng(seed).spawn(n_channels):
        sample = simulate(rng, TRUTH, n_px=N_PX, spread=0.0)
        pairs = pairs_of(sample)
        fit = fit_covariances(pairs, prior=prior_of(sample))
        assert fit.status == "ok"
        first = np.unique(sample.level, return_index=True)[1]
        points = [of_pair(pairs.mean_adu[k], pairs.covariance_adu2[k], pairs.n[k], fit) for k in first]
        after, before = fit_line([p for p, _ in points], fit), fit_line([p for _, p in points])
        found.append((fit.coefficients.gain_e_per_adu, fit.errors.gain_e_per_adu, after, before))
    return found


def of_pair(mean_adu, covariance_adu2, n, fit):
    """Return the points of one pair after and before the correction."""
    gain, noise, kernels = fit.coefficients.gain_e_per_adu, fit.coefficients.n_e2, kernels_of(fit)
    a, c, signal = kernels.a.values, kernels.c, gain * mean_adu
    factor = inverse(a, c, signal)
    model = photon_covariances(a, c, signal)
    found = residuals(gain**2 * covariance_adu2 - noise, np.zeros_like(noise), model, factor, 1)
    left = found.expected[0, 0] - signal
    error = np.sqrt(2 / n[0, 0])
    variances = found.after[0, 0] - left, found.before[0, 0]
    return tuple(Point(mean_adu, v / gain**2, error * v / gain**2, factor) for v in variances)


def check(seed, n_channels):
    gains, errors, after, before = zip(*lines(seed, n_channels), strict=True)
    values = np.array([line.gain_e_per_adu for line in after])
    assert_pulls(values, [line.gain_e_per_adu_err for line in after], TRUTH.gain)
    assert_pulls(values - gains, [line.difference_err for line in after], 0.0)
    assert_pulls([line.intercept_adu2 for line in after], [line.intercept_adu2_err for line in after], 0.0)
    bias, error = values.mean() / TRUTH.gain - 1, values.std(ddof=1) / TRUTH.gain / np.sqrt(n_channels)
    assert abs(bias) < 3.3 * error
    # A straight line through the curve as measured must fail.
    assert np.mean([line.gain_e_per_adu for line in before]) > 1.05 * TRUTH.gain
    assert np.median([line.chi2 for line in before]) > 10 * np.median([line.chi2 for line in after])
    return bias, error, errors


@pytest.mark.slow
def test_line_of_a_few_channels():
    check(5, 24)


@pytest.mark.slow
@pytest.mark.lengthy
def test_line_of_400_channels():
    _, error, _ = check(6, 400)
    assert error < 2e-4


def test_too_few_points_and_no_slope():
    factor = np.ones((33, 33))
    points = [Point(m, v, 1.0, factor) for m, v in ((1e3, 300.0), (2e3, 200.0), (3e3, 100.0))]
    assert fit_line(points[:2]).status == "no_data"
    failed = fit_line(points)
    assert isinstance(failed, Line)
    assert failed.status == "failed"
    assert np.isnan(failed.gain_e_per_adu)
