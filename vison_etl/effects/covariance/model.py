"""Covariances C_ij of a flat field against its mean signal: the exact solution, its derivatives, and how samples of it scatter.

Charge already in the pixels changes the areas that collect what follows. Per spatial frequency k and in electrons (Astier et al.
2019, the equation whose series is their Eq. 20)::

    dC(k) / dm = 1 + 2 [a(k) + c(k) m] C(k),    C(k, 0) = 0
    C(k, m) = integral_0^m exp(2 a(k) (m - s) + c(k) (m² - s²)) ds

with a(k), c(k) the cosine transforms of a_ij (1/e) and c_ij (1/e²), equal in the four quadrants of lags. To third order this is
C_ij = m d_ij + a_ij m² + (2/3) [a*a + c]_ij m³ + (1/6) [2 a*a*a + 5 a*c]_ij m⁴; the series is not used, so strong kernels at high
signal are not cut. c = 0 gives [exp(2 a m) - 1] / (2 a).

Matrices of lags have the shape (r, r), indexed [lag_x, lag_y], 0 <= lag < r; flattened, r² lags.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_HALF = 32
"""Frequencies 0 ... _HALF per axis of a period of 64 px: what wraps around to lag 8 comes from beyond lag 55."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_T = 0.5 * (_NODES + 1.0)
_W = 0.5 * _WEIGHTS

EXPONENT_MAX = 8.0
"""Largest |2 a(k) m + c(k) m²| up to which the quadrature is exact to 1e-10; beyond, it is no covariance of a flat field."""


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """Parameters of the model. ``a_per_e``, ``c_per_e2``, ``n_e2``: shape (r, r).

    ``n_e2[0, 0]`` is the variance at zero signal and holds the quantisation of the ADC, g²/12; its errors are those of rounding,
    independent from pixel to pixel, so no other lag has any of it.
    """

    gain_e_per_adu: float
    a_per_e: Floats
    c_per_e2: Floats
    n_e2: Floats

    @property
    def reach(self) -> int:
        """Return r, the number of lags per axis."""
        return int(self.a_per_e.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Covariances at L signals, electrons: value, first and second derivative by the signal, each (L, r, r); ``power``, C(k).

    ``by_a``, ``by_c``: derivatives by a_kl and c_kl, shape (L, r², r²), the lag of the covariance first. ``sampling``, shape
    (L, r², r²): covariance matrix of the sample covariances of one pixel, e⁴ (see `curves`).
    """

    value: Floats
    slope: Floats
    curvature: Floats
    by_a: Floats
    by_c: Floats
    sampling: Floats
    power: Floats


@cache
def _cosines(n_lags: int) -> Floats:
    """Return cos(pi i k / _HALF), shape (n_lags, _HALF + 1)."""
    cosines: Floats = np.cos(np.pi / _HALF * np.outer(np.arange(n_lags), np.arange(_HALF + 1)))
    return cosines


def frequencies() -> Floats:
    """Return the frequencies of one axis, rad per px, shape (_HALF + 1,)."""
    return np.asarray(np.pi / _HALF * np.arange(_HALF + 1), np.float64)


@cache
def multiplicity(reach: int) -> Floats:
    """Return in how many quadrants of lags each lag stands: 1, 2 on the axes, 4, shape (r, r)."""
    line = np.full(reach, 2.0)
    line[0] = 1.0
    return np.outer(line, line)


def spectrum(lags: Floats) -> Floats:
    """Return the cosine transform of a matrix of lags (r, r), symmetric in both axes, at (_HALF + 1)² frequencies."""
    cosines = _cosines(lags.shape[0])
    transform: Floats = cosines.T @ (lags * multiplicity(lags.shape[0])) @ cosines
    return transform


def lags_of(spectra: Floats, n_lags: int) -> Floats:
    """Return the lags 0 ... n_lags - 1 of spectra (..., _HALF + 1, _HALF + 1): the inverse of `spectrum`."""
    ends = np.ones(_HALF + 1)
    ends[[0, -1]] = 0.5
    cosines = _cosines(n_lags) * ends / _HALF
    lags: Floats = cosines @ spectra @ cosines.T
    return lags


@cache
def _products(n_lags: int, *, odd: bool) -> Floats:
    """Return cos(k i) cos(k i') (``odd``: sines) as weights of the inverse transform, shape (n_lags², _HALF + 1)."""
    ends = np.ones(_HALF + 1)
    ends[[0, -1]] = 0.5
    phase = np.pi / _HALF * np.outer(np.arange(n_lags), np.arange(_HALF + 1))
    waves = np.sin(phase) if odd else np.cos(phase)
    products: Floats = (waves[:, None] * waves * ends / _HALF).reshape(n_lags**2, _HALF + 1)
    return products


def folded(spectra: Floats, reach: int, *, odd: bool = False) -> Floats:
    """Return the mean over k of S(k) cos(k_x i) cos(k_y j) cos(k_x i') cos(k_y j'), shape (..., r², r²), [(i, j), (i', j')].

    Parameters
    ----------
    spectra
        S, shape (..., _HALF + 1, _HALF + 1).
    odd
        Sines instead of cosines, for differences between (+i, +j) and (+i, -j).
    """
    products = _products(reach, odd=odd)
    both = (products @ spectra @ products.T).reshape(*spectra.shape[:-2], reach, reach, reach, reach)
    matrices: Floats = both.swapaxes(-3, -2).reshape(*spectra.shape[:-2], reach**2, reach**2)
    return matrices


def exponents(coefficients: Coefficients, signal_e: float) -> Floats:
    """Return 2 a(k) m + c(k) m² at all frequencies."""
    return 2.0 * spectrum(coefficients.a_per_e) * signal_e + spectrum(coefficients.c_per_e2) * signal_e**2


def solve(a: Floats, c: Floats, signal_e: Floats) -> tuple[Floats, Floats, Floats]:
    """Return C(k, m) and its derivatives by a(k) and c(k).

    Parameters
    ----------
    a, c
        Spectra, shape (K, K'), 1/e and 1/e².
    signal_e
        Signals m, shape (L,), electrons.

    Returns
    -------
    tuple of arrays
        Shape (L, K, K') each, by a quadrature of 16 Gauss-Legendre nodes.
    """
    m = signal_e[:, None, None]
    am, cm2 = 2.0 * a * m, c * m * m
    value, by_a, by_c = np.zeros_like(am), np.zeros_like(am), np.zeros_like(am)
    for t, w in zip(_T.tolist(), _W.tolist(), strict=True):
        weighted = w * np.exp(t * am + (t * (2.0 - t)) * cm2)
        value += weighted
        by_a += (2.0 * t) * weighted
        by_c += (t * (2.0 - t)) * weighted
    return m * value, m * m * by_a, m**3 * by_c


def curves(coefficients: Coefficients, signal_e: Floats) -> Curves:
    """Evaluate the model without noise at signals of shape (L,), electrons, with all that a fit needs.

    Sample covariances of a stationary normal field with power spectrum S (that of the noise at zero signal included, taken as
    white), those of (i, j) and (i, -j) averaged, have per pixel the covariances (Bartlett)::

        cov(C_u, C_v) = 2 mean over k of S(k)² cos(k_x i) cos(k_y j) cos(k_x i') cos(k_y j')

    so they are neither independent of each other nor of variance C_00² once neighbours are alike.
    """
    reach = coefficients.reach
    a, c = spectrum(coefficients.a_per_e), spectrum(coefficients.c_per_e2)
    value, by_a, by_c = solve(a, c, signal_e)
    rate = 2.0 * (a + c * signal_e[:, None, None])
    slope = 1.0 + rate * value
    curvature = 2.0 * c * value + rate * slope
    weight = multiplicity(reach).ravel()
    power = value + max(float(coefficients.n_e2[0, 0]), 0.0)
    return Curves(
        value=lags_of(value, reach),
        slope=lags_of(slope, reach),
        curvature=lags_of(curvature, reach),
        by_a=folded(by_a, reach) * weight,
        by_c=folded(by_c, reach) * weight,
        sampling=2.0 * folded(power * power, reach),
        power=value,
    )


def covariances_adu2(coefficients: Coefficients, mean_adu: Floats) -> Floats:
    """Return C_ij at signals of shape (L,), noise at zero signal included, ADU², shape (L, r, r)."""
    gain, reach = coefficients.gain_e_per_adu, coefficients.reach
    a, c = spectrum(coefficients.a_per_e), spectrum(coefficients.c_per_e2)
    value = lags_of(solve(a, c, gain * np.asarray(mean_adu, np.float64))[0], reach)
    total: Floats = (value + coefficients.n_e2) / gain**2
    return total
