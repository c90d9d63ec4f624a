"""Whether covariances are alike in the quadrants of lags: C(+i, +j) against C(+i, -j)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from vison_etl.effects.covariance.model import Coefficients, Floats, folded, solve, spectrum
from vison_etl.effects.covariance.pairs import Pairs, nodes


def symmetry_chi2(pairs: Pairs, coefficients: Coefficients) -> tuple[float, int]:
    """Test the differences C(+i, +j) - C(+i, -j), 1 <= i, j < r, of all pairs together.

    Of each lag the differences are combined as of an asymmetry that grows with the square of the signal, as one of the pixel
    areas does: x = sum m² d / s² over the pairs, s² the variance of d. Their covariances are those of Bartlett's formula,
    cov(d_u, d_v) = 8 mean over k of S² sin(k_x i) sin(k_y j) sin(k_x i') sin(k_y j').

    Parameters
    ----------
    pairs
        The pairs of a fit.
    coefficients
        What was fitted.

    Returns
    -------
    chi2, degrees of freedom
        (r - 1)² lags; (0, 0) for r = 1.
    """
    reach, gain = coefficients.reach, coefficients.gain_e_per_adu
    lags = (reach - 1) ** 2
    if lags == 0:
        return 0.0, 0
    grouped = nodes(pairs)
    matrices = _sampling(coefficients, gain * grouped.mean_adu)[grouped.of_pair] / gain**4
    n = pairs.n[:, 1:, 1:].reshape(len(pairs), lags)
    weight = pairs.mean_adu[:, None] ** 2 * n / np.diagonal(matrices, axis1=1, axis2=2)
    total = np.sum(weight * pairs.difference_adu2.reshape(len(pairs), lags), axis=0)
    per_pixel = weight / np.sqrt(n)
    covariance = np.einsum("pu,puv,pv->uv", per_pixel, matrices, per_pixel)
    scale = np.sqrt(np.diag(covariance))
    white = solve_triangular(np.linalg.cholesky(covariance / np.outer(scale, scale)), total / scale, lower=True)
    return float(white @ white), lags


def _sampling(coefficients: Coefficients, signal_e: Floats) -> Floats:
    """Return the covariance matrices of the differences of one pixel, e⁴, shape (L, (r - 1)², (r - 1)²)."""
    reach = coefficients.reach
    value = solve(spectrum(coefficients.a_per_e), spectrum(coefficients.c_per_e2), signal_e)[0]
    power = value + max(float(coefficients.n_e2[0, 0]), 0.0)
    matrices = 8.0 * folded(power * power, reach, odd=True)
    inner = np.flatnonzero(np.outer(np.arange(reach) > 0, np.arange(reach) > 0).ravel())
    chosen: Floats = matrices[:, inner[:, None], inner]
    return chosen
