"""Codes as they lie in a file turned into native integers, in place and in one pass."""

from __future__ import annotations

import sys

import numpy as np
from numba import njit
from numpy.typing import NDArray

_IS_LITTLE = sys.byteorder == "little"


@njit(cache=True, nogil=True)
def _decode(stored: NDArray[np.uint16]) -> None:
    for i in range(stored.size):
        value = stored[i]
        if _IS_LITTLE:
            value = np.uint16((value >> 8) | (value << 8))
        stored[i] = value ^ np.uint16(0x8000)


def decode(stored: NDArray[np.uint16]) -> None:
    """Replace big-endian signed integers (code - 32768) by native unsigned codes, in place.

    ``stored`` is contiguous, of any shape. Call it on what was just read, while it is still in the processor's cache.
    """
    _decode(stored.reshape(-1))
