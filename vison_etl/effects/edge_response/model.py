"""Separation of electronic bounce and deferred charge in the overscan of one channel, from all fluences.

Overscan pixel k behind a flat field of level L holds, above the base,

    o_k(L) = i_k + d(L) + L b [k = 1] + T(L) exp(-(k - 1) / tau),        T(L) = sum_m A_m (L / L_0)^p_m.

i_k is the structure of the offset, d(L) whatever shifts the whole line (nothing is assumed about it), b the bounce, T what is deferred. The
separation rests on the length of the tail: one pixel for the bounce, tau >= tau_min for charge; on the leading edge, where the bounce
has the opposite sign and charge has made few transfers only; and on the powers of the signal.

The charge transfer inefficiency is that of the extended pixel edge response, CTI = sum_k deferred_k / (L N), the sum going to infinity: with the
tail, T / (1 - exp(-1 / tau)); the part beyond the overscan is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.lines import STRAIGHT, Lines, Overscan, curves, intercepts, of_powers, relative
from vison_etl.effects.edge_response.tail import Tails, fit_tails

Float = NDArray[np.float64]

AGREEMENT_SIGMA = 3.0
"""The leading edge counts where it agrees with the trailing edge within this: the first column of a CCD may be unlike the others."""

_AT_BOUND = 0.2
_BOUND = 1.03
_SIGNIFICANT = 5.0
_SEPARATE = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """``release_px``: shortest and longest release that counts as deferred charge; ``has_bounce``: serial edges only.

    ``leading_transfers``: transfers of the first image pixel, whose loss is taken from what the leading edge shows.
    """

    release_px: tuple[float, float]
    has_bounce: bool
    leading_transfers: int = 0


@dataclass(frozen=True, slots=True)
class Values:
    """Values with one-sigma errors, equal shapes."""

    value: Float
    error: Float


@dataclass(frozen=True, slots=True)
class Separation:
    """What one channel and direction gives.

    Parameters
    ----------
    bounce, leading, trailing
        Bounce (value, error): from both edges where they agree, from the leading edge less its deferred charge, and from the trailing
        edge alone; None where there is none.
    tail_px
        tau, px; None where there is no deferred charge at 5 sigma to measure it on.
    response
        Slope of each overscan pixel against level, shape (K,).
    points
        Response per fluence and pixel, shape (J, K); NaN where the level is not positive.
    cti, first_cti
        Per fluence, shape (J,): from the sum of the tail, and from its first pixel alone.
    shape, beyond
        Kind of tail; fraction of the deferred charge beyond the last overscan pixel, extrapolated.
    correlation
        Of the bounce with the deferred charge in the first pixel.
    """

    bounce: tuple[float, float] | None
    leading: tuple[float, float] | None
    trailing: tuple[float, float] | None
    leading_used: bool
    tail_px: tuple[float, float] | None
    response: Values
    points: Values
    cti: Values
    first_cti: Values
    shape: str
    beyond: float
    correlation: float | None
    chi2: float
    dof: int
    is_separate: bool
    is_at_bound: bool


def separate(
    overscan: Overscan, used: NDArray[np.bool_], options: Options, leading: tuple[float, float] | None = None
) -> Separation | None:
    """Separate bounce and deferred charge.

    Parameters
    ----------
    overscan
        All fluences, also those that are only to be evaluated.
    used
        Fluences that the fit may use, shape (J,): below full well and saturation. Frames without light are welcome.
    leading
        Bounce and its error from the leading edge.

    Returns
    -------
    Separation or None
        None for less than two fluences. Errors include what is not known of tau, and are scaled where the model does not describe the data.
    """
    lines = curves(overscan, used)
    if lines is None:
        return None
    alone = fit_tails(lines, overscan.last, options.release_px, None, bounces=options.has_bounce)
    trailing = _bounce(alone) if options.has_bounce else None
    tails, joined = alone, False
    if trailing is not None and leading is not None:
        lost = _first_pixel(alone)[0] / lines.reference * options.leading_transfers / overscan.transfers
        leading = leading[0] - lost, leading[1]
        apart = abs(trailing[0] - leading[0]) / np.hypot(trailing[1], leading[1])
        if apart <= AGREEMENT_SIGMA:
            tails, joined = fit_tails(lines, overscan.last, options.release_px, leading, bounces=True), True
    bounce = _bounce(tails) if options.has_bounce else None
    deferred = _first_pixel(tails)
    response = _response(overscan, used, tails)
    first = (float(response.value[0]), float(response.error[0]))
    return Separation(
        bounce=bounce,
        leading=leading,
        trailing=trailing,
        leading_used=joined,
        tail_px=tails.average(tails.tau) if abs(deferred[0]) > _SIGNIFICANT * deferred[1] else None,
        response=response,
        points=_points(overscan, lines, tails),
        cti=_cti(overscan, lines, tails, summed=True),
        first_cti=_cti(overscan, lines, tails, summed=False),
        shape=tails.family.name,
        beyond=float(tails.weight @ (1.0 - tails.shapes.sum(axis=1) / tails.sums)),
        correlation=_correlation(tails) if options.has_bounce else None,
        chi2=lines.chi2 + tails.chi2,
        dof=lines.dof + tails.dof,
        is_separate=_is_separate(bounce, first),
        is_at_bound=_is_at_bound(tails, options.release_px) and abs(deferred[0]) > _SIGNIFICANT * deferred[1],
    )


def leading_bounce(level: Float, first: Float, error: Float, scatter: float) -> tuple[float, float] | None:
    """Return the bounce of a leading edge: 1 - slope of the first image pixel against the level of those that follow.

    Parameters
    ----------
    level, first, error
        What the image pixels that follow let expect of the first one, that pixel above the base, and its error, ADU, per fluence, shape (J,).
    scatter
        Error of what is expected, relative: the mean response differs from column to column.
    """
    if level.size < 2 or not np.ptp(level) > 0:
        return None
    design = np.stack([np.ones_like(level), level], axis=1) / error[:, None]
    inverse = np.linalg.inv(design.T @ design)
    slope = float((inverse @ (design.T @ (first / error)))[1])
    return 1.0 - slope, float(np.sqrt(inverse[1, 1] + scatter**2))


def _bounce(tails: Tails) -> tuple[float, float]:
    return tails.average(tails.bounce, tails.scale**2 * tails.bounce_var)


def _first_pixel(tails: Tails) -> tuple[float, float]:
    """Return the deferred charge in the first pixel at the highest level, all powers together, ADU."""
    return tails.average(tails.amplitudes.sum(axis=1), tails.scale**2 * tails.amplitude_cov.sum(axis=(1, 2)))


def _is_separate(bounce: tuple[float, float] | None, first: tuple[float, float]) -> bool:
    """Tell whether the bounce is known to a fifth of itself or of what the first pixel holds, or there is nothing to separate."""
    if bounce is None or abs(first[0]) < _SIGNIFICANT * first[1]:
        return True
    return bounce[1] < _SEPARATE * max(abs(first[0]), abs(bounce[0]))


def _is_at_bound(tails: Tails, bounds: tuple[float, float]) -> bool:
    low, high = bounds[0] * _BOUND, bounds[1] / _BOUND
    return bool(tails.weight[(tails.tau < low) | (tails.tau > high)].sum() > _AT_BOUND)


def _correlation(tails: Tails) -> float:
    """Return the correlation of the bounce with the sum of the amplitudes, within tails and between them."""
    w, s2 = tails.weight, tails.scale**2
    bounce, amplitude = tails.bounce - w @ tails.bounce, tails.amplitudes.sum(axis=1)
    amplitude = amplitude - w @ amplitude
    covariance = w @ (s2 * tails.with_bounce.sum(axis=1) + bounce * amplitude)
    variances = (
        w @ (s2 * tails.bounce_var + bounce**2),
        w @ (s2 * tails.amplitude_cov.sum(axis=(1, 2)) + amplitude**2),
    )
    return float(covariance / np.sqrt(variances[0] * variances[1]))


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


def _cti(overscan: Overscan, lines: Lines, tails: Tails, *, summed: bool) -> Values:
    """Return the deferred charge of each fluence over level and transfers, with the bounce of the whole fit taken away."""
    clean = relative(overscan.signal) - intercepts(lines, overscan.signal)
    values, errors = np.full(overscan.level.size, np.nan), np.full(overscan.level.size, np.nan)
    for j in np.flatnonzero(overscan.level > 0):
        level = overscan.level[j]
        projection = _projections(tails.shapes, overscan.error[j])[1]
        step = projection[:, 0] * level * overscan.last[0]
        deferred = projection @ clean[j] - step * tails.bounce
        noise = _variance(overscan, lines, projection, int(j)) + step**2 * tails.bounce_var
        factor = (tails.sums if summed else 1.0) / (level * overscan.transfers)
        values[j], errors[j] = tails.average(deferred * factor, tails.scale**2 * noise * factor**2)
    return Values(values, errors)


def _points(overscan: Overscan, lines: Lines, tails: Tails) -> Values:
    """Return (signal - structure - pedestal) / level of every pixel and fluence, the pedestal from the best tail."""
    best = int(np.argmax(tails.weight))
    clean = relative(overscan.signal) - intercepts(lines, overscan.signal)
    values, errors = np.full(clean.shape, np.nan), np.full(clean.shape, np.nan)
    for j in np.flatnonzero(overscan.level > 0):
        level = overscan.level[j]
        pedestal = _projections(tails.shapes[best : best + 1], overscan.error[j])[0][0]
        rest = clean[j].copy()
        rest[0] -= level * overscan.last[0] * tails.bounce[best]
        values[j] = (clean[j] - pedestal @ rest) / level
        unit = np.eye(clean.shape[1]) - pedestal
        errors[j] = np.sqrt(_variance(overscan, lines, unit, int(j))) / level
    return Values(values, errors)


def _response(overscan: Overscan, used: NDArray[np.bool_], tails: Tails) -> Values:
    """Return the slope of each pixel against level, above the pedestal under the tail."""
    straight = of_powers(overscan, used, (STRAIGHT,))
    slope = straight.value[:, 0] / straight.reference
    variance = straight.covariance[:, 0, 0] / straight.reference**2
    best = int(np.argmax(tails.weight))
    pedestal = _projections(tails.shapes[best : best + 1], np.sqrt(variance))[0][0]
    rest = slope.copy()
    rest[0] -= overscan.last[0] * tails.bounce[best]
    own = pedestal**2 @ variance + pedestal[0] ** 2 * tails.bounce_var[best]
    return Values(slope - pedestal @ rest, np.sqrt(variance + own - 2.0 * pedestal * variance))
