"""The product ``linearity`` read back, and frames linearised with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import QUADRANTS, Geometry, quadrant_view
from vison_etl.pixels.linearise import linear_codes, linearise
from vison_etl.products.fits import ProductError, read

_ROWS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Linearity:
    """Curve of one quadrant. Arrays over n points, signals in ADU above the offset, from 0 to the brightest signal measured.

    ``measured_adu``; ``nl_pct`` = 100 (measured - linear) / linear, with its error and covariance (n, n), %²; ``linear_adu`` with its error.
    """

    measured_adu: NDArray[np.float64]
    nl_pct: NDArray[np.float64]
    nl_pct_err: NDArray[np.float64]
    linear_adu: NDArray[np.float64]
    linear_adu_err: NDArray[np.float64]
    covariance_pct2: NDArray[np.float64]


def read_linearity(path: Path) -> dict[str, Linearity]:
    """Read the curves of the quadrants that a product file has.

    Raises
    ------
    ProductError
        If it cannot be read, or a table is not what it should be.
    """
    extensions = read(path).extensions
    found = {}
    for quadrant in QUADRANTS:
        if quadrant not in extensions:
            continue
        table = extensions[quadrant].astype(np.float64)
        covariance = extensions.get(f"{quadrant}COV")
        n = table.shape[-1]
        if table.shape[0] != _ROWS or covariance is None or covariance.shape != (n, n):
            raise ProductError(f"{path}: extension {quadrant} is no table of a response")
        if not (np.diff(table[0]) > 0.0).all():
            raise ProductError(f"{path}: signals of extension {quadrant} do not rise")
        measured, nl, nl_err, linear, linear_err = table
        found[quadrant] = Linearity(measured, nl, nl_err, linear, linear_err, covariance.astype(np.float64))
    if not found:
        raise ProductError(f"{path}: no quadrant has a response")
    return found


def linearise_frame(
    image: NDArray[np.uint16], geometry: Geometry, curves: Mapping[str, Linearity], offset_adu: Mapping[str, float]
) -> NDArray[np.float32]:
    """Return a CCD frame as a linear chain would have given it, ADU above the offset.

    Parameters
    ----------
    image
        Raw frame, shape (NAXIS2, NAXIS1).
    geometry
        Its geometry.
    curves
        Response of each quadrant.
    offset_adu
        Offset of each quadrant, from its prescan.

    Returns
    -------
    ndarray
        float32, NaN where the signal is above the brightest one that the response was measured at, where the code is 65535, and all over
        quadrants without curve or offset.
    """
    found: NDArray[np.float32] = np.full(image.shape, np.nan, np.float32)
    for quadrant in QUADRANTS:
        if quadrant in curves and quadrant in offset_adu:
            curve = curves[quadrant]
            table = linear_codes(curve.measured_adu, curve.linear_adu, offset_adu[quadrant])
            views: list[NDArray[Any]] = [quadrant_view(frame, geometry, quadrant) for frame in (image, found)]
            linearise(views[0], table, views[1])
    return found
