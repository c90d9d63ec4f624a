"""Moments and percentiles of an integer histogram, exact, with an iterated clip corrected for its truncation.

The clip. A code v stands for the interval [v - 1/2, v + 1/2]; it is left out when its whole interval lies further than
4 s from the median, s being at least the quantisation noise 1/sqrt(12), so that data narrower than one ADU lose nothing.
The median is interpolated within its code (grouped median): otherwise the limits would sit up to half an ADU off centre.

The correction. Let the retained codes be a ... b, and let the values before rounding be Gaussian with mean m and standard
deviation u. Then the retained variance is V = u² f(α, β) + 1/12 with α = (a - 1/2 - m)/u, β = (b + 1/2 - m)/u and

    f = 1 - (β φ(β) - α φ(α))/Z - ((φ(β) - φ(α))/Z)²,    Z = Φ(β) - Φ(α),

the variance of a truncated standard normal. Solved for u, the standard deviation of the codes is s = sqrt(u² + 1/12). At wide
distributions this is the usual factor at 4 sigma (f = 0.99893); at u = 0.5 ADU it uses the limits really applied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

CODES = 65536
"""Codes of a 16-bit ADC: 0 means not read or lost, 65535 saturated."""

CLIP_SIGMA = 4.0
QUANTISATION_VARIANCE = 1.0 / 12.0
"""Variance of rounding to integers, ADU²."""

STATISTICS = (
    "n",
    "mean_adu",
    "mean_adu_err",
    "median_adu",
    "std_adu",
    "clipped_std_adu",
    "p05_adu",
    "p25_adu",
    "p75_adu",
    "p95_adu",
    "min_adu",
    "max_adu",
    "n_clipped",
    "n_zero",
    "n_saturated",
)
"""Columns of ``quadrant_stats`` made here. n + n_clipped + n_zero + n_saturated is the size of the region."""

_ITERATIONS = 50
_NARROWEST_GAUSSIAN = 0.04
"""Variance before rounding, ADU², below which nothing lies outside the clip and no correction is made."""


@dataclass(frozen=True, slots=True)
class ClippedMoments:
    """Moments after the clip. None where they do not exist (n = 0; std of n < 2)."""

    n: int
    mean: float | None
    std: float | None
    n_clipped: int
    first: int
    last: int
    """Least and greatest value retained by the clip's limits, whether they occur or not."""


@compiled
def _quantile(cumulative: NDArray[np.int64], q: float) -> float:
    """Quantile by linear interpolation between order statistics, as ``numpy.quantile``; index of ``cumulative`` = value."""
    position = q * (int(cumulative[-1]) - 1)
    rank = int(position)
    fraction = position - rank
    below = np.searchsorted(cumulative, rank, side="right")
    above = np.searchsorted(cumulative, min(rank + 1, cumulative[-1] - 1), side="right")
    step = float(above - below)
    return float(above) - step * (1.0 - fraction) if fraction >= 0.5 else float(below) + step * fraction


@compiled
def _grouped_median(cumulative: NDArray[np.int64], first: int, last: int) -> float:
    """Median of the values first ... last with the pixels of one value spread evenly over its interval."""
    before = cumulative[first - 1] if first > 0 else 0
    half = 0.5 * float(before + cumulative[last])
    value = np.searchsorted(cumulative, half)
    below = cumulative[value - 1] if value > 0 else 0
    return float(value) - 0.5 + (half - below) / float(cumulative[value] - below)


@compiled
def _moments(counts: NDArray[Any], lo: int, hi: int, reference: int) -> tuple[int, float, float]:
    """Return n, mean and sample variance of the codes lo ... hi; sums are integers about ``reference``."""
    n, total, squares = 0, 0, 0
    for code in range(lo, hi + 1):
        count = int(counts[code])
        n += count
        total += count * (code - reference)
        squares += count * (code - reference) * (code - reference)
    if n == 0:
        return 0, math.nan, math.nan
    mean = total / n
    variance = max(0.0, squares - total * mean) / (n - 1) if n > 1 else math.nan
    return n, reference + mean, variance


@compiled
def _untruncated(variance: float, low: float, high: float) -> float:
    """Variance of rounded Gaussian data from that left between the limits ``low`` and ``high`` about their mean."""
    inner = variance - QUANTISATION_VARIANCE
    if not inner > _NARROWEST_GAUSSIAN:
        return variance
    broad = inner
    for _ in range(20):
        u = math.sqrt(broad)
        a, b = low / u, high / u
        pa = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
        pb = math.exp(-0.5 * b * b) / math.sqrt(2.0 * math.pi)
        z = 0.5 * (math.erf(b / math.sqrt(2.0)) - math.erf(a / math.sqrt(2.0)))
        left = 1.0 - (b * pb - a * pa) / z - ((pb - pa) / z) ** 2
        last, broad = broad, inner / left
        if abs(broad - last) <= 1e-12 * broad:
            break
    return broad + QUANTISATION_VARIANCE


@compiled
def _clip(counts: NDArray[Any], cumulative: NDArray[np.int64], sigma: float) -> tuple[int, float, float, int, int]:
    """Clip a histogram whose first and last values occur; return n, mean, corrected std and the limits of the clip."""
    first, last = 0, counts.size - 1
    n, mean, variance = _moments(counts, first, last, int(_quantile(cumulative, 0.5)))
    low, high = first, last
    for _ in range(_ITERATIONS):
        if n < 2:
            break
        reach = sigma * math.sqrt(max(variance, QUANTISATION_VARIANCE)) + 0.5
        median = _grouped_median(cumulative, first, last)
        low, high = math.ceil(median - reach), math.floor(median + reach)
        is_settled = max(low, 0) == first and min(high, counts.size - 1) == last
        first, last = max(low, 0), min(high, counts.size - 1)
        n, mean, variance = _moments(counts, first, last, round(median))
        variance = _untruncated(variance, low - 0.5 - mean, high + 0.5 - mean)
        if is_settled:
            break
    return n, mean, math.sqrt(variance), low, high


@compiled
def _occupied(counts: NDArray[Any], lo: int, hi: int) -> tuple[int, int]:
    """Return the first and last occupied index in lo ... hi; lo > hi if there is none."""
    while lo <= hi and counts[lo] == 0:
        lo += 1
    while hi > lo and counts[hi] == 0:
        hi -= 1
    return lo, hi


@compiled
def _summarise(counts: NDArray[Any], sigma: float) -> tuple[int, int, NDArray[np.float64]]:
    """Return pixels used, pixels clipped and the eleven floating-point statistics of the codes 1 ... 65534 (NaN: none)."""
    out = np.full(11, math.nan)
    lo, hi = _occupied(counts, 1, counts.size - 2)
    if lo > hi:
        return 0, 0, out
    used = counts[lo : hi + 1]
    cumulative = np.cumsum(used.astype(np.int64))
    n, mean, std, _, _ = _clip(used, cumulative, sigma)
    median = _quantile(cumulative, 0.5)
    _, _, variance = _moments(used, 0, used.size - 1, int(median))
    out[0], out[1], out[2] = lo + mean, std / math.sqrt(n), lo + median
    out[3], out[4] = math.sqrt(variance), std
    for i, q in enumerate((0.05, 0.25, 0.75, 0.95)):
        out[5 + i] = lo + _quantile(cumulative, q)
    out[9], out[10] = lo, hi
    return n, cumulative[-1] - n, out


def code_statistics(counts: NDArray[Any], sigma: float = CLIP_SIGMA) -> dict[str, int | float | None]:
    """Return the statistics of one region from the histogram of its codes.

    Parameters
    ----------
    counts
        Pixels per code, shape (65536,). Codes 0 and 65535 are counted and left out of everything else.
    sigma
        Reach of the clip.

    Returns
    -------
    dict
        The columns :data:`STATISTICS`. Median, percentiles (linear interpolation between order statistics, as numpy), ``std_adu``
        (n - 1 denominator), minimum and maximum are those of all codes 1 ... 65534; ``n`` counts the pixels left by the clip,
        of which ``mean_adu`` and ``clipped_std_adu`` (see the module) are taken; ``mean_adu_err`` = clipped std / sqrt(n).
        What does not exist is None.
    """
    if counts.shape != (CODES,):
        raise ValueError(f"a histogram of shape {counts.shape}: wanted ({CODES},)")
    n, n_clipped, values = _summarise(counts, sigma)
    named = zip(STATISTICS[1:12], (float(v) for v in values), strict=True)
    return {
        "n": n,
        **{name: None if math.isnan(value) else value for name, value in named},
        "n_clipped": n_clipped,
        "n_zero": int(counts[0]),
        "n_saturated": int(counts[CODES - 1]),
    }


def clipped_moments(counts: NDArray[Any], first_value: int = 0, sigma: float = CLIP_SIGMA) -> ClippedMoments:
    """Return mean and truncation-corrected standard deviation of a histogram of consecutive integers.

    Parameters
    ----------
    counts
        Occurrences of ``first_value``, ``first_value + 1``, ..., shape (n_values,).
    sigma
        Reach of the clip about the median.

    Returns
    -------
    ClippedMoments
        In the units of the values. Differences of two rounded quantities qualify: before the second rounding they are
        Gaussian to the fourth moment.
    """
    lo, hi = _occupied(counts, 0, counts.size - 1)
    if lo > hi:
        return ClippedMoments(0, None, None, 0, first_value, first_value)
    used = counts[lo : hi + 1]
    cumulative = np.cumsum(used, dtype=np.int64)
    n, mean, std, low, high = _clip(used, cumulative, sigma)
    origin = first_value + lo
    return ClippedMoments(
        n, origin + mean, None if math.isnan(std) else std, int(cumulative[-1]) - n, origin + low, origin + high
    )
