"""The photon-transfer curve and the records of its fits. Signals and variances in ADU and ADU² of one frame.

The exponential model (Astier et al. 2019, Eq. 16) with g the gain in e/ADU, a00 (1/e, negative) the fractional change of a
pixel's collecting area per electron in it and n00 the variance at zero signal::

    V(mu) = [exp(2 a00 g mu) - 1] / (2 a00 g²) + n00 = (mu / g) phi(2 a00 g mu) + n00,    phi(z) = (exp(z) - 1) / z
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Status = Literal["ok", "bound", "failed", "no_data"]
Model = Literal["covariance", "exponential", "quadratic"]

QUANTISATION_ADU2 = 1.0 / 12.0
"""Variance of rounding to whole codes."""

MIN_POINTS = 8
"""Fewer points than this are no data: three parameters and their scatter."""

_SERIES_BELOW = 1e-2
_PHI_SERIES = (1.0, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0)
_DPHI_SERIES = (1.0 / 2.0, 1.0 / 3.0, 1.0 / 8.0, 1.0 / 30.0, 1.0 / 144.0, 1.0 / 840.0, 1.0 / 5760.0)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Tile points of one channel, arrays of equal length.

    ``mean_adu`` (ADU), ``variance_adu2`` (ADU², read noise included) and ``relative_err``: the error of the variance
    divided by it, which does not depend on how the variance fluctuated. All finite, variances and errors positive.
    """

    mean_adu: Floats
    variance_adu2: Floats
    relative_err: Floats

    def __len__(self) -> int:
        """Return the number of points."""
        return int(self.mean_adu.size)

    def __getitem__(self, chosen: Mask | NDArray[np.int64]) -> Points:
        """Return the points chosen by a mask or by indices."""
        return Points(self.mean_adu[chosen], self.variance_adu2[chosen], self.relative_err[chosen])


@dataclass(frozen=True, slots=True)
class NoisePrior:
    """What is known of n00 beforehand: value and one-sigma error, ADU², of a normal distribution."""

    n00_adu2: float
    sigma_adu2: float


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """One fitted curve. Values are NaN where there are none (``failed``, ``no_data``).

    ``covariance`` is that of (gain, a00, n00), shape (3, 3). ``used`` marks the points of the fit among those given;
    ``n_outliers`` were rejected. ``chi2`` uses the errors of the model variance, ``relative_err`` x V(mu), and holds the
    ``prior``, where one was used, as one more datum, which ``dof`` counts.
    """

    model: Model
    status: Status
    gain_e_per_adu: float
    a00_per_e: float
    n00_adu2: float
    covariance: Floats
    chi2: float
    dof: int
    used: Mask
    n_outliers: int = 0
    prior: NoisePrior | None = None

    @property
    def n_points(self) -> int:
        """Return the number of points used."""
        return int(np.count_nonzero(self.used))

    @property
    def has_values(self) -> bool:
        """Tell whether the curve exists."""
        return self.status in {"ok", "bound"}

    @property
    def errors(self) -> tuple[float, float, float]:
        """Return the one-sigma errors of gain, a00 and n00."""
        gain, a00, n00 = np.sqrt(np.diag(self.covariance))
        return float(gain), float(a00), float(n00)


def no_fit(model: Model, status: Status, n: int, n_outliers: int = 0) -> Fit:
    """Return the record of a fit that gave nothing, for ``n`` points."""
    nan = math.nan
    return Fit(model, status, nan, nan, nan, np.full((3, 3), nan), nan, 0, np.zeros(n, bool), n_outliers)


def _polynomial(z: Floats, coefficients: tuple[float, ...]) -> Floats:
    total = np.full_like(z, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * z + coefficient
    return total


def phi(z: Floats) -> tuple[Floats, Floats]:
    """Return phi(z) = (exp(z) - 1) / z and its derivative, exact to rounding also at z = 0."""
    small = np.abs(z) < _SERIES_BELOW
    safe = np.where(small, 1.0, z)
    value = np.expm1(safe) / safe
    slope = (np.exp(safe) - value) / safe
    if not small.any():
        return value, slope
    return np.where(small, _polynomial(z, _PHI_SERIES), value), np.where(small, _polynomial(z, _DPHI_SERIES), slope)


def exponential_variance(mean_adu: Floats, gain_e_per_adu: float, a00_per_e: float, n00_adu2: float) -> Floats:
    """Return V(mu) of the exponential model, ADU²."""
    value, _ = phi(2.0 * a00_per_e * gain_e_per_adu * mean_adu)
    return mean_adu / gain_e_per_adu * value + n00_adu2


def exponential_jacobian(
    mean_adu: Floats, gain_e_per_adu: float, a00_per_e: float, n00_adu2: float
) -> tuple[Floats, Floats]:
    """Return V(mu), shape (n,), and its derivatives with respect to gain, a00 and n00, shape (n, 3)."""
    value, slope = phi(2.0 * a00_per_e * gain_e_per_adu * mean_adu)
    electrons = mean_adu / gain_e_per_adu
    curve = 2.0 * mean_adu * mean_adu * slope
    jacobian = np.stack(
        [(curve * a00_per_e - electrons * value) / gain_e_per_adu, curve, np.ones_like(mean_adu)], axis=1
    )
    return electrons * value + n00_adu2, jacobian


def noise_e(fit: Fit) -> tuple[float, float]:
    """Return the noise at zero signal, g sqrt(n00 - 1/12), and its error, e; NaN where n00 is below the quantisation.

    Of a fit with a prior this is little else than the noise of the prescan that the prior was made of.
    """
    variance = fit.n00_adu2 - QUANTISATION_ADU2
    if not variance > 0.0:
        return math.nan, math.nan
    noise_adu = math.sqrt(variance)
    slopes = np.array([noise_adu, 0.0, 0.5 * fit.gain_e_per_adu / noise_adu])
    return fit.gain_e_per_adu * noise_adu, float(math.sqrt(slopes @ np.nan_to_num(fit.covariance) @ slopes))
