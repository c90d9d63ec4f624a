"""Non-uniformity in per cent from variances of the response."""

from __future__ import annotations

import math


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
