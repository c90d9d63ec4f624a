"""Mean profiles over the edges of the image area: last image pixels and overscan, prescan and first image pixels.

Only the columns and rows at the edges are touched. Signals are above the serial prescan of the same rows: it is read before the
image pixels of its row, so that no charge of them can be in it, while the end of the overscan may hold slow release. What the
prescan differs by from other columns without any signal is constant and left to whoever looks at several fluences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry, Window, region_window
from vison_etl.pixels.clipping import CODES
from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.edge_window import IMAGE_PX
from vison_etl.pixels.offsets import row_offsets

CLIP_SIGMA = 5.0
_QUARTILE_SIGMA = 1.349
_LEAST_SIGMA = 0.5
_MIN_LINES = 20
_QUARTILE_LINES = 500

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EdgeProfile:
    """Mean signal over an edge, pixel by pixel; arrays of shape (pixels,).

    Parameters
    ----------
    direction, edge
        ``serial`` (along a row) or ``parallel`` (along a column); ``trailing`` (image, then overscan) or ``leading``
        (prescan, then image).
    pixel
        In the order of reading: 1 is the first pixel after the edge, 0 the last before it.
    mean, error
        ADU above the base; NaN where less than 20 pixels could be used. The error leaves out what all pixels have in common.
    n
        Pixels used.
    base, base_error
        ADU; code of the prescan, and the error that it gives all pixels of the profile alike (0 in parallel profiles, where every pixel
        has a base of its own, whose error is in ``error``).
    n_lines_out
        Rows (columns) left out because a pixel of the profile is saturated or lost.
    """

    direction: str
    edge: str
    pixel: NDArray[np.int64]
    mean: Float
    error: Float
    n: NDArray[np.int64]
    base: float
    base_error: float
    n_lines_out: int


def edge_profiles(
    quadrant: NDArray[Any], geometry: Geometry, vstart: int, vend: int, *, clip_sigma: float = CLIP_SIGMA
) -> Iterator[EdgeProfile]:
    """Yield the profiles of one quadrant: serial trailing and leading, parallel trailing and leading, where the rows were read.

    Parameters
    ----------
    quadrant
        Canonical, shape (hQ, wQ): ``>i2`` as in the file or native uint16. Codes 0 and 65535 do not count.
    vstart, vend
        Canonical rows kept, half open.

    Notes
    -----
    Serial: per pixel the mean over the image rows without those whose difference from the mean of their own overscan lies further than 5
    standard deviations (from quartiles) from the median. Parallel: per row, less its own prescan, the mean over the image columns with
    the same clip over columns.
    """
    yield from _serial(quadrant, geometry, (vstart, vend), clip_sigma)
    yield from _parallel(quadrant, geometry, (vstart, vend), clip_sigma)


def _codes(part: NDArray[Any]) -> NDArray[np.uint16]:
    """Return a copy as codes."""
    if part.dtype.kind == "i":
        return np.array(part, np.int16, order="C").view(np.uint16) ^ np.uint16(CODES // 2)
    return np.array(part, np.uint16, order="C")


def _values(codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return codes as floats, NaN for what is lost or saturated."""
    values = codes.astype(np.float32)
    values[(codes == 0) | (codes == CODES - 1)] = np.nan
    return values


def _serial(quadrant: NDArray[Any], geometry: Geometry, kept: tuple[int, int], clip: float) -> Iterator[EdgeProfile]:
    window = region_window(geometry, "pre", *kept)
    if window is None or window.y1 - window.y0 < _MIN_LINES:
        return
    x0, end = geometry.prescan, geometry.prescan + geometry.image_columns
    rows = slice(window.y0, window.y1)
    trailing = _codes(quadrant[rows, end - IMAGE_PX :])
    over = _values(trailing)
    before = _values(_codes(quadrant[rows, x0 - IMAGE_PX : x0 + IMAGE_PX]))
    base = row_offsets(_codes(quadrant[rows, window.x0 : window.x1]))
    common = row_offsets(trailing[:, IMAGE_PX:])
    # a pixel is part of the mean it is compared with
    own = np.sqrt(geometry.overscan / (geometry.overscan - 1.0))
    for edge, lines in (("trailing", over), ("leading", before)):
        used = np.isfinite(lines).all(axis=1) & np.isfinite(base) & np.isfinite(common)
        out = int(used.size - used.sum())
        pixel = np.arange(lines.shape[1]) - IMAGE_PX + 1
        if used.sum() < _MIN_LINES:
            yield _without_lines("serial", edge, pixel, out)
            continue
        level = common[used] - base[used]
        mean, error, n = _clipped(lines[used] - common[used, None], clip)
        if edge == "trailing":
            error = error * own
        spread = float(np.std(level, ddof=1)) / np.sqrt(level.size)
        yield EdgeProfile("serial", edge, pixel, mean + level.mean(), error, n, float(base[used].mean()), spread, out)


def _parallel(quadrant: NDArray[Any], geometry: Geometry, kept: tuple[int, int], clip: float) -> Iterator[EdgeProfile]:
    vstart, stop = kept[0], min(kept[1], geometry.quadrant_rows)
    edge_row = geometry.image_rows
    if vstart <= edge_row - IMAGE_PX and stop > edge_row:
        yield from _of_rows(quadrant, geometry, "trailing", slice(edge_row - IMAGE_PX, stop), IMAGE_PX - 1, clip)
    if vstart == 0 and stop >= IMAGE_PX:
        yield from _of_rows(quadrant, geometry, "leading", slice(0, IMAGE_PX), -1, clip)


def _of_rows(
    quadrant: NDArray[Any], geometry: Geometry, edge: str, rows: slice, last: int, clip: float
) -> Iterator[EdgeProfile]:
    prescan = region_window(geometry, "pre", 0, geometry.quadrant_rows)
    if prescan is None:
        return
    columns = Window(geometry.prescan, geometry.prescan + geometry.image_columns, rows.start, rows.stop)
    lines = _values(_codes(quadrant[columns.slices])).T
    codes = _codes(quadrant[rows, prescan.x0 : prescan.x1])
    pre, base = _values(codes), row_offsets(codes)
    used = np.isfinite(lines).all(axis=1)
    pixel, out = np.arange(lines.shape[1]) - last, int(used.size - used.sum())
    if used.sum() < _MIN_LINES:
        yield _without_lines("parallel", edge, pixel, out)
        return
    mean, error, n = _clipped(lines[used] - base, clip)
    # rows differ by the noise that all their pixels share: the scatter of the prescan about the mean of its row says how well it is known
    scatter = np.nanvar(pre, axis=1, ddof=1) / np.isfinite(pre).sum(axis=1)
    error = np.sqrt(error**2 + np.nanmedian(scatter))
    yield EdgeProfile("parallel", edge, pixel, mean, error, n, float(np.nanmean(base)), 0.0, out)


def _without_lines(direction: str, edge: str, pixel: NDArray[np.int64], out: int) -> EdgeProfile:
    """Return the profile of an edge that was read and has too few usable lines: NaN."""
    unknown, none = np.full(pixel.size, np.nan), np.zeros(pixel.size, np.int64)
    return EdgeProfile(direction, edge, pixel, unknown, unknown, none, np.nan, np.nan, out)


def _clipped(lines: Float, sigma: float) -> tuple[Float, Float, NDArray[np.int64]]:
    """Return mean, its error and the number of values per column of (lines, pixels), those beyond ``sigma`` left out."""
    low, middle, high = _quartiles(lines)
    reach = sigma * np.maximum((high - low) / _QUARTILE_SIGMA, _LEAST_SIGMA)
    n, total, squares = (np.zeros(lines.shape[1]) for _ in range(3))
    _sums(lines, middle, reach, n, total, squares)
    mean = total / np.maximum(n, 1)
    is_enough = n >= _MIN_LINES
    error = np.sqrt((squares / np.maximum(n, 1) - mean**2) / np.maximum(n - 1, 1))
    return np.where(is_enough, mean + middle, np.nan), np.where(is_enough, error, np.nan), n.astype(np.int64)


def _quartiles(lines: Float) -> tuple[Float, Float, Float]:
    """Return the quartiles per column, from some 500 evenly spaced lines: they only say where to clip."""
    some = np.ascontiguousarray(lines[:: max(1, len(lines) // _QUARTILE_LINES)].T)
    size = some.shape[1]
    ranks = (size // 4, size // 2, (3 * size) // 4)
    low, middle, high = np.partition(some, ranks, axis=1)[:, ranks].T.astype(np.float64)
    return low, middle, high


@compiled
def _sums(lines: Float, middle: Float, reach: Float, n: Float, total: Float, squares: Float) -> None:
    """Add number, sum and squares of what is within reach of the middle, line by line."""
    for i in range(lines.shape[0]):
        for j in range(lines.shape[1]):
            value = lines[i, j] - middle[j]
            if abs(value) <= reach[j]:
                n[j] += 1.0
                total[j] += value
                squares[j] += value * value
