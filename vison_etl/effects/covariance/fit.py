"""Fit of the covariance model by maximum likelihood.

Sample covariances of millions of pixels are normal, with a covariance matrix that the model itself foretells (Bartlett, see
``model.curves``). The likelihood equations are those of generalised least squares whose weights come from the *model* and are
iterated with it (Fisher scoring): weights from the measured values would favour low fluctuations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri, dtrtri

from vison_etl.effects.covariance.mixing import NO_MIXING, Mixing, estimate, mixing_derivatives
from vison_etl.effects.covariance.model import EXPONENT_MAX, Coefficients, Curves, Floats, curves, exponents
from vison_etl.effects.covariance.pairs import Mask, Nodes, Pairs, nodes, predicted_adu2
from vison_etl.effects.covariance.record import CovarianceFit, Prior, no_fit
from vison_etl.effects.covariance.start import start
from vison_etl.effects.neighbours import agree_with_neighbours

CURVATURE_BOUNDS = (-4.0, 1.0)
"""Bounds of 2 a00 g mu at the highest signal, those of the exponential model."""

MIN_LEVELS = 3
"""Least number of signals: gain, a00 and noise of the variance; with c free one more."""

_PASSES = 3
_COARSE = 10.0
_MAX_STEPS = 25
_MAX_HALVINGS = 12
_CONVERGED = 1e-3
_GAIN_ERR_MAX = 0.5


class _NoCurveError(ArithmeticError):
    """The search leads nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """What is fitted; ``free`` marks the parameters that are not held, shape (1 + 3 r²,)."""

    pairs: Pairs
    grouped: Nodes
    prior: Prior | None
    free: Mask

    @property
    def c_is_free(self) -> bool:
        """Tell whether c is fitted."""
        return bool(self.free[1 + self.pairs.reach**2])


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Model at some coefficients: curves, residuals (P, r²), ADU², Cholesky factors of the sampling matrices (L, r², r²), ADU²."""

    coefficients: Coefficients
    found: Curves
    residual: Floats
    roots: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    state: _State
    information: Floats
    at_bound: bool


def fit_covariances(
    pairs: Pairs,
    *,
    c_is_free: bool = True,
    prior: Prior | None = None,
    outlier_sigma: float = 5.0,
    near: Coefficients | None = None,
) -> CovarianceFit:
    """Fit gain, a_ij, c_ij and n_ij to the covariances of one channel.

    Parameters
    ----------
    pairs
        Covariances. Those of pairs above the turn-off of the curve do not belong in it.
    c_is_free
        Fit c; else it is held at zero.
    prior
        What is known of n_00 beforehand: adds ((n_00 - prior) / sigma)² to chi2.
    outlier_sigma
        A pair is left out if one of its covariances departs by more than this from the running median of the residuals at
        like signals (see `agree_with_neighbours`), in at most three passes in which it may return.
    near
        Coefficients to start from; else parabolas through medians.

    Returns
    -------
    CovarianceFit
        ``no_data`` with fewer than 3 signals (4 with c free) that differ by more than 4 %, ``failed`` where the search leads
        nowhere or the gain is uncertain by more than half of itself.
    """
    nothing = no_fit("no_data", len(pairs), pairs.reach, c_is_free=c_is_free)
    if len(pairs) < MIN_LEVELS + c_is_free:
        return nothing
    whole = nodes(pairs)
    if whole.mean_adu.size < MIN_LEVELS + c_is_free:
        return nothing
    free = np.ones(1 + 3 * pairs.reach**2, bool)
    free[1 + pairs.reach**2 : 1 + 2 * pairs.reach**2] = c_is_free
    try:
        state = _evaluate(pairs, whole, near or start(pairs, whole, prior))
        again = _agreeing(pairs, whole, state, _COARSE * outlier_sigma)
        for _ in range(_PASSES):
            used, kept = again, pairs[again]
            problem = _Problem(kept, whole if used.all() else nodes(kept), prior, free)
            if problem.grouped.mean_adu.size < MIN_LEVELS + c_is_free:
                return nothing
            solution = _solve(problem, state if used.all() else _evaluate(kept, problem.grouped, state.coefficients))
            state = solution.state if used.all() else _evaluate(pairs, whole, solution.state.coefficients)
            again = _agreeing(pairs, whole, state, outlier_sigma)
            if np.array_equal(used, again):
                break
        return _record(problem, solution, used)
    except (np.linalg.LinAlgError, _NoCurveError):
        return replace(nothing, status="failed")


def _evaluate(pairs: Pairs, grouped: Nodes, coefficients: Coefficients) -> _State:
    """Evaluate the model; raise where it is no covariance of a flat field."""
    gain = coefficients.gain_e_per_adu
    if not (math.isfinite(gain) and gain > 0.0):
        raise _NoCurveError
    signal = gain * grouped.mean_adu
    top = exponents(coefficients, float(signal.max()))
    if not np.all(np.abs(top) <= EXPONENT_MAX):
        raise _NoCurveError
    found = curves(coefficients, signal)
    measured = pairs.covariance_adu2.reshape(len(pairs), -1)
    residual = measured - predicted_adu2(pairs, grouped, found, coefficients)
    roots: Floats = np.linalg.cholesky(found.sampling).astype(np.float64) / gain**2
    return _State(coefficients, found, residual, roots)


def _agreeing(pairs: Pairs, grouped: Nodes, state: _State, limit_sigma: float) -> Mask:
    sigma = np.sqrt(np.sum(state.roots**2, axis=2))[grouped.of_pair] / np.sqrt(pairs.n.reshape(len(pairs), -1))
    return agree_with_neighbours(pairs.mean_adu, state.residual / sigma, limit_sigma)


def _whitening(state: _State) -> Floats:
    """Return the inverses of the roots, shape (L, r², r²)."""
    return np.stack([dtrtri(root, lower=1)[0] for root in state.roots])


def _means(problem: _Problem, state: _State) -> Floats:
    """Return the mean residuals of the levels times the roots of their numbers of pixels, shape (L, r², 1)."""
    n = problem.pairs.n.reshape(len(problem.pairs), -1)
    return (problem.grouped.sums(n * state.residual) / np.sqrt(problem.grouped.n))[:, :, None]


def _chi2_of_pairs(problem: _Problem, state: _State, white: Floats) -> float:
    single = np.sqrt(problem.pairs.n.reshape(len(problem.pairs), -1)) * state.residual
    return float(sum(np.sum((w @ single[problem.grouped.of_pair == k].T) ** 2) for k, w in enumerate(white)))


def _linearised(problem: _Problem, state: _State) -> tuple[Floats, Floats]:
    """Return derivatives by the free parameters of problem, and residuals, of the levels, whitened; the prior last."""
    found, coefficients, grouped = state.found, state.coefficients, problem.grouped
    gain, n_levels = coefficients.gain_e_per_adu, grouped.mean_adu.size
    lags = coefficients.reach**2
    white = _whitening(state)
    to_adu = white * np.sqrt(grouped.n)[:, None, :] / gain**2
    by_gain = found.slope * grouped.mean_adu[:, None, None] - 2.0 / gain * (found.value + coefficients.n_e2)
    design = np.empty((n_levels * lags + (problem.prior is not None), np.count_nonzero(problem.free)))
    of_levels = design[: n_levels * lags].reshape(n_levels, lags, -1)
    of_levels[:, :, :1] = to_adu @ by_gain.reshape(n_levels, lags, 1)
    of_levels[:, :, 1 : 1 + lags] = to_adu @ found.by_a
    if problem.c_is_free:
        of_levels[:, :, 1 + lags : 1 + 2 * lags] = to_adu @ found.by_c
    of_levels[:, :, -lags:] = to_adu
    residual = (white @ _means(problem, state)).ravel()
    if problem.prior is None:
        return design, residual
    slope, pull = _prior_row(problem.prior, coefficients)
    design[-1] = slope[problem.free]
    return design, np.append(residual, pull)


def _prior_row(prior: Prior, coefficients: Coefficients) -> tuple[Floats, float]:
    """Return derivatives and residual of n_00 / g² over the error of the prior."""
    gain, lags = coefficients.gain_e_per_adu, coefficients.reach**2
    n00 = float(coefficients.n_e2[0, 0]) / gain**2
    slope = np.zeros(1 + 3 * lags)
    slope[0], slope[1 + 2 * lags] = -2.0 * n00 / gain, 1.0 / gain**2
    return slope / prior.sigma_adu2, (prior.n00_adu2 - n00) / prior.sigma_adu2


def _solve(problem: _Problem, state: _State) -> _Solution:
    """Fisher scoring, steps halved where they leave what can be; the step after the last improves chi2 by < 1e-3."""
    free, at_bound = problem.free.copy(), False
    for _ in range(_MAX_STEPS):
        design, residual = _linearised(problem, state)
        if at_bound:
            design = design[:, free[problem.free]]
        information = design.T @ design
        scale = np.sqrt(np.diag(information))
        information /= np.outer(scale, scale)
        gradient = design.T @ residual / scale
        step = cho_solve(cho_factor(information, lower=True), gradient)
        delta = np.zeros(free.size)
        delta[free] = step / scale
        state, hit = _advance(problem, state, delta, at_bound=at_bound)
        if hit and not at_bound:
            at_bound = True
            free[1] = False
            continue
        if gradient @ step < _CONVERGED:
            whole = np.zeros((free.size, free.size))
            whole[np.ix_(free, free)] = information * np.outer(scale, scale)
            return _Solution(state, whole, at_bound)
    raise _NoCurveError


def _advance(problem: _Problem, state: _State, delta: Floats, *, at_bound: bool) -> tuple[_State, bool]:
    """Take the largest of the steps delta, delta/2, delta/4 ... that the model allows; a00 g is kept within its bounds."""
    now, r = state.coefficients, state.coefficients.reach
    low, high = (bound / (2.0 * float(problem.grouped.mean_adu.max())) for bound in CURVATURE_BOUNDS)
    for halving in range(_MAX_HALVINGS):
        part = delta * 0.5**halving
        gain = now.gain_e_per_adu + float(part[0])
        if not gain > 0.0:
            continue
        a, c, n = part[1:].reshape(3, r, r)
        a = now.a_per_e + a
        product = now.a_per_e[0, 0] * now.gain_e_per_adu if at_bound else a[0, 0] * gain
        hit = not low < product < high
        if at_bound or hit:
            a[0, 0] = min(max(product, low), high) / gain
        try:
            trial = Coefficients(gain, a, now.c_per_e2 + c, now.n_e2 + n)
            return _evaluate(problem.pairs, problem.grouped, trial), hit
        except _NoCurveError:
            continue
    raise _NoCurveError


def _record(problem: _Problem, solution: _Solution, used: Mask) -> CovarianceFit:
    state, c_is_free = solution.state, problem.c_is_free
    nothing = no_fit("failed", used.size, problem.pairs.reach, c_is_free=c_is_free)
    free = np.flatnonzero(np.diag(solution.information) > 0.0)
    scale = np.sqrt(np.diag(solution.information)[free])
    scaled = solution.information[np.ix_(free, free)] / np.outer(scale, scale)
    covariance = np.zeros_like(solution.information)
    covariance[np.ix_(free, free)] = _inverse(scaled) / np.outer(scale, scale)
    if not math.sqrt(covariance[0, 0]) < _GAIN_ERR_MAX * state.coefficients.gain_e_per_adu:
        return nothing
    if solution.at_bound:
        covariance[1, :] = covariance[:, 1] = math.nan
    whitening = _whitening(state)
    white = whitening @ _means(problem, state)
    of_prior = _prior_row(problem.prior, state.coefficients)[1] ** 2 if problem.prior else 0.0
    n_prior = int(problem.prior is not None)
    sums = problem.grouped.sums(problem.pairs.n.reshape(len(problem.pairs), -1) * state.residual)
    sigma = np.sqrt(np.sum(state.roots**2, axis=2) * problem.grouped.n)
    residual_sigma = (sums / sigma).reshape(-1, problem.pairs.reach, problem.pairs.reach)
    return CovarianceFit(
        status="bound" if solution.at_bound else "ok",
        coefficients=state.coefficients,
        covariance=covariance,
        c_is_free=c_is_free,
        chi2=_chi2_of_pairs(problem, state, whitening) + of_prior,
        dof=state.residual.size + n_prior - free.size,
        level_chi2=float(np.sum(white**2)) + of_prior,
        level_dof=white.size + n_prior - free.size,
        variance_chi2=float(np.sum(residual_sigma[:, 0, 0] ** 2)) + of_prior,
        variance_dof=max(0, len(residual_sigma) + n_prior - 3 - int(c_is_free)),
        used=used,
        residual_sigma=residual_sigma,
        level_mean_adu=problem.grouped.mean_adu,
        mixing=NO_MIXING if solution.at_bound else _mixing(problem, state, whitening, covariance),
    )


def _inverse(information: Floats) -> Floats:
    """Return the inverse of a positive matrix."""
    lower, _ = dpotri(np.linalg.cholesky(information), lower=1)
    return np.asarray(lower + np.tril(lower, -1).T, np.float64)


def _mixing(problem: _Problem, state: _State, whitening: Floats, covariance: Floats) -> Mixing:
    gain, n = state.coefficients.gain_e_per_adu, problem.grouped.n
    design, residual = _linearised(problem, state)
    derivatives = mixing_derivatives(state.found.power, problem.pairs.reach).reshape(*n.shape, 2)
    by_mixing = np.zeros((residual.size, 2))
    by_mixing[: n.size] = (whitening @ (np.sqrt(n)[:, :, None] * derivatives)).reshape(n.size, 2) / gain**2
    return estimate(design, residual, by_mixing, covariance[np.ix_(problem.free, problem.free)], gain)
