"""The four coordinate systems of a frame. All coordinates are 0-based pixel centres.

- *relative*: origin at the lower left of a quadrant as displayed, same orientation as the CCD frame;
- *canonical*: read-out order, the node at (0, 0), prescan included;
- *CCD*: the frame as stored and displayed;
- *physical*: on silicon, without pre- and overscan, with the rows of the injection structures between the halves.

With ``s = 1`` for F, G (right) and ``u = 1`` for E, F (upper), ``P, O, V`` pre-, serial and parallel overscan::

    relative  -> CCD        X = x + s wQ              Y = y + u hQ
    relative <-> canonical  xc = s ? wQ-1-x : x       yc = u ? hQ-1-y : y
    CCD       -> physical   xp = X - P - 2 O s        yp = Y - (2 V - 4) u     image pixels only, else NaN
    physical  -> CCD        X = xp + P + 2 O s        Y = yp + (2 V - 4) u     with s = xp >= W, u = yp >= H + 2

Scalars and arrays are accepted; results are float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vison_etl.instrument.geometry import INJECTION_ROWS, Geometry, side_of

_Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def relative_to_canonical(geometry: Geometry, quadrant: str, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert quadrant-relative to canonical pixels. The conversion is its own inverse."""
    s, u = side_of(quadrant)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return (geometry.quadrant_columns - 1 - x if s else x + 0.0), (geometry.quadrant_rows - 1 - y if u else y + 0.0)


def canonical_to_relative(geometry: Geometry, quadrant: str, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert canonical to quadrant-relative pixels."""
    return relative_to_canonical(geometry, quadrant, x, y)


def relative_to_ccd(geometry: Geometry, quadrant: str, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert quadrant-relative to CCD pixels."""
    s, u = side_of(quadrant)
    return (
        np.asarray(x, np.float64) + s * geometry.quadrant_columns,
        np.asarray(y, np.float64) + u * geometry.quadrant_rows,
    )


def ccd_to_relative(geometry: Geometry, quadrant: str, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert CCD pixels to those relative to the given quadrant (also outside it)."""
    s, u = side_of(quadrant)
    return (
        np.asarray(x, np.float64) - s * geometry.quadrant_columns,
        np.asarray(y, np.float64) - u * geometry.quadrant_rows,
    )


def canonical_to_ccd(geometry: Geometry, quadrant: str, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert canonical to CCD pixels."""
    return relative_to_ccd(geometry, quadrant, *relative_to_canonical(geometry, quadrant, x, y))


def ccd_to_canonical(geometry: Geometry, quadrant: str, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert CCD pixels to canonical ones of the given quadrant."""
    return relative_to_canonical(geometry, quadrant, *ccd_to_relative(geometry, quadrant, x, y))


def _halves(geometry: Geometry, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    return x >= geometry.quadrant_columns, y >= geometry.quadrant_rows


def quadrant_at(geometry: Geometry, x: ArrayLike, y: ArrayLike) -> NDArray[np.str_]:
    """Return the quadrant of CCD pixels; the empty text outside the frame (NaN included)."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    s, u = _halves(geometry, x, y)
    inside = (x >= 0) & (x < geometry.naxis1) & (y >= 0) & (y < geometry.naxis2)
    letters = np.where(u, np.where(s, "F", "E"), np.where(s, "G", "H"))
    return np.where(inside, letters, "")


def ccd_to_physical(geometry: Geometry, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert CCD pixels to physical ones; NaN for prescan, overscan and outside the frame."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    s, u = _halves(geometry, x, y)
    wq, hq = geometry.quadrant_columns, geometry.quadrant_rows
    xc = np.where(s, 2 * wq - 1 - x, x)
    yc = np.where(u, 2 * hq - 1 - y, y)
    image = (
        (xc >= geometry.prescan) & (xc < wq - geometry.overscan) & (yc >= 0) & (yc < hq - geometry.parallel_overscan)
    )
    xp = x - geometry.prescan - 2 * geometry.overscan * s
    yp = y - (2 * geometry.parallel_overscan - INJECTION_ROWS) * u
    return np.where(image, xp, np.nan)[()], np.where(image, yp, np.nan)[()]


def physical_to_ccd(geometry: Geometry, x: ArrayLike, y: ArrayLike) -> _Points:
    """Convert physical to CCD pixels; NaN on the injection rows [H, H + 4) and outside [0, 2 W) x [0, 2 H + 4)."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    columns, rows = geometry.image_columns, geometry.image_rows
    s = x >= columns
    u = y >= rows + INJECTION_ROWS // 2
    injection = (y >= rows) & (y < rows + INJECTION_ROWS)
    valid = (x >= 0) & (x < 2 * columns) & (y >= 0) & (y < 2 * rows + INJECTION_ROWS) & ~injection
    xc = x + geometry.prescan + 2 * geometry.overscan * s
    yc = y + (2 * geometry.parallel_overscan - INJECTION_ROWS) * u
    return np.where(valid, xc, np.nan)[()], np.where(valid, yc, np.nan)[()]
