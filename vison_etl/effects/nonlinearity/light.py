"""The light of the exposures: open time of the shutter times level of the source, as random numbers with covariances.

    ln L_k = ln (t_k + d_w) + drift(tau_k) + level error + own error,

t: open time as expected (commanded, plus the shutter's table where there is one), d_w: what the latency of the shutter differs, per
filter: d_w = d + d'_w with normal priors. Drift: a straight line plus an integrated random walk, that is a cubic smoothing spline
through all exposures. Level error: error of the latency at one commanded time, common to its frames, s_t / open time. Own error: flux
repeatability s_f of single exposures. The three variances are those of greatest likelihood given all tiles of all channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from vison_etl.effects.nonlinearity.data import Exposures, Floats, Mask

_LINEAR_DRIFT = 0.2
_NO_TRUST = 1.0
_START = ((1e-3, 1e-2, 1e-3), (1e-4, 1e-2, 1e-4))
_LEAST = (1e-5, 1e-5, 1e-6)
_MOST = (0.3, 3.0, 0.1)


@dataclass(frozen=True, slots=True)
class ShutterPrior:
    """What is known of the latency beyond its table, s: one sigma about 0 of what filters share and of what each has of its own."""

    common_s: float
    own_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Information:
    """What the tiles say about ln L near ``at``: log-likelihood g (x - at) - (x - at) H (x - at) / 2."""

    at: Floats
    gradient: Floats
    hessian: Floats


@dataclass(frozen=True, slots=True)
class Scatter:
    """Standard deviations: flux repeatability, drift (rms at the end of the run of what a straight line leaves), latency in s."""

    flux: float
    drift: float
    latency_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Posterior of ln L and of the latencies.

    ``log_light`` with covariance, shape (K,) and (K, K); ``latency_s`` beyond the table with covariance, shape (W,), (W, W); ``drift``:
    smooth part of the source, natural logarithm, shape (K,); ``surprise``: each exposure against all others, sigma.
    """

    log_light: Floats
    covariance: Floats
    latency_s: Floats
    latency_covariance: Floats
    drift: Floats
    surprise: Floats
    scatter: Scatter


def _drift_covariance(exposures: Exposures) -> Floats:
    """Return the covariance of the integrated random walk, 1 at the end of the run."""
    span = float(np.ptp(exposures.hours))
    tau = (exposures.hours - exposures.hours.min()) / span if span > 0 else np.zeros_like(exposures.hours)
    first, last = np.minimum.outer(tau, tau), np.maximum.outer(tau, tau)
    return np.asarray(3.0 * (first**2 * last / 2.0 - first**3 / 6.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Prior:
    """Mean of ln L at an expansion point of the latencies, and what its covariance is made of."""

    mean: Floats
    line: Floats
    walk: Floats
    latency: Floats
    level: Floats
    untrusted: Floats
    per_latency: Floats
    latency_covariance: Floats
    latency_s: Floats


def _prior(exposures: Exposures, shutter: ShutterPrior, latency_s: Floats, doubtful: Mask) -> _Prior:
    opened = exposures.open_s + latency_s[exposures.light]
    design = np.zeros((opened.size, exposures.n_lights))
    design[np.arange(opened.size), exposures.light] = 1.0 / opened
    covariance = shutter.common_s**2 + shutter.own_s**2 * np.eye(exposures.n_lights)
    span = max(float(np.ptp(exposures.hours)), 1e-9)
    tau = (exposures.hours - exposures.hours.mean()) / span
    same = exposures.level[:, None] == exposures.level[None, :]
    return _Prior(
        mean=np.log(opened) - design @ latency_s,
        line=tau,
        walk=_drift_covariance(exposures),
        latency=design @ covariance @ design.T,
        level=same / np.outer(opened, opened),
        untrusted=np.diag(np.where(doubtful, _NO_TRUST, 0.0)),
        per_latency=design,
        latency_covariance=covariance,
        latency_s=latency_s,
    )


def _own_covariance(prior: _Prior, scatter: Scatter) -> Floats:
    """Return the covariance of the lights but for latencies and linear drift."""
    own = scatter.flux**2 * np.eye(prior.mean.size) + prior.untrusted
    return own + scatter.drift**2 * prior.walk + scatter.latency_s**2 * prior.level


def _covariance(prior: _Prior, scatter: Scatter) -> Floats:
    return _own_covariance(prior, scatter) + prior.latency + _LINEAR_DRIFT**2 * np.outer(prior.line, prior.line)


def _log_likelihood(information: Information, prior: _Prior, scatter: Scatter) -> float:
    """Return the logarithm of the marginal likelihood but for a constant: of N(mean, C) seen through (g, H)."""
    root = cholesky(_covariance(prior, scatter), lower=True)
    pull = information.gradient + information.hessian @ (information.at - prior.mean)
    inner = np.eye(pull.size) + root.T @ information.hessian @ root
    factor = cho_factor(inner, lower=True)
    seen = root.T @ pull
    return float(0.5 * seen @ cho_solve(factor, seen) - np.sum(np.log(np.diag(factor[0]))))


def _best_scatter(information: Information, prior: _Prior, starts: Sequence[Scatter]) -> Scatter:
    """Return the standard deviations of greatest likelihood."""

    def cost(logs: Floats) -> float:
        inside = np.clip(logs, np.log(_LEAST), np.log(_MOST))
        outside = float(np.sum((logs - inside) ** 2))
        return outside - _log_likelihood(information, prior, Scatter(*np.exp(inside)))

    best = None
    for start in starts:
        at = np.log([start.flux, start.drift, start.latency_s])
        found = minimize(cost, at, method="Nelder-Mead", options={"xatol": 0.05, "fatol": 0.01, "maxfev": 120})
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    return Scatter(*np.exp(np.clip(best.x, np.log(_LEAST), np.log(_MOST))))


def solve_light(
    exposures: Exposures,
    shutter: ShutterPrior,
    information: Information,
    latency_s: Floats,
    doubtful: Mask,
    scatter: Scatter | None,
) -> Light:
    """Join what the tiles and what the clock say about the light.

    Parameters
    ----------
    latency_s
        Where the logarithm of the open time is expanded, shape (W,).
    doubtful
        Exposures whose time is not trusted: their tiles count, their time does not. Shape (K,).
    scatter
        Standard deviations to use; None: those of greatest likelihood.
    """
    prior = _prior(exposures, shutter, latency_s, doubtful)
    information = replace(information, hessian=_not_negative(information.hessian))
    if scatter is None:
        scatter = _best_scatter(information, prior, [Scatter(*values) for values in _START])
    root = cholesky(_own_covariance(prior, scatter), lower=True)
    known, axes = np.linalg.eigh(root.T @ information.hessian @ root)
    known = np.maximum(known, 0.0)
    to_axes = axes.T @ solve_triangular(root, np.eye(known.size), lower=True)
    from_axes = root @ axes
    # lights less what latency and linear drift explain, in axes where data (known) and prior (1) are both diagonal
    pull = information.gradient + information.hessian @ (information.at - prior.mean)
    design = np.column_stack([prior.per_latency, prior.line])
    of_regressors = to_axes @ design
    regressors = _regression(prior, of_regressors, known, from_axes.T @ pull)
    rest = (from_axes.T @ (pull - information.hessian @ (design @ regressors.value))) / (1.0 + known)
    free = from_axes @ (of_regressors / (1.0 + known)[:, None])
    covariance = (from_axes / (1.0 + known)) @ from_axes.T + free @ regressors.covariance @ free.T
    weighted = to_axes.T @ rest
    precision = to_axes.T @ ((known / (1.0 + known))[:, None] * to_axes)
    by_regressors = precision @ design
    precision = precision - by_regressors @ regressors.covariance @ by_regressors.T
    walk = scatter.drift**2 * prior.walk
    n = prior.latency_s.size
    return Light(
        log_light=prior.mean + design @ regressors.value + from_axes @ rest,
        covariance=covariance,
        latency_s=regressors.value[:n],
        latency_covariance=regressors.covariance[:n, :n],
        drift=walk @ weighted + prior.line * regressors.value[n],
        surprise=weighted / np.sqrt(np.maximum(np.diag(precision), 1e-300)),
        scatter=scatter,
    )


def _not_negative(matrix: Floats) -> Floats:
    """Return a symmetric matrix without the negative eigenvalues that rounding gave it."""
    values, axes = np.linalg.eigh(matrix)
    return np.asarray((axes * np.maximum(values, 0.0)) @ axes.T)


@dataclass(frozen=True, slots=True, eq=False)
class _Regression:
    """Latencies and slope of the drift."""

    value: Floats
    covariance: Floats


def _regression(prior: _Prior, design: Floats, known: Floats, pull: Floats) -> _Regression:
    """Fit latencies and slope with their priors; everything in axes where the lights' precision is known / (1 + known)."""
    n = prior.latency_s.size
    precision = np.zeros((n + 1, n + 1))
    precision[:n, :n] = np.linalg.inv(prior.latency_covariance)
    precision[n, n] = 1.0 / _LINEAR_DRIFT**2
    precision += design.T @ ((known / (1.0 + known))[:, None] * design)
    covariance = np.asarray(np.linalg.inv(precision), np.float64)
    return _Regression(covariance @ (design.T @ (pull / (1.0 + known))), covariance)


def is_separable(error_s: float, prior: ShutterPrior) -> bool:
    """Tell whether the data say more about a latency than was known before: its error is below half of the prior's."""
    return error_s < 0.5 * math.hypot(prior.common_s, prior.own_s)
