"""Smooth background of a master frame from medians of blocks, so that single pixels and columns stand out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Side of a block, px: the median of 1024 pixels has 0.04 of their noise."""

_MAD_TO_SIGMA = 1.4826


def block_edges(size: int, block: int = BLOCK) -> NDArray[np.int64]:
    """Return the edges of nearly equal blocks of about ``block`` pixels that cover ``size``, shape (n + 1,)."""
    n = max(1, round(size / block))
    return np.rint(np.linspace(0, size, n + 1)).astype(np.int64)


def block_medians(values: NDArray[np.floating], block: int = BLOCK) -> NDArray[np.float64]:
    """Return the median of each block, NaN left out; a block without values has that of all.

    Parameters
    ----------
    values
        Shape (rows, columns).
    """
    ys, xs = block_edges(values.shape[0], block), block_edges(values.shape[1], block)
    out = np.full((len(ys) - 1, len(xs) - 1), np.nan)
    for j in range(len(ys) - 1):
        strip = values[ys[j] : ys[j + 1]]
        for i in range(len(xs) - 1):
            part = strip[:, xs[i] : xs[i + 1]]
            known = part[np.isfinite(part)]
            if known.size:
                out[j, i] = np.median(known)
    known = out[np.isfinite(out)]
    return np.where(np.isfinite(out), out, np.median(known) if known.size else np.nan)


def background(values: NDArray[np.floating], block: int = BLOCK) -> NDArray[np.float32]:
    """Interpolate block medians linearly between the centres of blocks, extrapolating by the outermost slope.

    Returns
    -------
    NDArray of float32, shape of ``values``
        NaN only where nothing at all is known.
    """
    medians = block_medians(values, block)
    along_y = _weights(values.shape[0], block)
    along_x = _weights(values.shape[1], block)
    out: NDArray[np.float32] = (along_y @ medians).astype(np.float32) @ along_x.T.astype(np.float32)
    return out


def _weights(size: int, block: int) -> NDArray[np.float64]:
    """Return the matrix (size, blocks) of linear interpolation."""
    edges = block_edges(size, block)
    centres = 0.5 * (edges[:-1] + edges[1:] - 1)
    out = np.zeros((size, len(centres)))
    if len(centres) == 1:
        out[:] = 1.0
        return out
    position = np.arange(size)
    left = np.clip(np.searchsorted(centres, position) - 1, 0, len(centres) - 2)
    fraction = (position - centres[left]) / (centres[left + 1] - centres[left])
    out[position, left] = 1.0 - fraction
    out[position, left + 1] = fraction
    return out


def robust_sigma(values: NDArray[np.floating]) -> float:
    """Return 1.4826 times the median absolute deviation from the median; NaN does not count; NaN without values."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return float("nan")
    known -= np.median(known)
    return float(_MAD_TO_SIGMA * np.median(np.abs(known, out=known), overwrite_input=True))
