"""Separation of electronic bounce and deferred charge in the overscan of one channel, from all fluences.

Overscan pixel k behind a flat field of level L holds, above the base,

    o_k(L) = i_k + d(L) + L (e_k + s_k) + T(L) g_k,        T(L) = sum_m A_m (L / L_0)^p_m.

i_k is the structure of the offset, d(L) whatever shifts the whole line (nothing is assumed about it), e the bounce, s a slow shift of
the line, T what is deferred. The separation rests on the length of the tail: a bounce settles within a pixel or three, charge is released over
tau_min to tau_max, what lasts longer is a slow shift; on the leading edge, where the bounce has the opposite sign and charge has made few
transfers only; and on the powers of the signal. What the data cannot tell is in the errors.

The charge transfer inefficiency is that of the extended pixel edge response, CTI = sum_k deferred_k / (L N), the sum going to infinity: with the
tail, T / (1 - exp(-1 / tau)); the part beyond the overscan is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.fluences import Values, cti_of, points_of, response_of
from vison_etl.effects.edge_response.hypotheses import ELECTRONIC, FREE_PX
from vison_etl.effects.edge_response.lines import Overscan, curves
from vison_etl.effects.edge_response.tail import Leading, Tails, fit_tails, with_leading

Float = NDArray[np.float64]

AGREEMENT_SIGMA = 3.0
"""The leading edge counts where it agrees with the trailing edge within this: the first column of a CCD may be unlike the others."""

_AT_BOUND = 0.2
_BOUND = 1.03
_SIGNIFICANT = 5.0
_SEPARATE = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """``release_px``: shortest and longest release that counts as deferred charge; ``has_bounce``: serial edges only."""

    release_px: tuple[float, float]
    has_bounce: bool


@dataclass(frozen=True, slots=True)
class Separation:
    """What one channel and direction gives.

    Parameters
    ----------
    bounce, trailing
        Bounce in the first pixels, shape (3,): from both edges where they agree, and from the trailing edge alone; None along columns.
    leading
        The same from the leading edge, less its deferred charge; None where there is none.
    slow
        Slow shift of the line from the first overscan pixel to the last (value, error), fraction of the level.
    tail_px
        tau, px; None where there is no deferred charge at 5 sigma to measure it on.
    response
        Slope of each overscan pixel against level, shape (K,).
    points
        Response per fluence and pixel, shape (J, K); NaN where the level is not positive.
    eper_cti, cti
        Per fluence, shape (J,): from the sum of the tail, and from its first pixel alone.
    shape, beyond
        Kind of tail; fraction of the deferred charge beyond the last overscan pixel, extrapolated.
    correlation
        Of the bounce with the deferred charge in the first pixel.
    is_separate, is_improbable, is_at_bound
        Whether bounce and deferred charge are told apart; whether chi-square is improbable, of the tail or of the lines against signal; whether
        the release is as short or as long as it may be.
    """

    bounce: Values | None
    leading: Values | None
    trailing: Values | None
    slow: tuple[float, float]
    leading_used: bool
    tail_px: tuple[float, float] | None
    response: Values
    points: Values
    eper_cti: Values
    cti: Values
    shape: str
    beyond: float
    correlation: float | None
    chi2: float
    dof: int
    is_separate: bool
    is_improbable: bool
    is_at_bound: bool


def separate(
    overscan: Overscan, used: NDArray[np.bool_], options: Options, leading: Leading | None = None
) -> Separation | None:
    """Separate bounce and deferred charge.

    Parameters
    ----------
    overscan
        All fluences, also those that are only to be evaluated.
    used
        Fluences that the fit may use, shape (J,): below full well and saturation. Frames without light are welcome.
    leading
        What the leading edge says of the bounce.

    Returns
    -------
    Separation or None
        None for less than two fluences. Errors include what is not known of the tail, of the length of the bounce and of a slow shift, and are
        scaled where the model does not describe the data.
    """
    lines = curves(overscan, used)
    if lines is None:
        return None
    alone = fit_tails(lines, overscan.last, options.release_px, bounces=options.has_bounce)
    tails, joined, apart = alone, False, False
    if leading is not None:
        joined = _agrees(alone, leading)
        tails = with_leading(alone, leading) if joined else alone
        apart = not joined and _is_plausible(alone, leading)
    bounce = _bounce(tails) if options.has_bounce else None
    deferred = tails.average(*tails.amplitude)
    response = response_of(overscan, used, tails)
    improbable = tails.is_improbable or lines.scale > 1.0
    has_tail = abs(deferred[0]) > _SIGNIFICANT * deferred[1]
    return Separation(
        bounce=bounce,
        leading=None if leading is None else Values(_without_deferred(alone, leading), _errors(leading.covariance)),
        trailing=_bounce(alone) if options.has_bounce else None,
        slow=_slow(tails),
        leading_used=joined,
        tail_px=tails.average(tails.tau) if has_tail else None,
        response=response,
        points=points_of(overscan, lines, tails),
        eper_cti=cti_of(overscan, lines, tails, summed=True),
        cti=cti_of(overscan, lines, tails, summed=False),
        shape=tails.best.family.name,
        beyond=float(tails.weight @ (1.0 - tails.shapes.sum(axis=1) / tails.sums)),
        correlation=_correlation(tails) if options.has_bounce else None,
        chi2=lines.chi2 + tails.chi2,
        dof=lines.dof + tails.dof,
        is_separate=bounce is None or (not (improbable or apart) and _is_separate(bounce, response)),
        is_improbable=improbable,
        is_at_bound=_is_at_bound(tails, options.release_px) and has_tail,
    )


def _errors(covariance: Float) -> Float:
    return np.asarray(np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1)))


def _bounce(tails: Tails) -> Values:
    values, covariance = tails.bounce
    both = [tails.average(values[:, k], covariance[:, k, k]) for k in range(FREE_PX)]
    return Values(np.array([value for value, _ in both]), np.array([error for _, error in both]))


def _slow(tails: Tails) -> tuple[float, float]:
    """Return the slow shift from the first overscan pixel to the last."""
    step = tails.seen[:, FREE_PX:, -1] - tails.seen[:, FREE_PX:, 0]
    value, covariance = tails.value[:, FREE_PX:ELECTRONIC], tails.covariance[:, FREE_PX:ELECTRONIC, FREE_PX:ELECTRONIC]
    return tails.average(np.einsum("se,se->s", step, value), np.einsum("se,sef,sf->s", step, covariance, step))


def _without_deferred(tails: Tails, leading: Leading) -> Float:
    """Return the bounce of the leading edge less the deferred charge that is missing in its pixels."""
    first = tails.amplitude[0] * leading.share / tails.reference
    return np.asarray(leading.value - (tails.weight * first) @ tails.shapes[:, :FREE_PX])


def _agrees(tails: Tails, leading: Leading) -> bool:
    """Tell whether the edges agree in the first pixel."""
    value, error = (float(v[0]) for v in (_bounce(tails).value, _bounce(tails).error))
    apart = _without_deferred(tails, leading)[0] - value
    return bool(abs(apart) <= AGREEMENT_SIGMA * np.hypot(error, np.sqrt(leading.covariance[0, 0])))


def _is_plausible(tails: Tails, leading: Leading) -> bool:
    """Tell whether the leading edge may be right about the bounce: not where it shows more than all that the first overscan pixel holds."""
    first = tails.average(tails.bounce[0][:, 0] + tails.amplitude[0] / tails.reference)[0]
    error = float(np.sqrt(leading.covariance[0, 0]))
    return bool(abs(_without_deferred(tails, leading)[0]) <= abs(first) + error)


def _is_separate(bounce: Values, response: Values) -> bool:
    """Tell whether the bounce is known to a fifth of itself or of what the first pixel holds, or there is nothing to separate."""
    first, error = float(response.value[0]), float(response.error[0])
    if abs(first) < _SIGNIFICANT * error:
        return True
    return bool(bounce.error[0] < _SEPARATE * max(abs(first), abs(bounce.value[0])))


def _is_at_bound(tails: Tails, bounds: tuple[float, float]) -> bool:
    low, high = bounds[0] * _BOUND, bounds[1] / _BOUND
    return bool(tails.weight[(tails.tau < low) | (tails.tau > high)].sum() > _AT_BOUND)


def _correlation(tails: Tails) -> float:
    """Return the correlation of the bounce with the deferred charge in the first pixel, within explanations and between them."""
    values, covariances = tails.bounce
    amplitude, amplitude_var = tails.amplitude
    within = np.einsum("se,sem->s", tails.raw[:, :, 0], tails.covariance[:, :ELECTRONIC, ELECTRONIC:])
    w = tails.weight
    b, a = values[:, 0] - w @ values[:, 0], amplitude - w @ amplitude
    variances = w @ (covariances[:, 0, 0] + b**2), w @ (amplitude_var + a**2)
    return float(w @ (within + b * a) / np.sqrt(variances[0] * variances[1]))
