"""What may be behind the edge, and the linear fit of each: a bounce of one pixel or longer, a slow shift of the line, a tail of deferred charge.

What overscan pixel k holds beside a constant, per power m of the signal (see :mod:`.lines`):

    c_mk = d_m + (e_k + s_k) [m = 1] + A_m g_k

e is the bounce: one pixel long; settling, e_k = b rho^(k - 1), faster than the shortest release; or free over three pixels. s is a shift of the
line too slow to be deferred charge: a slope and a curvature. Both are linear in signal; deferred charge has any power.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.lines import Lines
from vison_etl.effects.edge_response.shapes import SUMMED_PX, Family, shapes, sources

Float = NDArray[np.float64]

FREE_PX = 3
"""Pixels over which a bounce may have any shape."""

ELECTRONIC = FREE_PX + 2
"""Coefficients of what is electronic: bounce, slope, curvature."""

SLOW_WIDTHS = (3e-5, 1e-5)
"""Assumed rms of slope and curvature over half the overscan, as a fraction of the level. A slow exponential curves by its slope times (half the
overscan / 3 tau): less than a third of it where tau is longer than the longest release."""

_COMPLICATION, _SLOW = 0.1, 0.3
_LONG = 0.6
_BOUNCE_WIDTHS = (3.0, 0.25, 0.125)
_LEAST_SIGMA = 5.0
_OVERLAP = 1.15


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """``bounce``: ``none``, ``one`` pixel, ``settling`` or ``free``; ``is_slow``: whether the line may shift slowly."""

    family: Family
    bounce: str
    is_slow: bool

    @property
    def low(self) -> Float:
        """Return the lower ends of all parameters that are not linear; that of a settling bounce is rho."""
        return np.append(self.family.low, 0.0) if self.bounce == "settling" else self.family.low

    @property
    def high(self) -> Float:
        """Return their upper ends: what settles slower than the shortest release, by some overlap, is no bounce."""
        longest = np.exp(-1.0 / (_OVERLAP * self.family.release_px[0]))
        return np.append(self.family.high, longest) if self.bounce == "settling" else self.family.high

    @property
    def linear(self) -> list[int]:
        """Return which of the electronic coefficients there are."""
        free = {"none": 0, "one": 1, "settling": 1, "free": FREE_PX}[self.bounce]
        return [*range(free), *([FREE_PX, FREE_PX + 1] if self.is_slow else [])]

    def tail(self, points: Float) -> Float:
        """Return the parameters of the tail."""
        return points[:, : self.family.low.size]

    def coarse(self, n_settling: int = 3) -> Float:
        """Return parameters all over the range, shape (S, P)."""
        tail = self.family.coarse()
        if self.bounce != "settling":
            return tail
        rho = np.repeat(np.linspace(0.0, self.high[-1], n_settling), len(tail))
        return np.column_stack([np.tile(tail, (n_settling, 1)), rho])

    @property
    def log_density(self) -> float:
        """Return ln of the prior density of the parameters that are not linear, less half the penalty."""
        rho = float(np.log(self.high[-1])) if self.bounce == "settling" else 0.0
        return self.family.log_density - rho


@dataclass(frozen=True, slots=True)
class Problem:
    """The data and what does not depend on a hypothesis.

    Parameters
    ----------
    roots
        Of the inverse covariances, shape (K, M, M), [pixel, residual, power].
    data
        Whitened coefficients, shape (K M,).
    sources
        From what follows a flat field to what follows these pixels, shape (K + J, K).
    widths
        What is assumed of the electronic coefficients: rms about 0, shape (ELECTRONIC,).
    reference
        ADU of the coefficients.
    """

    roots: Float
    data: Float
    sources: Float
    widths: Float
    reference: float

    def whitened(self, columns: Float) -> Float:
        """Return columns of the power 1, fractions of the level, shape (..., K), as residuals, shape (..., K M)."""
        out = columns[..., :, None] * self.reference * self.roots[:, :, 0]
        return np.asarray(out.reshape(*columns.shape[:-1], -1))


@dataclass(frozen=True, slots=True)
class Solved:
    """Linear fits of S shapes.

    Parameters
    ----------
    chi2, penalty
        Of the data, and with what is assumed of the coefficients, shape (S,).
    residual
        Residuals, those of what is assumed last, shape (S, N).
    value, covariance
        Electronic coefficients, fractions of the level, 0 where there are none, and amplitudes A_m, ADU: shapes (S, E + M), (S, E + M, E + M).
    """

    chi2: Float
    penalty: Float
    residual: Float
    value: Float
    covariance: Float


def problem_of(lines: Lines, last: Float) -> Problem:
    """Prepare the fit; ``last``: response of the last image pixels, that before the edge first."""
    pixels = len(lines.value)
    roots = np.swapaxes(np.linalg.cholesky(np.linalg.inv(lines.covariance)), 1, 2)
    data = (roots @ lines.value[:, :, None]).ravel()
    first = abs(float(lines.value[0].sum()))
    error = float(np.sqrt(lines.covariance[0].sum()))
    scale = max(first, _LEAST_SIGMA * error) / lines.reference
    widths = np.array([*(w * scale for w in _BOUNCE_WIDTHS), *SLOW_WIDTHS])
    return Problem(roots, data, sources(last, pixels), widths, lines.reference)


def electronic(problem: Problem, hypothesis: Hypothesis, points: Float) -> tuple[Float, Float]:
    """Return what electronic coefficients of one do behind a flat field, and behind these pixels, shapes (S, E, K + J), (S, E, K)."""
    length, pixels = problem.sources.shape
    raw = np.zeros((len(points), ELECTRONIC, length))
    for k in range(FREE_PX):
        raw[:, k, k] = 1.0
    if hypothesis.bounce == "settling":
        raw[:, 0] = points[:, -1:] ** np.arange(length)
    seen = raw @ problem.sources
    x = np.linspace(-1.0, 1.0, pixels)
    seen[:, FREE_PX], seen[:, FREE_PX + 1] = x, 1.5 * x**2 - 0.5
    return raw, seen


def profiles(problem: Problem, hypothesis: Hypothesis, points: Float) -> Float:
    """Return the tails behind these pixels, shape (S, K)."""
    return np.asarray(shapes(hypothesis.family, hypothesis.tail(points), len(problem.sources)) @ problem.sources)


def sums(hypothesis: Hypothesis, points: Float) -> Float:
    """Return the sums of the tails behind a flat field to infinity, shape (S,)."""
    return np.asarray(shapes(hypothesis.family, hypothesis.tail(points), SUMMED_PX).sum(axis=1))


def solve(problem: Problem, hypothesis: Hypothesis, points: Float) -> Solved:
    """Fit all that is linear for each shape, parameters of shape (S, P)."""
    n, (pixels, powers, _) = len(points), problem.roots.shape
    which = hypothesis.linear
    n_data, own = pixels * powers, powers + len(which)
    design = np.zeros((n, n_data + len(which), own + powers))
    by_pixel = design[:, :n_data].reshape(n, pixels, powers, own + powers)
    by_pixel[..., :powers] = problem.roots
    by_pixel[..., own:] = profiles(problem, hypothesis, points)[:, :, None, None] * problem.roots
    if which:
        seen = electronic(problem, hypothesis, points)[1][:, which]
        design[:, :n_data, powers:own] = np.swapaxes(problem.whitened(seen), 1, 2)
        design[:, n_data + np.arange(len(which)), powers + np.arange(len(which))] = 1.0 / problem.widths[which]
    data = np.append(problem.data, np.zeros(len(which)))
    turned = np.swapaxes(design, 1, 2)
    inverse = np.linalg.inv(turned @ design)
    solution = (inverse @ (turned @ data)[:, :, None])[:, :, 0]
    residual = data - (design @ solution[:, :, None])[:, :, 0]
    places = np.array([*which, *range(ELECTRONIC, ELECTRONIC + powers)])
    value = np.zeros((n, ELECTRONIC + powers))
    covariance = np.zeros((n, ELECTRONIC + powers, ELECTRONIC + powers))
    value[:, places] = solution[:, powers:]
    covariance[:, places[:, None], places] = inverse[:, powers:, powers:]
    squares = residual**2
    return Solved(squares[:, :n_data].sum(axis=1), squares.sum(axis=1), residual, value, covariance)


def log_odds(hypothesis: Hypothesis, points: Float) -> Float:
    """Return ln of how probable shapes of a hypothesis are before any data, less the density of their parameters, shape (S,).

    One in ten for each: a tail that is no plain exponential; a bounce longer than a pixel; behind a bounce of one pixel a release as short as
    a bounce may be long; without a slow shift a release that is nearly as long as it may be. Three in ten for a slow shift.
    """
    n = (hypothesis.family.name != "exponential") + (hypothesis.bounce in {"settling", "free"})
    slow = float(np.log(_SLOW)) if hypothesis.is_slow else 0.0
    length = shapes(hypothesis.family, hypothesis.tail(points), SUMMED_PX).sum(axis=1)
    shortest = 1.0 / -np.expm1(-1.0 / (_OVERLAP * hypothesis.family.release_px[0]))
    is_short = (length < shortest) & (hypothesis.bounce == "one")
    is_long = (length > _LONG * hypothesis.family.release_px[1]) & (not hypothesis.is_slow)
    return np.asarray(np.log(_COMPLICATION) * (n + is_short + is_long) + slow)


def log_cost(problem: Problem, hypothesis: Hypothesis) -> float:
    """Return ln of what coefficients beyond the first of the bounce cost: what is assumed of them over how well they are measured."""
    extra = [j for j in hypothesis.linear if j > 0]
    if not extra:
        return 0.0
    seen = electronic(problem, hypothesis, hypothesis.low[None])[1][0, extra]
    columns = problem.whitened(seen)
    normal = columns @ columns.T + np.diag(problem.widths[extra] ** -2)
    return float(np.sum(np.log(problem.widths[extra])) + 0.5 * np.linalg.slogdet(normal)[1])
