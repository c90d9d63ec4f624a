"""Coefficients a_ij of one quarter of the lags: mirror images and the conservation of charge.

Matrices of lags have the shape (r, r), indexed [lag_x, lag_y], 0 <= lag < r; flattened, r^2 lags.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Coefficients as measured: ``values``, shape (r, r), and their covariance matrix, shape (r^2, r^2)."""

    values: Floats
    covariance: Floats

    @property
    def reach(self) -> int:
        """Return r, the number of lags per axis."""
        return int(self.values.shape[0])

    @property
    def errors(self) -> Floats:
        """Return the one-sigma errors, shape (r, r)."""
        return errors_of(self.covariance).reshape(self.values.shape)

    @property
    def total(self) -> tuple[float, float]:
        """Return the sum over all lags of both signs, and its error."""
        weights = multiplicity(self.reach).ravel()
        return float(weights @ self.values.ravel()), math.sqrt(max(float(weights @ self.covariance @ weights), 0.0))


def errors_of(covariance: Floats) -> Floats:
    """Return the square roots of the diagonal; rounding below zero is zero."""
    sigma: Floats = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    return sigma


def multiplicity(reach: int) -> Floats:
    """Return in how many quarters of the lags each stands: 1 at zero, 2 on the axes, 4 elsewhere; shape (reach, reach)."""
    line = np.full(reach, 2.0)
    line[0] = 1.0
    return np.outer(line, line)


def mirrored(quarter: Floats) -> Floats:
    """Return all lags of both signs as an image: shape (2 r - 1, 2 r - 1), centred, indexed [lag_y + r - 1, lag_x + r - 1]."""
    half = np.concatenate([quarter[:0:-1], quarter])
    return np.ascontiguousarray(np.concatenate([half[:, :0:-1], half], axis=1).T)


def quarter_of(image: Floats) -> Floats:
    """Return the lags from 0 on of an image that `mirrored` made, shape (r, r), indexed [lag_x, lag_y]."""
    centre = image.shape[0] // 2
    return np.ascontiguousarray(image[centre:, centre:].T)


def balanced(found: Measured) -> Measured:
    """Return the coefficients nearest to the measured ones, in the metric of their errors, whose sum over all lags is zero.

    Charge that a pixel does not collect its neighbours do: sum_ij a_ij = 0. With w the multiplicities and V the covariance::

        a' = a - V w (w V w)^-1 (w a),    V' = V - V w (w V w)^-1 w V

    so the lags that are known least take most of it, and a_00 hardly any: what is missing in a window of lags lies in its outer part.
    """
    weights = multiplicity(found.reach).ravel()
    shared = found.covariance @ weights
    gain = shared / float(weights @ shared)
    values = found.values - (gain * float(weights @ found.values.ravel())).reshape(found.values.shape)
    return Measured(values, found.covariance - np.outer(gain, shared))
