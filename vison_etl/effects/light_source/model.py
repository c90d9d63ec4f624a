"""Flux of the flat-field source against exposure time.

The signal of an exposure of t commanded seconds is F = a + f (t + d): a zero signal a (the structure of the bias between prescan and
image area), a rate f and the shutter offset d. A straight line gives f and a + f d; d follows from what is known of a.

The photon noise of the mean of millions of pixels is far below the repeatability of any lamp and shutter, so the errors come from the
scatter about the line: where chi-square with photon noise alone is beyond chance, every point gets a further
error s F, the same relative repeatability s for all, of the size that makes chi2 equal its degrees of freedom (Paule-Mandel). With few
points that scatter is itself badly known; the errors are widened to the 68 % interval of Student's distribution.

F in s F is what the exposure time lets expect, not what was measured: an exposure that is too faint must not gain weight by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, stdtrit

FULL_SCALE_ADU = 65536.0
_CHANCE = 1e-3
_ENOUGH_EQUALS = 3
_ONE_SIGMA = 0.8413447460685429
"""Probability of a standard normal below +1."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LightFit:
    """Straight line through signal against time. ``chi2`` is that with photon noise alone; None where not constrained."""

    rate_adu_per_s: float
    rate_err: float
    saturation_s: float
    saturation_err: float
    shutter_offset_s: float | None
    shutter_offset_err: float | None
    repeatability: float
    chi2: float
    dof: int


@dataclass(frozen=True, slots=True)
class _Line:
    intercept: float
    slope: float
    covariance: _Floats
    chi2: float


def usable_levels(times_s: ArrayLike, signals_adu: ArrayLike, max_signal_adu: float) -> NDArray[np.bool_]:
    """Tell which exposures are in the linear range.

    Parameters
    ----------
    times_s, signals_adu
        Shape (exposures,), any order, offset removed.
    max_signal_adu
        Brighter exposures are left out.

    Returns
    -------
    NDArray of bool
        False from the first time on whose mean signal is lower than that of the time before it (the amplifier or the well saturates),
        for signals above the limit, for times that are not positive, and for NaN.
    """
    t, signal = np.asarray(times_s, np.float64), np.asarray(signals_adu, np.float64)
    good = np.isfinite(signal) & (t > 0)
    times = np.unique(t[good])
    means = np.array([signal[good & (t == time)].mean() for time in times])
    falling = np.flatnonzero(np.diff(means) < 0)
    end = times[falling[0] + 1] if falling.size else math.inf
    return good & (t < end) & (signal <= max_signal_adu)


def like_their_equals(times_s: ArrayLike, signals_adu: ArrayLike, max_departure: float) -> NDArray[np.bool_]:
    """Tell which exposures are like those of the same time: a lamp that was off and a shutter that stuck are not.

    Parameters
    ----------
    times_s, signals_adu
        Shape (exposures,), any order, offset removed.
    max_departure
        Largest departure from the median of all exposures of that time, as a fraction of it.

    Returns
    -------
    NDArray of bool
        True where there are fewer than three exposures of that time, or their median is not above zero: nobody knows then.
    """
    t, signal = np.asarray(times_s, np.float64), np.asarray(signals_adu, np.float64)
    good = np.ones(t.size, bool)
    for time in np.unique(t):
        equal = t == time
        middle = float(np.median(signal[equal]))
        if np.count_nonzero(equal) >= _ENOUGH_EQUALS and middle > 0.0:
            good[equal] = np.abs(signal[equal] - middle) <= max_departure * middle
    return good


def fit_line(
    times_s: ArrayLike, signals_adu: ArrayLike, errors_adu: ArrayLike, zero_adu: float, zero_err_adu: float
) -> LightFit | None:
    """Fit rate, saturation time and shutter offset of one channel.

    Parameters
    ----------
    times_s, signals_adu, errors_adu
        Commanded times, signals with the offset removed, and their photon noise, shape (exposures,); usable levels only.
    zero_adu, zero_err_adu
        Signal without light and its error: measured on zero-second exposures, or 0 with the size of the bias structure.

    Returns
    -------
    LightFit or None
        ``saturation_s`` = 65536 / rate. The shutter offset is None where its error exceeds the shortest exposure. None in all where there
        are fewer than three exposures or two different times, or the rate is not positive.
    """
    t, y, e = (np.asarray(values, np.float64) for values in (times_s, signals_adu, errors_adu))
    dof = t.size - 2
    if dof < 1 or np.unique(t).size < 2:
        return None
    photon = _line(t, y, e)
    repeatability, line, widening = 0.0, photon, 1.0
    if photon.chi2 > chdtri(dof, _CHANCE):
        expected = t * float(np.median(y / t))
        repeatability = _repeatability(t, y, e, expected)
        line = _line(t, y, np.hypot(e, repeatability * expected))
        widening = float(stdtrit(dof, _ONE_SIGMA))
    if not line.slope > 0:
        return None
    errors = widening**2 * line.covariance
    rate_err = math.sqrt(errors[1, 1])
    offset = (line.intercept - zero_adu) / line.slope
    variance = errors[0, 0] + zero_err_adu**2 - 2.0 * offset * errors[0, 1] + offset**2 * errors[1, 1]
    offset_err = math.sqrt(variance) / line.slope
    is_constrained = offset_err < t.min()
    saturation = FULL_SCALE_ADU / line.slope
    return LightFit(
        rate_adu_per_s=line.slope,
        rate_err=rate_err,
        saturation_s=saturation,
        saturation_err=saturation * rate_err / line.slope,
        shutter_offset_s=offset if is_constrained else None,
        shutter_offset_err=offset_err if is_constrained else None,
        repeatability=repeatability,
        chi2=photon.chi2,
        dof=dof,
    )


def _line(t: _Floats, y: _Floats, e: _Floats) -> _Line:
    """Fit a weighted straight line; the covariance is that of (intercept, slope)."""
    w = 1.0 / e**2
    centre = np.average(t, weights=w)
    spread = np.sum(w * (t - centre) ** 2)
    slope = np.sum(w * (t - centre) * y) / spread
    mean = np.average(y, weights=w)
    chi2 = np.sum(w * (y - mean - slope * (t - centre)) ** 2)
    of_slope = 1.0 / spread
    covariance = np.array([[1.0 / w.sum() + centre**2 * of_slope, -centre * of_slope], [-centre * of_slope, of_slope]])
    return _Line(float(mean - slope * centre), float(slope), covariance, float(chi2))


def _repeatability(t: _Floats, y: _Floats, e: _Floats, expected: _Floats) -> float:
    """Return s such that chi2 with the errors sqrt(e² + (s F)²) equals its degrees of freedom; chi2 falls with s."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if _line(t, y, np.hypot(e, middle * expected)).chi2 > t.size - 2:
            low = middle
        else:
            high = middle
    return high
