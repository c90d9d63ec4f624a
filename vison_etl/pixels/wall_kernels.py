"""What charge moves through the walls of the pixels around it, row by row: a direct sum over a quarter of the lags.

Mirror images are added before they are multiplied: 81 products per wall where the push reaches 8 px. Such a sum over vectors of
neighbours is several times faster than Fourier transforms of an image, needs memory for a few rows, and has one order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

Float32 = NDArray[np.float32]

AT_ONCE = 3
"""Taps added in one pass over a row; the taps of a row are a multiple of it."""


@compiled
def _continue_row(image: Float32, y: int, out: Float32, margin: int) -> None:
    """Fill ``out`` with a row of the image; beyond its edges the rows and columns at the edges go on."""
    rows, columns = image.shape
    line = image[min(max(y, 0), rows - 1)]
    out[:margin] = line[0]
    out[margin : margin + columns] = line
    out[margin + columns :] = line[columns - 1]


@compiled
def _add(one: Float32, other: Float32, out: Float32) -> None:
    for x in range(out.size):
        out[x] = one[x] + other[x]


@compiled
def _subtract(one: Float32, other: Float32, out: Float32) -> None:
    for x in range(out.size):
        out[x] = one[x] - other[x]


@compiled
def _add_odd(line: Float32, taps: Float32, out: Float32) -> None:
    """Add sum_j taps[j] (q[x - j] - q[x + 1 + j]) at the walls x | x + 1; ``line`` is q with a margin of as many pixels as taps."""
    width, n = out.size, taps.size
    for j in range(0, n, AT_ONCE):
        k0, k1, k2 = taps[j], taps[j + 1], taps[j + 2]
        u0, u1, u2 = line[n + j + 1 :][:width], line[n + j + 2 :][:width], line[n + j + 3 :][:width]
        l0, l1, l2 = line[n - j :][:width], line[n - j - 1 :][:width], line[n - j - 2 :][:width]
        for x in range(width):
            out[x] += k0 * (l0[x] - u0[x]) + (k1 * (l1[x] - u1[x]) + k2 * (l2[x] - u2[x]))


@compiled
def _add_even(line: Float32, taps: Float32, out: Float32) -> None:
    """Add sum_j taps[j] (q[x - j] + q[x + j]); the tap of j = 0 is half of its number."""
    width, n = out.size, taps.size
    for j in range(0, n, AT_ONCE):
        k0, k1, k2 = taps[j], taps[j + 1], taps[j + 2]
        u0, u1, u2 = line[n + j :][:width], line[n + j + 1 :][:width], line[n + j + 2 :][:width]
        l0, l1, l2 = line[n - j :][:width], line[n - j - 1 :][:width], line[n - j - 2 :][:width]
        for x in range(width):
            out[x] += k0 * (l0[x] + u0[x]) + (k1 * (l1[x] + u1[x]) + k2 * (l2[x] + u2[x]))


@compiled
def _currents(push: Float32, one: Float32, other: Float32, level: np.float32, power: int, scale: np.float32) -> None:
    """Multiply a push by ``scale`` and a power of the light at the walls, between the pixels of ``one`` and ``other``."""
    half = np.float32(0.5)
    if power == 1:
        for x in range(push.size):
            push[x] *= scale * (level + half * (one[x] + other[x]))
        return
    for x in range(push.size):
        at_wall = level + half * (one[x] + other[x])
        push[x] *= scale * at_wall * at_wall


@compiled
def add_moved(
    light: Float32, level: float, power: int, charge: Float32, east: Float32, north: Float32, scale: float, out: Float32
) -> None:
    """Add ``scale`` times what each pixel gains by the currents F^p (w * Q) through its walls: - div[ F^p (w * Q) ].

    Parameters
    ----------
    light, level
        F is the mean over both sides of a wall of ``light``, shape (rows, columns), plus ``level``.
    power
        p, 1 or 2.
    charge
        Q or what it is above an even level, shape (rows, columns); it goes on evenly beyond the edges.
    east
        w at the wall towards +x by charges at the lags (j, +-d), j >= 0, on this side of the wall; on the other side it is the
        opposite. Shape (r, n), indexed [d, j], n >= r a multiple of ``AT_ONCE``.
    north
        w at the wall towards +y by charges at the lags (+-j, d), d >= 0, shape (r, n), indexed [d, j]; half of it at j = 0.
    out
        Changed, shape (rows, columns). No current passes the outer edges.
    """
    (rows, columns), (reach, margin) = charge.shape, east.shape
    mean, factor = np.float32(level), np.float32(scale)
    size = 2 * reach
    ring = np.empty((size, columns + 2 * margin), np.float32)
    both = np.empty(columns + 2 * margin, np.float32)
    push_x, push_y = np.empty(columns - 1, np.float32), np.empty(columns, np.float32)
    for y in range(1 - reach, reach):
        _continue_row(charge, y, ring[(y + size) % size], margin)
    for y in range(rows):
        _continue_row(charge, y + reach, ring[(y + reach) % size], margin)
        push_x[:] = np.float32(0)
        _add_odd(ring[y % size], east[0], push_x)
        for d in range(1, reach):
            _add(ring[(y - d + size) % size], ring[(y + d) % size], both)
            _add_odd(both, east[d], push_x)
        line, here = light[y], out[y]
        _currents(push_x, line[:-1], line[1:], mean, power, factor)
        _subtract(here[:-1], push_x, here[:-1])
        _add(here[1:], push_x, here[1:])
        if y + 1 == rows:
            break
        push_y[:] = np.float32(0)
        for d in range(reach):
            _subtract(ring[(y - d + size) % size], ring[(y + 1 + d) % size], both)
            _add_even(both, north[d], push_y)
        _currents(push_y, line, light[y + 1], mean, power, factor)
        _subtract(here, push_y, here)
        _add(out[y + 1], push_y, out[y + 1])
