"""Master flats of the same pixels compared: what they share, and how much their ratio varies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.block_kernels import AUTO_A, AUTO_B, CROSS, DOF, N_VALUES, SIDE, measure_blocks
from vison_etl.pixels.prnu import CLIP_SIGMA, ordinary
from vison_etl.pixels.surface_kernels import N_TERMS


@dataclass(frozen=True, slots=True)
class SharedResponse:
    """What two flats of the same pixels share on scales below 25 px. None where it could not be measured.

    ``correlation``: of the responses, noise removed; ``ratio_variance``: variance of their ratio, noise removed (it may be negative by
    chance); ``n_pixels``: pixels used. Errors: jackknife over the blocks.
    """

    correlation: float | None
    correlation_err: float | None
    ratio_variance: float | None
    ratio_variance_err: float | None
    n_pixels: int


NOTHING_SHARED = SharedResponse(None, None, None, None, 0)
_MIN_BLOCKS = 4


def shared_response(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    noise: tuple[float, float],
    bad: NDArray[np.bool_] | None = None,
) -> SharedResponse:
    """Compare the flats of one quadrant at two wavelengths.

    Parameters
    ----------
    first, second
        Responses about 1, same shape. Pixels that are NaN in either or ``bad`` do not count.
    noise
        Variance of the noise of each, from the difference of its halves over as many pixels as are used here: the error of that is
        added. The noise of different exposures is independent, so that the common variance needs no correction.
    """
    images = [np.ascontiguousarray(image, np.float32) for image in (first, second)]
    out = ~(np.isfinite(images[0]) & np.isfinite(images[1]))
    if bad is not None:
        out |= bad
    n_y, n_x = first.shape[0] // SIDE, first.shape[1] // SIDE
    values, columns = np.empty((n_y, n_x, N_VALUES)), np.zeros((n_y, n_x * SIDE), np.float32)
    at = slice(0, n_y * SIDE), slice(0, n_x * SIDE)
    if not values.size:
        return NOTHING_SHARED
    parts = (images[0][at], images[1][at], out[at], np.zeros(columns.shape, np.bool_))
    measure_blocks(*parts, 0.5, CLIP_SIGMA, values, columns)
    blocks = values.reshape(-1, N_VALUES)
    blocks = blocks[blocks[:, DOF] > 0]
    used = blocks[ordinary(blocks)]
    return _of_blocks(used, noise) if len(used) >= _MIN_BLOCKS else NOTHING_SHARED


def _of_blocks(used: NDArray[np.float64], noise: tuple[float, float]) -> SharedResponse:
    weight = used[:, DOF]
    sums = np.stack([weight * used[:, k] for k in (AUTO_A, AUTO_B, CROSS)])
    total, total_weight = sums.sum(axis=1, keepdims=True), weight.sum()
    # index 0: all blocks; the others lack one each
    means = np.hstack([total / total_weight, (total - sums) / (total_weight - weight)])
    auto_1, auto_2, cross = means[0] - noise[0], means[1] - noise[1], means[2]
    errors = [variance * math.sqrt(2.0 / total_weight) for variance in noise]
    ratio = auto_1 + auto_2 - 2.0 * cross
    ratio_err = math.hypot(_jackknife(ratio[1:]), *errors)
    n_pixels = int(np.sum(weight + N_TERMS))
    if (auto_1 <= 0).any() or (auto_2 <= 0).any():
        return SharedResponse(None, None, float(ratio[0]), ratio_err, n_pixels)
    correlation = cross / np.sqrt(auto_1 * auto_2)
    parts = (correlation[0] * error / (2.0 * auto[0]) for error, auto in zip(errors, (auto_1, auto_2), strict=True))
    correlation_err = math.hypot(_jackknife(correlation[1:]), *parts)
    return SharedResponse(float(correlation[0]), correlation_err, float(ratio[0]), ratio_err, n_pixels)


def _jackknife(values: NDArray[np.float64]) -> float:
    """Return the error of a value from what it is without each block in turn."""
    n = values.size
    return math.sqrt((n - 1) / n * float(np.sum((values - values.mean()) ** 2)) * (n - 1) / (n - 3))
