"""Mean signal of cells of the image area and the parallel overscan, each against the prescan of the very same rows.

The level of the prescan pixels of a block of rows is the base of all cells of these rows: what the offset did on the way, and
noise common to a row, cancels, and what is left is white noise. Its share from the few prescan pixels is the same for all cells of the
block and is given apart, as ``base_error``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry, region_window

CELLS_PER_SIDE = 16


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: place of its lower corner (canonical, prescan included) and size, pixels used, level and base with errors, ADU."""

    region: str
    row_block: int
    x: int
    y: int
    width: int
    height: int
    n: int
    level: float
    level_error: float
    base: float
    base_error: float


@dataclass(frozen=True, slots=True)
class _Box:
    """One box of pixels: values used, their sum, and the squares about the row means with their degrees of freedom."""

    n: int
    total: float
    squares: float
    dof: int


def _sums(values: NDArray[np.floating]) -> _Box:
    known = np.isfinite(values)
    per_row = known.sum(axis=1)
    n = int(per_row.sum())
    clean = np.where(known, values, 0.0).astype(np.float64)
    totals = clean.sum(axis=1)
    squares = float(np.sum(clean**2) - np.sum(totals**2 / np.maximum(per_row, 1)))
    return _Box(n, float(totals.sum()), max(squares, 0.0), n - int(np.count_nonzero(per_row)))


def _pixel_variance(boxes: Sequence[_Box]) -> float:
    """Return the white variance of a pixel from all boxes: the scatter of a few pixels would be a poor weight of its own mean."""
    dof = sum(box.dof for box in boxes)
    return sum(box.squares for box in boxes) / dof if dof > 0 else float("nan")


def measure_cells(
    values: NDArray[np.floating], geometry: Geometry, vstart: int, vend: int, per_side: int = CELLS_PER_SIDE
) -> list[Cell]:
    """Average a master frame of one quadrant in cells.

    Parameters
    ----------
    values
        ADU, canonical quadrant, shape (hQ, wQ); NaN where a pixel is not to be used.
    per_side
        Cells along x and along y of the image area; the parallel overscan has one row of them.

    Returns
    -------
    list of Cell
        Cells without used pixels, or whose rows have no prescan, are left out.
    """
    prescan = region_window(geometry, "pre", 0, geometry.quadrant_rows)
    found: list[tuple[str, int, tuple[int, int, int, int], _Box, _Box]] = []
    bases: list[_Box] = []
    for region, n_blocks in (("img", per_side), ("pov", 1)):
        window = region_window(geometry, region, vstart, vend)
        if window is None or prescan is None:
            continue
        xs = np.rint(np.linspace(window.x0, window.x1, per_side + 1)).astype(int)
        ys = np.rint(np.linspace(window.y0, window.y1, n_blocks + 1)).astype(int)
        for y0, y1 in pairwise(ys):
            bases.append(_sums(values[y0:y1, prescan.x0 : prescan.x1]))
            for x0, x1 in pairwise(xs):
                place = (int(x0), int(y0), int(x1 - x0), int(y1 - y0))
                found.append((region, len(bases) - 1, place, _sums(values[y0:y1, x0:x1]), bases[-1]))
    pixel, prescan_pixel = _pixel_variance([item[3] for item in found]), _pixel_variance(bases)
    return [
        Cell(
            region,
            block,
            *place,
            n=box.n,
            level=box.total / box.n,
            level_error=math.sqrt(pixel / box.n),
            base=base.total / base.n,
            base_error=math.sqrt(prescan_pixel / base.n),
        )
        for region, block, place, box, base in found
        if box.n and base.n
    ]
