"""How well a curve describes its points: chi-square of tiles and of levels, and when they say no."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from vison_etl.effects.photon_transfer.model import Fit, Points, exponential_variance


def level_chi2(fit: Fit, points: Points, level: NDArray[np.int64]) -> tuple[float, int]:
    """Return chi2 and degrees of freedom of the mean residuals of the levels about an exponential fit.

    The scatter of single tiles hides a shape that is wrong by less than it; the means of the levels show it: chi2 = sum over
    levels of (sum_i r_i / s_i²)² / sum_i 1 / s_i², r_i and s_i residual and error, with number of levels - 3 degrees of
    freedom. A prior of the fit counts as one level more. (NaN, 0) where there is no fit or none are left.
    """
    if not fit.has_values:
        return math.nan, 0
    chosen = points[fit.used]
    curve = exponential_variance(chosen.mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    weight = 1.0 / chosen.relative_err**2
    labels, index = np.unique(level[fit.used], return_inverse=True)
    dof = labels.size - 3 + (fit.prior is not None)
    if dof < 1:
        return math.nan, 0
    sums = np.bincount(index, weight * (chosen.variance_adu2 / curve - 1.0))
    return float(np.sum(sums**2 / np.bincount(index, weight))) + prior_chi2(fit), dof


def prior_chi2(fit: Fit) -> float:
    """Return what the prior adds to chi-square: ((n00 - prior) / sigma)²; 0 without one."""
    return ((fit.n00_adu2 - fit.prior.n00_adu2) / fit.prior.sigma_adu2) ** 2 if fit.prior else 0.0


def p_value(chi2: float, dof: int) -> float:
    """Return the probability of a chi-square at least as large; NaN without degrees of freedom."""
    return float(chdtrc(dof, chi2)) if dof > 0 and math.isfinite(chi2) else math.nan


def describes(chi2_and_dof: Sequence[tuple[float, int]], p_limit: float) -> bool:
    """Tell whether none of the chi-squares is less probable than ``p_limit``; those without degrees of freedom do not speak."""
    return not any(p_value(chi2, dof) < p_limit for chi2, dof in chi2_and_dof)
