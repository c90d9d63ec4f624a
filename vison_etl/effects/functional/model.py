"""Pure mathematics of the functional check: a ramp of dark current, injected rows, bits.

The ramp. Rows wait for those before them at a constant dark rate: level(y) = a + s y. Rows have the error of their mean and noise common
to the row, which is measured from neighbouring rows, so that chi-square says how well a straight line describes the ramp beyond
what is random from row to row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, stdtrit

FULL_SCALE_ADU = 65536.0
_FIRST_ROW = 3
_CHANCE = 1e-3
_LINE = (0.1, 0.3)
_MEDIAN_CHI2 = 0.45493642311957283
"""Median of chi-square with one degree of freedom."""
_EDGE_ROWS = 2
_MIN_ROWS = 20
_ONE_SIGMA = 0.8413447460685429
"""Probability of a standard normal below +1."""
_LEAST_VARIANCE_ADU2 = 1e-6
"""Of a mean of codes: below the rounding of a thousand of them; rows of a dead quadrant have none."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ramp:
    """Straight line through a ramp; ``rows`` and ``levels`` are those used, ``errors`` with the noise of rows."""

    slope: float
    slope_err: float
    intercept: float
    reach: float
    row_noise: float
    chi2: float
    dof: int
    rows: _Floats
    levels: _Floats
    errors: _Floats


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Mean of some rows of the ramp and its departure from the line of low level, relative to it."""

    row: float
    level: float
    level_err: float
    nonlinearity: float
    nonlinearity_err: float


@dataclass(frozen=True, slots=True)
class Injected:
    """Level of injected rows above those between them; ``phase``: first injected row of a cycle; ``n_cycles`` used."""

    level: float
    error: float
    phase: int
    n_cycles: int


def fit_ramp(rows: ArrayLike, levels: ArrayLike, errors: ArrayLike, max_level: float) -> Ramp | None:
    """Fit the ramp.

    Parameters
    ----------
    rows, levels, errors
        Canonical rows, increasing; their levels above the offset and errors, shape (rows,). NaN does not count.
    max_level
        The ramp is followed from row 3 to the first row above this.

    Returns
    -------
    Ramp or None
        The error of the slope is widened by sqrt(chi2 / dof) where chi-square is beyond chance. None for fewer than 20 rows.
    """
    y, level, e = (np.asarray(values, np.float64) for values in (rows, levels, errors))
    high = np.flatnonzero(level > max_level)
    use = (y >= _FIRST_ROW) & np.isfinite(level) & np.isfinite(e)
    if high.size:
        use &= y < y[high[0]]
    y, level, e = y[use], level[use], e[use]
    if y.size < _MIN_ROWS:
        return None
    noise = _row_noise(level, e)
    e = np.sqrt(e**2 + noise**2 + _LEAST_VARIANCE_ADU2)
    intercept, slope, covariance = _line(y, level, e)
    chi2 = float(np.sum(((level - intercept - slope * y) / e) ** 2))
    dof = y.size - 2
    widening = math.sqrt(chi2 / dof) if chi2 > chdtri(dof, _CHANCE) else 1.0
    return Ramp(
        slope, widening * math.sqrt(covariance[1, 1]), intercept, float(level[-1]), noise, chi2, dof, y, level, e
    )


def _row_noise(levels: _Floats, errors: _Floats) -> float:
    """Return the noise common to a row: what second differences of the rows of smallest error have beyond these errors."""
    quiet = slice(0, max(_MIN_ROWS, levels.size // 3))
    bend, e = np.diff(levels[quiet], 2), errors[quiet] ** 2
    return math.sqrt(_further_variance(bend**2, e[:-2] + 4.0 * e[1:-1] + e[2:]) / 6.0)


def _further_variance(squares: _Floats, variances: _Floats) -> float:
    """Return v such that the median of squares / (variances + v) is that of chi-square with one degree of freedom; 0 if it is below.

    Robust, and right where the variances differ from value to value.
    """
    low, high = 0.0, 3.0 * float(np.median(squares)) / _MEDIAN_CHI2
    for _ in range(50):
        middle = 0.5 * (low + high)
        is_above = float(np.median(squares / (variances + middle + _LEAST_VARIANCE_ADU2))) > _MEDIAN_CHI2
        low, high = (middle, high) if is_above else (low, middle)
    return low


def _line(x: _Floats, y: _Floats, e: _Floats) -> tuple[float, float, _Floats]:
    """Return intercept, slope and their covariance."""
    w = 1.0 / e**2
    centre = float(np.average(x, weights=w))
    spread = float(np.sum(w * (x - centre) ** 2))
    slope = float(np.sum(w * (x - centre) * y)) / spread
    mean = float(np.average(y, weights=w))
    of_mean = 1.0 / float(w.sum()) + centre**2 / spread
    return mean - slope * centre, slope, np.array([[of_mean, -centre / spread], [-centre / spread, 1.0 / spread]])


def ramp_curve(ramp: Ramp, n_points: int) -> list[CurvePoint]:
    """Return the pseudo non-linearity: rows averaged into points, less the line through 0.1 to 0.3 of the range.

    The range is full scale, or the reach of the ramp where that does not come to 0.3 of it. Z = (level - line) / (line - its
    intercept), with the errors of both. Points whose line is below a hundredth of the reach are left out. Anything that bends the
    ramp, stray light first of all, is in Z: it is the response of the chain only where ``chi2`` finds no structure.
    """
    reach = FULL_SCALE_ADU if ramp.reach > _LINE[1] * FULL_SCALE_ADU else ramp.reach
    inside = (ramp.levels > _LINE[0] * reach) & (ramp.levels < _LINE[1] * reach)
    if np.count_nonzero(inside) < _MIN_ROWS:
        return []
    intercept, slope, covariance = _line(ramp.rows[inside], ramp.levels[inside], ramp.errors[inside])
    if not slope > 0:
        return []
    points = []
    for part in np.array_split(np.arange(ramp.rows.size), min(n_points, ramp.rows.size)):
        w = 1.0 / ramp.errors[part] ** 2
        row, level = float(np.average(ramp.rows[part], weights=w)), float(np.average(ramp.levels[part], weights=w))
        error, above = float(w.sum()) ** -0.5, slope * row
        if above < 0.01 * ramp.reach:
            continue
        of_line = covariance[0, 0] + 2.0 * row * covariance[0, 1] + row**2 * covariance[1, 1]
        z = (level - intercept - above) / above
        points.append(CurvePoint(row, level, error, z, math.sqrt(error**2 + of_line) / above))
    return points


def injected(levels: ArrayLike, errors: ArrayLike, rows_on: int, rows_off: int, max_level: float) -> Injected | None:
    """Measure what is injected into ``rows_on`` of every ``rows_on + rows_off`` rows.

    Of each cycle: mean of the injected rows less the mean of those before and after it, half each, which takes a straight ramp away; two
    rows at every edge are left out. Mean over the cycles, outliers clipped; the scatter of the cycles is in its error. The phase of the pattern is not assumed: it is the one of the highest level where
    no row is left out.

    Parameters
    ----------
    levels, errors
        Of consecutive rows, above the offset, shape (rows,); cycles with NaN or with rows above ``max_level`` do not count.

    Returns
    -------
    Injected or None
        None without a whole cycle.
    """
    level, e = np.asarray(levels, np.float64), np.asarray(errors, np.float64)
    if rows_on <= 2 * _EDGE_ROWS or rows_off <= 2 * _EDGE_ROWS:
        return None
    best, phase = -math.inf, -1
    for first in range(rows_on + rows_off):
        steps, _ = _cycles(level, e, first, (rows_on, rows_off), max_level, 0)
        if steps.size and float(np.median(steps)) > best:
            best, phase = float(np.median(steps)), first
    if phase < 0:
        return None
    steps, step_errors = _cycles(level, e, phase, (rows_on, rows_off), max_level, _EDGE_ROWS)
    level_on, error = _clipped_mean(steps, step_errors)
    return Injected(level_on, error, phase, steps.size)


def _cycles(
    level: _Floats, e: _Floats, phase: int, pattern: tuple[int, int], max_level: float, edge: int
) -> tuple[_Floats, _Floats]:
    """Return the level of each whole cycle that begins at ``phase`` after a whole pause, and its error."""
    rows_on, rows_off = pattern
    first = phase if phase >= rows_off else phase + rows_on + rows_off
    starts = np.arange(first, level.size - rows_on - rows_off + 1, rows_on + rows_off)
    on, off = np.arange(edge, rows_on - edge), np.arange(edge, rows_off - edge)
    parts = [starts[:, None] + on, starts[:, None] - rows_off + off, starts[:, None] + rows_on + off]
    means = [level[part].mean(axis=1) for part in parts]
    variances = [np.sum(e[part] ** 2, axis=1) / part.shape[1] ** 2 for part in parts]
    below = np.logical_and.reduce([np.max(level[part], axis=1, initial=-np.inf) < max_level for part in parts])
    steps = means[0] - 0.5 * (means[1] + means[2])
    good = below & np.isfinite(steps)
    return steps[good], np.sqrt(variances[0] + 0.25 * (variances[1] + variances[2]))[good]


def _clipped_mean(values: _Floats, errors: _Floats) -> tuple[float, float]:
    """Return the weighted mean of values within five robust sigma of the median, and its error.

    Weights 1 / (e² + s²): s² is the further variance, common to all, that makes chi-square equal its degrees of freedom (Mandel & Paule).
    Where there is such a variance it is known from few values only: the error is widened to the 68 % interval of Student's distribution.
    """
    middle = float(np.median(values))
    scatter = math.sqrt(float(np.median((values - middle) ** 2)) / _MEDIAN_CHI2)
    kept = np.abs(values - middle) <= 5.0 * np.maximum(scatter, errors)
    x, variances = values[kept], errors[kept] ** 2
    low, high = 0.0, float(np.sum((x - x.mean()) ** 2)) + _LEAST_VARIANCE_ADU2
    for _ in range(50 if x.size > 1 else 0):
        further = 0.5 * (low + high)
        w = 1.0 / (variances + further + _LEAST_VARIANCE_ADU2)
        is_above = float(np.sum(w * (x - np.average(x, weights=w)) ** 2)) > x.size - 1
        low, high = (further, high) if is_above else (low, further)
    w = 1.0 / (variances + low + _LEAST_VARIANCE_ADU2)
    widening = float(stdtrit(x.size - 1, _ONE_SIGMA)) if x.size > 1 and low > 0.0 else 1.0
    return float(np.average(x, weights=w)), widening * float(w.sum()) ** -0.5


def excess_over(
    levels: ArrayLike, base: ArrayLike, errors: ArrayLike, base_errors: ArrayLike, max_level: float
) -> tuple[float, float] | None:
    """Return how much a frame is above another one, row by row: median over the rows below ``max_level``, and its error.

    None without rows.
    """
    one, other = np.asarray(levels, np.float64), np.asarray(base, np.float64)
    e = np.hypot(np.asarray(errors, np.float64), np.asarray(base_errors, np.float64))
    use = np.isfinite(one) & np.isfinite(other) & np.isfinite(e) & (one < max_level)
    steps = (one - other)[use]
    if not steps.size:
        return None
    return _median(steps, e[use])


def _median(values: _Floats, errors: _Floats) -> tuple[float, float]:
    """Return the median and its error 1 / (2 f sqrt(n)), f being the density of the values at the median.

    Every value is normal about the truth with its own error and a further scatter common to all, of the size that makes the median
    absolute deviation what it is: f is the mean of these densities.
    """
    middle = float(np.median(values))
    further = _further_variance((values - middle) ** 2, errors**2)
    density = float(np.mean(1.0 / np.sqrt(2.0 * math.pi * (errors**2 + further + _LEAST_VARIANCE_ADU2))))
    return middle, 0.5 / (density * math.sqrt(values.size))


@dataclass(frozen=True, slots=True)
class Bit:
    """How one bit of the ADC does: ``z`` is the deviation of its frequency from one half over its error."""

    frequency: float
    error: float
    z: float | None
    state: str


def judge_bit(bit: int, n: int, n_set: int, span_adu: float, partner_correlation: float) -> Bit:
    """Judge one bit from how often it is set over codes that span ``span_adu``.

    A bit that is wide against the noise and narrow against the span is set in half of the pixels, whatever the distribution of the codes
    within the span, but for its ends: a rectangular distribution leaves at most 2^bit / (2 span). That is in the error, beside
    sqrt(1/4n). Bits with 16 x 2^bit > span are not tested: the codes need not be on both sides. ``stuck``: set in less than 1 % or more
    than 99 % of the pixels. ``coupled``: otherwise correlated with another bit by more than 0.3, or further from one half than 0.1.

    Parameters
    ----------
    n, n_set
        Pixels, and those with the bit set.
    partner_correlation
        The correlation with the tested bit it goes together with most.
    """
    if n == 0:
        return Bit(math.nan, math.nan, None, "not_tested")
    frequency = n_set / n
    if 16.0 * 2.0**bit > span_adu:
        return Bit(frequency, math.sqrt(max(frequency * (1.0 - frequency), 1.0 / n) / n), None, "not_tested")
    error = math.hypot(0.5 / math.sqrt(n), 2.0**bit / (2.0 * span_adu))
    z = (frequency - 0.5) / error
    if not 0.01 < frequency < 0.99:
        return Bit(frequency, error, z, "stuck")
    is_coupled = abs(partner_correlation) > 0.3 or abs(frequency - 0.5) > 0.1
    return Bit(frequency, error, z, "coupled" if is_coupled else "ok")
