"""One block of pixels of two images, loaded into memory of its own and freed of large defects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

SIDE = 25
"""Side of a block, px: what is larger than this is no non-uniformity of pixels."""

_ROUGH_STEP = 4
_ROUGH_CLIP = 8.0
_MIN_SAMPLE = 10

Floats32 = NDArray[np.float32]


@compiled
def load(
    first: Floats32,
    second: Floats32,
    bad: NDArray[np.bool_],
    bad_columns: NDArray[np.bool_],
    share: float,
    block: Floats32,
) -> int:
    """Fill [a, b, used, share a + (1 - share) b] of one block: response less 1, 0 where it does not count; return how many do."""
    one, zero = np.float32(1), np.float32(0)
    s_a, s_b = np.float32(share), np.float32(1.0 - share)
    n = 0
    for j in range(SIDE):
        a, b, used, mean = block[0, j], block[1, j], block[2, j], block[3, j]
        for i in range(SIDE):
            a[i], b[i], used[i] = first[j, i], second[j, i], np.float32(bad[j, i] | bad_columns[i])
        for i in range(SIDE):
            va, vb = a[i] - one, b[i] - one
            is_good = (used[i] == zero) & (va + vb == va + vb)
            a[i] = va if is_good else zero
            b[i] = vb if is_good else zero
            used[i] = one if is_good else zero
            mean[i] = s_a * a[i] + s_b * b[i]
            n += is_good
    return n


@compiled
def leave_out(block: Floats32, j: int, i: int) -> None:
    """Leave out one pixel: 0 in every plane."""
    for k in range(4):
        block[k, j, i] = np.float32(0)


@compiled
def rough_clip(block: Floats32) -> int:
    """Leave out what lies far from the median of a few pixels, in units of their spread; return how many."""
    mean, used = block[3], block[2]
    some = np.empty(SIDE * SIDE, np.float32)
    n, n_out = 0, 0
    for j in range(0, SIDE, _ROUGH_STEP):
        for i in range(0, SIDE, _ROUGH_STEP):
            if used[j, i] > 0:
                some[n] = mean[j, i]
                n += 1
    if n < _MIN_SAMPLE:
        return 0
    middle = np.median(some[:n])
    limit = np.float32(_ROUGH_CLIP * 1.4826 * np.median(np.abs(some[:n] - middle)))
    if limit > 0:
        for j in range(SIDE):
            for i in range(SIDE):
                if used[j, i] > 0 and abs(mean[j, i] - middle) > limit:
                    leave_out(block, j, i)
                    n_out += 1
    return n_out
