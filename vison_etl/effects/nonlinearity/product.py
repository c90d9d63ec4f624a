"""The response of a CCD as a product: lookup tables of each quadrant, in both directions, with errors and their covariance.

Extensions of quadrant Q, images whose columns are the points of a grid:

    Q      rows: measured signal, ADU; non-linearity, %; its error, %; linear signal, ADU; its error, ADU
    QRESP  rows: linear signal, ADU, in even steps; measured signal, ADU; its error, ADU
    QCOV   covariance of the non-linearity at the points of Q, %²

The first table is the inverse of the response (from what is measured to what a linear chain would give), the second the response. Both begin
at zero, where the response is regular, and end at the brightest signal that counts. Below the faintest level nothing is measured: there
the curve is what smoothness says, and its errors say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Product
from vison_etl.effects.nonlinearity.fitted import Fitted, signal_range
from vison_etl.effects.nonlinearity.model import Response
from vison_etl.effects.nonlinearity.response import (
    FULL_SCALE_ADU,
    REFERENCE_FRACTION,
    deviations,
    invert,
    respond,
    signal_grid,
)
from vison_etl.tables import CCDS

KIND = "linearity"
_NEARLY_ZERO_ADU = 1e-3


def products(found: Fitted, points: int) -> Iterator[Product]:
    """Yield one product per CCD that has a fitted quadrant; quadrants without one have no extensions.

    Parameters
    ----------
    found
        A converged fit; otherwise nothing is yielded. Responses that do not rise everywhere are left out.
    points
        Of each table.
    """
    if not found.fit.has_converged:
        return
    for ccd in CCDS:
        extensions: dict[str, NDArray[Any]] = {}
        cards: dict[str, str | int | float | bool | None] = {
            "REFADU": REFERENCE_FRACTION * FULL_SCALE_ADU,
            "ROWS": "measured ADU, nl %, its error, linear ADU, its error",
            "ROWSRESP": "linear ADU, measured ADU, its error",
            "COVUNIT": "percent2",
            "ZERO": "offset of the frame",
        }
        for key, tiles, response in found.of_channels():
            if key[0] != ccd or not response.is_monotone:
                continue
            low, high = signal_range(tiles)
            extensions |= _tables(key[1], response, high, points)
            cards |= {
                f"FMIN_{key[1]}": low,
                f"FMAX_{key[1]}": high,
                f"NPTC_{key[1]}": found.checked[key].n_levels,
            }
        if extensions:
            yield Product(KIND, ccd, extensions, cards)


def _tables(quadrant: str, response: Response, highest_adu: float, points: int) -> dict[str, NDArray[Any]]:
    basis, coefficients = response.basis, response.coefficients
    measured = signal_grid(highest_adu, points)
    # R(z) / z is regular at zero, but not by division: the first point is one close to it
    near = np.maximum(measured, _NEARLY_ZERO_ADU)
    deviation, jacobian = deviations(basis, coefficients, near)
    covariance = jacobian @ response.covariance @ jacobian.T
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    linear, relative = measured / (1.0 + deviation), error / (1.0 + deviation)
    grid = np.linspace(0.0, linear[-1], points)
    scale = linear[-1] / invert(basis, coefficients, measured[-1:])[0]
    seen, _ = respond(basis, coefficients, grid / scale)
    return {
        quadrant: np.stack([measured, 100.0 * deviation, 100.0 * error, linear, linear * relative]),
        f"{quadrant}RESP": np.stack([grid, seen, seen * np.interp(grid, linear, relative)]),
        f"{quadrant}COV": 1e4 * covariance,
    }
