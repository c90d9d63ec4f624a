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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
_Complex = NDArray[np.complex64]
_Currents = tuple[Float32, Float32]
"""Values at the inner walls of an image: east ones, shape (rows, columns - 1), and north ones, shape (rows - 1, columns)."""

MAX_ORDER = 8
"""Highest power of time in the series: the terms fall as (a m)^k / k!."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What the charge of one pixel, at lag (0, 0), pushes through the walls around it, 1/e.

    Parameters
    ----------
    east
        Current per light and electron through the wall between (dx, dy) and (dx + 1, dy), shape (2 L + 1, 2 L + 2), indexed
        [dy + L, dx + L + 1]; positive towards +x. Antisymmetric under dx -> -1 - dx.
    north
        The same between (dx, dy) and (dx, dy + 1), shape (2 L + 2, 2 L + 1), indexed [dy + L + 1, dx + L].
    """

    east: Float64
    north: Float64

    @property
    def reach(self) -> int:
        """Return L, px."""
        return int(self.east.shape[0]) // 2


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


class _Push:
    """Convolution of images of one shape with walls, by FFT of the image continued evenly beyond its edges."""

    def __init__(self, shape: tuple[int, int], walls: Walls) -> None:
        self._shape = shape
        self._margin = walls.reach + 1
        self._padded = tuple(fft.next_fast_len(n + 2 * self._margin, real=True) for n in shape)
        self._east = self._transfer(walls.east, walls.reach, walls.reach + 1)
        self._north = self._transfer(walls.north, walls.reach + 1, walls.reach)

    def _transfer(self, kernel: Float64, centre_y: int, centre_x: int) -> _Complex:
        placed = np.zeros(self._padded)
        placed[: kernel.shape[0], : kernel.shape[1]] = kernel
        placed = np.roll(placed, (-centre_y, -centre_x), axis=(0, 1))
        return np.asarray(fft.rfft2(placed), np.complex64)

    def __call__(self, contrast: Float32) -> _Currents:
        """Return what pushes through the inner walls: an even level pushes nothing, so it is left out of ``contrast``."""
        rows, columns = self._shape
        m = self._margin
        around = tuple((m, full - n - m) for n, full in zip(self._shape, self._padded, strict=True))
        spectrum = fft.rfft2(np.pad(contrast, around, mode="edge"))
        east = fft.irfft2(spectrum * self._east, self._padded)[m : m + rows, m : m + columns - 1]
        north = fft.irfft2(spectrum * self._north, self._padded)[m : m + rows - 1, m : m + columns]
        return east, north


def _at_walls(contrast: Float32, level: float) -> _Currents:
    """Return the light at the inner walls: the mean of both sides."""
    half, whole = np.float32(0.5), np.float32(level)
    return whole + half * (contrast[:, :-1] + contrast[:, 1:]), whole + half * (contrast[:-1] + contrast[1:])


def _moved(light: _Currents, push: _Currents) -> Float32:
    """Return what each pixel gains by currents through its walls."""
    east, north = light[0] * push[0], light[1] * push[1]
    gained = np.zeros((east.shape[0], north.shape[1]), np.float32)
    gained[:, :-1] -= east
    gained[:, 1:] += east
    gained[:-1] -= north
    gained[1:] += north
    return gained


class _Detector:
    """Equation (2) for images of one shape. Images are contrasts: what is above one level, so that small changes are not rounded."""

    def __init__(self, image: Float32, walls: Walls, level_walls: Walls | None, tolerance_e: float) -> None:
        shape = (image.shape[0], image.shape[1])
        self.level = float(image.mean(dtype=np.float64))
        self.contrast = image - np.float32(self.level)
        self._push = _Push(shape, walls)
        self._level_push = None if level_walls is None else _Push(shape, level_walls)
        self._tolerance = tolerance_e

    def displaced(self, light: Float32) -> tuple[Float32, _Currents]:
        """Return Q(1) - F, and what F pushes through the walls."""
        at_walls = _at_walls(light, self.level)
        first = push = self._push(light)
        before, term = light, _moved(at_walls, push) / np.float32(2)
        total = term.copy()
        for order in range(3, MAX_ORDER + 1):
            push = self._push(term)
            if self._level_push is not None:
                more = self._level_push(before)
                push = push[0] + at_walls[0] * more[0], push[1] + at_walls[1] * more[1]
            before, term = term, _moved(at_walls, push) / np.float32(order)
            total += term
            if np.abs(term).max() < self._tolerance:
                break
        return total, first

    def undone(self, light: Float32, missing: Float32, push: _Currents) -> Float32:
        """Return the change of light that makes up for missing charge, to first order: M - (D_F M + D_M F) / 2."""
        moved = _moved(_at_walls(light, self.level), self._push(missing)) + _moved(_at_walls(missing, 0.0), push)
        return missing - moved / np.float32(2)


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
    return light_e + detector.displaced(detector.contrast)[0]


def correct(
    image_e: Float32,
    walls: Walls,
    level_walls: Walls | None = None,
    *,
    tolerance_e: float = 1e-3,
    max_rounds: int = 10,
) -> Corrected:
    """Return the light whose charge, by equation (1), is the image.

    Newton's iteration with the first-order Jacobian, from F = Q, until no pixel changes by ``tolerance_e``, or by what the brightest
    pixel is rounded by (float32) if that is more, or ``max_rounds``.

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
        If a pixel is not finite.
    """
    _require_finite(image_e)
    tolerance_e = _reachable(tolerance_e, image_e)
    detector = _Detector(image_e, walls, level_walls, tolerance_e)
    displaced = np.zeros_like(image_e)
    change, n = float("inf"), 0
    while n < max_rounds and change >= tolerance_e:
        light = detector.contrast - displaced
        found, push = detector.displaced(light)
        step = detector.undone(light, displaced - found, push)
        displaced -= step
        change, n = float(np.abs(step).max()), n + 1
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
    push = _Push((image_e.shape[0], image_e.shape[1]), walls)
    level = float(image_e.mean(dtype=np.float64))
    contrast = image_e - np.float32(level)
    displaced = np.zeros_like(image_e)
    change, n = float("inf"), 0
    while n < max_rounds and change >= tolerance_e:
        light = contrast - displaced
        again = _moved(_at_walls(light, level), push(light)) / np.float32(2)
        change = float(np.abs(again - displaced).max())
        displaced, n = again, n + 1
    return Corrected(image_e - displaced, n, change, change < tolerance_e)


def _reachable(tolerance_e: float, image: Float32) -> float:
    return max(tolerance_e, 0.5 * float(np.spacing(np.abs(image).max())))


def _require_finite(image: Float32) -> None:
    if not np.isfinite(image).all():
        raise ValueError("an image to be corrected must be finite: a pixel without value pushes unknown charge")
