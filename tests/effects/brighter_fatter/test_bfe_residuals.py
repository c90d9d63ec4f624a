"""Residual covariances: the factor of the correction, and what theory leaves."""

import numpy as np
import pytest

from tests.effects.brighter_fatter.test_lags_and_kernel import coefficients
from tests.pulls import assert_pulls
from vison_etl.effects.brighter_fatter.residuals import (
    first_order,
    inverse,
    light_gain,
    photon_covariances,
    residuals,
)
from vison_etl.effects.covariance.lags import multiplicity
from vison_etl.effects.covariance.model import spectrum

SIGNAL = 1.3e5
A = coefficients()
NONE = np.zeros_like(A)


def between_pixels(covariance):
    weights = multiplicity(covariance.shape[0])
    weights[0, 0] = 0
    return (weights * np.abs(covariance)).sum()


def test_light_gain_without_growth():
    x = spectrum(A) * SIGNAL
    safe = np.where(np.abs(x) < 1e-12, 1e-12, x)
    np.testing.assert_allclose(light_gain(A, NONE, SIGNAL), np.expm1(safe) / safe, rtol=1e-9)


def test_light_gain_with_growth():
    """d q / dt of a weak ripple in the light: 1 + (a m + c m^2 t) q, in 20 000 steps."""
    c = A * 2e-6
    a_m, c_m2 = spectrum(A)[5, 9] * SIGNAL, spectrum(c)[5, 9] * SIGNAL**2
    q, steps = 0.0, 20_000
    for n in range(steps):
        t = (n + 0.5) / steps
        half = q + (1 + (a_m + c_m2 * t) * q) / (2 * steps)
        q += (1 + (a_m + c_m2 * t) * half) / steps
    assert light_gain(A, c, SIGNAL)[5, 9] == pytest.approx(q, rel=1e-6)
    assert abs(q - light_gain(A, NONE, SIGNAL)[5, 9]) > 0.001


def test_what_is_left_is_second_order():
    model = photon_covariances(A, NONE, SIGNAL)
    left = residuals(model, NONE, model, inverse(A, NONE, SIGNAL), 4)
    assert left.expected == pytest.approx(left.after)
    assert between_pixels(left.after) < 0.05 * between_pixels(left.before)
    assert SIGNAL < left.after[0, 0] < 1.02 * SIGNAL
    # Half the signal, half of it.
    half = photon_covariances(A, NONE, SIGNAL / 2)
    less = residuals(half, NONE, half, inverse(A, NONE, SIGNAL / 2), 4)
    ratio = between_pixels(less.after) / between_pixels(less.before)
    assert ratio == pytest.approx(0.5 * between_pixels(left.after) / between_pixels(left.before), rel=0.15)


def test_a_wrong_kernel_leaves_what_is_wrong():
    model = photon_covariances(A, NONE, SIGNAL)
    left = residuals(model, NONE, model, inverse(0.5 * A, NONE, SIGNAL), 4)
    assert between_pixels(left.after) > 0.35 * between_pixels(left.before)
    untouched = residuals(model, NONE, model, first_order(NONE, SIGNAL), 4)
    np.testing.assert_allclose(untouched.after, model[:4, :4], atol=1e-6)


def test_errors():
    """Independent noise of every lag, 400 draws."""
    rng = np.random.default_rng(2)
    model = photon_covariances(A, NONE, SIGNAL)
    error = np.full(A.shape, 20.0)
    factor = inverse(A, NONE, SIGNAL)
    found = [residuals(model + error * rng.standard_normal(A.shape), error, model, factor, 4) for _ in range(400)]
    for lag in ((0, 0), (1, 0), (0, 1), (2, 2)):
        assert_pulls([f.after[lag] for f in found], [f.after_err[lag] for f in found], found[0].expected[lag])
