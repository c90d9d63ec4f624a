"""Where the walls of the pixels move: the closure of Guyonnet et al. (2015, A&A 575, A41).

An electron at (0, 0) moves the north wall of pixel (i, j) by N_ij and its east wall by E_ij, px per electron, positive towards +y and +x.
The area of a pixel grows by what its walls do, and walls are shared and mirrored::

    a_ij = N_ij - N_i,j-1 + E_ij - E_i-1,j,    N_i,-1 = -N_i0,    E_-1,j = -E_0j                                        (1)

There are r^2 equations for 2 r^2 walls. A smooth model closes them,

    shift of a wall = p_0 Ei(p_1 d) cos(theta)                                                                          (2)

with d the distance in px from (0, 0) to the middle of the wall, theta the angle between that line and the normal of the wall, and Ei the
exponential integral; p_0 > 0 (walls yield towards the charge), p_1 < 0. Taken from the model are the ratio E_i-1,j : N_i,j-1 of the
west and south walls of pixels off the axes and the outermost walls N_i,r-1 and E_r-1,j; all else follows from (1), weighted by
the errors of a_ij. Charge is conserved: what the window of lags lacks goes through the outermost walls. The two scales of the field,
along rows and along columns, are one in the model: how the area lost splits between the axes is its word, not that of flats.

Matrices of lags are indexed [lag_x, lag_y], lags from 0 on (`lags`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expi

from vison_etl.effects.covariance.lags import Floats, Measured, errors_of
from vison_etl.pixels.walls import Walls

RATE_BOUNDS = (-3.0, -0.02)
"""Range of p_1, 1/px: the field of the charge falls off within a third of a pixel, or does not within 50 px."""

_AT_BOUND = 1e-3
_FAR = 0.02
_WRONG_WAY = 3.0
_GRID = 40

Status = Literal["ok", "bound", "failed"]


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """Shifts of walls, px per electron, shape (r, r) each, with one-sigma errors, and the smooth model.

    ``smooth``: (p_0, p_1). ``chi2`` is that of the measured a_ij against the areas of these walls, one degree of freedom: the
    conservation of charge. ``bound``: p_1 is at an end of its range. ``failed``: a wall of the pixel moves away from its
    charge by more than three of its errors, or the smooth model finds none that yields towards it; all is NaN.
    ``own_of_a``: derivatives of E_00 and N_00 by a_ij, shape (2, r^2).
    """

    status: Status
    north: Floats
    north_err: Floats
    east: Floats
    east_err: Floats
    smooth: tuple[float, float]
    chi2: float
    own_of_a: Floats


def solve(a: Measured, model_error: float = 0.2) -> Boundaries:
    """Return the walls whose areas change by a_ij.

    Parameters
    ----------
    a
        Coefficients, 1/e, and their covariance, positive definite.
    model_error
        Fraction of |a_ij|, and of 2 % of the largest neighbour, by which the smooth model may be wrong; it weighs the lags in the fit of
        the model, or the lags of best signal to noise alone would count.

    Returns
    -------
    Boundaries
        Errors are propagated to first order from the covariance of a_ij, the smooth model's parameters included.
    """
    smooth = _fit_smooth(a, model_error)
    if smooth is None:
        return _none(a.reach)
    parameters, of_a = smooth
    walls, by_a = _walls(a, parameters)
    by_parameters = np.stack(
        [
            (_walls(a, parameters + step)[0] - _walls(a, parameters - step)[0]) / (2.0 * step[k])
            for k, step in enumerate(np.diag(1e-4 * np.abs(parameters)))
        ],
        axis=1,
    )
    jacobian = by_a + by_parameters @ of_a
    sigma = errors_of(jacobian @ a.covariance @ jacobian.T)
    residual = a.values.ravel() - _areas(a.reach) @ walls
    shape = (2, *a.values.shape)
    (north, east), (north_err, east_err) = walls.reshape(shape), sigma.reshape(shape)
    if north[0, 0] > _WRONG_WAY * north_err[0, 0] or east[0, 0] > _WRONG_WAY * east_err[0, 0]:
        return _none(a.reach)
    low, high = RATE_BOUNDS
    at_bound = not low * (1 - _AT_BOUND) < parameters[1] < high * (1 + _AT_BOUND)
    return Boundaries(
        "bound" if at_bound else "ok",
        north,
        north_err,
        east,
        east_err,
        (float(parameters[0]), float(parameters[1])),
        float(residual @ np.linalg.solve(a.covariance, residual)),
        jacobian[[a.reach**2, 0]],
    )


def areas(found: Boundaries) -> Floats:
    """Return equation (1): by how much the pixels grow, 1/e, shape (r, r)."""
    walls = np.concatenate([found.north.ravel(), found.east.ravel()])
    grown: Floats = (_areas(found.north.shape[0]) @ walls).reshape(found.north.shape)
    return grown


def pushes(found: Boundaries) -> Walls:
    """Return the shifts as currents through walls of both signs of lags: a wall that moves towards a pixel takes light from it."""
    return Walls(_both_signs(found.east), np.ascontiguousarray(_both_signs(found.north.T).T))


def _both_signs(shift: Floats) -> Floats:
    """Return currents along the first axis of lags, shape (2 r - 1, 2 r), indexed [other lag, lag]."""
    outwards = np.concatenate([shift[::-1], -shift])
    image: Floats = np.concatenate([outwards[:, :0:-1], outwards], axis=1).T
    return np.ascontiguousarray(image)


def _none(reach: int) -> Boundaries:
    none = np.full((reach, reach), math.nan)
    return Boundaries(
        "failed", none, none, none, none, (math.nan, math.nan), math.nan, np.full((2, reach**2), math.nan)
    )


def _areas(reach: int) -> Floats:
    """Return equation (1) as a matrix, shape (r^2, 2 r^2): north walls first."""
    lags = np.arange(reach * reach).reshape(reach, reach)
    matrix = np.zeros((reach**2, 2 * reach**2))
    flat = lags.ravel()
    matrix[flat, flat] += 1.0
    matrix[flat, flat + reach**2] += 1.0
    matrix[lags[:, 0], lags[:, 0]] += 1.0
    matrix[lags[:, 1:].ravel(), lags[:, :-1].ravel()] -= 1.0
    matrix[lags[0], lags[0] + reach**2] += 1.0
    matrix[lags[1:].ravel(), lags[:-1].ravel() + reach**2] -= 1.0
    return matrix


def _shapes(reach: int, rate: float) -> tuple[Floats, Floats]:
    """Return Ei(p_r d) cos(theta) of the north and the east walls, shape (r, r) each."""
    x, y = np.meshgrid(np.arange(reach), np.arange(reach), indexing="ij")
    to_north, to_east = np.hypot(x, y + 0.5), np.hypot(x + 0.5, y)
    return expi(rate * to_north) * (y + 0.5) / to_north, expi(rate * to_east) * (x + 0.5) / to_east


def _areas_of_model(reach: int, rate: float) -> Floats:
    """Return the areas of the smooth model per p_0, without lag (0, 0), shape (r^2 - 1,)."""
    north, east = _shapes(reach, rate)
    areas: Floats = (_areas(reach) @ np.concatenate([north.ravel(), east.ravel()]))[1:]
    return areas


def _fit_smooth(a: Measured, model_error: float) -> tuple[Floats, Floats] | None:
    """Fit (p_0, p_1) to all lags but (0, 0); return them and their derivatives by a_ij, shape (2, r^2)."""
    values = a.values.ravel()[1:]
    size = np.abs(values)
    sigma = np.hypot(errors_of(a.covariance)[1:], model_error * (size + _FAR * size.max()))
    if not (np.isfinite(sigma).all() and (sigma > 0).all()):
        return None

    def scale(rate: float) -> tuple[float, float]:
        model = _areas_of_model(a.reach, rate) / sigma
        found = max(0.0, float(model @ (values / sigma)) / float(model @ model))
        return found, float(np.sum((values / sigma - found * model) ** 2))

    # The logarithm of the rate: its range spans two decades, and the curve is smooth in it.
    grid = np.log(np.geomspace(-RATE_BOUNDS[1], -RATE_BOUNDS[0], _GRID))
    lowest = int(np.argmin([scale(-math.exp(log_rate))[1] for log_rate in grid]))
    around = float(grid[max(lowest - 1, 0)]), float(grid[min(lowest + 1, _GRID - 1)])
    best = minimize_scalar(lambda log_rate: scale(-math.exp(log_rate))[1], bounds=around, method="bounded")
    rate = -math.exp(float(best.x))
    p = scale(rate)[0]
    if not p > 0:
        return None
    step = 1e-4 * abs(rate)
    by_rate = p * (_areas_of_model(a.reach, rate + step) - _areas_of_model(a.reach, rate - step)) / (2.0 * step)
    jacobian = np.column_stack([_areas_of_model(a.reach, rate), by_rate]) / sigma[:, None]
    of_a = np.zeros((2, a.values.size))
    of_a[:, 1:] = np.linalg.pinv(jacobian) / sigma
    return np.array([p, rate]), of_a


def _walls(a: Measured, parameters: Floats) -> tuple[Floats, Floats]:
    """Return the walls (2 r^2), north first, closed by the smooth model, and their derivatives by a_ij."""
    free, fixed = _closure(a.reach, parameters)
    areas = _areas(a.reach)
    root = np.linalg.cholesky(a.covariance)
    q, r = np.linalg.qr(np.linalg.solve(root, areas @ free))
    operator = free @ np.linalg.solve(r, np.linalg.solve(root.T, q).T)
    walls: Floats = fixed + operator @ (a.values.ravel() - areas @ fixed)
    return walls, operator


def _closure(reach: int, parameters: Floats) -> tuple[Floats, Floats]:
    """Return walls = free @ v + fixed: what the smooth model leaves free, shape (2 r^2, r^2 - 1), and its outermost walls.

    A west and a south wall of one pixel off the axes share one unknown; the walls across the axes have one each.
    """
    north, east = (parameters[0] * shape for shape in _shapes(reach, float(parameters[1])))
    lags = np.arange(reach * reach).reshape(reach, reach)
    fixed = np.zeros(2 * reach**2)
    fixed[lags[:, -1]] = north[:, -1]
    fixed[lags[-1] + reach**2] = east[-1]
    scale = np.hypot(east[:-1, 1:], north[1:, :-1])
    free = np.zeros((2 * reach**2, reach**2 - 1))
    shared, own = np.arange((reach - 1) ** 2), (reach - 1) ** 2 + np.arange(reach - 1)
    free[lags[:-1, 1:].ravel() + reach**2, shared] = (east[:-1, 1:] / scale).ravel()
    free[lags[1:, :-1].ravel(), shared] = (north[1:, :-1] / scale).ravel()
    free[lags[0, :-1], own] = 1.0
    free[lags[:-1, 0] + reach**2, own + reach - 1] = 1.0
    return free, fixed
