"""The scalar kernel: K with Laplacian(K)_ij = -a_ij, whose gradient pushes charge through the walls of the pixels.

Light F arriving beside charge Q moves by F grad(K * Q) (Coulton et al. 2018, AJ 155, 258). In a flat of m electrons that adds
m (a * Q) to each pixel, with a = -Laplacian(K), which is what the covariances measure: C_ij = V (d_ij + a_ij mu + ...). The
Laplacian is that of differences: K_(i+1,j) + K_(i-1,j) + K_(i,j+1) + K_(i,j-1) - 4 K_ij, K = 0 beyond the last lag.

Matrices of lags are indexed [lag_x, lag_y], lags from 0 on (`lags`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.covariance.lags import Floats, Measured, balanced, mirrored
from vison_etl.effects.covariance.record import CovarianceFit
from vison_etl.pixels.walls import Walls, walls_of


@cache
def inverse_laplacian(reach: int) -> Floats:
    """Return the matrix from a_ij (r^2) to K_ij (r^2) of one quarter of the lags, with K = 0 at lag r and mirrored at 0."""
    size = reach * reach
    laplacian = np.zeros((size, size))
    for x in range(reach):
        for y in range(reach):
            row = x * reach + y
            laplacian[row, row] = -4.0
            for nx, ny in ((x + 1, y), (abs(x - 1), y), (x, y + 1), (x, abs(y - 1))):
                if nx < reach and ny < reach:
                    laplacian[row, nx * reach + ny] += 1.0
    inverse: Floats = np.asarray(-np.linalg.inv(laplacian), np.float64)
    inverse.flags.writeable = False
    return inverse


def solve(a: Measured) -> Measured:
    """Return K_ij, 1/e, with its covariance matrix, from a_ij, 1/e, whose sum is zero (`lags.balanced`).

    For c_ij, 1/e^2, it gives how K grows per electron.
    """
    operator = inverse_laplacian(a.reach)
    values = (operator @ a.values.ravel()).reshape(a.values.shape)
    return Measured(values, operator @ a.covariance @ operator.T)


@dataclass(frozen=True, slots=True, eq=False)
class Kernels:
    """What a covariance fit says of the kernel, its sum rule imposed.

    ``a``, ``c``: coefficients whose sums are zero, c zero where it was held there; ``value``: K, 1/e; ``growth``: how it grows per
    electron at the wall, 1/e^2, None where c was held.
    """

    a: Measured
    c: Floats
    value: Measured
    growth: Measured | None


def kernels_of(fit: CovarianceFit) -> Kernels:
    """Return the kernel of a fit with status ``ok``."""
    size = fit.coefficients.reach**2
    a = balanced(Measured(fit.coefficients.a_per_e, fit.covariance[1 : 1 + size, 1 : 1 + size]))
    if not fit.c_is_free:
        return Kernels(a, np.zeros_like(a.values), solve(a), None)
    of_c = fit.covariance[1 + size : 1 + 2 * size, 1 + size : 1 + 2 * size]
    c = balanced(Measured(fit.coefficients.c_per_e2, of_c))
    return Kernels(a, c.values, solve(a), solve(c))


def walls_from(lag_x: NDArray[np.int64], lag_y: NDArray[np.int64], values: Floats) -> Walls:
    """Return the walls for `pixels.brighter_fatter.correct` from the rows of one channel of ``bfe_kernel``, in any order.

    Parameters
    ----------
    lag_x, lag_y
        Lags, each pair from (0, 0) to (r - 1, r - 1) once, shape (r^2,).
    values
        ``kernel_per_e``, or ``kernel_growth_per_e2`` for walls whose push grows with the charge.

    Raises
    ------
    ValueError
        If a lag is missing, there twice, or without value.
    """
    reach = int(lag_x.max(initial=-1)) + 1
    quarter = np.full((reach, reach), np.nan)
    inside = (lag_y >= 0) & (lag_y < reach) & (lag_x >= 0)
    quarter[lag_x[inside], lag_y[inside]] = values[inside]
    if lag_x.size != reach**2 or not inside.all() or not reach or np.isnan(quarter).any():
        raise ValueError(f"{lag_x.size} lags are no kernel of {reach} x {reach} lags, each once and with a value")
    return walls_of(mirrored(quarter))


def effective(a: Floats, c: Floats, signal_e: float) -> Floats:
    """Return what C_ij / (V mu) of a flat looks like at a signal: a_ij with its higher orders, 1/e, shape (r, r).

    a + (2/3) [a*a + c] m + (1/6) [2 a*a*a + 5 a*c] m^2 (Astier et al. 2019, Eq. 20). A kernel made of it at every level (Broughton et
    al. 2024) stands for the higher orders in a first-order correction. It is here to be compared with: the second-order terms of a
    flat are those of its noise, half of which arrives after the charge that pushes it.
    """
    from scipy.signal import convolve2d  # noqa: PLC0415 - slow to import, and no calibration asks for it

    full_a, full_c = mirrored(a), mirrored(c)
    twice = convolve2d(full_a, full_a)
    reach = a.shape[0]

    def inner(image: Floats) -> Floats:
        centre = image.shape[0] // 2
        return np.asarray(image[centre : centre + reach, centre : centre + reach].T)

    second = inner(twice) + c
    third = 2.0 * inner(convolve2d(twice, full_a)) + 5.0 * inner(convolve2d(full_a, full_c))
    return a + (2.0 / 3.0) * second * signal_e + third * signal_e**2 / 6.0
