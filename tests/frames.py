"""Frames made of arrays, for tests that need no files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import QUADRANTS, Geometry, geometry_of, place_quadrant, quadrant_view

SMALL = geometry_of(654, 552)
TINY = geometry_of(234, 172)


def ccd_frame(geometry: Geometry, quadrants: Mapping[str, NDArray]) -> NDArray[np.uint16]:
    """Digitise canonical quadrants into one CCD frame; codes are clipped to 16 bits."""
    image = np.zeros((geometry.naxis2, geometry.naxis1), np.uint16)
    for quadrant, values in quadrants.items():
        place_quadrant(image, geometry, quadrant, np.rint(values).clip(0, 65535).astype(np.uint16))
    return image


def bias_frame(
    rng: np.random.Generator,
    geometry: Geometry = SMALL,
    *,
    offset: float = 2600.0,
    noise: float = 1.2,
    row_noise: float = 0.0,
    column_noise: float = 0.0,
    structure: NDArray | float = 0.0,
    drift: NDArray | float = 0.0,
) -> NDArray[np.uint16]:
    """Simulate a zero-second frame; ``structure`` (fixed, canonical) is the same in all quadrants, the rest random."""
    h, w = geometry.quadrant_rows, geometry.quadrant_columns
    return ccd_frame(
        geometry,
        {
            quadrant: offset
            + structure
            + np.reshape(drift, (-1, 1))
            + rng.normal(0.0, noise, (h, w))
            + rng.normal(0.0, row_noise, (h, 1))
            + rng.normal(0.0, column_noise, (1, w))
            for quadrant in QUADRANTS
        },
    )


def raw(image: NDArray[np.uint16]) -> NDArray:
    """Return the frame as it lies in a file: big-endian signed, code - 32768."""
    return (image.astype(np.int32) - 32768).astype(">i2")


@dataclass(frozen=True)
class ArrayGroup:
    """A ``FrameGroup`` of arrays; bands alternate between the quadrants of a half, as those of files do."""

    frames: tuple[NDArray[np.uint16], ...]
    geometry: Geometry = SMALL
    vstart: int = 0
    vend: int = 2086
    ccd: str = "CCD1"
    first_obsid: int = 100
    max_rows: int = 100

    @property
    def obsids(self) -> tuple[int, ...]:
        return tuple(range(self.first_obsid, self.first_obsid + len(self.frames)))

    def bands(self, rows: int) -> Iterator[tuple[str, int, NDArray[np.uint16]]]:
        rows = min(rows, self.max_rows)
        for half in ("HG", "EF"):
            for y0 in range(0, self.geometry.quadrant_rows, rows):
                for quadrant in half:
                    views = [quadrant_view(frame, self.geometry, quadrant)[y0 : y0 + rows] for frame in self.frames]
                    yield quadrant, y0, np.array(views)
