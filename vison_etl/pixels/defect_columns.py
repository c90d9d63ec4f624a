"""Bad columns of a master frame: whole ones, and those that are bad from some row on, up to the last one.

The residual image is averaged along y in blocks of rows, clipped at 4 sigma about the median of the block of the column. From the block
means the running median over the neighbouring columns is taken away (a high-pass). The mean residual from block b to the far end,

    v(b, x) = sum_{b' >= b} n(b') c(b', x) / sum_{b' >= b} n(b'),

has the significance v(b, x) / s(b), s(b) being the robust scatter of v(b, x) over all columns, so that a fixed column pattern is part of
it; b = 0 is the whole column. Charge is read downwards: what a defect at row y spoils is read later, above it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.defect_background import block_edges, robust_sigma

ROWS_PER_BLOCK = 64
HIGH_PASS_COLUMNS = 31
_CLIP = 4.0


@dataclass(frozen=True, slots=True)
class ColumnDefect:
    """A bad column: column and first row within the image given, rows to its end, mean residual and its significance."""

    x: int
    y: int
    height: int
    value: float
    error: float
    significance: float


def _block_means(residual: NDArray[np.float32], edges: NDArray[np.int64], sigma: float) -> NDArray[np.float64]:
    """Return the clipped mean of each block of each column, shape (blocks, columns); NaN without values."""
    out = np.full((len(edges) - 1, residual.shape[1]), np.nan)
    for b in range(len(edges) - 1):
        part = residual[edges[b] : edges[b + 1]]
        has_value = np.isfinite(part).any(axis=0)
        part = part[:, has_value]
        if part.size == 0:
            continue
        centre = np.nanmedian(part, axis=0)
        used = np.abs(part - centre) <= _CLIP * sigma
        n = used.sum(axis=0)
        total = np.sum(part, axis=0, where=used, dtype=np.float64)
        out[b, has_value] = np.where(n > 0, total / np.maximum(n, 1), centre)
    return out


def _high_passed(lines: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Subtract the running median over ``width`` columns, the column itself left out; windows are cut at the ends."""
    n = lines.shape[1]
    reach = min(width // 2, (n - 1) // 2)
    if reach < 1:
        return lines
    padded = np.full((len(lines), n + 2 * reach), np.nan)
    padded[:, reach : reach + n] = lines
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1).copy()
    windows[:, :, reach] = np.nan
    has_value = np.isfinite(windows).any(axis=2)
    windows[~has_value, 0] = 0.0
    return np.where(has_value, lines - np.nanmedian(windows, axis=2), np.nan)


def find_columns(
    residual: NDArray[np.float32],
    whole_sigma: float,
    tail_sigma: float,
    min_value: float,
    rows_per_block: int = ROWS_PER_BLOCK,
) -> list[ColumnDefect]:
    """Find bad columns.

    Parameters
    ----------
    residual
        Master less its background (or divided by it, less 1), shape (rows, columns), in read-out order along y; NaN does not count.
    whole_sigma, tail_sigma
        Least significance of a whole column, and of one that is bad from a later row on (more places are tried).
    min_value
        Least mean residual, in the unit of ``residual``.
    rows_per_block
        Size of a block.

    Returns
    -------
    list of ColumnDefect
        By column. The first row is the most likely one where that is better than the whole column by 4 sigma; ``value`` is the mean
        from there on.
    """
    edges = block_edges(residual.shape[0], rows_per_block)
    sigma = robust_sigma(residual)
    means = _high_passed(_block_means(residual, edges, sigma), HIGH_PASS_COLUMNS)
    rows = np.diff(edges)[:, None] * np.isfinite(means)
    tails, weights = _from_far_end(np.where(np.isfinite(means), means, 0.0) * rows), _from_far_end(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(weights > 0, tails / weights, np.nan)
    scatter = np.array([robust_sigma(line) for line in value])
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = np.nan_to_num(value / scatter[:, None], nan=0.0, posinf=0.0, neginf=0.0)
    limits = (whole_sigma, tail_sigma, min_value)
    return [
        found
        for x in range(residual.shape[1])
        if (found := _judge(residual, x, sigma, (significance[:, x], value[:, x], scatter), limits))
    ]


def _from_far_end(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(values[::-1], axis=0, dtype=np.float64)[::-1]


def _first_row(column: NDArray[np.float32], value: float, sigma: float) -> int:
    """Return the row from which on the column deviates by ``value``: the most likely one, 0 unless another is so by 4 sigma."""
    reach = abs(value) + _CLIP * sigma
    clean = np.clip(np.nan_to_num(column), -reach, reach).astype(np.float64)
    gain = np.where(np.isfinite(column), 2.0 * value * clean - value**2, 0.0)
    likelihood = np.cumsum(gain[::-1])[::-1]
    best = int(np.argmax(likelihood))
    return best if likelihood[best] - likelihood[0] > (_CLIP * sigma) ** 2 else 0


def _judge(
    residual: NDArray[np.float32],
    x: int,
    sigma: float,
    tails: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    limits: tuple[float, float, float],
) -> ColumnDefect | None:
    """Return the defect of one column, if any, from significance, mean and scatter of its tails."""
    significance, value, scatter = tails
    strength = np.abs(significance)
    block = int(np.argmax(strength))
    if strength[0] < limits[0] and strength[block] < limits[1]:
        return None
    if strength[0] >= limits[0] and strength[0] >= strength[block] - 1.0:
        block = 0
    if not abs(value[block]) >= limits[2]:
        return None
    y = _first_row(residual[:, x], float(value[block]), sigma)
    deviation = float(np.nanmean(np.clip(residual[y:, x], value[block] - _CLIP * sigma, value[block] + _CLIP * sigma)))
    level = deviation if np.sign(deviation) == np.sign(value[block]) else float(value[block])
    return ColumnDefect(x, y, len(residual) - y, level, float(scatter[block]), float(significance[block]))
