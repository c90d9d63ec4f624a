"""What each overscan pixel and each fluence shows, once the explanations of all fluences are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.hypotheses import ELECTRONIC, FREE_PX
from vison_etl.effects.edge_response.lines import STRAIGHT, Lines, Overscan, intercepts, of_powers, relative
from vison_etl.effects.edge_response.tail import Tails

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Values:
    """Values with one-sigma errors, equal shapes."""

    value: Float
    error: Float


def _projections(shapes: Float, error: Float) -> tuple[Float, Float]:
    """Return the weights that give pedestal and first-pixel amplitude from the pixels of one fluence, for each tail, shape (S, K)."""
    design = np.stack([np.ones_like(shapes), shapes], axis=2) / error[:, None]
    turned = np.swapaxes(design, 1, 2)
    both = np.linalg.inv(turned @ design) @ turned / error
    return both[:, 0], both[:, 1]


def _variance(overscan: Overscan, lines: Lines, projection: Float, j: int) -> Float:
    """Return the variance of sum over k of ``projection_k (signal_jk - intercept_k)`` for each projection, shape (S,)."""
    own = np.zeros(overscan.level.size)
    own[j] = 1.0
    per_pixel = np.einsum("kj,jk->k", (own - lines.weights) ** 2, overscan.error**2)
    per_pixel = per_pixel + np.einsum("k,k->k", lines.prior_weight**2, lines.prior_error**2)
    return np.asarray(lines.scale**2 * (projection**2 @ per_pixel))


def cti_of(overscan: Overscan, lines: Lines, tails: Tails, *, summed: bool) -> Values:
    """Return the deferred charge of each fluence over level and transfers, with what is electronic in the whole fit taken away, shape (J,).

    Parameters
    ----------
    summed
        The sum over the tail to infinity, or its first pixel alone.
    """
    clean = relative(overscan.signal) - intercepts(lines, overscan.signal)
    values, errors = np.full(overscan.level.size, np.nan), np.full(overscan.level.size, np.nan)
    own, covariance = tails.value[:, :ELECTRONIC], tails.covariance[:, :ELECTRONIC, :ELECTRONIC]
    for j in np.flatnonzero(overscan.level > 0):
        level = overscan.level[j]
        projection = _projections(tails.shapes, overscan.error[j])[1]
        step = level * (tails.seen @ projection[:, :, None])[:, :, 0]
        deferred = projection @ clean[j] - np.sum(step * own, axis=1)
        noise = tails.scale**2 * _variance(overscan, lines, projection, int(j))
        noise += np.sum((step[:, None] @ covariance)[:, 0] * step, axis=1)
        factor = (tails.sums if summed else 1.0) / (level * overscan.transfers)
        values[j], errors[j] = tails.average(deferred * factor, noise * factor**2)
    return Values(values, errors)


def _above(tails: Tails, error: Float) -> tuple[Float, Float, Float]:
    """Return how pixels become responses, under the most probable explanation: response = unit @ signal + known.

    Pedestal and slow shift are taken away. Returns unit, shape (K, K), known and its variance, fractions of the level, shape (K,).
    """
    best = int(np.argmax(tails.weight))
    pedestal = _projections(tails.shapes[best : best + 1], error)[0][0]
    seen = tails.seen[best]
    step = np.repeat((seen @ pedestal)[:, None], error.size, axis=1)
    step[FREE_PX:] -= seen[FREE_PX:]
    known = tails.value[best, :ELECTRONIC] @ step
    variance = np.sum(step * (tails.covariance[best, :ELECTRONIC, :ELECTRONIC] @ step), axis=0)
    return np.eye(error.size) - pedestal, known, variance


def points_of(overscan: Overscan, lines: Lines, tails: Tails) -> Values:
    """Return (signal - structure - pedestal) / level of every pixel and fluence, shape (J, K); NaN where the level is not positive."""
    clean = relative(overscan.signal) - intercepts(lines, overscan.signal)
    values, errors = np.full(clean.shape, np.nan), np.full(clean.shape, np.nan)
    for j in np.flatnonzero(overscan.level > 0):
        level = overscan.level[j]
        unit, known, variance = _above(tails, overscan.error[j])
        values[j] = unit @ clean[j] / level + known
        errors[j] = np.sqrt(_variance(overscan, lines, unit, int(j)) / level**2 + variance)
    return Values(values, errors)


def response_of(overscan: Overscan, used: NDArray[np.bool_], tails: Tails) -> Values:
    """Return the slope of each pixel against level, above the pedestal under the tail, shape (K,)."""
    straight = of_powers(overscan, used, (STRAIGHT,))
    slope = straight.value[:, 0] / straight.reference
    variance = straight.covariance[:, 0, 0] / straight.reference**2
    unit, known, own = _above(tails, np.sqrt(variance))
    return Values(unit @ slope + known, np.sqrt(unit**2 @ variance + own))
