"""Stability of a source that several CCDs watch: what they share, what each adds, and how it averages.

F(k, c) = S(k) (1 + e(k, c)): a source S common to all CCDs and a part e of each. With x the relative brightness of exposure k seen by
CCD c, less a straight line in time, covariances tell them apart: cov(x_a, x_b) = var S for two CCDs, whatever noise each has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vison_etl.effects.light_source.noise_model import (
    Family,
    Trend,
    freedom,
    line_residuals,
    neighbour_differences,
    trend,
    variance_interval,
)

_Floats = NDArray[np.float64]
_HAT = 3
"""CCDs that it takes to know the noise of each of them."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its one-sigma error; None where it cannot be told."""

    value: float | None
    error: float | None


NOTHING = Estimate(None, None)


@dataclass(frozen=True, slots=True)
class Steadiness:
    """One series: scatter about a straight line (photon noise removed), drift per h, second-order coefficient per h²."""

    rms: Estimate
    drift: Estimate
    curvature: Estimate


@dataclass(frozen=True, slots=True)
class Allan:
    """One point of the Allan deviation; ``tau_s`` between centres of neighbouring averages, ``photon`` what photon noise gives."""

    n_averaged: int
    tau_s: float
    deviation: Estimate
    photon: float
    n_differences: int


@dataclass(frozen=True, slots=True)
class Apart:
    """What one CCD does that the others do not: variance (unbiased, may be negative), its root, drift against the mean of all."""

    variance: Estimate
    rms: Estimate
    drift: Estimate


@dataclass(frozen=True, slots=True)
class Shared:
    """What all CCDs share, and how they differ: ``chi2`` of the differences with photon noise alone."""

    source: Steadiness
    residual_rms: Estimate
    chi2: float
    dof: int


def steadiness(series: Family, values: ArrayLike, photon: float) -> Steadiness | None:
    """Measure one series.

    Parameters
    ----------
    series
        Of its times.
    values
        Relative brightness, shape (n,).
    photon
        Photon noise of one value (root mean square).

    Returns
    -------
    Steadiness or None
        ``rms``: square root of the residual variance about an unweighted straight line (n - 2 denominator) less photon²; None where no
        more than photon noise is seen. Its error is half the width of the 68 % interval. None in all for fewer than three values.
    """
    x = np.asarray(values, np.float64)
    line = trend(series, x, 1)
    if line is None:
        return None
    projector = line_residuals(series.times)
    total = float(np.sum((projector @ x) ** 2)) / (x.size - 2)
    low, high = variance_interval(total, line.weights, freedom(series, projector))
    return Steadiness(_root(total, low, high, photon**2), _estimate(line), _estimate(trend(series, x, 2)))


def _estimate(found: Trend | None) -> Estimate:
    return NOTHING if found is None else Estimate(found.value, found.error)


def _root(variance: float, low: float, high: float, known: float) -> Estimate:
    """Return the square root of a variance less what is known of it; the error is half the interval."""
    if not variance > known:
        return NOTHING
    ends = [math.sqrt(max(end - known, 0.0)) for end in (low, high)]
    return Estimate(math.sqrt(variance - known), 0.5 * (ends[1] - ends[0]))


def allan(series: Family, values: ArrayLike, photon: float) -> Iterator[Allan]:
    """Yield the overlapping Allan deviation at 1, 2, 4, ... exposures averaged, up to a third of the series.

    Half the mean square of the differences of neighbouring averages of m consecutive values; drift and photon noise are in it. The error
    is half the width of the 68 % interval; degrees of freedom as the noise of the series makes them, averaged over what it may be.
    """
    x = np.asarray(values, np.float64)
    line = trend(series, x, 1)
    if line is None:
        return
    m = 1
    while 3 * m <= x.size:
        rows = neighbour_differences(x.size, m)
        steps = rows @ x
        variance = 0.5 * float(np.mean(steps**2))
        low, high = variance_interval(variance, line.weights, freedom(series, rows))
        tau_s = 3600.0 * float(np.mean(rows @ series.times))
        yield Allan(m, tau_s, _root(variance, low, high, 0.0), photon / math.sqrt(m), rows.shape[0])
        m *= 2


def shared(series: Family, values: ArrayLike, photons: ArrayLike) -> Shared | None:
    """Measure what the CCDs share.

    Parameters
    ----------
    values, photons
        Relative brightness seen by each CCD and its photon noise, shape (CCDs, n): at least two CCDs.

    Returns
    -------
    Shared or None
        ``source.rms``: root of the mean covariance of two CCDs, [N² var(mean) - sum of var(CCD)] / [N (N - 1)], free of the noise of
        any CCD; drift and curvature are those of the mean of the CCDs. ``residual_rms``: root mean square over the CCDs of their
        scatter apart from the source, photon noise removed.
    """
    x, e = (np.asarray(numbers, np.float64) for numbers in (values, photons))
    n, mean = x.shape[0], x.mean(axis=0)
    found = steadiness(series, mean, 0.0)
    line = trend(series, mean, 1)
    if found is None or line is None or n < 2:
        return None
    projector = line_residuals(series.times)
    dof = x.shape[1] - 2
    apart = (x - mean) @ projector
    residual = float(np.sum(apart**2)) / ((n - 1) * dof)
    total = float(np.sum((projector @ mean) ** 2)) / dof
    own = total - residual / n
    low, high = variance_interval(total, line.weights, freedom(series, projector))
    seen = _root(total, low, high, residual / n)
    further = residual / n * math.sqrt(2.0 / ((n - 1) * dof))
    rms = seen
    if seen.value is not None and seen.error is not None:
        rms = Estimate(seen.value, math.hypot(seen.error, 0.5 * further / math.sqrt(own)))
    photon = float(np.mean(e**2))
    spread = residual * math.sqrt(2.0 / ((n - 1) * dof))
    return Shared(
        Steadiness(rms, found.drift, found.curvature),
        _root(residual, residual - spread, residual + spread, photon),
        float(np.sum((x - mean - (x - mean).mean(axis=1, keepdims=True)) ** 2 / e**2)) if np.all(e > 0) else math.nan,
        (n - 1) * (x.shape[1] - 1),
    )


def apart(series: Family, values: ArrayLike, photons: ArrayLike) -> list[Apart]:
    """Measure what each of three CCDs adds: var_a = C_aa - C_ab - C_ac + C_bc of the residuals about straight lines, less photon noise.

    (The three-cornered hat: the source drops out of it.) The noise of a CCD is taken as white. Fewer CCDs cannot be told from each other:
    drifts only.
    """
    x, e = (np.asarray(numbers, np.float64) for numbers in (values, photons))
    mean = x.mean(axis=0)
    drifts = [_estimate(trend(series, one - mean, 1)) for one in x] if x.shape[0] > 1 else [NOTHING] * x.shape[0]
    dof = x.shape[1] - 2
    if x.shape[0] != _HAT or dof < 1:
        return [Apart(NOTHING, NOTHING, drift) for drift in drifts]
    residuals = x @ line_residuals(series.times)
    covariance = residuals @ residuals.T / dof
    forms = [_hat(ccd) for ccd in range(_HAT)]
    totals = np.array([float(np.sum(form * covariance)) for form in forms])
    floor = np.maximum(totals, 0.05 * float(np.mean(np.abs(totals))))
    out = []
    for form, total, photon, drift in zip(forms, totals, np.mean(e**2, axis=1), drifts, strict=True):
        error = math.sqrt(2.0 / dof * float(floor @ (form**2) @ floor))
        variance = float(total - photon)
        root = _root(float(total), float(total) - error, float(total) + error, float(photon))
        out.append(Apart(Estimate(variance, error), root, drift))
    return out


def _hat(ccd: int) -> _Floats:
    """Return the symmetric form A with sum(A C) = C_aa - C_ab - C_ac + C_bc; its rows sum to zero."""
    form = np.zeros((_HAT, _HAT))
    others = [other for other in range(_HAT) if other != ccd]
    form[ccd, ccd] = 1.0
    for other in others:
        form[ccd, other] = form[other, ccd] = -0.5
    form[others[0], others[1]] = form[others[1], others[0]] = 0.5
    return form
