"""Fit of the exponential photon-transfer model by maximum likelihood.

A sample variance of n pixels is distributed as V(mu) chi²(n - 1) / (n - 1). Its likelihood equations are those of weighted
least squares whose errors are taken from the *model*, relative_err x V(mu), and iterated with it (Fisher scoring). Errors
taken from the measured variances instead would give low fluctuations more weight and bias small tiles.

The points alone tell n00 badly, and what they say of it is worth half of the error of the gain: a variance measured without light
comes in as one more datum, normal about n00.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.neighbours import agree_with_neighbours
from vison_etl.effects.photon_transfer.model import (
    MIN_POINTS,
    Fit,
    Floats,
    Mask,
    NoisePrior,
    Points,
    Status,
    exponential_jacobian,
    exponential_variance,
    no_fit,
    phi,
)

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
class _Data:
    """What is fitted; ``weight`` is 1 / relative_err²."""

    points: Points
    weight: Floats
    prior: NoisePrior | None


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    theta: _Theta
    covariance: Floats
    chi2: float
    n_free: int
    at_bound: bool


def fit_exponential(
    points: Points,
    *,
    outlier_sigma: float = 5.0,
    prior: NoisePrior | None = None,
    fixed_n00_adu2: float | None = None,
    near: Fit | None = None,
) -> Fit:
    """Fit gain, a00 and n00 of the exponential model to tile points.

    Started from the best of seven curvatures on medians of groups of points, so that outliers do not steer it. Points further
    than ``outlier_sigma`` from their neighbours in signal are left out, in at most three passes in which they may return.

    Parameters
    ----------
    points
        Points, shape (n,) each.
    outlier_sigma
        Limit of the rejection.
    prior
        What is known of n00 beforehand: adds ((n00 - prior) / sigma)² to chi2 and one to its degrees of freedom. None: nothing.
    fixed_n00_adu2
        Hold n00 at this value, where the points are too few to tell it, ADU². It needs no prior then.
    near
        A fit that should be close, to start from; without it, and where it leads nowhere, the start is searched.

    Returns
    -------
    Fit
        ``no_data`` below 8 points, ``failed`` where no curve was found or the gain is uncertain by more than half of
        itself, ``bound`` where 2 a00 g mu_max reached its bounds (then a00 has no error).
    """
    if len(points) < MIN_POINTS:
        return no_fit("exponential", "no_data", len(points))
    prior = prior if fixed_n00_adu2 is None else None
    theta = _near(points, near, fixed_n00_adu2) or _start(points, prior.n00_adu2 if prior else fixed_n00_adu2)
    used = np.ones(len(points), bool)
    solution: _Solution | None = None
    for _ in range(_PASSES):
        if theta is None:
            break
        previous, curve = used, exponential_variance(points.mean_adu, *theta)
        residual = (points.variance_adu2 / curve - 1.0) / points.relative_err
        if math.isfinite(outlier_sigma):
            used = agree_with_neighbours(points.mean_adu, residual, outlier_sigma)
        if solution is not None and np.array_equal(previous, used):
            break
        data = _Data(points[used], 1.0 / points.relative_err[used] ** 2, prior)
        solution = _solve(data, theta, n00_is_free=fixed_n00_adu2 is None)
        theta = None if solution is None else solution.theta
    if near is not None and solution is None:
        return fit_exponential(points, outlier_sigma=outlier_sigma, prior=prior, fixed_n00_adu2=fixed_n00_adu2)
    return _record(solution, used, prior)


def _record(solution: _Solution | None, used: Mask, prior: NoisePrior | None) -> Fit:
    n_outliers = int(np.count_nonzero(~used))
    if solution is None or not math.sqrt(solution.covariance[0, 0]) < _GAIN_ERR_MAX * solution.theta[0]:
        return no_fit("exponential", "failed", used.size, n_outliers)
    status: Status = "bound" if solution.at_bound else "ok"
    dof = int(np.count_nonzero(used)) + (prior is not None) - solution.n_free
    return Fit("exponential", status, *solution.theta, solution.covariance, solution.chi2, dof, used, n_outliers, prior)


def _near(points: Points, near: Fit | None, fixed_n00: float | None) -> _Theta | None:
    """Return the parameters of a fit to start from; None where it ended at a bound or these points would put it there."""
    if near is None or near.status != "ok":
        return None
    low, high = CURVATURE_BOUNDS
    if not low < 2.0 * near.a00_per_e * near.gain_e_per_adu * float(points.mean_adu.max()) < high:
        return None
    return near.gain_e_per_adu, near.a00_per_e, near.n00_adu2 if fixed_n00 is None else fixed_n00


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


def _deviance(data: _Data, theta: _Theta) -> float:
    """Return the negative log-likelihood but for a constant; infinite where the curve is not positive."""
    if not theta[0] > 0.0:
        return math.inf
    ratio = data.points.variance_adu2 / exponential_variance(data.points.mean_adu, *theta)
    if not np.all(ratio > 0.0):
        return math.inf
    of_prior = 0.5 * ((theta[2] - data.prior.n00_adu2) / data.prior.sigma_adu2) ** 2 if data.prior else 0.0
    return float(data.weight @ (ratio - 1.0 - np.log(ratio))) + of_prior


def _bounded(data: _Data, theta: _Theta) -> _State:
    """Judge a set of parameters, 2 a00 g mu_max kept within its bounds."""
    gain, a00, n00 = theta
    at_bound = False
    if gain > 0.0:
        top = float(data.points.mean_adu.max())
        curvature = 2.0 * a00 * gain * top
        low, high = CURVATURE_BOUNDS
        at_bound = not low < curvature < high
        a00 = min(max(curvature, low), high) / (2.0 * gain * top) if at_bound else a00
    theta = (gain, a00, n00)
    return _State(theta, at_bound, _deviance(data, theta))


def _linearised(data: _Data, state: _State) -> tuple[Floats, Floats, Floats]:
    """Return relative derivatives (n, 3), relative residuals and weights (n,) at the present parameters, the prior last."""
    curve, jacobian = exponential_jacobian(data.points.mean_adu, *state.theta)
    relative = jacobian / curve[:, None]
    if state.at_bound:
        # along the bound a00 follows the gain: 2 a00 g mu_max is constant
        relative[:, 0] -= relative[:, 1] * state.theta[1] / state.theta[0]
    residual = data.points.variance_adu2 / curve - 1.0
    if data.prior is None:
        return relative, residual, data.weight
    sigma = data.prior.sigma_adu2
    return (
        np.vstack([relative, [0.0, 0.0, 1.0 / sigma]]),
        np.append(residual, (data.prior.n00_adu2 - state.theta[2]) / sigma),
        np.append(data.weight, 1.0),
    )


def _solve(data: _Data, start: _Theta, *, n00_is_free: bool) -> _Solution | None:
    """Maximise the likelihood by Fisher scoring with step halving; None where it does not converge."""
    state = _bounded(data, start)
    for _ in range(_MAX_STEPS):
        if not math.isfinite(state.deviance):
            return None
        relative, residual, weight = _linearised(data, state)
        free = np.array([True, not state.at_bound, n00_is_free])
        design = relative[:, free]
        scale = np.sqrt(weight @ design**2)
        information = (design * weight[:, None]).T @ design / np.outer(scale, scale)
        gradient = design.T @ (weight * residual) / scale
        if not np.linalg.cond(information) < _CONDITION_MAX:
            return None
        step = np.linalg.solve(information, gradient)
        if gradient @ step < _CONVERGED * max(1.0, state.deviance / len(data.points)):
            covariance = np.zeros((3, 3))
            covariance[np.ix_(free, free)] = np.linalg.inv(information) / np.outer(scale, scale)
            if state.at_bound:
                covariance[1, :] = covariance[:, 1] = math.nan
            return _Solution(state.theta, covariance, float(weight @ residual**2), int(free.sum()), state.at_bound)
        delta = np.zeros(3)
        delta[free] = step / scale
        state = _advance(data, state, delta)
    return None


def _advance(data: _Data, state: _State, delta: Floats) -> _State:
    """Take the largest of the steps delta, delta/2, delta/4 ... that does not make the likelihood worse."""
    for halving in range(_MAX_HALVINGS):
        gain, a00, n00 = (float(t + d * 0.5**halving) for t, d in zip(state.theta, delta, strict=True))
        if state.at_bound and gain > 0.0:
            a00 = state.theta[1] * state.theta[0] / gain
        trial = _bounded(data, (gain, a00, n00))
        if trial.deviance <= state.deviance * (1.0 + 1e-12):
            return _State(trial.theta, trial.at_bound or state.at_bound, trial.deviance)
    return _State(state.theta, state.at_bound, math.nan)
