"""Parts of a flat field that do not obey the photon statistics of the rest: they spill charge, or are no pixels of this channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST = 0.25
"""Largest fraction that can depart: of more one cannot say which part is the rest."""

_LEAST_PARTS = 8


def departing(
    mean_adu: Floats, variance_adu2: Floats, relative_err: Floats, least: float, sigma: float
) -> NDArray[np.bool_]:
    """Mark the parts whose variance departs from what the others let expect at their signal.

    V / mu of the parts of one exposure lies on a line in mu, however bent the curve is over all signals; the line is that of the median
    slope (Theil, Sen), which a quarter of wrong parts does not turn. A part departs by more than ``least`` of it and ``sigma`` errors.

    Parameters
    ----------
    mean_adu, variance_adu2, relative_err
        Signal, variance and its error over it, shape (n,); parts with NaN do not count and are not marked.
    least, sigma
        Limits.

    Returns
    -------
    mask
        Shape (n,); none where fewer than 8 parts can be compared or more than a quarter depart.
    """
    marked = np.zeros(mean_adu.size, bool)
    counted = np.flatnonzero(np.isfinite(variance_adu2 * relative_err) & (mean_adu > 0.0))
    if counted.size < _LEAST_PARTS:
        return marked
    mu, ratio = mean_adu[counted], variance_adu2[counted] / mean_adu[counted]
    first, second = np.triu_indices(mu.size, 1)
    apart = mu[second] != mu[first]
    first, second = first[apart], second[apart]
    slope = float(np.median((ratio[second] - ratio[first]) / (mu[second] - mu[first]))) if first.size else 0.0
    rest = ratio - slope * (mu - np.median(mu))
    departure = np.abs(rest / np.median(rest) - 1.0)
    wrong = departure > np.maximum(least, sigma * relative_err[counted])
    if np.count_nonzero(wrong) <= MOST * mu.size:
        marked[counted[wrong]] = True
    return marked
