"""Geometry of a CCD273 frame: quadrants, windows, regions and tiles.

Arrays are numpy ``[row, column] = [y, x]``; pixel coordinates are 0-based centres. *Canonical* is the read-out order: the
node at (0, 0), prescan included, so that equal indices of different quadrants are read at the same instant. The *CCD* frame
is as stored, shape (NAXIS2, NAXIS1): H lower left, E upper left, F upper right, G lower right, nodes in the outer corners.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

PRESCAN = 51
OVERSCAN_BLOCK = 20
OVERSCAN_FPA = 29
PARALLEL_OVERSCAN = 20
INJECTION_ROWS = 4
"""Physical rows between the two halves that hold the injection structures; no read-out pixel maps to them."""

NAXIS1_FPA = 4256
NAXIS2_WITHOUT_OVERSCAN = 4132
MIN_IMAGE_SIDE = 12
"""Least image side of a quadrant, px: below it the trimmed image region has no column."""

TILE_SIDE = 300
TILES_PER_SIDE = 6

QUADRANTS = ("E", "F", "G", "H")
REGIONS = ("pre", "img", "ove", "pov")
_RIGHT = frozenset("FG")
_UPPER = frozenset("EF")

_TRIM_PRE = (25, 5)
_TRIM = 5
_TRIM_POV_ROWS = 2

_Scalar = TypeVar("_Scalar", bound=np.generic)


class GeometryError(ValueError):
    """A frame of this size cannot come from a CCD273."""


class RoeBoard(Enum):
    """Video board of the read-out electronics: T reads E and F, B reads G and H. Not the injection halves."""

    T = "EF"
    B = "GH"


class InjectionHalf(Enum):
    """Half of the CCD as charge injection names it: BOTTOM is E and F, TOP is G and H. Opposite to the ROE boards."""

    BOTTOM = "EF"
    TOP = "GH"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of a frame, px. ``image_columns`` and ``image_rows`` (W, H) are those of one quadrant."""

    naxis1: int
    naxis2: int
    prescan: int
    overscan: int
    parallel_overscan: int
    image_columns: int
    image_rows: int

    @property
    def quadrant_columns(self) -> int:
        """Return the columns of a quadrant with prescan and overscan, wQ."""
        return self.naxis1 // 2

    @property
    def quadrant_rows(self) -> int:
        """Return the rows of a quadrant with parallel overscan, hQ."""
        return self.naxis2 // 2


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open rectangle in canonical pixels: columns [x0, x1), rows [y0, y1)."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return the numpy index of the window in a canonical quadrant."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of the image area: lower corner in canonical pixels and size."""

    index: int
    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return the numpy index of the tile in a canonical quadrant."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@cache
def geometry_of(naxis1: int, naxis2: int) -> Geometry:
    """Derive the geometry of a frame from its size.

    Prescan 51; serial overscan 20 (29 where NAXIS1 is 4256); parallel overscan 20 (none where NAXIS2 is 4132); the rest is
    image.

    Parameters
    ----------
    naxis1, naxis2
        Columns and rows of the CCD frame, px.

    Raises
    ------
    GeometryError
        If an axis is odd or leaves less than 12 image pixels per quadrant.
    """
    overscan = OVERSCAN_FPA if naxis1 == NAXIS1_FPA else OVERSCAN_BLOCK
    parallel = 0 if naxis2 == NAXIS2_WITHOUT_OVERSCAN else PARALLEL_OVERSCAN
    columns = naxis1 // 2 - PRESCAN - overscan
    rows = naxis2 // 2 - parallel
    if naxis1 % 2 or naxis2 % 2:
        raise GeometryError(f"frame of {naxis1} x {naxis2} px: both sides must be even, four quadrants share them")
    if columns < MIN_IMAGE_SIDE or rows < MIN_IMAGE_SIDE:
        raise GeometryError(
            f"frame of {naxis1} x {naxis2} px: quadrants would have {columns} x {rows} image pixels "
            f"(at least {MIN_IMAGE_SIDE} x {MIN_IMAGE_SIDE} are needed)"
        )
    return Geometry(naxis1, naxis2, PRESCAN, overscan, parallel, columns, rows)


def side_of(quadrant: str) -> tuple[int, int]:
    """Return (s, u): 1 for the right and for the upper half of the frame."""
    if quadrant not in QUADRANTS:
        raise ValueError(f"no quadrant {quadrant!r}: one of {', '.join(QUADRANTS)}")
    return int(quadrant in _RIGHT), int(quadrant in _UPPER)


def quadrant_view(image: NDArray[_Scalar], geometry: Geometry, quadrant: str) -> NDArray[_Scalar]:
    """Return the canonical view of one quadrant, no copy.

    Parameters
    ----------
    image
        CCD frame, shape (NAXIS2, NAXIS1).

    Returns
    -------
    NDArray
        View of shape (hQ, wQ) whose [0, 0] is the pixel read first.
    """
    if image.shape != (geometry.naxis2, geometry.naxis1):
        raise GeometryError(f"image of shape {image.shape}, geometry of {geometry.naxis1} x {geometry.naxis2} px")
    s, u = side_of(quadrant)
    w, h = geometry.quadrant_columns, geometry.quadrant_rows
    part = image[u * h : (u + 1) * h, s * w : (s + 1) * w]
    return part[:: -1 if u else 1, :: -1 if s else 1]


def place_quadrant(ccd_image: NDArray[Any], geometry: Geometry, quadrant: str, canonical: NDArray[Any]) -> None:
    """Write a canonical quadrant, shape (hQ, wQ), to its place in a CCD frame: the inverse of ``quadrant_view``."""
    quadrant_view(ccd_image, geometry, quadrant)[...] = canonical


def region_window(geometry: Geometry, region: str, vstart: int, vend: int) -> Window | None:
    """Return the window of a region in canonical pixels, trimmed as all statistics are.

    Columns: pre [25, 46), img [56, 51 + W - 5), ove [51 + W + 5, end - 5), pov those of img. Rows: pre, img, ove
    [vstart, min(vend, H)); pov [max(vstart, H + 2), min(vend, hQ)).

    Parameters
    ----------
    region
        ``pre``, ``img``, ``ove`` (serial overscan) or ``pov`` (parallel overscan).
    vstart, vend
        Canonical rows kept, half open; clipped to the frame.

    Returns
    -------
    Window or None
        None where the region was not read.
    """
    end = geometry.prescan + geometry.image_columns
    if region == "pre":
        x0, x1 = _TRIM_PRE[0], geometry.prescan - _TRIM_PRE[1]
    elif region in {"img", "pov"}:
        x0, x1 = geometry.prescan + _TRIM, end - _TRIM
    elif region == "ove":
        x0, x1 = end + _TRIM, geometry.quadrant_columns - _TRIM
    else:
        raise ValueError(f"no region {region!r}: one of {', '.join(REGIONS)}")
    low, high = (
        (geometry.image_rows + _TRIM_POV_ROWS, geometry.quadrant_rows) if region == "pov" else (0, geometry.image_rows)
    )
    y0, y1 = max(vstart, low), min(vend, high)
    return Window(x0, x1, y0, y1) if x1 > x0 and y1 > y0 else None


@cache
def tiles(geometry: Geometry) -> tuple[Tile, ...]:
    """Return the tiles of the image area: exact squares from the image origin, x outer, y inner.

    The side is min(300, min(W, H) // 6) px, so that full and small frames both have at least 6 x 6 tiles.
    """
    side = min(TILE_SIDE, min(geometry.image_columns, geometry.image_rows) // TILES_PER_SIDE)
    n_x, n_y = geometry.image_columns // side, geometry.image_rows // side
    corners = ((geometry.prescan + i * side, j * side) for i in range(n_x) for j in range(n_y))
    return tuple(Tile(index, x, y, side, side) for index, (x, y) in enumerate(corners))
