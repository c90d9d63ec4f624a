"""Bounce and tail in the overscan: one pixel, or charge released over several.

What overscan pixel k holds beside a constant, per power m of the signal (see :mod:`.lines`):

    c_mk = d_m + b [m = 1, k = 1] + A_m g_k

A bounce of the amplifier is linear in signal and one pixel long; deferred charge is released over tau pixels or more, at any power. The shapes g_k
that a tail may have are those of :mod:`.shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.lines import Lines, scale_of
from vison_etl.effects.edge_response.shapes import Family, ending, exponential, shapes, sources, stretched, two_species

Float = NDArray[np.float64]

_FINE = {1: 101, 2: 15, 3: 9}
_SPAN = 4.5
_STEP = 0.02
_FLAT = 1e-9
_MIXED = 0.999
_REACH = 20.0
_TRIED = 6

_DAMPINGS = 10.0 ** np.arange(-6.0, 5.0, 2.0)
_DIFFERENCE = 1e-5
_MAX_STEPS = 40
_CONVERGED = 1e-5


@dataclass(frozen=True, slots=True)
class Tails:
    """Tails that the data allow, S of them, and the linear fit for each.

    Parameters
    ----------
    family
        Kind of the most probable one.
    weight
        Probability of each (sum 1), shape (S,).
    shapes, sums
        g_k over the overscan, shape (S, K), and its sum to infinity, shape (S,).
    bounce, bounce_var
        Fraction of the level, shape (S,); 0 where there can be none.
    amplitudes, amplitude_cov, with_bounce
        A_m in ADU at the reference level, shapes (S, M), (S, M, M), and their covariance with the bounce, (S, M).
    chi2, dof
        Of the most probable one, before anything was added to the errors.
    scale
        Factor on all errors from what is still misfit.
    """

    family: Family
    weight: Float
    shapes: Float
    sums: Float
    bounce: Float
    bounce_var: Float
    amplitudes: Float
    amplitude_cov: Float
    with_bounce: Float
    chi2: float
    dof: int
    scale: float

    @property
    def tau(self) -> Float:
        """Return the length of the exponential tail with the same sum, px, shape (S,)."""
        return np.asarray(-1.0 / np.log1p(-1.0 / np.maximum(self.sums, 1.0 + 1e-9)))

    def average(self, values: Float, variances: Float | float = 0.0) -> tuple[float, float]:
        """Return mean and error of what has a value and a variance for each tail: within, and between them."""
        mean = float(self.weight @ values)
        return mean, float(np.sqrt(self.weight @ (variances + (values - mean) ** 2)))


@dataclass(frozen=True, slots=True)
class _Fit:
    family: Family
    best: Float
    chi2: float

    @property
    def cost(self) -> float:
        """Return the chi-square with one for each parameter of the shape, and what is assumed of them."""
        return self.chi2 + self.best.size + float(self.family.penalty(self.best[None])[0])


def fit_tails(
    lines: Lines, last: Float, release_px: tuple[float, float], leading: tuple[float, float] | None, *, bounces: bool
) -> Tails:
    """Fit bounce and tail, and keep every tail that the data allow.

    Parameters
    ----------
    lines
        Coefficients of the overscan pixels.
    last
        Response of the last image pixels relative to the level, that before the edge first: what they hold is what they lose.
    release_px
        Shortest and longest tau; evenly probable in the logarithm between them.
    leading
        Bounce and error from the leading edge, as a fraction of the level, or None.
    bounces
        Whether there may be a bounce.

    Returns
    -------
    Tails
        On grids about the best of each family, with weights exp(-chi2 / 2 scale²). A stretched exponential where the data allow a plain
        one; else also two species of traps and tails that end. Where no shape describes the data (probability below 0.001), all
        pixels get an error that is the same fraction of the first pixel of the tail, as large as the misfit asks for.
    """
    problem = _problem(lines, last, leading, bounces=bounces)
    fits = [_fitted(problem, stretched(release_px))]
    if scale_of(_fitted(problem, exponential(release_px)).chi2, problem.dof + 1) > 1.0:
        fits += [_fitted(problem, two_species(release_px)), *_ending(problem, release_px)]
    best = min(fits, key=lambda fit: fit.cost)
    fits = [fit for fit in fits if fit.cost < best.cost + _REACH]
    if scale_of(best.chi2, problem.dof) > 1.0:
        problem = _problem(_loosened(lines, problem, best), last, leading, bounces=bounces)
        fits = [_fitted(problem, fit.family) for fit in fits]
    return _joined(problem, fits, best.chi2)


def _ending(problem: _Problem, release_px: tuple[float, float]) -> list[_Fit]:
    """Return the best fits of tails that end."""
    found = ending(release_px, len(problem.fixed))
    tried = [float(_penalty(problem, family, family.coarse()).min()) for family in found]
    return [_fitted(problem, found[i]) for i in np.argsort(tried)[:_TRIED]]


def _joined(problem: _Problem, fits: list[_Fit], chi2: float) -> Tails:
    """Return the tails about the best of each family; each family has the probability exp(-cost / 2 scale²)."""
    best = min(fits, key=lambda fit: fit.cost)
    scale = scale_of(best.chi2, problem.dof)
    parts = []
    for fit in fits:
        points = _grid(problem, fit.family, fit.best, scale)
        solved = _solve(problem, fit.family, points)
        penalty = solved.chi2 / scale**2 + fit.family.penalty(points)
        weight = np.exp(-0.5 * (penalty - penalty.min()))
        weight *= np.exp(-0.5 * (fit.cost - best.cost) / scale**2) / weight.sum()
        profile = _profiles(problem, fit.family, points)
        parts.append((weight, profile, shapes(fit.family, points).sum(axis=1), *solved.values))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    weight = columns[0] / columns[0].sum()
    return Tails(best.family, weight, *columns[1:], chi2, problem.dof, scale)  # type: ignore[arg-type,call-arg]


def _loosened(lines: Lines, problem: _Problem, fit: _Fit) -> Lines:
    """Return coefficients with an error common to no two pixels, a fraction of the first pixel of the tail, that explains the misfit."""
    amplitudes = _solve(problem, fit.family, fit.best[None]).values[2][0]
    outer = np.outer(amplitudes, amplitudes)
    per_unit = float(np.einsum("kij,ji->", np.linalg.inv(lines.covariance), outer))
    fraction2 = max(fit.chi2 - problem.dof, 0.0) / per_unit
    return replace(lines, covariance=lines.covariance + fraction2 * outer)


@dataclass(frozen=True, slots=True)
class _Problem:
    """The linear fit without its tail.

    ``roots``: of the inverse covariances, shape (K, M, M), [pixel, residual, power]; ``fixed``: whitened columns of constants and bounce;
    ``sources``: from the tail behind a flat field to that behind these pixels.
    """

    roots: Float
    data: Float
    fixed: Float
    sources: Float
    prior: tuple[float, float] | None
    has_bounce: bool
    dof: int


@dataclass(frozen=True, slots=True)
class _Solved:
    """Linear fits of S shapes. ``residual``: shape (S, N), that of the prior last."""

    chi2: Float
    residual: Float
    values: tuple[Float, Float, Float, Float, Float]
    """Bounce, its variance, amplitudes, their covariance, and that with the bounce."""


def _problem(lines: Lines, last: Float, leading: tuple[float, float] | None, *, bounces: bool) -> _Problem:
    pixels, powers = lines.value.shape
    roots = np.swapaxes(np.linalg.cholesky(np.linalg.inv(lines.covariance)), 1, 2)
    fixed = np.zeros((pixels, powers, powers + bounces))
    fixed[:, :, :powers] = roots
    if bounces:
        fixed[0, :, powers] = roots[0, :, 0] * lines.reference * last[0]
    prior = leading if bounces else None
    data = (roots @ lines.value[:, :, None]).ravel()
    dof = pixels * powers - (powers + bounces) - powers - 2 + (prior is not None)
    return _Problem(roots, data, fixed, sources(last, pixels), prior, bounces, dof)


def _solve(problem: _Problem, family: Family, points: Float) -> _Solved:
    """Fit all that is linear for each shape, parameters of shape (S, P)."""
    pixels, powers, first = problem.fixed.shape
    g = _profiles(problem, family, points)
    n_data = pixels * powers
    design = np.zeros((len(points), n_data + (problem.prior is not None), first + powers))
    design[:, :n_data, :first] = problem.fixed.reshape(n_data, first)
    design[:, :n_data, first:] = (g[:, :, None, None] * problem.roots).reshape(len(points), n_data, powers)
    data = problem.data
    if problem.prior is not None:
        value, error = problem.prior
        design[:, n_data, powers] = 1.0 / error
        data = np.append(data, value / error)
    turned = np.swapaxes(design, 1, 2)
    inverse = np.linalg.inv(turned @ design)
    solution = (inverse @ (turned @ data)[:, :, None])[:, :, 0]
    residual = data - (design @ solution[:, :, None])[:, :, 0]
    none = np.zeros(len(points))
    has = problem.has_bounce
    values = (
        solution[:, powers] if has else none,
        inverse[:, powers, powers] if has else none,
        solution[:, first:],
        inverse[:, first:, first:],
        inverse[:, powers, first:] if has else np.zeros((len(points), powers)),
    )
    return _Solved(np.sum(residual**2, axis=1), residual, values)


def _profiles(problem: _Problem, family: Family, points: Float) -> Float:
    return np.asarray(shapes(family, points, len(problem.sources)) @ problem.sources)


def _residuals(problem: _Problem, family: Family, points: Float) -> Float:
    """Return all whose squares add up to chi-square and what is assumed of the shape, shape (S, N + A)."""
    return np.concatenate([_solve(problem, family, points).residual, family.assumed(points)], axis=1)


def _penalty(problem: _Problem, family: Family, points: Float) -> Float:
    """Return chi-square with what is assumed of the shape, shape (S,)."""
    return np.asarray(_solve(problem, family, points).chi2 + family.penalty(points))


def _fitted(problem: _Problem, family: Family) -> _Fit:
    """Return the most probable shape of a family: from the best of a coarse grid by least squares (Levenberg, Marquardt) inside its range.

    What is linear is solved for each shape anew (variable projection). Of steps of all dampings the best is taken; the search ends where
    none makes the penalty smaller by 1e-5.
    """
    coarse = family.coarse()
    values = _penalty(problem, family, coarse)
    best, least = coarse[int(np.argmin(values))], float(values.min())
    for _ in range(_MAX_STEPS):
        trials = _steps(problem, family, best)
        values = _penalty(problem, family, trials)
        gained = least - float(values.min())
        if gained > 0.0:
            best, least = trials[int(np.argmin(values))], float(values.min())
        if not gained > _CONVERGED:
            break
    return _Fit(family, best, float(_solve(problem, family, best[None]).chi2[0]))


def _steps(problem: _Problem, family: Family, best: Float) -> Float:
    """Return where Gauss-Newton steps of all dampings lead, shape (S, P); a parameter that would leave its range stays at its end."""
    size = best.size
    step = np.where(best + _DIFFERENCE > family.high, -_DIFFERENCE, _DIFFERENCE)
    around = _residuals(problem, family, best + np.vstack([np.zeros(size), np.diag(step)]))
    slopes = (around[1:] - around[0]) / step[:, None]
    gradient, curvature = slopes @ around[0], slopes @ slopes.T
    held = ((best <= family.low) & (gradient > 0.0)) | ((best >= family.high) & (gradient < 0.0))
    gradient, curvature = np.where(held, 0.0, gradient), np.where(np.logical_or.outer(held, held), 0.0, curvature)
    scale = np.maximum(np.diag(curvature), _FLAT)
    damped = curvature + _DAMPINGS[:, None, None] * np.diag(scale)
    moves = -np.linalg.solve(damped, np.broadcast_to(gradient[:, None], (len(_DAMPINGS), size, 1)))[:, :, 0]
    return np.asarray(np.clip(best + moves, family.low, family.high))


def _grid(problem: _Problem, family: Family, best: Float, scale: float) -> Float:
    """Return points about the best along the axes of the chi-square, out to 4.5 sigma or the ends of the range."""
    variances, axes = np.linalg.eigh(_curvature(problem, family, best, scale))
    reach = np.minimum(_SPAN / np.sqrt(np.maximum(variances, _FLAT)), float(np.linalg.norm(family.high - family.low)))
    steps = np.linspace(-1.0, 1.0, _FINE[best.size])
    along = np.stack(np.meshgrid(*(r * steps for r in reach), indexing="ij"), axis=-1).reshape(-1, best.size)
    points = best + along @ axes.T
    inside = np.all((points >= family.low - 1e-12) & (points <= family.high + 1e-12), axis=1)
    return np.asarray(points[inside])


def _curvature(problem: _Problem, family: Family, best: Float, scale: float) -> Float:
    """Return half the second derivatives of the penalty, shape (P, P), by differences over about one sigma."""

    def penalty(points: Float) -> Float:
        return _solve(problem, family, points).chi2 / scale**2 + family.penalty(points)

    size = best.size
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
