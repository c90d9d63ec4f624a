"""Truth of covariances of flat fields, made without the code under test.

The differential equation dS/dm = 1 + 2 (a(k) + c(k) m) S is integrated by Runge-Kutta (DOP853) on a full periodic grid of 128 px,
for kernels with tails that reach its half. Samples are drawn from the normal distribution that Bartlett's formula gives for
estimated covariances of a stationary field, summed over lags one by one on the same grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

FULL_SCALE = 65536.0
SIZE = 128
REACH = 9
QUADRANT_PX = 2048 * 2066
PTC01 = {0.05: 5, 0.10: 5, 0.20: 5, 0.30: 5, 0.50: 5, 0.70: 5, 0.80: 5, 0.90: 5}
PTC02 = {0.10: 2, 0.30: 2, 0.50: 2, 0.70: 2, 0.80: 2, 0.90: 2}


@cache
def shape(power: float = 3.0, near: tuple[float, float, float] = (0.14, 0.06, 0.02)) -> np.ndarray:
    """Return a_ij / |a00| on the periodic grid, indexed [x, y]: -1 at zero, ``near`` at (0, 1), (1, 0), (1, 1), and a tail
    r^-power over the whole grid that makes the sum zero."""
    lag = np.fft.fftfreq(SIZE, 1.0 / SIZE)
    r = np.hypot(lag[:, None], lag[None])
    kernel = np.zeros((SIZE, SIZE))
    kernel[0, [1, -1]], kernel[[1, -1], 0] = near[0], near[1]
    kernel[np.ix_([1, -1], [1, -1])] = near[2]
    tail = np.where((r > 1.5) & (r < SIZE / 2), np.maximum(r, 1.0) ** -power, 0.0)
    kernel += tail * (1.0 - kernel.sum()) / tail.sum()
    kernel[0, 0] = -1.0
    return kernel


@dataclass(frozen=True)
class Truth:
    """A channel. ``b_per_e``: c_ij = a_ij b, one b for all lags."""

    gain: float = 3.5
    a00: float = -1.5e-6
    b_per_e: float = 0.0
    ron_adu: float = 1.25
    power: float = 3.0
    near: tuple[float, float, float] = (0.14, 0.06, 0.02)

    @property
    def a(self) -> np.ndarray:
        """Return a_ij, 1/e, on the whole grid."""
        return abs(self.a00) * shape(self.power, self.near)

    @property
    def c(self) -> np.ndarray:
        """Return c_ij, 1/e²."""
        return self.a * self.b_per_e

    @property
    def n00_adu2(self) -> float:
        """Return the variance at zero signal."""
        return self.ron_adu**2 + 1.0 / 12.0

    def power_spectra(self, mean_adu: np.ndarray) -> np.ndarray:
        """Return S(k), e², at ascending signals, shape (L, SIZE, SIZE)."""
        a, c = (np.fft.fft2(kernel).real.ravel() for kernel in (self.a, self.c))
        signal = self.gain * np.asarray(mean_adu)
        levels, back = np.unique(np.round(np.stack([a, c]) * 1e9, 9), axis=1, return_inverse=True)
        a, c = levels / 1e9
        solution = solve_ivp(
            lambda m, s: 1.0 + 2.0 * (a + c * m) * s,
            (0.0, float(signal[-1])),
            np.zeros(a.size),
            method="DOP853",
            t_eval=signal,
            rtol=1e-10,
            atol=1e-6,
        )
        return solution.y.T[:, back.ravel()].reshape(-1, SIZE, SIZE)


@cache
def tabulated(truth: Truth) -> tuple[CubicSpline, np.ndarray, np.ndarray]:
    """Return a spline of the covariances (r, r), ADU², and spectra at signals."""
    mean = np.linspace(0.02, 1.0, 50) * FULL_SCALE
    spectra = truth.power_spectra(mean)
    lags = np.fft.ifft2(spectra).real[:, :REACH, :REACH] / truth.gain**2
    curve = CubicSpline(np.append(0.0, mean), np.concatenate([np.zeros((1, REACH, REACH)), lags]))
    return curve, mean, spectra


def bartlett(power: np.ndarray, *, of_differences: bool = False) -> np.ndarray:
    """Return the covariance matrix of estimated covariances, per pixel, of lags (i, j), all r² of them in order.

    cov(C_u, C_v) = sum over z of C(z) C(z + u - v) + C(z) C(z + u + v) for single lags. Here of the means of those of (i, j) and
    (i, -j); or, ``of_differences``, of C(i, j) - C(i, -j).
    """
    c = np.fft.ifft2(power).real
    products = np.fft.ifft2(np.abs(np.fft.fft2(c)) ** 2).real
    matrix = np.zeros((REACH**2, REACH**2))
    for p, (i, j) in enumerate(np.ndindex(REACH, REACH)):
        for q, (k, m) in enumerate(np.ndindex(REACH, REACH)):
            same = products[i - k, j - m] + products[i + k, j + m]
            other = products[i - k, j + m] + products[i + k, j - m]
            matrix[p, q] = 2.0 * (same - other) if of_differences else 0.5 * (same + other)
    return matrix


@dataclass(frozen=True)
class Sample:
    """Measured pairs of one channel; arrays over pairs."""

    mean_adu: np.ndarray
    imbalance: np.ndarray
    spread_adu: np.ndarray
    covariance_adu2: np.ndarray
    difference_adu2: np.ndarray
    n: np.ndarray
    level: np.ndarray
    noise_adu2: float
    noise_adu2_err: float


@cache
def roots(truth: Truth, levels: tuple[float, ...]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return Cholesky factors, ADU² of one pixel, for the means and the differences of lags at each level."""
    spectra = truth.power_spectra(np.array(levels) * FULL_SCALE) + truth.n00_adu2 * truth.gain**2
    inner = np.flatnonzero(np.outer(np.arange(REACH) > 0, np.arange(REACH) > 0))
    return tuple(
        (
            np.linalg.cholesky(bartlett(power)) / truth.gain**2,
            np.linalg.cholesky(bartlett(power, of_differences=True)[np.ix_(inner, inner)]) / truth.gain**2,
        )
        for power in spectra
    )


def simulate(
    rng: np.random.Generator,
    truth: Truth,
    plan: Mapping[float, int] = PTC01,
    *,
    n_px: int = QUADRANT_PX,
    spread: float = 0.03,
    prior_fraction: float = 0.05,
) -> Sample:
    """Draw one channel: flux of each frame +-1 % rms, illumination over the quadrant uniform with rms ``spread``, prescan
    noise within ``prior_fraction`` of that of the image."""
    levels = tuple(plan)
    level = np.repeat(np.arange(len(levels)), list(plan.values()))
    light = np.array(levels)[level] * FULL_SCALE
    first, second = light * (1.0 + 0.01 * rng.standard_normal((2, level.size)))
    curve, _, _ = tabulated(truth)
    n00 = np.zeros((REACH, REACH))
    n00[0, 0] = truth.n00_adu2
    mean, imbalance = 0.5 * (first + second), (first - second) / (first + second)
    places = 1.0 + spread * np.sqrt(3.0) * np.polynomial.legendre.leggauss(6)[0]
    weights = 0.5 * np.polynomial.legendre.leggauss(6)[1]
    expected = np.zeros((level.size, REACH, REACH))
    for place, weight in zip(places, weights, strict=True):
        w1, w2 = (1.0 + imbalance)[:, None, None], (1.0 - imbalance)[:, None, None]
        of_first, of_second = curve(place * first) + n00, curve(place * second) + n00
        expected += weight * (w2**2 * of_first + w1**2 * of_second) / (2.0 * w1 * w2)
    n = np.array([[(2048 - i) * (2066 - j) for j in range(REACH)] for i in range(REACH)]) * n_px / QUADRANT_PX
    noise = np.stack([roots(truth, levels)[k][0] @ rng.standard_normal(REACH**2) for k in level])
    odd = np.stack([roots(truth, levels)[k][1] @ rng.standard_normal((REACH - 1) ** 2) for k in level])
    seen = truth.n00_adu2 * (1.0 + prior_fraction * rng.standard_normal())
    return Sample(
        mean_adu=mean,
        imbalance=imbalance,
        spread_adu=spread * mean,
        covariance_adu2=expected + noise.reshape(expected.shape) / np.sqrt(n),
        difference_adu2=odd.reshape(-1, REACH - 1, REACH - 1) / np.sqrt(n[1:, 1:]),
        n=np.broadcast_to(n, expected.shape).copy(),
        level=level,
        noise_adu2=seen,
        noise_adu2_err=prior_fraction * seen,
    )
