"""Mixing of neighbours: charge left behind in transfers, or a bounce of the amplifier, moves fluctuations from pixel to pixel.

A pixel that keeps 1 - beta of its charge and gets beta of that of the pixel before it has per spatial frequency

    C'(k) = C(k) [1 - 2 beta (1 - beta) (1 - cos k)],

so of what the variance loses, 2 beta, the two next lags get beta each, and the sum over lags stays. The gain from any variance is too
large by 2 beta. It shows as a term of the covariance with the next pixel that is linear in the signal, where changed pixel areas have none:
little against noise, a_10, c_10 and n_10, so it is estimated, not fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.model import Floats, frequencies, lags_of


@dataclass(frozen=True, slots=True)
class Mixing:
    """Fraction of a pixel's charge found in the next one along x and y; ``gain_bias``: of the gain by both, a fraction. NaN: no fit."""

    x: float = math.nan
    x_err: float = math.nan
    y: float = math.nan
    y_err: float = math.nan
    gain_bias: float = math.nan
    gain_bias_err: float = math.nan


NO_MIXING = Mixing()


def mixing_derivatives(power: Floats, reach: int) -> Floats:
    """Return the derivatives of the covariances by mixing along x and y at none.

    Parameters
    ----------
    power
        C(k) without noise, shape (L, K, K).
    reach
        r.

    Returns
    -------
    array
        Shape (L, r, r, 2).
    """
    lost = 2.0 * (1.0 - np.cos(frequencies()))
    return np.stack([-lags_of(power * lost[:, None], reach), -lags_of(power * lost, reach)], axis=-1)


def estimate(design: Floats, residual: Floats, by_mixing: Floats, covariance: Floats, gain_e_per_adu: float) -> Mixing:
    """Say what a fit would find if mixing were free too, from its end: one step of generalised least squares.

    Parameters
    ----------
    design, residual
        Of the fit, whitened: derivatives by its free parameters, the gain first, shape (N, P), and residuals (N,).
    by_mixing
        Derivatives by both mixings, whitened, shape (N, 2).
    covariance
        Of the free parameters, shape (P, P).
    gain_e_per_adu
        Gain of the fit.

    Returns
    -------
    Mixing
        Errors with all parameters of the fit free. ``gain_bias``: by what fraction the gain would be smaller.
    """
    taken_up = covariance @ (design.T @ by_mixing)
    left = by_mixing - design @ taken_up
    of_mixing = np.linalg.inv(left.T @ left)
    value = of_mixing @ (left.T @ residual)
    slope = taken_up[0] / gain_e_per_adu
    x_err, y_err = np.sqrt(np.diag(of_mixing)).tolist()
    bias_err = math.sqrt(float(slope @ of_mixing @ slope))
    return Mixing(float(value[0]), x_err, float(value[1]), y_err, float(slope @ value), bias_err)
