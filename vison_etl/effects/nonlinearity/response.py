"""The response of a channel: R(z) = z [1 + f(z)], f a cubic spline. R(0) = 0 whatever f, and R is regular there.

The knots of f are uniform in v = ln(1 + z / z_0) + z / z_1: in log z at some per cent of full scale, in z at its upper part, and regular at
zero. A common factor of z and R cannot be told: f(z_ref) = 0 fixes it while fitting, and the curves that come out are scaled to
R' = 1 where R is 20 % of full scale, as the convention wants.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

FULL_SCALE_ADU = 65536.0
REFERENCE_FRACTION = 0.2
"""Signal at which R' = 1, of full scale, measured."""

_Z0, _Z1 = 0.015 * FULL_SCALE_ADU, 0.5 * FULL_SCALE_ADU
_STEP = 0.3
_DEGREE = 3
_NEWTON_STEPS, _NEWTON_ADU = 20, 1e-9
_FINE = 20_001

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Basis:
    """Basis functions of f on [0, top_adu]; each is zero at ``reference_adu``."""

    knots: Floats
    reference_adu: float
    top_adu: float

    @property
    def size(self) -> int:
        """Return the number of coefficients: one less than that of the spline, which the reference takes."""
        return self.knots.size - _DEGREE - 2

    @cached_property
    def roughness(self) -> Floats:
        """Return S, shape (size, size): c S c is the sum of squares of the second differences of the spline's coefficients."""
        second = np.diff(np.eye(self.size + 1), n=2, axis=0)[:, :-1]
        return np.asarray(second.T @ second)

    def values(self, z: Floats, derivative: int = 0) -> Floats:
        """Return the basis functions, or their first or second derivative in z, at signals z, shape (*z.shape, size)."""
        spline = BSpline(self.knots, np.eye(self.size + 1), _DEGREE)
        v = _coordinate(z)
        if derivative == 0:
            # the last coefficient is zero: a constant in all of them is no change of f
            return np.asarray((spline(v) - spline(_coordinate(np.array(self.reference_adu))))[..., :-1])
        stretch = _stretch(z)[..., None]
        if derivative == 1:
            return np.asarray((spline(v, nu=1) * stretch)[..., :-1])
        bend = (-1.0 / (_Z0 + z) ** 2)[..., None]
        return np.asarray((spline(v, nu=2) * stretch**2 + spline(v, nu=1) * bend)[..., :-1])


def _coordinate(z: Floats) -> Floats:
    return np.asarray(np.log1p(np.maximum(z, -0.5 * _Z0) / _Z0) + z / _Z1)


def signal_grid(highest_adu: float, points: int) -> Floats:
    """Return signals from 0 to ``highest_adu``, evenly in the coordinate of the knots: dense where responses bend."""
    fine = np.linspace(0.0, highest_adu, _FINE)
    v = _coordinate(fine)
    return np.asarray(np.interp(np.linspace(0.0, v[-1], points), v, fine))


def _stretch(z: Floats) -> Floats:
    """Return dv/dz."""
    return np.asarray(1.0 / (_Z0 + z) + 1.0 / _Z1)


def make_basis(top_adu: float) -> Basis:
    """Return the basis up to ``top_adu``, which must be above the brightest signal that counts."""
    end = float(_coordinate(np.array(top_adu)))
    pieces = int(np.ceil(end / _STEP))
    knots: Floats = np.arange(-_DEGREE, pieces + _DEGREE + 1, dtype=np.float64) * (end / pieces)
    return Basis(knots, min(REFERENCE_FRACTION * FULL_SCALE_ADU, 0.5 * top_adu), top_adu)


def respond(basis: Basis, coefficients: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Return R and R' at signals z."""
    f, slope = basis.values(z) @ coefficients, basis.values(z, 1) @ coefficients
    return z * (1.0 + f), 1.0 + f + z * slope


def invert(basis: Basis, coefficients: Floats, measured_adu: Floats) -> Floats:
    """Return z with R(z) = measured, by Newton's method; R is monotone."""
    z = np.asarray(measured_adu, np.float64).copy()
    for _ in range(_NEWTON_STEPS):
        value, slope = respond(basis, coefficients, z)
        step = (value - measured_adu) / slope
        z -= step
        if np.max(np.abs(step), initial=0.0) < _NEWTON_ADU:
            break
    return z


def is_monotone(basis: Basis, coefficients: Floats) -> bool:
    """Tell whether R rises over all its range."""
    z = np.linspace(0.0, basis.top_adu, 500)
    return bool((respond(basis, coefficients, z)[1] > 0.0).all())


def deviations(basis: Basis, coefficients: Floats, measured_adu: Floats) -> tuple[Floats, Floats]:
    """Return the non-linearity F / y - 1 at measured signals F and its derivatives with respect to the coefficients.

    y is the signal on the line of slope 1 at the reference: y = r z with r = R'(z*), R(z*) = 20 % of full scale. At fixed F a change
    df of f moves z by -z df / R', and z* likewise; so d ln(1 + nl) = df(z) / R'(z) - dr / r, dr = d(f + z f')(z*) - R''(z*) z* df(z*) / r.

    Returns
    -------
    (ndarray, ndarray)
        Shapes (n,) and (n, size).
    """
    z = invert(basis, coefficients, measured_adu)
    _, slope = respond(basis, coefficients, z)
    at = invert(basis, coefficients, np.array([REFERENCE_FRACTION * FULL_SCALE_ADU]))
    r = respond(basis, coefficients, at)[1][0]
    of_f, of_slope, of_bend = (basis.values(at, k)[0] for k in range(3))
    curvature = 2.0 * of_slope @ coefficients + at[0] * (of_bend @ coefficients)
    of_r = of_f + at[0] * of_slope - curvature * at[0] * of_f / r
    value = measured_adu / (r * z) - 1.0
    jacobian = basis.values(z) / slope[:, None] - of_r / r
    return value, (1.0 + value)[:, None] * jacobian
