"""Non-uniformity in per cent from variances of the response, and what the brighter-fatter effect takes off it.

A pixel that responds more fills faster, and its boundaries move inwards: with the kernel a of the effect, q(mu) the deviation of the charge
from the mean mu and eps that of the response, dq/dmu = eps + a * q. In Fourier space q = eps (exp(a mu) - 1)/a; averaged over all
wave numbers <q²>/mu² = eps² (1 + a00 mu + 7/12 sum a_ij² mu²). The factor used here has a00 alone, ((exp(x) - 1)/x)² with x = a00 mu: it is
exact to first order, and lacks 7/12 of the other a_ij² mu², 0.002 of the rms at x = -0.15.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


def percent_of(variance: float | None, variance_err: float | None = None) -> tuple[float | None, float | None]:
    """Return 100 sqrt(V) and its error 50 e / sqrt(V); None where V is not positive, or unknown."""
    if variance is None or not variance > 0.0:
        return None, None
    root = math.sqrt(variance)
    return 100.0 * root, None if variance_err is None else 50.0 * variance_err / root


def fluence_in_electrons(
    fluence_adu: float | None,
    fluence_adu_err: float | None,
    gain_e_per_adu: float | None,
    gain_e_per_adu_err: float | None,
) -> tuple[float | None, float | None]:
    """Return fluence times gain, relative errors added in quadrature; None where either is missing."""
    if fluence_adu is None or gain_e_per_adu is None:
        return None, None
    value = fluence_adu * gain_e_per_adu
    if fluence_adu_err is None or gain_e_per_adu_err is None:
        return value, None
    return value, math.hypot(fluence_adu_err * gain_e_per_adu, gain_e_per_adu_err * fluence_adu)


@dataclass(frozen=True, slots=True)
class Smoothing:
    """What the brighter-fatter effect does to the rms response: ``bias_pct`` in per cent of it, and the rms without, in per cent."""

    bias_pct: float
    bias_pct_err: float
    static_pct: float
    static_pct_err: float


def smoothing_of(
    prnu_pct: float | None,
    prnu_pct_err: float | None,
    fluence_e: float | None,
    a00_per_e: float | None,
    a00_per_e_err: float | None,
) -> Smoothing | None:
    """Return how much the brighter-fatter effect lowers the rms response of white structure; None where anything is missing.

    Parameters
    ----------
    fluence_e
        Mean charge per pixel, e.
    a00_per_e
        Fractional change of the collecting area of a pixel per electron in it, negative.
    """
    if prnu_pct is None or prnu_pct_err is None or fluence_e is None or a00_per_e is None or a00_per_e_err is None:
        return None
    x, x_err = a00_per_e * fluence_e, a00_per_e_err * fluence_e
    factor = math.expm1(x) / x if x != 0.0 else 1.0
    slope = (math.exp(x) - factor) / x if abs(x) > _SERIES_BELOW else 0.5 + x / 3.0
    static = prnu_pct / factor
    static_err = static * math.hypot(prnu_pct_err / prnu_pct, slope / factor * x_err)
    return Smoothing(100.0 * (factor - 1.0), 100.0 * abs(slope) * x_err, static, static_err)


_SERIES_BELOW = 1e-4
