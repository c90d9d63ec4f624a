"""Bits of the ADC: how often each is set, and how pairs of them go together, from the histogram of codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.clipping import CODES

BITS = 16


@dataclass(frozen=True, slots=True)
class BitCounts:
    """``n`` codes; ``n_set`` (16,): those with the bit set, 0 the least significant; ``n_both`` (16, 16): with both bits set."""

    n: int
    n_set: NDArray[np.int64]
    n_both: NDArray[np.int64]


@cache
def _table() -> NDArray[np.int64]:
    """Return the bits of every code, shape (65536, 16)."""
    return (np.arange(CODES)[:, None] >> np.arange(BITS)) & 1


def bit_counts(histogram: NDArray[np.uint32]) -> BitCounts:
    """Count the bits of all codes but 0 and 65535, which are no measured values.

    Parameters
    ----------
    histogram
        Occurrences of each code, shape (65536,).
    """
    counts = histogram.astype(np.int64)
    counts[[0, CODES - 1]] = 0
    occupied = np.flatnonzero(counts)
    bits = _table()[occupied].astype(np.float64)
    # sums of whole numbers below 2^53 are exact in any order
    both = (bits.T @ (bits * counts[occupied][:, None])).astype(np.int64)
    return BitCounts(int(counts.sum()), np.diagonal(both).copy(), both)


def correlations(counts: BitCounts) -> NDArray[np.float64]:
    """Return the correlation of each pair of bits, shape (16, 16): phi coefficient; NaN where a bit never changes; 0 on the diagonal."""
    if counts.n == 0:
        return np.full((BITS, BITS), np.nan)
    p = counts.n_set / counts.n
    covariance = counts.n_both / counts.n - np.outer(p, p)
    spread = np.sqrt(p * (1.0 - p))
    scale = np.outer(spread, spread)
    found = np.where(scale > 0, covariance / np.where(scale > 0, scale, 1.0), np.nan)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)
