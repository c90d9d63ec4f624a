"""Where the fit of the covariance model begins, and which pairs disagree with their neighbours in signal."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import median_filter

from vison_etl.effects.covariance.model import Coefficients, Floats
from vison_etl.effects.covariance.pairs import Mask, Nodes, Pairs
from vison_etl.effects.covariance.record import Prior

_WINDOW = 31
_MAD_TO_SIGMA = 1.4826022185056018


def start(pairs: Pairs, grouped: Nodes, prior: Prior | None) -> Coefficients:
    """Return polynomials through medians of the levels: a cubic for the variance, n + a mu² for every other lag.

    The gain is NaN where the variance does not grow with the signal.
    """
    top = float(grouped.mean_adu.max())
    u = grouped.mean_adu / top
    medians = np.array([np.median(pairs.covariance_adu2[grouped.of_pair == k], axis=0) for k in range(u.size)])
    weight = 1.0 / np.maximum(np.abs(medians[:, 0, 0]), 1e-12)
    n00 = prior.n00_adu2 if prior else 0.0
    powers = np.arange(1 if prior else 0, min(3, u.size - 1) + 1)
    terms = np.zeros(4)
    terms[0] = n00
    terms[powers] = np.linalg.lstsq(u[:, None] ** powers * weight[:, None], (medians[:, 0, 0] - n00) * weight)[0]
    design = np.stack([np.ones_like(u), u**2], axis=1) * weight[:, None]
    n, a = np.linalg.lstsq(design, medians.reshape(u.size, -1) * weight[:, None])[0].reshape(2, *medians.shape[1:])
    gain = top / float(terms[1]) if terms[1] > 0.0 else math.nan
    a, n = a / top**2, gain**2 * n
    a[0, 0], n[0, 0] = terms[2] / top**2, gain**2 * max(float(terms[0]), 0.0)
    return Coefficients(gain, a, np.zeros_like(a), n)


def agreeing(mean_adu: Floats, residual_sigma: Floats, limit_sigma: float) -> Mask:
    """Mark the pairs all of whose lags are within ``limit_sigma`` of the running median of residuals at like signals.

    A model that does not fit leaves residuals common to neighbours; cutting those would hide it, so the median of the 31 nearest
    pairs is taken off first. Where the scatter of a lag is larger than its errors say, its limit grows with it.

    Parameters
    ----------
    mean_adu
        Signal, shape (P,).
    residual_sigma
        (measured - model) / error, shape (P, r²).
    limit_sigma
        Limit.
    """
    order = np.argsort(mean_adu, kind="stable")
    window = min(_WINDOW, max(1, (order.size // 2) | 1))
    local = residual_sigma[order]
    local = local - median_filter(local, (window, 1), mode="nearest")
    scale = np.maximum(1.0, _MAD_TO_SIGMA * np.median(np.abs(local), axis=0))
    agree = np.empty(order.size, bool)
    agree[order] = np.all(np.abs(local) <= limit_sigma * scale, axis=1)
    return agree
