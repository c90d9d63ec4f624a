"""What the correction leaves of the covariances of flats, from the covariances alone.

Fluctuations of a flat are weak, so what `pixels.brighter_fatter.correct` does to them is linear: per spatial frequency it divides by what
the moving walls make of a weak structure in the light,

    L(k, m) = (1/m) integral_0^m exp(a(k) (m - s) + c(k) (m^2 - s^2) / 2) ds

and their covariances by L^2. No image is opened: measured covariances of the lags 0 ... r - 1 go in, and what lies beyond counts as none.
Photon noise is not all light: of two photons that arrive in turn the later one does not push the earlier one. So the correction leaves
C(k) / L(k)^2 = m (x / 2) coth(x / 2), x = a(k) m (c = 0), where white noise would be m: that is expected, and given beside it.

For comparison `first_order` is the factor of one pass of first order with the boundary shifts of Guyonnet et al. (2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.lags import Floats
from vison_etl.effects.covariance.model import lags_of, solve, spectrum


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Covariances of one signal, e^2, shape (n, n), indexed [lag_x, lag_y], without the noise at zero signal."""

    before: Floats
    before_err: Floats
    after: Floats
    after_err: Floats
    expected: Floats


def light_gain(a: Floats, c: Floats, signal_e: float) -> Floats:
    """Return L at the frequencies of `covariance.model.spectrum`, from a_ij and c_ij, shape (r, r)."""
    # The integral is that of the covariances at half the coefficients.
    value = solve(0.5 * spectrum(a), 0.5 * spectrum(c), np.array([signal_e]))[0][0]
    gain: Floats = value / signal_e
    return gain


def inverse(a: Floats, c: Floats, signal_e: float) -> Floats:
    """Return by what `correct` multiplies covariances at the frequencies of `covariance.model.spectrum`."""
    factor: Floats = light_gain(a, c, signal_e) ** -2
    return factor


def first_order(areas: Floats, signal_e: float) -> Floats:
    """Return by what one pass of first order multiplies covariances; ``areas``: what its walls do to areas, 1/e, shape (r, r)."""
    factor: Floats = (1.0 - 0.5 * signal_e * spectrum(areas)) ** 2
    return factor


def residuals(covariance_e2: Floats, error_e2: Floats, model_e2: Floats, factor: Floats, n_lags: int) -> Residuals:
    """Correct the covariances of one signal.

    Parameters
    ----------
    covariance_e2, error_e2
        Measured covariances less those of the noise at zero signal, and their errors, e^2, shape (r, r).
    model_e2
        What the fit says they are, e^2, shape (r, r).
    factor
        What the correction does: `inverse` or `first_order`.
    n_lags
        Lags 0 ... n_lags - 1 are returned.

    Returns
    -------
    Residuals
        Errors are those of the covariances, taken as independent of each other; those of a_ij are not in them.
    """
    reach = covariance_e2.shape[0]
    units = np.eye(reach**2).reshape(-1, reach, reach)
    operator = lags_of(np.stack([spectrum(unit) for unit in units]) * factor, n_lags).reshape(reach**2, -1).T
    shape = (n_lags, n_lags)
    return Residuals(
        before=covariance_e2[:n_lags, :n_lags],
        before_err=error_e2[:n_lags, :n_lags],
        after=(operator @ covariance_e2.ravel()).reshape(shape),
        after_err=np.sqrt(operator**2 @ error_e2.ravel() ** 2).reshape(shape),
        expected=(operator @ model_e2.ravel()).reshape(shape),
    )


def photon_covariances(a: Floats, c: Floats, signal_e: float) -> Floats:
    """Return C_ij of photon noise after its charge has built up, e^2, shape (r, r)."""
    return lags_of(solve(spectrum(a), spectrum(c), np.array([signal_e]))[0][0], a.shape[0])
