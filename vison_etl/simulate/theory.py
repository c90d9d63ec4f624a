"""Linear theory of the brighter-fatter effect in a flat field: exact covariances, no pixels.

With a(k) the Fourier transform of the kernel a_ij and a mean charge of m electrons per pixel, fluctuations obey
d delta / dm = a(k) delta + photon noise of unit power, so that their power spectrum is::

    S(k) = (exp(2 a(k) m) - 1) / (2 a(k)),      C_ij = mean over k of S(k) cos(k_x i) cos(k_y j)

A kernel of a00 alone, which does not conserve charge, gives the exponential model C_00 = (exp(2 a00 m) - 1) / (2 a00).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vison_etl.simulate.build_up import REACH

Float64 = NDArray[np.float64]

_HALF = 8
"""Frequencies 0 to _HALF of a period of 16 px: kernels reach 2 px, and covariances at lag 16 do not matter."""


def exponential_kernel(a00_per_e: float) -> Float64:
    """Return the kernel of the exponential model, shape (5, 5): a00 in the centre, nothing around it."""
    a = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    a[REACH, REACH] = a00_per_e
    return a


def covariances_e2(a: Float64, charge_e: ArrayLike, max_lag: int = 1) -> Float64:
    """Return the covariances of photon noise in a flat field after its charge has built up.

    Parameters
    ----------
    a
        Kernel a_ij, 1/e, shape (5, 5), indexed [lag_y + 2, lag_x + 2], even in both lags.
    charge_e
        Mean charge per pixel, e-, any shape.
    max_lag
        Largest lag returned, at most 7.

    Returns
    -------
    NDArray
        e-^2, shape (*charge_e.shape, max_lag + 1, max_lag + 1), indexed [..., lag_y, lag_x].
    """
    m = np.asarray(charge_e, np.float64)[..., None, None]
    k = np.pi * np.arange(_HALF + 1) / _HALF
    waves = np.cos(np.outer(np.arange(-REACH, REACH + 1), k))
    spectrum = waves.T @ a @ waves
    is_flat = spectrum == 0.0
    twice = np.where(is_flat, 1.0, 2.0 * spectrum)
    power = np.where(is_flat, m, np.expm1(2.0 * spectrum * m) / twice)
    weights = np.where((np.arange(_HALF + 1) % _HALF) == 0, 0.5, 1.0) / _HALF
    lags = np.cos(np.outer(np.arange(max_lag + 1), k)) * weights
    return np.asarray(lags @ power @ lags.T)
