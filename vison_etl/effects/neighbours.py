"""Outliers of a curve of many points: those that disagree with their neighbours, not with the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_WINDOW = 31
_ALIKE = 0.01
_LEAST = 3
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
    local = _less_neighbours(mean_adu[order], residual[order])
    scale = np.maximum(1.0, _MAD_TO_SIGMA * np.median(np.abs(local), axis=0))
    agree = np.empty(order.size, bool)
    agree[order] = np.all(np.abs(local) <= limit_sigma * scale, axis=1)
    return agree


def _less_neighbours(mean_adu: Floats, values: Floats) -> Floats:
    """Return the rows, in the order of their signal, less the medians of the 31 about each, of fewer where there are not 62.

    What a whole level has in common is the model's fault, and so is a trend that goes on at the ends: few rows, and the first and last of
    many, are compared with those within 1 % of their signal. Where there are less than three of these nobody can say which is
    wrong; there the nearest count whatever their signal, the last row beyond the end too.
    """
    window = min(_WINDOW, max(1, (len(values) // 2) | 1))
    half, n = window // 2, len(values)
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    local = values - np.median(np.lib.stride_tricks.sliding_window_view(padded, window, axis=0), axis=-1)
    for row in range(n) if window < _WINDOW else (*range(half), *range(n - half, n)):
        alike = np.flatnonzero(np.abs(mean_adu - mean_adu[row]) <= _ALIKE * mean_adu[row])
        nearest = alike[np.argsort(np.abs(alike - row), kind="stable")][:window]
        if nearest.size >= _LEAST:
            local[row] = values[row] - np.median(values[nearest], axis=0)
    return np.asarray(local, np.float64)
