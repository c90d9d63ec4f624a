"""Steps that make a raw band a prepared one: offset, bias, flat, quality. Each is pure and may be left out; they are used in this order.

Nothing here decides whether a step is possible: without a master bias or a flat the step is not called, and whoever leaves it
out says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry, region_window
from vison_etl.pixels.clipping import CODES
from vison_etl.pixels.offsets import row_offsets
from vison_etl.pixels.quality import codes_quality, is_bad, joined


def frame_offsets(codes: NDArray[np.uint16], geometry: Geometry, vstart: int, vend: int) -> NDArray[np.float64]:
    """Return one offset per frame: the mean of its robust row offsets over the image rows.

    Parameters
    ----------
    codes
        Whole canonical quadrants, shape (frames, hQ, wQ).

    Returns
    -------
    NDArray of float64, shape (frames, 1)
        ADU, for :func:`subtract_offsets`; NaN where the prescan is lost.
    """
    window = region_window(geometry, "pre", vstart, vend)
    if window is None:
        return np.full((len(codes), 1), np.nan)
    rows = row_offsets(codes[:, window.y0 : window.y1, window.x0 : window.x1])
    known = np.isfinite(rows)
    total, n = np.sum(rows, axis=1, where=known), known.sum(axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)[:, None]


def subtract_offsets(codes: NDArray[np.uint16], offsets: NDArray[np.float64]) -> NDArray[np.float32]:
    """Subtract offsets from codes.

    Parameters
    ----------
    codes
        Shape (frames, rows, columns). Codes 0 and 65535 become NaN.
    offsets
        ADU, shape (frames, rows), as :func:`vison_etl.pixels.offsets.bands_with_offsets` yields them, or (frames, 1).
    """
    out = np.subtract(codes, offsets[:, :, None], dtype=np.float32)
    out[(codes == 0) | (codes == CODES - 1)] = np.nan
    return out


def subtract_bias(values: NDArray[np.floating], bias: NDArray[np.floating]) -> NDArray[np.float32]:
    """Subtract a master bias, ADU, shape of the last two axes of ``values``; NaN where it has no value."""
    out: NDArray[np.float32] = np.subtract(values, bias, dtype=np.float32)
    return out


def divide_flat(values: NDArray[np.floating], flat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Divide by a flat, relative response about 1; NaN where the flat is not positive."""
    out: NDArray[np.float32] = np.divide(values, np.where(flat > 0, flat, np.nan), dtype=np.float32)
    return out


def quality_of(codes: NDArray[np.uint16], *planes: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return what the codes tell joined with masks of the same shape."""
    return joined(codes_quality(codes), *planes)


def without(values: NDArray[np.floating], quality: NDArray[np.integer], bits: int) -> NDArray[Any]:
    """Return values with NaN wherever any of ``bits`` is set; the quality may lack the axis of frames."""
    return np.where(is_bad(quality, bits), np.nan, values)
