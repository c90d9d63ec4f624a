from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d

from tests.closure.covariance_fit_truth import REACH, Truth, bartlett
from vison_etl.effects.covariance.model import (
    Coefficients,
    covariances_adu2,
    curves,
    folded,
    lags_of,
    multiplicity,
    spectrum,
)

RNG = np.random.default_rng(5)


def kernel(reach: int = 5, scale: float = 1e-6) -> np.ndarray:
    i, j = np.indices((reach, reach))
    a = 0.1 * scale / (1.0 + np.hypot(i, 1.3 * j)) ** 3
    a[0, 0] = -scale
    return a


def coefficients(scale: float = 1e-6, b: float = -1e-6, reach: int = 5) -> Coefficients:
    a = kernel(reach, scale)
    return Coefficients(
        3.3, a, a * b, 0.1 * RNG.random((reach, reach)) + 5.0 * (np.arange(reach**2) == 0).reshape(reach, reach)
    )


def whole(lags: np.ndarray) -> np.ndarray:
    """Unfold the quadrant of lags to the plane."""
    half = np.concatenate([lags[:0:-1], lags])
    return np.concatenate([half[:, :0:-1], half], axis=1)


def test_spectra_and_lags_are_inverse() -> None:
    lags = RNG.standard_normal((7, 7))
    np.testing.assert_allclose(lags_of(spectrum(lags), 7), lags, atol=1e-13)
    np.testing.assert_allclose(lags_of(spectrum(lags), 9)[7:], 0.0, atol=1e-13)
    assert multiplicity(3).tolist() == [[1, 2, 2], [2, 4, 4], [2, 4, 4]]
    assert multiplicity(7).sum() == 13**2


def test_the_series_of_astier_et_al() -> None:
    """C_ij = m {d + a m + (2/3) [a*a + c] m² + (1/6) [2 a*a*a + 5 a*c] m³} up to terms of the fourth order."""
    found = coefficients()
    a, c = whole(found.a_per_e), whole(found.c_per_e2)
    twice, thrice, mixed = (convolve2d(x, a, mode="same") for x in (a, convolve2d(a, a), c))
    r = found.reach
    thrice = convolve2d(convolve2d(a, a), a)[2 * r - 2 : -2 * r + 2, 2 * r - 2 : -2 * r + 2]
    for m, rtol in ((1e3, 1e-9), (1e4, 1e-6)):
        delta = np.zeros_like(a)
        delta[r - 1, r - 1] = 1.0
        series = m * (delta + a * m + 2 / 3 * (twice + c) * m**2 + (2 * thrice + 5 * mixed) / 6 * m**3)
        value = curves(found, np.array([m])).value[0]
        np.testing.assert_allclose(value, series[r - 1 :, r - 1 :], atol=rtol * m)


@pytest.mark.parametrize("b", [0.0, -2e-6, 1e-6])
@pytest.mark.parametrize("a00", [-0.5e-6, -3e-6])
def test_it_solves_the_equation(a00: float, b: float) -> None:
    """Against Runge-Kutta on a full grid, at signals where the series would fail: 2 a00 m = -1.4."""
    truth = Truth(a00=a00, b_per_e=b)
    mean = np.array([1e3, 3e4, 6.5e4])
    expected = np.fft.ifft2(truth.power_spectra(mean)).real[:, :17, :17] / truth.gain**2
    a, c = truth.a[:17, :17], truth.c[:17, :17]
    found = covariances_adu2(Coefficients(truth.gain, a, c, np.zeros_like(a)), mean)
    # the truth has lags beyond 16 px too
    np.testing.assert_allclose(found[:, :REACH, :REACH], expected[:, :REACH, :REACH], rtol=1e-4, atol=3e-6 * 1e4)
    np.testing.assert_allclose(found[:, 0, 0], expected[:, 0, 0], rtol=1e-6)


def test_without_c_it_is_the_exponential_of_each_frequency() -> None:
    found = coefficients(3e-6, 0.0)
    m, a = 2e5, spectrum(found.a_per_e)
    expected = lags_of(np.expm1(2 * a * m) / (2 * a), found.reach)
    np.testing.assert_allclose(curves(found, np.array([m])).value[0], expected, rtol=1e-10, atol=1e-6)


def test_derivatives() -> None:
    found, m = coefficients(), np.array([2e4, 1.5e5])
    curve = curves(found, m)
    step = 1.0
    ahead, behind = curves(found, m + step), curves(found, m - step)
    np.testing.assert_allclose(curve.slope, (ahead.value - behind.value) / (2 * step), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(curve.curvature, (ahead.slope - behind.slope) / (2 * step), rtol=1e-5, atol=1e-12)
    for name, derivative, step in (("a_per_e", curve.by_a, 1e-10), ("c_per_e2", curve.by_c, 1e-16)):
        for lag in ((0, 0), (0, 2), (3, 0), (2, 4)):
            shifted = []
            for sign in (1, -1):
                parts = {key: getattr(found, key).copy() for key in ("a_per_e", "c_per_e2")}
                parts[name][lag] += sign * step
                shifted.append(curves(Coefficients(3.3, parts["a_per_e"], parts["c_per_e2"], found.n_e2), m).value)
            numeric = ((shifted[0] - shifted[1]) / (2 * step)).reshape(2, -1)
            column = np.ravel_multi_index(lag, (5, 5))
            np.testing.assert_allclose(derivative[:, :, column], numeric, rtol=1e-6, atol=1e-6 * np.abs(numeric).max())


def test_sampling_matrices_are_those_of_bartlett_lag_by_lag() -> None:
    truth = Truth(a00=-3e-6)
    mean = np.array([1e5 / truth.gain])
    n00 = truth.n00_adu2 * truth.gain**2
    power = truth.power_spectra(mean)[0] + n00
    noise = np.zeros((REACH, REACH))
    noise[0, 0] = n00
    found = Coefficients(truth.gain, truth.a[:REACH, :REACH], truth.c[:REACH, :REACH], noise)
    mine = curves(found, truth.gain * mean).sampling[0]
    expected = bartlett(power)
    np.testing.assert_allclose(mine, expected, atol=2e-4 * expected[0, 0])
    scale = np.sqrt(np.diag(expected))
    correlation = expected / np.outer(scale, scale)
    # what taking lags as independent would neglect: 9 % correlation of the variance with its neighbour
    assert 0.05 < correlation[0, 1] < 0.15
    value = np.fft.ifft2(power).real
    assert expected[0, 0] > 1.001 * 2 * value[0, 0] ** 2


def test_odd_folding_is_that_of_differences_of_lags() -> None:
    truth = Truth(a00=-3e-6)
    power = truth.power_spectra(np.array([3e4]))[0]
    expected = bartlett(power, of_differences=True)
    # every second frequency of a period of 128 px: what wraps around comes from beyond lag 48
    mine = 8.0 * folded(power[:65:2, :65:2] ** 2, REACH, odd=True)
    np.testing.assert_allclose(mine, expected, atol=1e-5 * expected.max())
