"""Exact statistics of the regions of one raw frame, from integer histograms counted in a single pass.

A pixel has 65536 possible values, so a histogram holds everything that order statistics and moments need: no float copy of
the frame, no sort, no rounding. The frame is counted as it lies in memory, big-endian signed (as in the file) or native, whole or
by rows as they are read: what limits the counting is one store per pixel, and then the way of the pixels through the caches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

from vison_etl.instrument.geometry import QUADRANTS, REGIONS, Geometry, Window, region_window, side_of
from vison_etl.pixels.clipping import CODES, code_statistics
from vison_etl.pixels.compiled import compiled

RAW_DTYPE = np.dtype(">i2")
"""Pixels as in the file: 16-bit big-endian signed, code = value + 32768."""

_SIGN_BITS = np.uint64(0x8000800080008000)
_SIGN_BIT = np.uint16(0x8000)
_N_REGIONS = len(QUADRANTS) * len(REGIONS)
_IMAGE = REGIONS.index("img")


def _byte_swap(_: Any, word: Any) -> Any:
    """Reverse the eight bytes of a word with one instruction: four pixels in native order, the last first."""
    return word(word), lambda _context, builder, _signature, arguments: builder.bswap(arguments[0])


_swap_bytes: Any = intrinsic(_byte_swap)


@compiled
def _count(
    pixels: NDArray[np.uint16],
    shape: tuple[int, int, int],
    windows: NDArray[np.int64],
    beside: NDArray[np.int64],
    counts: NDArray[np.uint32],
    native: int | None,
) -> None:
    """Add the codes of some rows of the CCD frame to the histograms of the windows they cross.

    ``pixels`` is flat; ``shape`` = (width, first row, number of rows). Neighbours are counted in ``counts[k]`` and
    ``counts[beside[k]]`` in turn, so that runs of equal codes do not wait for their own stores. ``native`` None means as in the file: Numba
    compiles a kernel for either, without the question.
    """
    width, first_row, n_rows = shape
    words = pixels.view(np.uint64)
    one, mask = np.uint32(1), np.uint64(0xFFFF)
    for k in range(windows.shape[0]):
        x0, x1, y0, y1 = windows[k]
        mine, other = counts[k], counts[beside[k]]
        for y in range(max(y0 - first_row, 0), min(y1 - first_row, n_rows)):
            start, end = y * width + x0, y * width + x1
            first, last = (start + 3) // 4, end // 4
            for i in range(np.uint64(first), np.uint64(last)):
                four = words[i]
                if native is None:
                    four = _swap_bytes(four) ^ _SIGN_BITS
                mine[four & mask] += one
                other[(four >> np.uint64(16)) & mask] += one
                mine[(four >> np.uint64(32)) & mask] += one
                other[four >> np.uint64(48)] += one
            head = min(4 * first, end)
            for ends in ((start, head), (max(4 * last, head), end)):
                for i in range(np.uint64(ends[0]), np.uint64(ends[1])):
                    code = pixels[i]
                    if native is None:
                        code = np.uint16((code << 8) | (code >> 8)) ^ _SIGN_BIT
                    mine[code] += one


@dataclass(frozen=True, slots=True)
class RegionCounts:
    """Histograms of the regions of one frame while it is counted: those of QUADRANTS x REGIONS, then one more per image."""

    geometry: Geometry
    windows: NDArray[np.int64]
    counts: NDArray[np.uint32]


_BESIDE = np.array([_N_REGIONS + k // len(REGIONS) if k % len(REGIONS) == _IMAGE else k for k in range(_N_REGIONS)])
"""Second histogram of each region: only images have enough pixels to need one."""


def begin_counts(geometry: Geometry, vstart: int, vend: int) -> RegionCounts:
    """Begin to count a frame; ``vstart``, ``vend`` are the canonical rows kept, half open."""
    windows = np.zeros((_N_REGIONS, 4), np.int64)
    for k, (quadrant, region) in enumerate((q, r) for q in QUADRANTS for r in REGIONS):
        window = region_window(geometry, region, vstart, vend)
        if window is not None:
            windows[k] = _in_ccd_frame(window, geometry, quadrant)
    return RegionCounts(geometry, windows, np.zeros((_N_REGIONS + len(QUADRANTS), CODES), np.uint32))


def count_rows(begun: RegionCounts, rows: NDArray[Any], first_row: int) -> None:
    """Count some rows of the CCD frame.

    Parameters
    ----------
    rows
        Shape (n, NAXIS1), n even: ``>i2`` as in the file (before BZERO) or native ``uint16``.
    first_row
        CCD row of the first.
    """
    is_raw = rows.dtype == RAW_DTYPE
    if not is_raw and rows.dtype != np.uint16:
        raise TypeError(f"a frame of {rows.dtype}: wanted big-endian int16 as in the file, or native uint16")
    pixels = np.ascontiguousarray(rows).view(np.uint16).reshape(-1)
    shape = rows.shape[1], first_row, rows.shape[0]
    _count(pixels, shape, begun.windows, _BESIDE, begun.counts, None if is_raw else 1)


def histograms_of(begun: RegionCounts) -> NDArray[np.uint32]:
    """Return what was counted: pixels per code, shape (4, 4, 65536), in the order of QUADRANTS and REGIONS."""
    counts = begun.counts[:_N_REGIONS].reshape(len(QUADRANTS), len(REGIONS), CODES)
    counts[:, _IMAGE] += begun.counts[_N_REGIONS:]
    begun.counts[_N_REGIONS:] = 0
    return counts


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
    if image.shape != (geometry.naxis2, geometry.naxis1):
        raise ValueError(f"a frame of shape {image.shape} for a geometry of {geometry.naxis1} x {geometry.naxis2} px")
    begun = begin_counts(geometry, vstart, vend)
    count_rows(begun, image, 0)
    return histograms_of(begun)


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
    return statistics_of(region_histograms(image, geometry, vstart, vend))


def statistics_of(counts: NDArray[np.uint32]) -> list[dict[str, str | int | float | None]]:
    """Return the rows of :func:`region_statistics` from the histograms, shape (4, 4, 65536)."""
    return [
        {"quadrant": quadrant, "region": region, **code_statistics(counts[q, r])}
        for q, quadrant in enumerate(QUADRANTS)
        for r, region in enumerate(REGIONS)
    ]
