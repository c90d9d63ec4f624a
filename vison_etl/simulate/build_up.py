"""Charge building up in pixels whose boundaries move with the charge already there (brighter-fatter effect).

Charge in a pixel pushes the boundaries around it: what arrives near a boundary lands on the other side. The current over the
boundary between neighbours p and q is proportional to the flux there and to the charges around it, antisymmetric in them, so
that what one pixel loses its neighbour gains and a uniform charge moves nothing. In sum the mean arriving in pixel p is::

    I_p (1 + sum_ij a_ij Q_(p + ij)),      sum_ij a_ij = 0

The exposure is cut into K steps. The boundaries of a step follow the charge at its middle (a half step of photons arrives
before the first and after the last evaluation, and an evaluation includes half of its own effect), so the result is second
order in 1/K: with linear theory V(k) = (exp(2 a(k) m) - 1) / (2 a(k)), the relative error is (a m)^2 / K^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vison_etl.simulate.streams import Float32, State, normal_row, quantiles

REACH = 2
"""Largest lag of the kernel, px."""

GAUSSIAN_LIMIT_E = 200.0
"""Below this mean, e-, photons are drawn from Poisson's law and the boundaries stay at rest (their effect is < 4e-4)."""

_MARGIN = REACH
_N_TAPS = 12


@dataclass(frozen=True, slots=True)
class BoundaryShift:
    """How far charge moves boundaries, as fractions of the flux of a pixel, per electron.

    ``near_x[d]``: the boundary between (x, y) and (x + 1, y) by the charges of columns x and x + 1 in rows y +- d, towards the
    fuller side; ``far_x[d]``: by those of columns x - 1 and x + 2. ``near_y``, ``far_y``: with x and y exchanged.
    """

    near_x: tuple[float, float, float]
    far_x: tuple[float, float, float]
    near_y: tuple[float, float, float]
    far_y: tuple[float, float, float]

    def taps(self) -> NDArray[np.float64]:
        """Return the 12 numbers in the order near_x, far_x, near_y, far_y."""
        return np.array([*self.near_x, *self.far_x, *self.near_y, *self.far_y])

    def scaled(self, factor: float) -> BoundaryShift:
        """Return the same shape times a factor."""
        values = (factor * self.taps()).tolist()
        return BoundaryShift(tuple(values[0:3]), tuple(values[3:6]), tuple(values[6:9]), tuple(values[9:12]))


def _across(near: float, far: float) -> NDArray[np.float64]:
    return np.array([far, near - far, -2.0 * near, near - far, far])


def kernel(shift: BoundaryShift) -> NDArray[np.float64]:
    """Return a_ij, 1/e, shape (5, 5) indexed [lag_y + 2, lag_x + 2]; it sums to zero."""
    a = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    for distance in range(-REACH, REACH + 1):
        a[distance + REACH, :] += _across(shift.near_x[abs(distance)], shift.far_x[abs(distance)])
        a[:, distance + REACH] += _across(shift.near_y[abs(distance)], shift.far_y[abs(distance)])
    return a


@njit(cache=True)
def _extend(charge: Float32) -> None:
    """Repeat the edge pixels in the margin of two, so that outside the image the charge goes on evenly."""
    rows, columns = charge.shape
    for y in range(2, rows - 2):
        charge[y, 0] = charge[y, 1] = charge[y, 2]
        charge[y, columns - 1] = charge[y, columns - 2] = charge[y, columns - 3]
    charge[0] = charge[1] = charge[2]
    charge[rows - 1] = charge[rows - 2] = charge[rows - 3]


@njit(cache=True)
def _row_currents(
    charge: Float32, flux: Float32, y: int, taps: Float32, right: Float32, up: Float32, a: Float32, b: Float32
) -> None:
    """Currents out of row y: ``right[x + 1]`` from x to x + 1, ``up[x]`` from y to y + 1; none over the outer edges."""
    rows, columns = flux.shape
    r = y + 2
    for x in range(columns + 4):
        next_rows = charge[r - 1, x] + charge[r + 1, x]
        second_rows = charge[r - 2, x] + charge[r + 2, x]
        a[x] = taps[0] * charge[r, x] + taps[1] * next_rows + taps[2] * second_rows
        b[x] = taps[3] * charge[r, x] + taps[4] * next_rows + taps[5] * second_rows
    for x in range(columns - 1):
        pushed = (a[x + 2] - a[x + 3]) + (b[x + 1] - b[x + 4])
        right[x + 1] = (flux[y, x] + flux[y, x + 1]) * pushed
    if y == rows - 1:
        up[:] = np.float32(0)
        return
    for x in range(columns + 4):
        a[x] = charge[r, x] - charge[r + 1, x]
        b[x] = charge[r - 1, x] - charge[r + 2, x]
    for x in range(columns):
        near = taps[6] * a[x + 2] + taps[7] * (a[x + 1] + a[x + 3]) + taps[8] * (a[x] + a[x + 4])
        far = taps[9] * b[x + 2] + taps[10] * (b[x + 1] + b[x + 3]) + taps[11] * (b[x] + b[x + 4])
        up[x] = (flux[y, x] + flux[y + 1, x]) * (near + far)


@njit(cache=True)
def _step(
    charge: Float32,
    middle: Float32,
    flux: Float32,
    share: np.float32,
    taps: Float32,
    state: State,
    table: Float32,
    noisy: bool,  # noqa: FBT001 - compiled
) -> None:
    """Move what the charge pushes during one step, then let ``share`` of the flux arrive."""
    rows, columns = flux.shape
    half, zero = np.float32(0.5), np.float32(0)
    right = np.zeros(columns + 1, np.float32)
    below = np.zeros(columns, np.float32)
    above = np.zeros(columns, np.float32)
    a, b = np.empty(columns + 4, np.float32), np.empty(columns + 4, np.float32)
    z = np.zeros(columns, np.float32)
    _extend(charge)
    for y in range(rows):
        _row_currents(charge, flux, y, taps, right, above, a, b)
        for x in range(columns):
            moved = (right[x] - right[x + 1]) + (below[x] - above[x])
            middle[y + 2, x + 2] = charge[y + 2, x + 2] + half * moved
        below, above = above, below
    _extend(middle)
    below[:] = zero
    for y in range(rows):
        _row_currents(middle, flux, y, taps, right, above, a, b)
        if noisy:
            normal_row(state, table, z)
        for x in range(columns):
            moved = (right[x] - right[x + 1]) + (below[x] - above[x])
            mean = share * flux[y, x] + moved
            charge[y + 2, x + 2] += mean + np.sqrt(max(mean, zero)) * z[x]
        below, above = above, below


@njit(cache=True)
def _accumulate(
    flux: Float32,
    steps: int,
    taps: Float32,
    state: State,
    table: Float32,
    noisy: bool,  # noqa: FBT001 - compiled
) -> Float32:
    rows, columns = flux.shape
    charge = np.zeros((rows + 4, columns + 4), np.float32)
    middle = np.zeros((rows + 4, columns + 4), np.float32)
    whole = np.float32(1.0 / steps)
    half = np.float32(0.5 / steps)
    z = np.zeros(columns, np.float32)
    for y in range(rows):
        if noisy:
            normal_row(state, table, z)
        for x in range(columns):
            mean = half * flux[y, x]
            charge[y + 2, x + 2] = mean + np.sqrt(mean) * z[x]
    for n in range(steps):
        share = half if n == steps - 1 else whole
        _step(charge, middle, flux, share, taps, state, table, noisy)
    return charge[2:-2, 2:-2].copy()


def accumulate(mean_e: Float32, shift: BoundaryShift, steps: int, state: State, *, noisy: bool = True) -> Float32:
    """Let an exposure build up in steps, charge acting on the charge that follows.

    Parameters
    ----------
    mean_e
        Mean electrons per pixel of the whole exposure, shape (rows, columns), float32, at least ``GAUSSIAN_LIMIT_E`` on
        average: the arrivals of a step are Gaussian with the variance of Poisson's law.
    shift
        Boundary shifts, 1/e.
    steps
        Number of steps K >= 1.
    state
        Random state, advanced in place.
    noisy
        False leaves the photon noise out.

    Returns
    -------
    Float32
        Charge in electrons, shape (rows, columns). Without noise its sum is that of ``mean_e`` (float32 rounding).

    Raises
    ------
    ValueError
        If ``steps`` is less than 1 or the image smaller than 3 x 3 px.
    """
    if steps < 1 or min(mean_e.shape) < REACH + 1:
        raise ValueError(f"{steps} steps on an image of shape {mean_e.shape}: at least 1 step and 3 x 3 px are needed")
    # Fluxes of both sides are added, not averaged, in the kernel: hence half a tap.
    taps = (shift.taps() * (0.5 / steps)).astype(np.float32)
    return _accumulate(mean_e, steps, taps, state, quantiles(), noisy)


def steps_for(mean_e: float, step_e: float) -> int:
    """Return the number of steps so that none brings more than ``step_e`` electrons on average; at least 1."""
    return max(1, int(np.ceil(mean_e / step_e)))
