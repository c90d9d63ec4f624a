"""Bounce, slow shift and tail in the overscan: every explanation that the data allow, with its probability (see :mod:`.hypotheses`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.hypotheses import (
    ELECTRONIC,
    FREE_PX,
    Hypothesis,
    Problem,
    electronic,
    log_cost,
    log_odds,
    problem_of,
    profiles,
    solve,
    sums,
)
from vison_etl.effects.edge_response.lines import Lines, scale_of
from vison_etl.effects.edge_response.search import Fit, fitted, grid, penalties
from vison_etl.effects.edge_response.shapes import Family, ending, exponential, stretched, two_species

Float = NDArray[np.float64]

_TRIED = 4
_REACH = 7.0
_CLEAR = 8.0
_SHAPES = 3.0
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class Tails:
    """Explanations that the data allow, S of them, and the linear fit for each.

    Parameters
    ----------
    best
        The most probable hypothesis.
    weight
        Probability of each (sum 1), shape (S,).
    shapes, sums
        g_k over the overscan, shape (S, K), and its sum to infinity, shape (S,).
    raw, seen
        What the electronic coefficients do in the first pixels behind a flat field, and in the overscan: shapes (S, E, 3), (S, E, K).
    value, covariance
        Electronic coefficients, fractions of the level, and amplitudes A_m, ADU at the reference level: shapes (S, E + M) and (S, E + M, E + M).
    reference
        ADU of the amplitudes.
    chi2, dof
        Of the most probable one, before anything was added to the errors.
    scale
        Factor on all errors from what is still misfit.
    is_improbable
        Whether no shape describes the data.
    """

    best: Hypothesis
    weight: Float
    shapes: Float
    sums: Float
    raw: Float
    seen: Float
    value: Float
    covariance: Float
    reference: float
    chi2: float
    dof: int
    scale: float
    is_improbable: bool

    @property
    def tau(self) -> Float:
        """Return the length of the exponential tail with the same sum, px, shape (S,)."""
        return np.asarray(-1.0 / np.log1p(-1.0 / np.maximum(self.sums, 1.0 + 1e-9)))

    @property
    def amplitude(self) -> tuple[Float, Float]:
        """Return the deferred charge in the first pixel at the reference level, all powers together, ADU, and its variance, shapes (S,)."""
        return self.value[:, ELECTRONIC:].sum(axis=1), self.covariance[:, ELECTRONIC:, ELECTRONIC:].sum(axis=(1, 2))

    @property
    def bounce(self) -> tuple[Float, Float]:
        """Return the bounce of the first pixels, fractions of the level, and their covariance, shapes (S, 3), (S, 3, 3)."""
        raw = self.raw
        value = np.einsum("sek,se->sk", raw, self.value[:, :ELECTRONIC])
        return value, np.swapaxes(raw, 1, 2) @ self.covariance[:, :ELECTRONIC, :ELECTRONIC] @ raw

    def average(self, values: Float, variances: Float | float = 0.0) -> tuple[float, float]:
        """Return mean and error of what has a value and a variance for each: within, and between them."""
        mean = float(self.weight @ values)
        return mean, float(np.sqrt(self.weight @ (variances + (values - mean) ** 2)))


@dataclass(frozen=True, slots=True)
class Leading:
    """Bounce of the first pixels of the leading edge, fractions of the level, shape (3,), and covariance.

    ``share``: transfers of the first image pixel over those of the last: so much of the deferred charge is missing there too.
    """

    value: Float
    covariance: Float
    share: float = 0.0


def fit_tails(lines: Lines, last: Float, release_px: tuple[float, float], *, bounces: bool) -> Tails:
    """Fit bounce, slow shift and tail, and keep every explanation that the data allow.

    Parameters
    ----------
    lines
        Coefficients of the overscan pixels.
    last
        Response of the last image pixels relative to the level, that before the edge first: what they hold is what they lose.
    release_px
        Shortest and longest release; evenly probable in the logarithm between them.
    bounces
        Whether there may be a bounce.

    Returns
    -------
    Tails
        On grids about the best shape of each hypothesis, with weights exp(-chi2 / 2 scale²) times the prior density; what a hypothesis
        assumes beyond the simplest costs what it could have been over how well it is measured. The tail is a stretched exponential where
        the data allow a plain one; else also two species of traps and tails that end. Where no shape describes the data (probability
        below 0.001), all pixels get an error that is the same fraction of the first pixel of the tail, as large as the misfit asks for.
    """
    problem = problem_of(lines, last)
    kinds = list(product(("one", "settling", "free") if bounces else ("none",), (False, True)))

    plain = _explored(problem, exponential(release_px), kinds)
    fits = [*plain, *_explored(problem, stretched(release_px), kinds)]
    if not any(_is_probable(problem, fit) for fit in plain if fit.hypothesis.bounce in ("none", "one")):
        fits += [fit for family in _others(problem, release_px, kinds[-1]) for fit in _explored(problem, family, kinds)]
    ranks = [-0.5 * fit.penalty + _log_prior(problem, fit.hypothesis) for fit in fits]
    best = fits[int(np.argmax(ranks))]
    fits = [fit for fit, rank in zip(fits, ranks, strict=True) if rank > max(ranks) - _REACH - _SHAPES]
    is_probable = _is_probable(problem, best)
    dof = _dof(problem, best)
    if not is_probable:
        problem = problem_of(_loosened(lines, problem, best), last)
        fits = [fitted(problem, fit.hypothesis, fit.best[None]) for fit in fits]
    scale = scale_of(min(fit.chi2 for fit in fits), dof)
    parts = [_about(problem, fit, scale) for fit in fits]
    log_weight = np.concatenate([part[0] for part in parts])
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    kept = weight > _LEAST_WEIGHT
    columns = [np.concatenate(column)[kept] for column in list(zip(*parts, strict=True))[1:]]
    total = [float(part.sum()) for part in np.split(weight, np.cumsum([len(part[0]) for part in parts])[:-1])]
    chosen = fits[int(np.argmax(total))].hypothesis
    return Tails(
        chosen, weight[kept] / weight[kept].sum(), *columns, lines.reference, best.chi2, dof, scale, is_improbable=not is_probable
    )


def with_leading(tails: Tails, leading: Leading) -> Tails:
    """Return the explanations with what the leading edge says of the bounce: for each the linear fit of both, and its probability."""
    powers = tails.value.shape[1] - ELECTRONIC
    deferred = leading.share / tails.reference * tails.shapes[:, :FREE_PX]
    seen = np.concatenate([np.swapaxes(tails.raw, 1, 2), np.repeat(deferred[:, :, None], powers, axis=2)], axis=2)
    gain = tails.covariance @ np.swapaxes(seen, 1, 2)
    inverse = np.linalg.inv(seen @ gain + leading.covariance)
    rest = leading.value - np.einsum("skx,sx->sk", seen, tails.value)
    chi2 = np.einsum("sk,skl,sl->s", rest, inverse, rest)
    weight = tails.weight * np.exp(-0.5 * (chi2 - chi2.min()))
    return replace(
        tails,
        weight=weight / weight.sum(),
        value=tails.value + np.einsum("sxk,skl,sl->sx", gain, inverse, rest),
        covariance=tails.covariance - gain @ inverse @ np.swapaxes(gain, 1, 2),
    )


def _is_probable(problem: Problem, fit: Fit) -> bool:
    return scale_of(fit.chi2, _dof(problem, fit)) == 1.0


def _dof(problem: Problem, fit: Fit) -> int:
    powers = problem.roots.shape[1]
    return problem.data.size - 2 * powers - len(fit.hypothesis.linear) - fit.best.size


def _log_prior(problem: Problem, hypothesis: Hypothesis) -> float:
    return log_odds(hypothesis) - log_cost(problem, hypothesis)


def _explored(problem: Problem, family: Family, kinds: Sequence[tuple[str, bool]]) -> list[Fit]:
    """Fit one kind of tail with each kind of bounce and shift, from the simplest to the most general.

    Where deferred charge is clear even under the most general one, those between them are left out that it shows to be improbable: they cannot
    fit better.
    """
    simple, general = (fitted(problem, Hypothesis(family, *kind)) for kind in (kinds[0], kinds[-1]))
    solved = solve(problem, general.hypothesis, general.best[None])
    amplitude, variance = solved.value[0, ELECTRONIC:].sum(), solved.covariance[0, ELECTRONIC:, ELECTRONIC:].sum()
    is_clear = abs(amplitude) > _CLEAR * np.sqrt(variance)
    out = [simple, general]
    for kind in kinds[1:-1]:
        hypothesis = Hypothesis(family, *kind)
        if not is_clear or 0.5 * (simple.penalty - general.penalty) + _log_prior(problem, hypothesis) > -_REACH:
            out.append(fitted(problem, hypothesis))
    return out


def _others(problem: Problem, release_px: tuple[float, float], kind: tuple[str, bool]) -> list[Family]:
    """Return two species, and the kinds of tails that end which fit best."""
    found = ending(release_px, problem.sources.shape[1])
    tried = [float(penalties(problem, h, h.coarse()).min()) for h in (Hypothesis(family, *kind) for family in found)]
    return [two_species(release_px), *(found[i] for i in np.argsort(tried)[:_TRIED])]


def _about(problem: Problem, fit: Fit, scale: float) -> tuple[Float, ...]:
    """Return ln of the probability, tail, its sum, what is electronic, values and covariance of the shapes about a fit."""
    hypothesis = fit.hypothesis
    points, log_volume = grid(problem, fit, scale)
    solved = solve(problem, hypothesis, points)
    penalty = solved.penalty / scale**2 + hypothesis.family.penalty(hypothesis.tail(points))
    log_weight = -0.5 * penalty + log_volume + hypothesis.log_density + _log_prior(problem, hypothesis)
    raw, seen = electronic(problem, hypothesis, points)
    tail = profiles(problem, hypothesis, points)
    covariance = scale**2 * solved.covariance
    return log_weight, tail, sums(hypothesis, points), raw[..., :FREE_PX], seen, solved.value, covariance


def _loosened(lines: Lines, problem: Problem, fit: Fit) -> Lines:
    """Return coefficients with an error common to no two pixels, a fraction of the first pixel of the tail, that explains the misfit."""
    amplitudes = solve(problem, fit.hypothesis, fit.best[None]).value[0, ELECTRONIC:]
    outer = np.outer(amplitudes, amplitudes)
    per_unit = float(np.einsum("kij,ji->", np.linalg.inv(lines.covariance), outer))
    fraction2 = max(fit.chi2 - _dof(problem, fit), 0.0) / per_unit
    return replace(lines, covariance=lines.covariance + fraction2 * outer)
