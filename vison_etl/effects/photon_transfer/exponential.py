"""Fit of the exponential photon-transfer model by maximum likelihood.

A sample variance of n pixels is distributed as V(mu) chi²(n - 1) / (n - 1). Its likelihood equations are those of weighted
least squares whose errors are taken from the *model*, relative_err x V(mu), and iterated with it (Fisher scoring). Errors
taken from the measured variances instead would give low fluctuations more weight and bias small tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.photon_transfer.model import (
    MIN_POINTS,
    Fit,
    Floats,
    Mask,
    Points,
    Status,
    exponential_jacobian,
    exponential_variance,
    no_fit,
    phi,
)
from vison_etl.effects.photon_transfer.outliers import agree_with_neighbours

CURVATURE_BOUNDS = (-4.0, 1.0)
"""Bounds of 2 a00 g mu at the highest signal. Beyond the lower one the variance would have stopped growing long before."""

_STARTS = (-3.0, -1.5, -0.7, -0.3, -0.1, 0.0, 0.2)
_GROUPS = 24
_PASSES = 3
_MAX_STEPS = 40
_MAX_HALVINGS = 30
_CONVERGED = 1e-8
_CONDITION_MAX = 1e14
_GAIN_ERR_MAX = 0.5

_Theta = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _State:
    """Where the search is; ``at_bound`` once 2 a00 g mu_max reached a bound, where it then stays."""

    theta: _Theta
    at_bound: bool
    deviance: float


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    theta: _Theta
    covariance: Floats
    chi2: float
    n_free: int
    at_bound: bool


def fit_exponential(points: Points, *, outlier_sigma: float = 5.0, fixed_n00_adu2: float | None = None) -> Fit:
    """Fit gain, a00 and n00 of the exponential model to tile points.

    Started from the best of seven curvatures on medians of groups of points, so that outliers do not steer it. Points further
    than ``outlier_sigma`` from their neighbours in signal are left out, in at most three passes in which they may return.

    Parameters
    ----------
    points
        Points, shape (n,) each.
    outlier_sigma
        Limit of the rejection.
    fixed_n00_adu2
        Hold n00 at this value, where the points are too few to tell it, ADU².

    Returns
    -------
    Fit
        ``no_data`` below 8 points, ``failed`` where no curve was found or the gain is uncertain by more than half of
        itself, ``bound`` where 2 a00 g mu_max reached its bounds (then a00 has no error).
    """
    if len(points) < MIN_POINTS:
        return no_fit("exponential", "no_data", len(points))
    theta = _start(points, fixed_n00_adu2)
    used = np.ones(len(points), bool)
    solution: _Solution | None = None
    for _ in range(_PASSES):
        if theta is None:
            break
        curve = exponential_variance(points.mean_adu, *theta)
        residual = (points.variance_adu2 / curve - 1.0) / points.relative_err
        previous, used = used, agree_with_neighbours(points.mean_adu, residual, outlier_sigma)
        if solution is not None and np.array_equal(previous, used):
            break
        solution = _solve(points[used], theta, n00_is_free=fixed_n00_adu2 is None)
        theta = None if solution is None else solution.theta
    return _record(solution, used)


def _record(solution: _Solution | None, used: Mask) -> Fit:
    n_outliers = int(np.count_nonzero(~used))
    if solution is None or not math.sqrt(solution.covariance[0, 0]) < _GAIN_ERR_MAX * solution.theta[0]:
        return no_fit("exponential", "failed", used.size, n_outliers)
    status: Status = "bound" if solution.at_bound else "ok"
    dof = int(np.count_nonzero(used)) - solution.n_free
    return Fit("exponential", status, *solution.theta, solution.covariance, solution.chi2, dof, used, n_outliers)


def _start(points: Points, fixed_n00: float | None) -> _Theta | None:
    """Fit medians of groups of points in order of signal, linear in 1/g and n00 for each of the curvatures tried."""
    n_groups = min(_GROUPS, len(points) // 2)
    size = len(points) // n_groups
    groups = np.argsort(points.mean_adu, kind="stable")[-n_groups * size :].reshape(n_groups, size)
    mean = np.median(points.mean_adu[groups], axis=1)
    variance = np.median(points.variance_adu2[groups], axis=1)
    top = float(mean.max())
    if not top > 0.0:
        return None
    lowest = float(points.mean_adu.min())
    best, found = math.inf, None
    for curvature in _STARTS:
        basis = mean * phi(curvature / top * mean)[0] / variance
        slope, n00 = _line(basis, variance, fixed_n00)
        if slope * lowest + n00 <= 0.0:
            slope, n00 = _line(basis, variance, 0.0)
        misfit = float(np.sum((slope * basis + n00 / variance - 1.0) ** 2))
        if slope > 0.0 and misfit < best:
            best, found = misfit, (1.0 / slope, curvature * slope / (2.0 * top), n00)
    return found


def _line(basis: Floats, variance: Floats, fixed_n00: float | None) -> tuple[float, float]:
    """Return slope and intercept of slope x basis + n00 / variance = 1, the intercept held if given."""
    if fixed_n00 is not None:
        return float(basis @ (1.0 - fixed_n00 / variance) / (basis @ basis)), fixed_n00
    (slope, n00), *_ = np.linalg.lstsq(np.stack([basis, 1.0 / variance], axis=1), np.ones_like(basis))
    return float(slope), float(n00)


def _deviance(points: Points, weight: Floats, theta: _Theta) -> float:
    """Return twice the negative log-likelihood but for a constant; infinite where the curve is not positive."""
    if not theta[0] > 0.0:
        return math.inf
    ratio = points.variance_adu2 / exponential_variance(points.mean_adu, *theta)
    if not np.all(ratio > 0.0):
        return math.inf
    return float(np.sum(weight * (ratio - 1.0 - np.log(ratio))))


def _bounded(points: Points, weight: Floats, theta: _Theta) -> _State:
    """Judge a set of parameters, 2 a00 g mu_max kept within its bounds."""
    gain, a00, n00 = theta
    at_bound = False
    if gain > 0.0:
        top = float(points.mean_adu.max())
        curvature = 2.0 * a00 * gain * top
        low, high = CURVATURE_BOUNDS
        at_bound = not low < curvature < high
        a00 = min(max(curvature, low), high) / (2.0 * gain * top) if at_bound else a00
    theta = (gain, a00, n00)
    return _State(theta, at_bound, _deviance(points, weight, theta))


def _solve(points: Points, start: _Theta, *, n00_is_free: bool) -> _Solution | None:
    """Maximise the likelihood by Fisher scoring with step halving; None where it does not converge."""
    weight = 1.0 / points.relative_err**2
    state = _bounded(points, weight, start)
    for _ in range(_MAX_STEPS):
        if not math.isfinite(state.deviance):
            return None
        curve, jacobian = exponential_jacobian(points.mean_adu, *state.theta)
        relative = jacobian / curve[:, None]
        if state.at_bound:
            # along the bound a00 follows the gain: 2 a00 g mu_max is constant
            relative[:, 0] -= relative[:, 1] * state.theta[1] / state.theta[0]
        free = np.array([True, not state.at_bound, n00_is_free])
        design = relative[:, free]
        scale = np.sqrt(weight @ design**2)
        residual = points.variance_adu2 / curve - 1.0
        information = (design * weight[:, None]).T @ design / np.outer(scale, scale)
        gradient = design.T @ (weight * residual) / scale
        if not np.linalg.cond(information) < _CONDITION_MAX:
            return None
        step = np.linalg.solve(information, gradient)
        if gradient @ step < _CONVERGED * max(1.0, state.deviance / len(points)):
            covariance = np.zeros((3, 3))
            covariance[np.ix_(free, free)] = np.linalg.inv(information) / np.outer(scale, scale)
            if state.at_bound:
                covariance[1, :] = covariance[:, 1] = math.nan
            return _Solution(state.theta, covariance, float(weight @ residual**2), int(free.sum()), state.at_bound)
        delta = np.zeros(3)
        delta[free] = step / scale
        state = _advance(points, weight, state, delta)
    return None


def _advance(points: Points, weight: Floats, state: _State, delta: Floats) -> _State:
    """Take the largest of the steps delta, delta/2, delta/4 ... that does not make the likelihood worse."""
    for halving in range(_MAX_HALVINGS):
        gain, a00, n00 = (float(t + d * 0.5**halving) for t, d in zip(state.theta, delta, strict=True))
        if state.at_bound and gain > 0.0:
            a00 = state.theta[1] * state.theta[0] / gain
        trial = _bounded(points, weight, (gain, a00, n00))
        if trial.deviance <= state.deviance * (1.0 + 1e-12):
            return _State(trial.theta, trial.at_bound or state.at_bound, trial.deviance)
    return _State(state.theta, state.at_bound, math.nan)
