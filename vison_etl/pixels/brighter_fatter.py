"""Undoing the brighter-fatter effect: charge is moved back through the walls of the pixels.

Charge Q that has been collected moves the walls between pixels, so that of the light arriving at a wall some lands on the other
side. The current from a pixel to its neighbour is the mean light F of the two times what the charges around the wall push::

    dQ/dt = F + D_F(Q),    D_F(Q) = - div[ F_wall (w * Q) ],    0 <= t <= 1,  Q(0) = 0                                 (1)

with w the push of one electron on a wall, 1/e (`Walls`), and * a convolution. With w the differences of a scalar kernel K between
neighbours, D_F(Q) = - div[ F grad(K * Q) ] (Coulton et al. 2018, AJ 155, 258). To first order in w equation (1) gives
Q = F - (1/2) div[ F grad(K * F) ], the usual correction. It is not enough at high fluence: the charge that pushes has been pushed
itself. Equation (1) is linear in Q, and its solution is the series::

    Q(t) = sum_k q_k t^k,    (k + 1) q_(k+1) = F [k = 0] + D_F(q_k) + D'_F(q_(k-1))                                   (2)

D' holds the part of the push that grows with the charge at the wall (c_ij of Astier et al. 2019): w + w' F_wall t.
`correct` finds the light F whose solution is the image. It gives back all structure of the light. Photon noise it whitens but for
second order: of two photons that arrive in turn the later one does not push the earlier one, and no image tells them apart, so that
S(k) = m (x / 2) coth(x / 2), x = a(k) m, instead of m. Charge goes from one pixel to the next and nowhere else, so that the sum
of the image is kept to the rounding of its numbers. No charge passes the outer edges, and outside them charge goes on evenly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.wall_kernels import AT_ONCE, add_moved
from vison_etl.pixels.walls import Walls

Float32 = NDArray[np.float32]
MAX_ORDER = 8
"""Highest power of time in the series: the terms fall as (a m)^k / k!."""

_MIRROR_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected image, e-, and how it was reached.

    ``max_change_e`` is the largest change of a pixel in the last of ``n_rounds`` rounds; ``is_converged`` whether it is below the
    tolerance.
    """

    image: Float32
    n_rounds: int
    max_change_e: float
    is_converged: bool


@dataclass(frozen=True, slots=True)
class _Taps:
    """A quarter of the walls as `wall_kernels.add_moved` takes them."""

    east: Float32
    north: Float32


def _taps(walls: Walls) -> _Taps:
    """Return the walls on one side of a charge.

    Raises
    ------
    ValueError
        If the walls on the other sides are not their mirror images.
    """
    reach = walls.reach
    east, north = walls.east[reach:, reach + 1 :], walls.north[reach + 1 :, reach:]
    largest = max(np.abs(walls.east).max(), np.abs(walls.north).max())
    for whole, quarter in ((walls.east, east), (walls.north.T, north.T)):
        half = np.concatenate([quarter[:0:-1], quarter])
        if np.abs(whole - np.concatenate([-half[:, ::-1], half], axis=1)).max() > _MIRROR_TOLERANCE * largest:
            raise ValueError("walls that are no mirror images of each other: charge pushes alike to all sides")
    wanted = np.zeros((2, reach + 1, -(-(reach + 1) // AT_ONCE) * AT_ONCE), np.float32)
    wanted[0, :, : reach + 1], wanted[1, :, : reach + 1] = east, north
    wanted[1, :, 0] *= np.float32(0.5)
    return _Taps(wanted[0], wanted[1])


class _Detector:
    """Equation (2) for one image. Images are contrasts: what is above one level, so that small changes are not rounded."""

    def __init__(self, image: Float32, walls: Walls, level_walls: Walls | None, tolerance_e: float) -> None:
        self.level = float(image.mean(dtype=np.float64))
        self._taps = _taps(walls)
        self._level_taps = None if level_walls is None else _taps(level_walls)
        self._tolerance = tolerance_e

    def contrast(self, image: Float32) -> Float32:
        """Return what is above the level."""
        return image - np.float32(self.level)

    def add_moved(
        self, light: Float32, charge: Float32, scale: float, out: Float32, *, is_change: bool = False
    ) -> None:
        """Add ``scale`` D_F(Q); ``is_change``: the light is a change of light, which has no level."""
        level = 0.0 if is_change else self.level
        add_moved(light, level, 1, charge, self._taps.east, self._taps.north, scale, out)

    def add_grown(self, light: Float32, charge: Float32, scale: float, out: Float32) -> None:
        """Add ``scale`` D'_F(Q)."""
        if self._level_taps is not None:
            add_moved(light, self.level, 2, charge, self._level_taps.east, self._level_taps.north, scale, out)

    def displaced(self, light: Float32) -> Float32:
        """Return Q(1) - F."""
        before, term, free = light, np.zeros_like(light), np.empty_like(light)
        self.add_moved(light, light, 0.5, term)
        total = term.copy()
        for order in range(3, MAX_ORDER + 1):
            free[:] = 0
            self.add_moved(light, term, 1.0 / order, free)
            self.add_grown(light, before, 1.0 / order, free)
            before, term, free = term, free, np.empty_like(light) if before is light else before
            total += term
            if _largest(term) < self._tolerance:
                break
        return total

    def undone(self, light: Float32, missing: Float32) -> Float32:
        """Return the change of light that makes up for missing charge, to first order: M - (D_F M + D_M F) / 2."""
        change = missing.copy()
        self.add_moved(light, missing, -0.5, change)
        self.add_moved(missing, light, -0.5, change, is_change=True)
        return change

    def displaced_before(self, charge: Float32) -> Float32:
        """Return Q - F of charge Q to second order in the walls and first order in their growth.

        The series (2) turned round: F = Q + F_1 + F_2, F_1 = -D_Q Q / 2 - D'_Q Q / 3, F_2 = -D_Q F_1 / 6 - D_(F_1) Q / 2.
        """
        first = np.zeros_like(charge)
        self.add_moved(charge, charge, 0.5, first)
        self.add_grown(charge, charge, 1.0 / 3.0, first)
        second = first.copy()
        self.add_moved(charge, first, -1.0 / 6.0, second)
        self.add_moved(first, charge, -0.5, second, is_change=True)
        return second


def _largest(values: Float32) -> float:
    """Return the largest modulus, without a copy."""
    return max(float(values.max()), -float(values.min()))


def collect(light_e: Float32, walls: Walls, level_walls: Walls | None = None, tolerance_e: float = 1e-3) -> Float32:
    """Return the charge that light leaves in the pixels: equation (1) without noise.

    Parameters
    ----------
    light_e
        Electrons per pixel that would be collected if the walls were at rest, shape (rows, columns), float32.
    walls
        Push on the walls, 1/e.
    level_walls
        Growth of the push per electron at the wall, 1/e^2; None where it does not grow.
    tolerance_e
        The series ends with a term that is smaller everywhere.
    """
    detector = _Detector(light_e, walls, level_walls, tolerance_e)
    return light_e + detector.displaced(detector.contrast(light_e))


def correct(
    image_e: Float32,
    walls: Walls,
    level_walls: Walls | None = None,
    *,
    tolerance_e: float = 1e-3,
    max_rounds: int = 10,
) -> Corrected:
    """Return the light whose charge, by equation (1), is the image.

    Newton's iteration with the first-order Jacobian, from the second order of the inverse series, until no pixel changes by
    ``tolerance_e``, or by what the brightest pixel is rounded by (float32) if that is more, or ``max_rounds``. It ends
    early where a round changes more than the one before: walls so soft that no light makes the image.

    Parameters
    ----------
    image_e
        Charge per pixel without offset, e-, shape (rows, columns), float32, finite. Where charge has spilled over from full pixels
        the result has no meaning.
    walls, level_walls
        As in `collect`.

    Raises
    ------
    ValueError
        If a pixel is not finite, or the walls are no mirror images of each other.
    """
    _require_finite(image_e)
    tolerance_e = _reachable(tolerance_e, image_e)
    detector = _Detector(image_e, walls, level_walls, tolerance_e)
    light = detector.contrast(image_e)
    displaced = detector.displaced_before(light)
    change, before, n = math.inf, math.inf, 0
    while n < max_rounds and tolerance_e <= change <= before:
        before = change
        light = detector.contrast(image_e)
        light -= displaced
        missing = detector.displaced(light)
        np.subtract(displaced, missing, out=missing)
        step = detector.undone(light, missing)
        displaced -= step
        change, n = _largest(step), n + 1
    return Corrected(image_e - displaced, n, change, change < tolerance_e)


def correct_first_order(image_e: Float32, walls: Walls, *, max_rounds: int = 1, tolerance_e: float = 1e-3) -> Corrected:
    """Return the first-order correction I_c = I + (1/2) div[ I_c grad(K * I_c) ], of one pass or iterated.

    It is here to be compared with: one pass is that of Guyonnet et al. (2015), the iteration that of Coulton et al. (2018). Neither
    inverts equation (1). With x = a(k) m, a weak ripple in the light is wrong by -x^2 / 12 after one pass and by x^2 / 6 after the
    iteration; the variance of photon noise, where exact inversion leaves x^2 / 12, by -x^2 / 12 and 5 x^2 / 12.

    Raises
    ------
    ValueError
        If a pixel is not finite.
    """
    _require_finite(image_e)
    tolerance_e = _reachable(tolerance_e, image_e)
    detector = _Detector(image_e, walls, None, tolerance_e)
    displaced = np.zeros_like(image_e)
    change, n = math.inf, 0
    while n < max_rounds and change >= tolerance_e:
        light = detector.contrast(image_e)
        light -= displaced
        again = np.zeros_like(light)
        detector.add_moved(light, light, 0.5, again)
        change = _largest(again - displaced)
        displaced, n = again, n + 1
    return Corrected(image_e - displaced, n, change, change < tolerance_e)


def _reachable(tolerance_e: float, image: Float32) -> float:
    return max(tolerance_e, 0.5 * float(np.spacing(np.abs(image).max())))


def _require_finite(image: Float32) -> None:
    if not np.isfinite(image).all():
        raise ValueError("an image to be corrected must be finite: a pixel without value pushes unknown charge")
