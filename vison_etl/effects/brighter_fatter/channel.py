"""All that follows from the covariance fit of one channel: kernel, boundaries, widths, spots, residuals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vison_etl.effects.brighter_fatter import boundary, widths
from vison_etl.effects.brighter_fatter.boundary import Boundaries
from vison_etl.effects.brighter_fatter.residuals import (
    Residuals,
    first_order,
    inverse,
    photon_covariances,
    residuals,
)
from vison_etl.effects.brighter_fatter.widths import Widths
from vison_etl.effects.covariance.kernel import Kernels, kernels_of
from vison_etl.effects.covariance.lags import Floats, Measured
from vison_etl.effects.covariance.levels import Level
from vison_etl.effects.covariance.record import CovarianceFit

Method = Literal["inverse", "g15"]


@dataclass(frozen=True, slots=True)
class Rules:
    """Parameters of the effect, which documents them."""

    model_error: float
    at_adu: float
    residual_lags: int
    spot_sigmas_px: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """Growth of a Gaussian spot, px per electron of its flux, with errors."""

    sigma_px: float
    x: float
    x_err: float
    y: float
    y_err: float


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """Results of one channel whose fit is ``ok``.

    ``a``: as measured; ``kernels``: of the coefficients whose sum is zero; ``widths``: None without boundaries or with fewer than two levels; ``levels``: those of the fit, by method of correction.
    """

    a: Measured
    kernels: Kernels
    boundaries: Boundaries
    widths: Widths | None
    spots: tuple[Spot, ...]
    levels: tuple[tuple[Level, Method, Residuals], ...]


def analyse(fit: CovarianceFit, levels: list[Level], rules: Rules) -> Channel:
    """Derive what follows from a fit with status ``ok``.

    Parameters
    ----------
    fit
        Gain, a_ij, c_ij and n_ij with their covariance matrix.
    levels
        Mean covariances of the script columns; those of the fit count.
    rules
        Parameters.
    """
    found, size = fit.coefficients, fit.coefficients.reach**2
    a = Measured(found.a_per_e, fit.covariance[1 : 1 + size, 1 : 1 + size])
    kernels = kernels_of(fit)
    walls = boundary.solve(a, rules.model_error)
    used = [level for level in levels if level.is_used]
    spots = []
    for sigma in rules.spot_sigmas_px:
        (x, y), (x_err, y_err) = widths.growth(kernels.value, sigma)
        spots.append(Spot(sigma, x, x_err, y, y_err))
    corrected = [
        (level, method, one)
        for level in used
        for method, one in _corrected(fit, level, kernels.a.values, kernels.c, walls, rules.residual_lags)
    ]
    signals = np.array([level.mean_adu for level in used])
    widths_of_point = _widths(fit, walls, signals, rules.at_adu)
    return Channel(a, kernels, walls, widths_of_point, tuple(spots), tuple(corrected))


def _corrected(
    fit: CovarianceFit, level: Level, a: Floats, c: Floats, walls: Boundaries, lags: int
) -> Iterator[tuple[Method, Residuals]]:
    """Yield the residuals of one level by method."""
    gain, noise = fit.coefficients.gain_e_per_adu, fit.coefficients.n_e2
    measured, error = gain**2 * level.covariance_adu2 - noise, gain**2 * level.covariance_adu2_err
    signal_e, n_lags = gain * level.mean_adu, min(lags + 1, a.shape[0])
    model = photon_covariances(a, c, signal_e)
    yield "inverse", residuals(measured, error, model, inverse(a, c, signal_e), n_lags)
    if walls.status != "failed":
        yield "g15", residuals(measured, error, model, first_order(boundary.areas(walls), signal_e), n_lags)


def _widths(fit: CovarianceFit, walls: Boundaries, signals_adu: Floats, at_adu: float) -> Widths | None:
    if walls.status == "failed" or signals_adu.size < 2:
        return None
    size = fit.coefficients.reach**2
    carried = np.zeros((3, 1 + size))
    carried[:2, 1:] = walls.own_of_a
    carried[2, 0] = 1.0
    covariance = carried @ fit.covariance[: 1 + size, : 1 + size] @ carried.T
    own = float(walls.east[0, 0]), float(walls.north[0, 0])
    return widths.original_widths(own, covariance, fit.coefficients.gain_e_per_adu, signals_adu, at_adu)


def axis_ratio(a: Measured) -> tuple[float, float]:
    """Return a_10 / a_01 with its error; NaN where a_01 is not positive."""
    x, y = float(a.values[1, 0]), float(a.values[0, 1])
    if not y > 0:
        return math.nan, math.nan
    slopes = np.zeros(a.values.shape)
    slopes[1, 0], slopes[0, 1] = 1.0 / y, -x / y**2
    return x / y, math.sqrt(float(slopes.ravel() @ a.covariance @ slopes.ravel()))
