"""Outliers of a curve of many points: those that disagree with their neighbours, not with the model."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from vison_etl.effects.photon_transfer.model import Floats, Mask

_WINDOW = 31
_MAD_TO_SIGMA = 1.4826022185056018


def agree_with_neighbours(mean_adu: Floats, residual_sigma: Floats, limit_sigma: float) -> Mask:
    """Mark the points whose residual is within ``limit_sigma`` of the running median of residuals at similar signal.

    A model that does not fit leaves residuals common to neighbours; cutting those would hide it, so the median of the 31
    nearest points in signal is taken off first. Where the scatter is larger than the errors say (robust rms above 1), the
    limit grows with it: then chi2 shall tell, not the rejection.

    Parameters
    ----------
    mean_adu
        Signal, shape (n,).
    residual_sigma
        (V - model) / error, shape (n,).
    limit_sigma
        Limit.
    """
    if mean_adu.size == 0:
        return np.zeros(0, bool)
    order = np.argsort(mean_adu, kind="stable")
    window = min(_WINDOW, max(1, (order.size // 2) | 1))
    local = residual_sigma[order]
    local = local - median_filter(local, window, mode="nearest")
    scale = max(1.0, _MAD_TO_SIGMA * float(np.median(np.abs(local))))
    agree = np.empty(order.size, bool)
    agree[order] = np.abs(local) <= limit_sigma * scale
    return agree
