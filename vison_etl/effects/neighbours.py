"""Outliers of a curve of many points: those that disagree with their neighbours, not with the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_WINDOW = 31
_LEAST = 5
_MAD_TO_SIGMA = 1.4826022185056018


def agree_with_neighbours(mean_adu: Floats, residual_sigma: Floats, limit_sigma: float) -> NDArray[np.bool_]:
    """Mark the points all of whose residuals are within ``limit_sigma`` of the running median of residuals at similar signal.

    A model that does not fit leaves residuals common to neighbours; cutting those would hide it, so the median of the 31
    nearest points in signal is taken off first. Where the scatter of a kind of residual is larger than its errors say (robust rms
    above 1), its limit grows with it: then chi2 shall tell, not the rejection.

    Parameters
    ----------
    mean_adu
        Signal, shape (n,).
    residual_sigma
        (measured - model) / error, shape (n,), or (n, k) for k kinds.
    limit_sigma
        Limit.
    """
    if mean_adu.size == 0:
        return np.zeros(0, bool)
    residual = residual_sigma.reshape(mean_adu.size, -1)
    # no median is beyond the largest residual of its kind
    residual = residual[:, 2.0 * np.max(np.abs(residual), axis=0) > limit_sigma]
    if residual.size == 0:
        return np.ones(mean_adu.size, bool)
    order = np.argsort(mean_adu, kind="stable")
    local = residual[order] - _running_median(residual[order])
    scale = np.maximum(1.0, _MAD_TO_SIGMA * np.median(np.abs(local), axis=0))
    agree = np.empty(order.size, bool)
    agree[order] = np.all(np.abs(local) <= limit_sigma * scale, axis=1)
    return agree


def _running_median(values: Floats) -> Floats:
    """Return the medians of the 31 rows about each, of fewer where there are not 62.

    Towards the ends there are fewer, as many on both sides, but five at least: a median of the last rows alone leaves in little of a
    trend, and an outlier at the end does not become its own median.
    """
    window = min(_WINDOW, max(1, (len(values) // 2) | 1))
    half = window // 2
    medians = np.empty_like(values)
    if len(values) > 2 * half:
        windows = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)
        medians[half : len(values) - half] = np.median(windows, axis=-1)
    for row in range(half):
        width = max(2 * row + 1, min(_LEAST, window))
        medians[row] = np.median(values[:width], axis=0)
        medians[-1 - row] = np.median(values[-width:], axis=0)
    return medians
