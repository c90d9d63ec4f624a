"""Dark current from the signal of cells: what grows with time everywhere, apart from what has a shape.

The signal of a cell against the prescan of its rows, ADU, is modelled as

    v(x, y) = o + D T(y)/t + [G_x (x - x_c)/W + G_y (y - y_c)/H + A exp(-r/l)] in the image area.

T(y) is the time since the pixel was reset, t the exposure time: in the image area t and, where no bias of the same read-out was
subtracted, the time y t_row until its row is read; in the parallel overscan the time that its empty packets take through the image,
H t_row. D is the dark signal per exposure, G stray light that changes linearly, centred so that it is no part of D, A the glow of
the output node at its corner (r: distance from it). Light without any shape cannot be told from dark current.

o is zero where a master bias was subtracted; without one it is unknown (one per strip of columns) and D comes from the step
between the last image rows and the parallel overscan, where the bias is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import chdtri

UPPER_QUANTILE = 1.6448536269514722
"""Of the standard normal, 95 %, one-sided."""

_SCATTER_PROBABILITY = 1e-3
_GLOW_SIGMA = 5.0
_GLOW_RANGE = (0.02, 0.5)
_SAMPLES = 4
_ITERATIONS = 30

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one quadrant, arrays of shape (cells,).

    ``x, y``: centre relative to the output node, in units of the image width and height; ``width, height`` in the same units;
    ``signal, error``: ADU against the prescan; ``base_error``: its part common to the cells of a ``block``; ``time``: T/t.
    """

    x: Floats
    y: Floats
    width: Floats
    height: Floats
    signal: Floats
    error: Floats
    base_error: Floats
    block: NDArray[np.int64]
    is_image: NDArray[np.bool_]
    time: Floats
    strip: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DarkFit:
    """Values with errors, ADU per exposure: ``dark``, ``gradient_x``, ``gradient_y``, ``glow``; ``glow_length`` in image widths."""

    dark: tuple[float, float]
    gradient_x: tuple[float, float]
    gradient_y: tuple[float, float]
    glow: tuple[float, float]
    glow_length: float
    chi2: float
    dof: int


def glow_shape(cells: Cells, length: float, aspect: float) -> tuple[Floats, Floats]:
    """Return exp(-r/l) and its derivative by l, averaged over each cell; ``aspect`` = image height / width."""
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
    x = cells.x[:, None, None] + cells.width[:, None, None] * steps[None, :, None]
    y = aspect * (cells.y[:, None, None] + cells.height[:, None, None] * steps[None, None, :])
    r = np.hypot(x, y)
    shape = np.exp(-r / length)
    return shape.mean(axis=(1, 2)), (shape * r / length**2).mean(axis=(1, 2))


def _covariance(cells: Cells) -> Floats:
    same = cells.block[:, None] == cells.block[None, :]
    out: Floats = np.diag(cells.error**2) + np.where(same, np.outer(cells.base_error, cells.base_error), 0.0)
    return out


def _least_squares(design: Floats, values: Floats, covariance: Floats) -> tuple[Floats, Floats, float]:
    factor = cho_factor(covariance, lower=True)
    scaled = cho_solve(factor, design)
    errors = np.linalg.inv(design.T @ scaled)
    found = errors @ (scaled.T @ values)
    rest = values - design @ found
    return found, errors, float(rest @ cho_solve(factor, rest))


def _design(cells: Cells, length: float, aspect: float, *, has_bias: bool) -> tuple[Floats, Floats]:
    """Return the columns D, G_x, G_y, A (and offsets per strip), and the derivative of the glow by its length."""
    image = cells.is_image.astype(np.float64)
    shape, slope = glow_shape(cells, length, aspect)
    columns = [cells.time, image * (cells.x - 0.5), image * (cells.y - 0.5), image * shape]
    if not has_bias:
        columns += [(cells.strip == strip).astype(np.float64) for strip in np.unique(cells.strip)]
    return np.stack(columns, axis=1), image * slope


def fit_dark(cells: Cells, aspect: float, glow_length: float, *, has_bias: bool) -> DarkFit | None:
    """Fit the model by generalised least squares.

    The length of the glow is fitted only where the glow exceeds 5 sigma with the length given; else it stays, and the model is linear, so
    that the errors of D are those of a linear model whether there is a glow or not.

    Parameters
    ----------
    cells
        With a master bias the parallel overscan is not needed; without one it must be there.
    aspect
        Image height / width, px.
    glow_length
        First guess of l, image widths.
    has_bias
        o is zero.

    Returns
    -------
    DarkFit or None
        None where the cells do not determine the model, or have no noise: such a quadrant is not alive. Errors are scaled by sqrt(chi2/dof) only where the cells disagree with the model
        beyond chance (probability below 0.001).
    """
    n_free = 4 + (0 if has_bias else np.unique(cells.strip).size)
    if cells.signal.size <= n_free or (not has_bias and cells.is_image.all()) or not cells.is_image.any():
        return None
    if not (cells.error > 0).all():
        return None
    covariance = _covariance(cells)
    length = glow_length
    design, slope = _design(cells, length, aspect, has_bias=has_bias)
    found, errors, chi2 = _least_squares(design, cells.signal, covariance)
    n_fitted = n_free
    if found[3] > _GLOW_SIGMA * np.sqrt(errors[3, 3]):
        for _ in range(_ITERATIONS):
            full = np.column_stack([design, found[3] * slope])
            found, errors, chi2 = _least_squares(full, cells.signal, covariance)
            step = float(np.clip(found[-1], -0.3 * length, 0.3 * length))
            length = float(np.clip(length + step, *_GLOW_RANGE))
            design, slope = _design(cells, length, aspect, has_bias=has_bias)
            if abs(step) < 1e-4 * length:
                break
        n_fitted += 1
    dof = cells.signal.size - n_fitted
    scale = np.sqrt(chi2 / dof) if disagrees(chi2, dof) else 1.0
    dark, gradient_x, gradient_y, glow = ((float(found[k]), float(scale * np.sqrt(errors[k, k]))) for k in range(4))
    return DarkFit(dark, gradient_x, gradient_y, glow, length, chi2, dof)


def disagrees(chi2: float, dof: int) -> bool:
    """Return whether chi2 is larger than chance allows (probability below 0.001)."""
    return dof > 0 and bool(chi2 > chdtri(dof, _SCATTER_PROBABILITY))


def upper_limit(value: float, error: float) -> float:
    """Return the 95 % upper limit of a quantity that cannot be negative: max(value, 0) + 1.645 error. It covers at least 95 %."""
    return max(value, 0.0) + UPPER_QUANTILE * error


def per_hour(signal: tuple[float, float], exptime_s: float, gain: tuple[float, float]) -> tuple[float, float]:
    """Return a current in e-/px/h with its error from ADU per exposure, with gain in e-/ADU and its error."""
    rate = gain[0] * 3600.0 / exptime_s
    return signal[0] * rate, float(np.hypot(signal[1] * rate, signal[0] * gain[1] * 3600.0 / exptime_s))
