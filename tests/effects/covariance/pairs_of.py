"""Pairs of simulated channels as the fit takes them."""

from __future__ import annotations

import numpy as np

from tests.closure.covariance_fit_truth import REACH, Sample, Truth
from vison_etl.effects.covariance.model import Coefficients, covariances_adu2
from vison_etl.effects.covariance.pairs import Pairs
from vison_etl.effects.covariance.record import Prior


def pairs_of(found: Sample) -> Pairs:
    return Pairs(
        found.mean_adu, found.imbalance, found.spread_adu, found.covariance_adu2, found.n, found.difference_adu2
    )


def prior_of(found: Sample) -> Prior:
    return Prior(found.noise_adu2, found.noise_adu2_err)


def inner(truth: Truth) -> Coefficients:
    """Return the truth at the lags measured."""
    noise = np.zeros((REACH, REACH))
    noise[0, 0] = truth.n00_adu2 * truth.gain**2
    return Coefficients(truth.gain, truth.a[:REACH, :REACH], truth.c[:REACH, :REACH], noise)


def exact(truth: Coefficients, mean_adu: np.ndarray, n_px: float = 4e6) -> Pairs:
    """Return pairs without noise, made by the model itself."""
    r = truth.reach
    return Pairs(
        mean_adu,
        np.zeros_like(mean_adu),
        np.zeros_like(mean_adu),
        covariances_adu2(truth, mean_adu),
        np.full((mean_adu.size, r, r), n_px),
        np.zeros((mean_adu.size, r - 1, r - 1)),
    )
