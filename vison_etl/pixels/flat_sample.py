"""What a sample of the pixels of a band tells of its frames: their levels, and the noise of one value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from vison_etl.pixels.compiled import compiled

_LATTICE = 512
_LEVELS = (0.5, 2.0)
_SAMPLE, _MIN_SAMPLE = 13_000, 512
"""Codes of a band by which its noise is known, and least pixels."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def alike(level: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the frames whose level is between half and twice the median; all where that is not positive."""
    low, high = (factor * float(np.median(level)) for factor in _LEVELS)
    return np.flatnonzero((level > low) & (level < high)) if low > 0 else np.arange(level.size)


def filled(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return offsets, shape (frames, rows), with those of lost rows replaced by the frame's mean; 0 where none is known."""
    known = np.isfinite(offsets)
    if known.all():
        return offsets
    n = known.sum(axis=1, keepdims=True)
    mean = np.sum(offsets, axis=1, keepdims=True, where=known) / np.maximum(n, 1)
    return np.where(known, offsets, mean)


def levels_of(light: NDArray[np.uint16], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median level of each frame over a lattice of the band, ADU above offset."""
    rows = max(1, light.shape[1] // 8)
    columns = max(1, light.shape[2] * len(range(0, light.shape[1], rows)) // _LATTICE)
    lattice = light[:, ::rows, ::columns] - offsets[:, ::rows, None]
    return np.asarray(np.median(lattice.reshape(len(light), -1), axis=1), np.float64)


def noise_of(
    dark: NDArray[np.uint16],
    offsets: NDArray[np.float64],
    light: NDArray[np.uint16],
    used: NDArray[np.int64],
    known: NDArray[np.float32],
    inverse: NDArray[np.float32],
) -> tuple[float, float]:
    """Return D and G of V(m) = D + G m; a clip that never fires where there is one frame.

    ``offsets`` are those measured, for the prescan, ``known`` those without gaps, for the ``used`` frames of the light, which
    ``inverse`` brings to one level.
    """
    n = len(dark)
    if n < 2:
        return float("inf"), 0.0
    typical = float(chdtri(n - 1, 0.5)) / (n - 1)
    measured = np.where(np.isfinite(offsets), offsets, 0.0).astype(np.float32)
    _, scatters = _scatter(dark, np.arange(n), measured, np.ones(n, np.float32))
    floor = max(float(np.median(scatters)) / typical, 1.0 / 12.0)
    means, scatters = _scatter(light, used, known, inverse)
    variance, mean = float(np.median(scatters)) / typical, float(np.median(means))
    return floor, max(0.0, (variance - floor) / mean) if mean > 0 else 0.0


def _scatter(
    codes: NDArray[np.uint16],
    used: NDArray[np.int64],
    offsets: NDArray[np.float32],
    inverse: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance between frames of a sample of the pixels."""
    step = max(1, codes[0].size // max(_MIN_SAMPLE, _SAMPLE // len(used)))
    rows, columns = np.divmod(np.arange(0, codes[0].size, step), codes.shape[2])
    mean, variance = np.empty(rows.size), np.empty(rows.size)
    _scatters(codes, used, offsets, inverse, rows, columns, mean, variance)
    return mean, variance


@compiled
def _scatters(
    codes: NDArray[np.uint16],
    order: NDArray[np.int64],
    offsets: Floats,
    inverse: Floats,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    mean: Doubles,
    variance: Doubles,
) -> None:
    """Fill mean and variance between frames (n - 1) of (code - offset) inverse of single pixels, every code taken as valid.

    Parameters
    ----------
    codes
        Shape (frames, rows, columns), any strides.
    order
        Frames that count, at least two.
    offsets, inverse
        Of these frames, shape (frames, rows) and (frames,).
    rows, columns
        Positions of the pixels; as long as ``mean`` and ``variance``.
    """
    first, square = np.empty(rows.size), np.zeros(rows.size)
    mean[:] = 0.0
    for k in range(order.size):
        frame = codes[order[k]]
        for i in range(rows.size):
            value = (frame[rows[i], columns[i]] - float(offsets[k, rows[i]])) * inverse[k]
            if k == 0:
                first[i] = value
            d = value - first[i]
            mean[i] += d
            square[i] += d * d
    n = order.size
    for i in range(rows.size):
        variance[i] = (square[i] - mean[i] * mean[i] / n) / (n - 1)
        mean[i] = first[i] + mean[i] / n
