"""The most probable shape under a hypothesis, and a grid of shapes about it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.hypotheses import Hypothesis, Problem, solve

Float = NDArray[np.float64]

_FINE = {1: 21, 2: 15, 3: 7, 4: 5}
_SPAN = 4.5
_STEP = 0.02
_FLAT = 1e-9
_MIXED = 0.999
_DAMPINGS = 10.0 ** np.arange(-5.0, 3.0)
_DIFFERENCE = 1e-5
_MAX_STEPS = 15
_CONVERGED = 1e-2


@dataclass(frozen=True, slots=True)
class Fit:
    """Most probable shape under a hypothesis, its parameters of shape (P,); chi-square of the data, and with all that is assumed."""

    hypothesis: Hypothesis
    best: Float
    chi2: float
    penalty: float


def penalties(problem: Problem, hypothesis: Hypothesis, points: Float, scale: float = 1.0) -> Float:
    """Return chi-square over ``scale`` squared, with what is assumed of coefficients and shape, shape (S,)."""
    linear = solve(problem, hypothesis, points).penalty / scale**2
    return np.asarray(linear + hypothesis.family.penalty(hypothesis.tail(points)))


def fitted(problem: Problem, hypothesis: Hypothesis, start: Float | None = None) -> Fit:
    """Return the most probable shape: from the best of some starts by least squares (Levenberg, Marquardt) inside its range.

    What is linear is solved for each shape anew (variable projection). Of steps of all dampings the best is taken; the search ends where
    none makes the penalty smaller by 0.01.

    Parameters
    ----------
    start
        Parameters to start from, shape (S, P); a coarse grid over the whole range without.
    """
    coarse = hypothesis.coarse() if start is None else start
    values = penalties(problem, hypothesis, coarse)
    best, least = coarse[int(np.argmin(values))], float(values.min())
    for _ in range(_MAX_STEPS):
        trials = _steps(problem, hypothesis, best)
        values = penalties(problem, hypothesis, trials)
        gained = least - float(values.min())
        if gained > 0.0:
            best, least = trials[int(np.argmin(values))], float(values.min())
        if not gained > _CONVERGED:
            break
    return Fit(hypothesis, best, float(solve(problem, hypothesis, best[None]).chi2[0]), least)


def _residuals(problem: Problem, hypothesis: Hypothesis, points: Float) -> Float:
    """Return all whose squares add up to the penalty, shape (S, N + A)."""
    assumed = hypothesis.family.assumed(hypothesis.tail(points))
    return np.concatenate([solve(problem, hypothesis, points).residual, assumed], axis=1)


def _steps(problem: Problem, hypothesis: Hypothesis, best: Float) -> Float:
    """Return where Gauss-Newton steps of all dampings lead, shape (S, P); a parameter that would leave its range stays at its end."""
    size, low, high = best.size, hypothesis.low, hypothesis.high
    step = np.where(best + _DIFFERENCE > high, -_DIFFERENCE, _DIFFERENCE)
    around = _residuals(problem, hypothesis, best + np.vstack([np.zeros(size), np.diag(step)]))
    slopes = (around[1:] - around[0]) / step[:, None]
    gradient, curvature = slopes @ around[0], slopes @ slopes.T
    held = ((best <= low) & (gradient > 0.0)) | ((best >= high) & (gradient < 0.0))
    gradient, curvature = np.where(held, 0.0, gradient), np.where(np.logical_or.outer(held, held), 0.0, curvature)
    scale = np.maximum(np.diag(curvature), _FLAT)
    damped = curvature + _DAMPINGS[:, None, None] * np.diag(scale)
    moves = -np.linalg.solve(damped, np.broadcast_to(gradient[:, None], (len(_DAMPINGS), size, 1)))[:, :, 0]
    return np.asarray(np.clip(best + moves, low, high))


def grid(problem: Problem, fit: Fit, scale: float) -> tuple[Float, float]:
    """Return points about the best along the axes of the chi-square, out to 4.5 sigma or the ends of the range, and ln of their volume."""
    low, high, best = fit.hypothesis.low, fit.hypothesis.high, fit.best
    variances, axes = np.linalg.eigh(_curvature(problem, fit, scale))
    reach = np.minimum(_SPAN / np.sqrt(np.maximum(variances, _FLAT)), float(np.linalg.norm(high - low)))
    n = _FINE[best.size]
    steps = np.linspace(-1.0, 1.0, n)
    along = np.stack(np.meshgrid(*(r * steps for r in reach), indexing="ij"), axis=-1).reshape(-1, best.size)
    points = best + along @ axes.T
    inside = np.all((points >= low - 1e-12) & (points <= high + 1e-12), axis=1)
    return np.clip(points[inside], low, high), float(np.sum(np.log(2.0 * reach / (n - 1))))


def _curvature(problem: Problem, fit: Fit, scale: float) -> Float:
    """Return half the second derivatives of the penalty, shape (P, P), by differences over about one sigma."""

    def penalty(points: Float) -> Float:
        return penalties(problem, fit.hypothesis, points, scale)

    best, size = fit.best, fit.best.size
    step = np.full(size, _STEP)
    axes = np.eye(size)
    for _ in range(3):
        around = penalty(best + np.vstack([np.zeros((1, size)), axes, -axes]) * step)
        second = np.maximum(around[1 : size + 1] + around[size + 1 :] - 2.0 * around[0], _FLAT) / step**2
        used, step = step, np.minimum(1.0 / np.sqrt(second), 5.0 * _STEP)
    out = np.diag(second)
    signs = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]])
    for i, j in combinations(range(size), 2):
        offsets = np.zeros((4, size))
        offsets[:, [i, j]] = signs * used[[i, j]]
        corners = penalty(best + offsets)
        limit = _MIXED * np.sqrt(second[i] * second[j])
        mixed = (corners[0] + corners[1] - corners[2] - corners[3]) / (4.0 * used[i] * used[j])
        out[i, j] = out[j, i] = np.clip(mixed, -limit, limit)
    return np.asarray(0.5 * out)
