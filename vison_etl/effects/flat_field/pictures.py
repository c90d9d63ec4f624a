"""Small pictures of a master flat: as it is lit, and what the illumination leaves of it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry, side_of
from vison_etl.pixels.illumination import Illumination
from vison_etl.pixels.pictures import MAX_SIDE, binned, picture
from vison_etl.pixels.png import grey_png

MASTER, RESIDUAL = "master_flat", "flat_residual"


def pictures(
    flat: NDArray[np.float32], geometry: Geometry, light: Illumination | None
) -> dict[str, NDArray[np.floating[Any]]]:
    """Return the mean and what the illumination leaves of it, ADU, binned; no value outside the image area."""
    small = binned(flat)
    side = -(-max(flat.shape) // MAX_SIDE)
    centre_y, centre_x = (side * (np.arange(n) + 0.5) for n in small.shape)
    model = np.full(small.shape, np.nan, np.float32)
    if light is None:
        return {MASTER: model, RESIDUAL: model}
    for quadrant, level in light.level_adu.items():
        right, upper = side_of(quadrant)
        x = (geometry.naxis1 - centre_x if right else centre_x) - geometry.prescan
        y = geometry.naxis2 - centre_y if upper else centre_y
        columns = np.flatnonzero((x > 0) & (x < geometry.image_columns))
        rows = np.flatnonzero((y > 0) & (y < geometry.image_rows))
        model[np.ix_(rows, columns)] = level * light.shape_at(quadrant, x[columns], y[rows])
    return {MASTER: small * model, RESIDUAL: (small - 1.0) * model}


def preview_row(kind: str, small: NDArray[np.floating[Any]], ccd: str, geometry: Geometry) -> dict[str, Any]:
    """Return the row of a picture that is binned already; it has no value outside the image area."""
    shown = picture(small)
    return {
        "kind": kind,
        "ccd": ccd,
        "obsid": None,
        "width_px": geometry.naxis1,
        "height_px": geometry.naxis2,
        "lo_adu": shown.lo,
        "hi_adu": shown.hi,
        "png_base64": b64encode(grey_png(shown.image)).decode("ascii"),
    }
