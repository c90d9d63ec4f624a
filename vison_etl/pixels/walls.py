"""Walls of pixels: what the charge of one pixel pushes through those around it. Numbers only: who reads them need not compile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Walls:
    """What the charge of one pixel, at lag (0, 0), pushes through the walls around it, 1/e.

    Parameters
    ----------
    east
        Current per light and electron through the wall between (dx, dy) and (dx + 1, dy), shape (2 L + 1, 2 L + 2), indexed
        [dy + L, dx + L + 1]; positive towards +x. Antisymmetric under dx -> -1 - dx, the same under dy -> -dy.
    north
        The same between (dx, dy) and (dx, dy + 1), shape (2 L + 2, 2 L + 1), indexed [dy + L + 1, dx + L].
    """

    east: Float64
    north: Float64

    @property
    def reach(self) -> int:
        """Return L, px."""
        return int(self.east.shape[0]) // 2


def walls_of(kernel: Float64) -> Walls:
    """Return the walls of a scalar kernel: its differences between neighbours, zero beyond it.

    Parameters
    ----------
    kernel
        K, 1/e, shape (2 L + 1, 2 L + 1), centred.
    """
    return Walls(
        np.diff(np.pad(kernel, ((0, 0), (1, 1))), axis=1),
        np.diff(np.pad(kernel, ((1, 1), (0, 0))), axis=0),
    )


def area_change(walls: Walls) -> Float64:
    """Return a_ij, 1/e, what flows into each pixel per light and electron: shape (2 L + 3, 2 L + 3), centred; the sum is 0."""
    size = 2 * walls.reach + 3
    a = np.zeros((size, size))
    a[1:-1, :-1] -= walls.east
    a[1:-1, 1:] += walls.east
    a[:-1, 1:-1] -= walls.north
    a[1:, 1:-1] += walls.north
    return a
