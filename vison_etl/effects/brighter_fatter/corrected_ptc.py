"""The photon-transfer curve of corrected frames: a straight line whose slope is one over the gain.

The correction makes V_i = m_i / g + e_i + n of the variances, with e_i what photon order leaves (`residuals`), which is taken off. The
variances share the coefficients that corrected them, and those were fitted to the same flats. An efficient fit with parameters p of covariance
matrix C has cov(y, p) = P C with the data y that it took, P = dy/dp of the model. With T the derivatives of what the
corrected variances of the *model* are, data and parameters together, the errors of the corrected variances are

    D + T C T^T - P C P^T,        T = -m_i / g^2 for the gain, 0 for all else                                            (1)

D being those of the measured variances: errors of the coefficients do not spoil what they were fitted to. For the same reason the gain
of the line minus that of the fit has the difference of their squared errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vison_etl.effects.covariance.lags import Floats
from vison_etl.effects.covariance.model import lags_of, multiplicity, solve, spectrum
from vison_etl.effects.covariance.record import CovarianceFit


@dataclass(frozen=True, slots=True)
class Point:
    """A level: mean signal, ADU, and variance of one frame with its error, ADU^2, noise and photon order taken off.

    ``factor``: what the correction multiplied covariances by, per frequency (`residuals.inverse`).
    """

    mean_adu: float
    variance_adu2: float
    variance_adu2_err: float
    factor: Floats


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line. ``difference_err``: error of its gain minus that of the covariance fit. ``failed``: no positive slope."""

    status: Literal["ok", "failed", "no_data"]
    gain_e_per_adu: float
    gain_e_per_adu_err: float
    intercept_adu2: float
    intercept_adu2_err: float
    difference_err: float
    chi2: float
    n_points: int


def model_slopes(fit: CovarianceFit, point: Point) -> Floats:
    """Return P of equation (1): derivatives of the corrected variance by (gain, a, c, n), data alone changing, shape (1 + 3 r^2,)."""
    found, reach = fit.coefficients, fit.coefficients.reach
    gain, weight = found.gain_e_per_adu, multiplicity(fit.coefficients.reach)
    a, c = spectrum(found.a_per_e), spectrum(found.c_per_e2)
    value, by_a, by_c = (one[0] for one in solve(a, c, np.array([gain * point.mean_adu])))
    slope = 1.0 + 2.0 * (a + c * gain * point.mean_adu) * value
    by_gain = point.mean_adu * slope - 2.0 * (value + spectrum(found.n_e2)) / gain
    of_lags = [(lags_of(one * point.factor, reach) * weight).ravel() for one in (by_a, by_c, np.ones_like(value))]
    slopes: Floats = np.concatenate([lags_of(by_gain * point.factor, 1).ravel(), *of_lags]) / gain**2
    return slopes


def fit_line(points: Sequence[Point], fit: CovarianceFit | None = None) -> Line:
    """Fit variance = intercept + mean / gain by least squares with the measured errors.

    Parameters
    ----------
    points
        At least three.
    fit
        The fit whose coefficients corrected the variances; None: they were not corrected.

    Returns
    -------
    Line
        Errors by equation (1). ``chi2`` is against the measured errors alone, n_points - 2 degrees of freedom.
    """
    nan = math.nan
    if len(points) < 3:
        return Line("no_data", nan, nan, nan, nan, nan, nan, len(points))
    mean, variance, sigma = (
        np.array([getattr(point, name) for point in points])
        for name in ("mean_adu", "variance_adu2", "variance_adu2_err")
    )
    design = np.column_stack([np.ones_like(mean), mean])
    weighted = design / sigma[:, None] ** 2
    operator = np.linalg.solve(weighted.T @ design, weighted.T)
    intercept, slope = (operator @ variance).tolist()
    if not slope > 0:
        return Line("failed", nan, nan, nan, nan, nan, nan, len(points))
    errors = np.diag(sigma**2)
    if fit is not None:
        slopes = np.array([model_slopes(fit, point) for point in points])
        by_gain = -mean / fit.coefficients.gain_e_per_adu**2
        errors += fit.covariance[0, 0] * np.outer(by_gain, by_gain) - slopes @ fit.covariance @ slopes.T
    spread = operator @ errors @ operator.T
    gain_err = math.sqrt(max(float(spread[1, 1]), 0.0)) / slope**2
    of_fit = nan if fit is None else float(fit.covariance[0, 0])
    return Line(
        status="ok",
        gain_e_per_adu=1.0 / slope,
        gain_e_per_adu_err=gain_err,
        intercept_adu2=intercept,
        intercept_adu2_err=math.sqrt(max(float(spread[0, 0]), 0.0)),
        difference_err=math.sqrt(max(gain_err**2 - of_fit, 0.0)) if fit is not None else nan,
        chi2=float((((variance - design @ np.array([intercept, slope])) / sigma) ** 2).sum()),
        n_points=len(points),
    )
