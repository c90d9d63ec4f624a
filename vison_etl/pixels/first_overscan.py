"""Response of the first serial overscan pixel to the level of its row, from one frame whose rows have different levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry
from vison_etl.pixels.clipping import CODES
from vison_etl.pixels.row_levels import row_levels

_LAST_COLUMNS = 20
_BASE_FROM = 10
_BASE_END = -2
_CLIP_SIGMA = 5.0
_MIN_ROWS = 50
_LEAST_SPREAD = 100.0
_LEAST_SCATTER_ADU = 0.3
"""Rounding of the ADC: 1/sqrt(12) of one pixel."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FirstResponse:
    """Slope of the first overscan pixel against the level of its row, with its error, over ``n_rows`` rows."""

    response: float
    error: float
    n_rows: int


def first_response(codes: NDArray[np.uint16], geometry: Geometry, max_code: float) -> FirstResponse | None:
    """Fit d = a + r L over the rows: d first overscan pixel less the mean of those far from the edge, L mean of the last image columns.

    What is the same in every row (offset structure of columns, charge of the register) is in a. No offset is needed.

    Parameters
    ----------
    codes
        Image rows of a canonical quadrant with all its columns, shape (rows, wQ).
    max_code
        Rows whose last columns are above are left out.

    Returns
    -------
    FirstResponse or None
        Unweighted line, residuals beyond five robust sigma clipped once, error from the others. None for fewer than 50 rows, or rows of one
        level: their spread must be a hundred times the scatter of d.
    """
    end = geometry.prescan + geometry.image_columns
    level, _, _ = row_levels(codes[:, end - _LAST_COLUMNS : end])
    over = codes[:, end:].astype(np.float64)
    invalid = (codes[:, end:] == 0) | (codes[:, end:] == CODES - 1)
    step = over[:, 0] - over[:, _BASE_FROM:_BASE_END].mean(axis=1)
    use = np.isfinite(level) & (level < max_code) & ~invalid.any(axis=1)
    if np.count_nonzero(use) < _MIN_ROWS:
        return None
    level, step = level[use], step[use]
    _, residual, _ = _line(level, step)
    sigma = 1.4826 * float(np.median(np.abs(residual)))
    kept = np.abs(residual) <= _CLIP_SIGMA * max(sigma, _LEAST_SCATTER_ADU)
    slope, residual, lever = _line(level[kept], step[kept])
    n = residual.size
    variance = max(float(np.sum(residual**2)) / (n - 2), _LEAST_SCATTER_ADU**2)
    if lever < n * _LEAST_SPREAD**2 * variance:
        return None
    return FirstResponse(slope, math.sqrt(variance / lever), n)


def _line(x: _Floats, y: _Floats) -> tuple[float, _Floats, float]:
    """Return slope, residuals and sum of squares of x about its mean; slope 0 where x does not vary."""
    lever = x - x.mean()
    squares = float(np.sum(lever**2))
    slope = float(np.sum(lever * y)) / squares if squares > 0 else 0.0
    return slope, y - y.mean() - slope * lever, squares
