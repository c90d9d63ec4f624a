"""Where the fit of the covariance model begins."""

from __future__ import annotations

import math

import numpy as np

from vison_etl.effects.covariance.model import Coefficients
from vison_etl.effects.covariance.pairs import Nodes, Pairs
from vison_etl.effects.covariance.record import Prior


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
