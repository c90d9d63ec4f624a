"""Level of every row of a frame, robust against columns, pixels and spots that do not belong to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.clipping import CODES

TRIMMED = 0.1
"""Part of the pixels left out at either end."""
_BAND = 128


def row_levels(codes: NDArray[np.uint16]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return level, error and number of valid pixels of each row.

    Parameters
    ----------
    codes
        Shape (rows, columns). Codes 0 and 65535 do not count.

    Returns
    -------
    level, error, n : arrays of shape (rows,)
        Mean without the lowest and highest tenth of the valid pixels, and its error from the winsorised variance: s_w sqrt(n) / (n - 2 g)
        with g pixels left out at either end. NaN where fewer than three pixels are left.
    """
    parts = [_band(codes[y : y + _BAND]) for y in range(0, codes.shape[0], _BAND)]
    level, error, n = (np.concatenate(part) for part in zip(*parts, strict=True))
    return level, error, n


def _band(codes: NDArray[np.uint16]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    ordered = np.sort(codes, axis=1, kind="stable")
    first = np.count_nonzero(codes == 0, axis=1)
    n = codes.shape[1] - first - np.count_nonzero(codes == CODES - 1, axis=1)
    cut = (TRIMMED * n).astype(np.int64)
    low, end = first + cut, first + n - cut
    kept = np.maximum(end - low, 1)
    values = ordered.astype(np.float64)
    total = _sum_between(values, low, end)
    mean = total / kept
    row = np.arange(codes.shape[0])
    ends = [values[row, np.clip(at, 0, codes.shape[1] - 1)] - mean for at in (low, end - 1)]
    squares = _sum_between(values**2, low, end) - kept * mean**2
    shift = cut * (ends[0] + ends[1])
    squares = squares + cut * (ends[0] ** 2 + ends[1] ** 2) - shift**2 / np.maximum(n, 1)
    error = np.sqrt(np.maximum(squares, 0.0) / np.maximum(n - 1, 1) * n) / kept
    is_known = end - low > 2
    return np.where(is_known, mean, np.nan), np.where(is_known, error, np.nan), n


def _sum_between(values: NDArray[np.float64], low: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of values[row, low[row]:end[row]] of every row."""
    place = np.arange(values.shape[1])
    inside = (place >= low[:, None]) & (place < end[:, None])
    return np.asarray(np.sum(values, axis=1, where=inside))
