"""Full well: the signal from which on charge is left behind along the columns.

Below full well the parallel overscan holds a fraction of the signal that changes slowly with it. A pixel that is full loses what it cannot hold to those
behind it, and the fraction rises steeply. Full well lies between the highest signal without and the lowest with such a rise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

Float = NDArray[np.float64]

SIGMA = 5.0
LEAST_EXCESS = 2e-5
"""Smallest excess over the slow change, as a fraction of the signal, that counts; and its significance."""

CHANGE = 0.2
"""Part of the fraction deferred below full well by which it may change towards it."""

SPREAD = 0.01
"""Least half width of the bracket: full well and photon noise differ from pixel to pixel, the fullest lose charge first."""

_MIN_BASELINE = 2
_BAD_FIT = 1e-3


@dataclass(frozen=True, slots=True)
class Knee:
    """Full well, ADU above the base.

    ``value`` is the middle of the bracket and ``error`` its width / sqrt(12); both None without ``upper``. ``quiet``: highest signal looked at
    without loss. Status: ``ok``; ``bound``: nothing left behind up to ``lower``; ``no_data``: too few signals.
    """

    value: float | None
    error: float | None
    lower: float | None
    upper: float | None
    quiet: float | None
    status: str
    n_points: int


def full_well_knee(
    fluence: Float, deferred: Float, error: Float, *, blooming_adu: float, spread: Float | None = None
) -> Knee:
    """Find the signal from which on charge is left behind.

    Parameters
    ----------
    fluence
        Level of the last image rows above the base, ADU, shape (N,), any order; NaN does not count. Leave out what the ADC cuts.
    deferred, error
        Charge in the first rows of the parallel overscan, ADU, and its error.
    blooming_adu
        Signal from which on blooming is looked for, ADU. The slow change is fitted below it: with two signals in proportion, with three
        and a constant, with more and a part that grows as the square root. Where that fits badly blooming begins lower, and the highest of
        them are given up one by one.
    spread
        Relative rms of the signal from pixel to pixel, shape (N,): the fullest pixels lose charge first. None for even light.

    Returns
    -------
    Knee
        The first signal whose excess and that of every higher one is at least 5 sigma, 2e-5 of the signal and a fifth of what is
        deferred below is ``upper``; three times ``spread``, at least 1 %, is added to it and 1 % taken from ``lower``.
    """
    known = np.isfinite(fluence) & np.isfinite(deferred) & np.isfinite(error) & (fluence > 0) & (error > 0)
    order = np.argsort(fluence[known])
    level, charge, sigma = (values[known][order] for values in (fluence, deferred, error))
    wide = np.zeros(level.size) if spread is None else spread[known][order]
    n, n_low = level.size, int(np.sum(level < blooming_adu))
    if n_low < _MIN_BASELINE:
        return Knee(None, None, None, None, None, "no_data", n)
    expected, variance, n_low = _slow(level, charge, sigma, n_low)
    excess = charge - expected
    least = np.maximum(
        SIGMA * np.sqrt(sigma**2 + variance), np.maximum(LEAST_EXCESS * level, CHANGE * np.abs(expected))
    )
    is_quiet = (excess < least) | (np.arange(n) < n_low)
    first = int(np.flatnonzero(is_quiet)[-1]) + 1
    quiet = float(level[first - 1])
    lower = quiet * (1.0 - SPREAD)
    if first == n:
        return Knee(None, None, lower, None, quiet, "bound", n)
    upper = float(level[first]) * (1.0 + max(SPREAD, 3.0 * float(wide[first])))
    return Knee(0.5 * (lower + upper), (upper - lower) / np.sqrt(12.0), lower, upper, quiet, "ok", n)


def _slow(level: Float, charge: Float, sigma: Float, n_low: int) -> tuple[Float, Float, int]:
    """Return the charge expected at every level from the low ones, its variance, and how many low ones there are.

    Errors are those of the misfit where it is worse than they say.
    """
    while True:
        terms = (level / level[0], np.ones_like(level), np.sqrt(level / level[0]))[: max(1, min(n_low - 1, 3))]
        design = np.stack(terms, axis=1)
        low = design[:n_low] / sigma[:n_low, None]
        inverse = np.linalg.inv(low.T @ low)
        solution = inverse @ (low.T @ (charge[:n_low] / sigma[:n_low]))
        chi2 = float(np.sum(((charge - design @ solution)[:n_low] / sigma[:n_low]) ** 2))
        dof = n_low - design.shape[1]
        is_bad = chdtrc(dof, chi2) < _BAD_FIT
        if not is_bad or n_low <= _MIN_BASELINE + 1:
            break
        n_low -= 1
    scale = max(1.0, chi2 / dof)
    return design @ solution, scale * np.einsum("ij,jk,ik->i", design, inverse, design), n_low
