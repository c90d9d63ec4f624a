from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from vison_etl.effects.photon_transfer.model import (
    Fit,
    exponential_jacobian,
    exponential_variance,
    noise_e,
    phi,
)

MU = np.linspace(0.0, 6e4, 61)


def fit_of(n00: float, status: str = "ok", model: str = "exponential") -> Fit:
    covariance = np.diag([0.002**2, 1e-8**2, 0.4**2])
    covariance[0, 2] = covariance[2, 0] = -0.5 * 0.002 * 0.4
    return Fit(model, status, 3.5, -1.5e-6, n00, covariance, 100.0, 97, np.ones(100, bool))


@pytest.mark.parametrize("z", [0.0, 1e-12, -1e-5, 9.9e-3, -9.9e-3, 1.01e-2, -0.7, 1.5, -4.0])
def test_phi_is_exact_on_both_sides_of_the_series(z: float) -> None:
    with localcontext(prec=60):
        exact = Decimal(1) if z == 0 else (Decimal(z).exp() - 1) / Decimal(z)
        slope = Decimal("0.5") if z == 0 else (Decimal(z).exp() - exact) / Decimal(z)
    value, derivative = phi(np.array([z]))
    assert value[0] == pytest.approx(float(exact), rel=1e-14)
    assert derivative[0] == pytest.approx(float(slope), rel=1e-12)


@pytest.mark.parametrize("a00", [0.0, -1e-12, -1.5e-6, -3e-6, 2e-7])
def test_jacobian_is_the_derivative(a00: float) -> None:
    theta = np.array([3.5, a00, 1.6])
    value, jacobian = exponential_jacobian(MU, *theta)
    np.testing.assert_allclose(value, exponential_variance(MU, *theta))
    for k, step in enumerate((1e-4, 1e-10, 1e-2)):
        up, down = theta.copy(), theta.copy()
        up[k] += step
        down[k] -= step
        numeric = (exponential_variance(MU, *up) - exponential_variance(MU, *down)) / (2 * step)
        np.testing.assert_allclose(jacobian[:, k], numeric, rtol=1e-6, atol=1e-6 * np.abs(numeric).max())


def test_curve_without_brighter_fatter_is_a_line() -> None:
    np.testing.assert_allclose(exponential_variance(MU, 3.5, 0.0, 1.6), MU / 3.5 + 1.6)


def test_curve_agrees_with_its_definition() -> None:
    expected = np.expm1(2 * -1.5e-6 * 3.5 * MU) / (2 * -1.5e-6 * 3.5**2) + 1.6
    np.testing.assert_allclose(exponential_variance(MU, 3.5, -1.5e-6, 1.6), expected, rtol=1e-12)


def test_noise_has_quantisation_removed_and_the_error_of_gain_and_intercept() -> None:
    noise, error = noise_e(fit_of(1.25**2 + 1 / 12))
    assert noise == pytest.approx(3.5 * 1.25)
    rng = np.random.default_rng(3)
    drawn = rng.multivariate_normal([3.5, 1.25**2 + 1 / 12], [[4e-6, -4e-4], [-4e-4, 0.16]], 200_000)
    spread = np.std(drawn[:, 0] * np.sqrt(np.maximum(drawn[:, 1] - 1 / 12, 0.0)))
    assert error == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize("n00", [-0.5, 0.05, math.nan])
def test_noise_below_the_quantisation_is_missing(n00: float) -> None:
    assert all(math.isnan(value) for value in noise_e(fit_of(n00)))
