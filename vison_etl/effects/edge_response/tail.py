"""Bounce, slow shift and tail in the overscan: every explanation that the data allow, with its probability (see :mod:`.hypotheses`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, logsumexp

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
_REACH = 10.0
_LIKELY = 0.05
_BETTER = 5.0
_WINDOW = 20.0
_LEAST_WEIGHT = 1e-4


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
        assumes beyond the simplest costs what it could have been over how well it is measured. Hypotheses less than a twentieth as probable
        as the best are left out. Where no shape describes the data (probability
        below 0.001), all pixels get an error that is the same fraction of the first pixel of the tail, as large as the misfit asks for.
    """
    problem = problem_of(lines, last)
    fits = _candidates(problem, release_px, bounces=bounces)
    best = max(fits, key=lambda fit: _rank(problem, fit))
    fits = [fit for fit in fits if _rank(problem, fit) > _rank(problem, best) - _REACH]
    is_probable, dof = _is_probable(problem, best), _dof(problem, best)
    if not is_probable:
        problem = problem_of(_loosened(lines, problem, best), last)
        fits = [fitted(problem, fit.hypothesis, fit.best[None]) for fit in fits]
    scale = scale_of(min(fit.chi2 for fit in fits), dof)
    parts = [_about(problem, fit, scale) for fit in fits]
    total = [float(logsumexp(part[0])) for part in parts]
    chosen = fits[int(np.argmax(total))].hypothesis
    # Occam's window (Madigan & Raftery 1994)
    parts = [part for part, own in zip(parts, total, strict=True) if own > max(total) - np.log(_WINDOW)]
    log_weight = np.concatenate([part[0] for part in parts])
    weight = np.exp(log_weight - log_weight.max())
    kept = weight > _LEAST_WEIGHT
    shapes, sums_, raw, seen, value, covariance = (np.concatenate(c)[kept] for c in list(zip(*parts, strict=True))[1:])
    return Tails(
        best=chosen,
        weight=weight[kept] / weight[kept].sum(),
        shapes=shapes,
        sums=sums_,
        raw=raw,
        seen=seen,
        value=value,
        covariance=covariance,
        reference=lines.reference,
        chi2=best.chi2,
        dof=dof,
        scale=scale,
        is_improbable=not is_probable,
    )


def _candidates(problem: Problem, release_px: tuple[float, float], *, bounces: bool) -> list[Fit]:
    """Return the fits of all hypotheses that are tried, the simpler ones first.

    The simplest is an exponential, a bounce of one pixel and no slow shift. A stretched exponential, a longer bounce or a slow shift are always
    tried; two species and tails that end where no exponential with the simplest bounce describes the data; more than one of all these
    where the simplest does not, and the most general fits better than any with one.
    """

    def fits_of(family: Family, kinds: Sequence[tuple[str, bool]]) -> list[Fit]:
        return [fitted(problem, Hypothesis(family, *kind)) for kind in kinds]

    plain, bent = exponential(release_px), stretched(release_px)
    shortest: str = "one" if bounces else "none"
    longer = ["settling", "free"] if bounces else []
    simplest, shifted = (shortest, False), (shortest, True)
    straight = fits_of(plain, [simplest, shifted])
    straight += fits_of(plain, [(bounce, False) for bounce in longer])
    fits = [*straight, *fits_of(bent, [simplest])]
    if not any(_is_probable(problem, fit) for fit in straight[:2]):
        fits += [fit for family in _others(problem, release_px, simplest) for fit in fits_of(family, [simplest])]
    if _probability(problem, straight[0]) < _LIKELY:
        most = fitted(problem, Hypothesis(bent, [shortest, *longer][-1], is_slow=True))
        if min(fit.penalty for fit in fits) > most.penalty + _BETTER:
            fits += fits_of(plain, [(bounce, True) for bounce in longer])
            both = [shifted, *product(longer, (False, True))]
            fits += [fit for family in (bent, two_species(release_px)) for fit in fits_of(family, both)]
    return fits


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


def _probability(problem: Problem, fit: Fit) -> float:
    return float(chdtrc(_dof(problem, fit), fit.chi2))


def _dof(problem: Problem, fit: Fit) -> int:
    powers = int(problem.roots.shape[1])
    return problem.data.size - 2 * powers - len(fit.hypothesis.linear) - fit.best.size


def _rank(problem: Problem, fit: Fit) -> float:
    """Return ln of the probability but for how much of the range of shapes is left."""
    odds = float(log_odds(fit.hypothesis, fit.best[None])[0])
    return -0.5 * fit.penalty + odds - log_cost(problem, fit.hypothesis)


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
    log_weight = -0.5 * penalty + log_volume + hypothesis.log_density - log_cost(problem, hypothesis)
    log_weight += log_odds(hypothesis, points)
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
