"""Trends and scatter of a short series whose noise is partly a random walk: what can be said without knowing how much of it.

The noise of a lamp is white (shutter, photons) plus a random walk (lamp, supply): covariance v R with R = 1 + rho min(t_i, t_j), t
from the first exposure. The ratio rho is badly known from a few exposures, and the error of a drift depends on it strongly: of a pure
walk the drift is the difference of the ends, whatever lies between. So nothing is taken at one best ratio: every statement is the
average over ratios, each with its posterior probability (restricted likelihood, v integrated out with the prior 1/v). A quarter
of the prior is on no walk at all, the rest even in the logarithm of the walk over the whole series against the white variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.special import chdtr, stdtr

_WALKS = np.geomspace(0.3, 3000.0, 10)
"""Variance of the walk over as many median steps as there are exposures, over the white variance."""
_NO_WALK = 0.25
"""Prior probability."""
_ONE_SIGMA = 0.6826894921370859
_HALVINGS = 60

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Family:
    """What the times of a series decide. ``times`` (n,) in h, from their mean; per ratio g: covariance, inverse of its Cholesky factor."""

    times: _Floats
    log_prior: _Floats
    covariances: _Floats
    whitening: _Floats
    log_det: _Floats


@dataclass(frozen=True, slots=True)
class Trend:
    """The highest coefficient of a polynomial with its error, and the posterior of the noise.

    ``weights`` of each ratio, summing to 1; ``variances``: the white variance v at each.
    """

    value: float
    error: float
    weights: _Floats
    variances: _Floats


def family(hours: ArrayLike) -> Family:
    """Prepare a series.

    Parameters
    ----------
    hours
        Times, increasing, at least two different ones, h, shape (n,).

    Returns
    -------
    Family
        Covariances at v = 1, the ratios in increasing order.
    """
    t = np.asarray(hours, np.float64)
    since = t - t[0]
    walk = np.minimum.outer(since, since) / max(float(np.median(np.diff(t))), float(np.ptp(t)) / t.size)
    ratios = np.concatenate([[0.0], _WALKS / t.size])
    covariances = np.eye(t.size) + ratios[:, None, None] * walk
    factors = [cholesky(covariance, lower=True) for covariance in covariances]
    whitening = np.array([solve_triangular(factor, np.eye(t.size), lower=True) for factor in factors])
    log_det = np.array([2.0 * np.log(np.diag(factor)).sum() for factor in factors])
    prior = np.concatenate([[_NO_WALK], np.full(_WALKS.size, (1.0 - _NO_WALK) / _WALKS.size)])
    return Family(t - t.mean(), np.log(prior), covariances, whitening, log_det)


def trend(series: Family, values: ArrayLike, degree: int) -> Trend | None:
    """Fit a polynomial in time by generalised least squares, averaged over the ratios.

    Given the ratio, the coefficient has Student's distribution with n - degree - 1 degrees of freedom about its estimate. The value is
    the mean of the mixture, the error half the width of the interval about it that holds 68.3 %.

    Parameters
    ----------
    values
        Shape (n,), finite.

    Returns
    -------
    Trend or None
        In units of ``values`` per h^degree. None for fewer than degree + 2 values.
    """
    y = np.asarray(values, np.float64)
    dof = y.size - degree - 1
    if dof < 1:
        return None
    scale = max(float(np.abs(series.times).max()), np.finfo(np.float64).tiny)
    design = np.vander(series.times / scale, degree + 1)
    white_design, white_y = series.whitening @ design, series.whitening @ y
    q, r = np.linalg.qr(white_design)
    projected = np.einsum("gik,gi->gk", q, white_y)
    residual = white_y - np.einsum("gik,gk->gi", q, projected)
    squares = np.maximum(np.einsum("gi,gi->g", residual, residual), np.finfo(np.float64).tiny)
    inverse = np.linalg.inv(r)
    coefficient = np.einsum("gk,gk->g", inverse[:, 0], projected)
    of_coefficient = np.einsum("gk,gk->g", inverse[:, 0], inverse[:, 0])
    information = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2))).sum(axis=1)
    log_weight = series.log_prior - 0.5 * series.log_det - information - 0.5 * dof * np.log(squares)
    weights = np.exp(log_weight - log_weight.max())
    weights /= weights.sum()
    variances = squares / dof
    value = float(weights @ coefficient)
    error = _half_width(weights, coefficient - value, np.sqrt(variances * of_coefficient), dof)
    return Trend(value / scale**degree, error / scale**degree, weights, variances)


def _half_width(weights: _Floats, centres: _Floats, widths: _Floats, dof: int) -> float:
    """Return h such that a mixture of Student distributions holds 68.3 % within +-h."""
    low, high = 0.0, 4.0 * float((np.abs(centres) + widths).max())
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        inside = stdtr(dof, (middle - centres) / widths) - stdtr(dof, (-middle - centres) / widths)
        low, high = (middle, high) if float(weights @ inside) < _ONE_SIGMA else (low, middle)
    return high


def freedom(series: Family, rows: _Floats) -> _Floats:
    """Return the degrees of freedom of the sum of squares of ``rows @ y`` at each ratio.

    With C = rows R rows', (tr C)² / tr C² (Satterthwaite): what chi-square distribution has this mean and variance.

    Parameters
    ----------
    rows
        Linear combinations of the series that no mean changes, shape (m, n).
    """
    found = []
    for covariance in series.covariances:
        of_rows = rows @ covariance @ rows.T
        found.append(float(np.trace(of_rows)) ** 2 / float(np.sum(of_rows**2)))
    return np.array(found)


def variance_interval(variance: float, weights: _Floats, dof: _Floats) -> tuple[float, float]:
    """Return the central 68.3 % of the true variance, of which ``variance`` with ``dof`` degrees of freedom was seen, over the ratios."""
    tail = 0.5 * (1.0 - _ONE_SIGMA)
    bounds = []
    for wanted in (tail, 1.0 - tail):
        low, high = -20.0, 20.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = float(weights @ (1.0 - chdtr(dof, dof * np.exp(-middle))))
            low, high = (middle, high) if below < wanted else (low, middle)
        bounds.append(variance * float(np.exp(high)))
    return bounds[0], bounds[1]


def line_residuals(times: _Floats) -> _Floats:
    """Return the matrix that takes a series to its residuals about an unweighted straight line, shape (n, n)."""
    lever = times - times.mean()
    spread = float(np.sum(lever**2))
    slope = np.outer(lever, lever) / spread if spread > 0 else 0.0
    return np.asarray(np.eye(times.size) - 1.0 / times.size - slope)


def neighbour_differences(n: int, m: int) -> _Floats:
    """Return the matrix of all overlapping differences of neighbouring averages of m values, shape (n - 2 m + 1, n)."""
    since = np.arange(n) - np.arange(n - 2 * m + 1)[:, None]
    later = (since >= m) & (since < 2 * m)
    earlier = (since >= 0) & (since < m)
    return (later.astype(np.float64) - earlier) / m
