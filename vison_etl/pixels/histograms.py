"""Exact statistics of the regions of one raw frame, from integer histograms counted in a single pass.

A pixel has 65536 possible values, so a histogram holds everything that order statistics and moments need: no float copy of
the frame, no sort, no rounding. The frame is read as it lies in memory, big-endian signed (as in the file) or native.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import QUADRANTS, REGIONS, Geometry, Window, region_window, side_of
from vison_etl.pixels.clipping import CODES, code_statistics
from vison_etl.pixels.compiled import compiled

RAW_DTYPE = np.dtype(">i2")
"""Pixels as in the file: 16-bit big-endian signed, code = value + 32768."""

_ALL = 0xFFFFFFFFFFFFFFFF
_AS_STORED = (0, _ALL, 0, 0)
_FROM_FILE = (8, 0xFF00FF00FF00FF00, 0x00FF00FF00FF00FF, 0x8000800080008000)
"""How four packed pixels become codes: shift, mask of what is shifted up, mask of what is shifted down, bits to invert."""


@compiled
def _count_window(
    pixels: NDArray[np.uint16],
    width: int,
    window: tuple[int, int, int, int],
    order: tuple[np.uint64, np.uint64, np.uint64, np.uint64],
    counts: NDArray[np.uint32],
    spare: NDArray[np.uint32],
) -> None:
    """Add the codes of a window of the CCD frame (flat ``pixels``, rows of ``width``) to ``counts``.

    Four pixels per load, and neighbours counted in different histograms, so that runs of equal codes do not wait for their
    own stores. ``spare`` is work space of zeros, left as zeros.
    """
    x0, x1, y0, y1 = window
    shift, up, down, inverted = order
    words = pixels.view(np.uint64)
    one, pixel = np.uint32(1), np.uint64(0xFFFF)
    for y in range(y0, y1):
        start, end = y * width + x0, y * width + x1
        first, last = (start + 3) // 4, end // 4
        for i in range(first, last):
            four = words[i]
            four = (((four << shift) & up) | ((four >> shift) & down)) ^ inverted
            counts[four & pixel] += one
            spare[(four >> np.uint64(16)) & pixel] += one
            counts[(four >> np.uint64(32)) & pixel] += one
            spare[four >> np.uint64(48)] += one
        head = min(4 * first, end)
        for part in ((start, head), (max(4 * last, head), end)):
            for i in range(part[0], part[1]):
                four = np.uint64(pixels[i])
                four = (((four << shift) & up) | ((four >> shift) & down)) ^ inverted
                counts[four & pixel] += one
    for code in range(counts.size):
        counts[code] += spare[code]
        spare[code] = 0


def _in_ccd_frame(window: Window, geometry: Geometry, quadrant: str) -> tuple[int, int, int, int]:
    """Return (x0, x1, y0, y1), half open, of a canonical window in the CCD frame."""
    s, u = side_of(quadrant)
    x0, x1 = (geometry.naxis1 - window.x1, geometry.naxis1 - window.x0) if s else (window.x0, window.x1)
    y0, y1 = (geometry.naxis2 - window.y1, geometry.naxis2 - window.y0) if u else (window.y0, window.y1)
    return x0, x1, y0, y1


def region_histograms(image: NDArray[Any], geometry: Geometry, vstart: int, vend: int) -> NDArray[np.uint32]:
    """Count the codes of every region of every quadrant of a frame.

    Parameters
    ----------
    image
        CCD frame, shape (NAXIS2, NAXIS1): ``>i2`` as in the file (before BZERO) or native ``uint16``.
    vstart, vend
        Canonical rows kept, half open.

    Returns
    -------
    NDArray of uint32, shape (4, 4, 65536)
        Pixels per code, in the order of QUADRANTS and REGIONS; zeros where a region was not read.
    """
    is_raw = image.dtype == RAW_DTYPE
    if not is_raw and image.dtype != np.uint16:
        raise TypeError(f"a frame of {image.dtype}: wanted big-endian int16 as in the file, or native uint16")
    if image.shape != (geometry.naxis2, geometry.naxis1):
        raise ValueError(f"a frame of shape {image.shape} for a geometry of {geometry.naxis1} x {geometry.naxis2} px")
    pixels = np.ascontiguousarray(image).view(np.uint16).reshape(-1)
    shift, up, down, inverted = (np.uint64(bits) for bits in (_FROM_FILE if is_raw else _AS_STORED))
    counts = np.zeros((len(QUADRANTS), len(REGIONS), CODES), np.uint32)
    spare = np.zeros(CODES, np.uint32)
    for q, quadrant in enumerate(QUADRANTS):
        for r, region in enumerate(REGIONS):
            window = region_window(geometry, region, vstart, vend)
            if window is not None:
                place = _in_ccd_frame(window, geometry, quadrant)
                _count_window(pixels, geometry.naxis1, place, (shift, up, down, inverted), counts[q, r], spare)
    return counts


def region_statistics(
    image: NDArray[Any], geometry: Geometry, vstart: int, vend: int
) -> list[dict[str, str | int | float | None]]:
    """Return the statistics of the 16 regions of one frame: the columns of ``quadrant_stats``.

    Parameters
    ----------
    image
        CCD frame, shape (NAXIS2, NAXIS1), ``>i2`` as in the file (before BZERO) or native ``uint16``. Not copied.
    vstart, vend
        Canonical rows kept, half open.

    Returns
    -------
    list of dict
        One row per quadrant and region, always 16: ``quadrant``, ``region`` and the names of
        :data:`vison_etl.pixels.clipping.STATISTICS`. Counts are integers; anything that does not exist (a region not read,
        the standard deviation of one pixel) is None.
    """
    counts = region_histograms(image, geometry, vstart, vend)
    return [
        {"quadrant": quadrant, "region": region, **code_statistics(counts[q, r])}
        for q, quadrant in enumerate(QUADRANTS)
        for r, region in enumerate(REGIONS)
    ]
