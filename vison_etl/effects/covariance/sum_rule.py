"""The sum rule: charge is conserved, so the area changes a_ij of all pixels add up to nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from vison_etl.effects.covariance.model import Floats, multiplicity

POWERS = np.linspace(2.2, 6.0, 39)
"""Powers of distance that the tail may fall with; below 2 its sum would have no end."""

OUTER_PX = 3.5
"""Lags at least this far away tell the tail; nearer ones have the shape of the pixel in them."""

REFERENCE_PX = 6.0
"""Where the height of the tail is given: amid the outer lags it depends little on the power."""

_TEMPER = 0.5
"""Power to which the likelihood weighs the powers of distance. With 1, tails that by chance look steep leave up to 2.6 % of the
sums beyond three of their errors; with 1/2, at most 0.7 % (powers 2.3 to 4 true, two-sided)."""

_GRID = 200


@dataclass(frozen=True, slots=True)
class SumRule:
    """Sums of a_ij over all four quadrants of lags, 1/e; NaN where nothing was fitted.

    ``inner``: lags measured; ``tail``: what lies beyond, from the power law; ``total``: both, whose error knows their correlation.
    ``power``: of distance, mean over the powers, and its standard deviation. ``height``: the power law at a distance of 6 px.
    """

    inner_per_e: float
    inner_per_e_err: float
    tail_per_e: float
    tail_per_e_err: float
    total_per_e: float
    total_per_e_err: float
    power: float
    power_err: float
    height_per_e: float


NO_SUM = SumRule(*(math.nan,) * 9)


def sum_rule(a_per_e: Floats, covariance: Floats) -> SumRule:
    """Add up a_ij and what a power law A r^-p through the outer lags says of those beyond.

    For each of 39 powers between 2.2 and 6 the amplitude is fitted with the full covariance matrix; results are means over the
    powers, weighted with the square root of the likelihood, all powers being alike beforehand. The errors hold the scatter over the
    powers.

    Parameters
    ----------
    a_per_e
        Shape (r, r), r > 3.
    covariance
        Of the flattened a, shape (r², r²).
    """
    reach = a_per_e.shape[0]
    values, weight = a_per_e.ravel(), multiplicity(reach).ravel()
    distance = np.hypot(*np.indices((reach, reach))).ravel()
    outer = distance >= OUTER_PX
    if not outer.any() or not np.all(np.isfinite(covariance)):
        return NO_SUM
    scale = np.sqrt(np.diag(covariance)[outer])
    inverse = np.linalg.inv(covariance[np.ix_(outer, outer)] / np.outer(scale, scale)) / np.outer(scale, scale)
    laws = distance[outer] ** -POWERS[:, None]
    information = _quadratic(laws, inverse)
    of_amplitude = np.zeros((POWERS.size, values.size))
    of_amplitude[:, outer] = laws @ inverse / information[:, None]
    amplitude = of_amplitude @ values
    gain_of_chi2 = amplitude**2 * information
    likelihood = np.exp(0.5 * _TEMPER * (gain_of_chi2 - np.max(gain_of_chi2)))
    likelihood /= likelihood.sum()
    beyond = _beyond(reach)
    of_tail = of_amplitude * beyond[:, None]

    def mean(rows: Floats) -> tuple[float, float]:
        each = rows @ values
        middle = float(likelihood @ each)
        variance = _quadratic(rows, covariance) + (each - middle) ** 2
        return middle, math.sqrt(float(likelihood @ variance))

    power = float(likelihood @ POWERS)
    return SumRule(
        float(weight @ values),
        math.sqrt(float(weight @ covariance @ weight)),
        *mean(of_tail),
        *mean(of_tail + weight),
        power,
        math.sqrt(float(likelihood @ (POWERS - power) ** 2)),
        float(likelihood @ (amplitude * REFERENCE_PX**-POWERS)),
    )


def _quadratic(rows: Floats, matrix: Floats) -> Floats:
    """Return row matrix row^T of each row."""
    return np.asarray(np.sum((rows @ matrix) * rows, axis=1), np.float64)


@cache
def _beyond(reach: int) -> Floats:
    """Return sums of r^-p over all lags outside the square, one per power; from 200 px on as an integral."""
    i, j = np.indices((_GRID, _GRID))
    outside = (i >= reach) | (j >= reach)
    distance, weight = np.hypot(i[outside], j[outside]), multiplicity(_GRID)[outside]
    # r^-p over the plane outside a square of half side h: 8 h^(2-p) / (p-2) times an angular mean
    angle = np.linspace(0.0, np.pi / 4.0, 201)
    half = _GRID - 0.5
    rest = [8.0 * half ** (2.0 - p) / (p - 2.0) * np.trapezoid(np.cos(angle) ** (p - 2.0), angle) for p in POWERS]
    sums: Floats = np.array([float(weight @ distance**-p) for p in POWERS]) + np.array(rest)
    return sums
