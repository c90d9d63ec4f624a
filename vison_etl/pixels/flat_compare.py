"""Master flats compared: a pixel with its surroundings, one wavelength with another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.block_kernels import AUTO_A, AUTO_B, CROSS, DOF, N_VALUES, SIDE, measure_blocks
from vison_etl.pixels.prnu import CLIP_SIGMA, ordinary


def deviation_sigma(response: NDArray[np.floating], error: NDArray[np.floating], prnu: float) -> NDArray[np.float32]:
    """Return by how much each pixel deviates from its surroundings, in units of what a good pixel may.

    Parameters
    ----------
    response
        Master flat of one quadrant, shape (rows, columns), about 1.
    error
        Its one-sigma error, same shape.
    prnu
        Non-uniformity of good pixels, as a fraction.

    Returns
    -------
    NDArray of float32
        (response - m) / sqrt(prnu² + error²), m the medians of blocks of 25 px, interpolated linearly between their centres and held
        beyond the outermost. NaN where the response is unknown.
    """
    surface = _between_medians(response)
    with np.errstate(invalid="ignore"):
        return np.asarray((response - surface) / np.sqrt(prnu**2 + np.square(error)), np.float32)


def _between_medians(image: NDArray[np.floating]) -> NDArray[np.float64]:
    edges = [np.linspace(0, size, max(1, size // SIDE) + 1).round().astype(int) for size in image.shape]
    known = np.isfinite(image)
    middle = float(np.median(image[known])) if known.any() else math.nan
    medians = np.full((len(edges[0]) - 1, len(edges[1]) - 1), middle)
    for j in range(medians.shape[0]):
        for i in range(medians.shape[1]):
            at = slice(edges[0][j], edges[0][j + 1]), slice(edges[1][i], edges[1][i + 1])
            if known[at].any():
                medians[j, i] = np.median(image[at][known[at]])
    down, across = (_linear_weights(edge, size) for edge, size in zip(edges, image.shape, strict=True))
    return np.asarray(down @ medians @ across.T)


def _linear_weights(edges: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Return the matrix, shape (size, blocks), that interpolates linearly between the centres of blocks."""
    centres = 0.5 * (edges[:-1] + edges[1:] - 1)
    position = np.arange(size)
    return np.stack([np.interp(position, centres, row) for row in np.eye(len(centres))], axis=1)


@dataclass(frozen=True, slots=True)
class SharedResponse:
    """What two flats of the same pixels share on scales below 25 px. None where it could not be measured.

    ``correlation``: of the responses, noise removed; ``ratio_variance``: variance of their ratio, noise removed.
    """

    correlation: float | None
    ratio_variance: float | None


def shared_response(
    first: NDArray[np.float32],
    first_error: NDArray[np.float32],
    second: NDArray[np.float32],
    second_error: NDArray[np.float32],
) -> SharedResponse:
    """Compare the flats of one quadrant at two wavelengths.

    The noise of different exposures is independent, so that the common variance needs no correction; the noise of each flat
    is known from its error and taken off its own variance.
    """
    bad = ~(np.isfinite(first) & np.isfinite(second))
    n_y, n_x = first.shape[0] // SIDE, first.shape[1] // SIDE
    values, columns = np.empty((n_y, n_x, N_VALUES)), np.zeros((n_y, n_x * SIDE), np.float32)
    at = slice(0, n_y * SIDE), slice(0, n_x * SIDE)
    images = (np.ascontiguousarray(first[at]), np.ascontiguousarray(second[at]), np.ascontiguousarray(bad[at]))
    if not values.size:
        return SharedResponse(None, None)
    measure_blocks(*images, np.zeros(columns.shape, np.bool_), 0.5, CLIP_SIGMA, values, columns)
    blocks = values.reshape(-1, N_VALUES)
    blocks = blocks[blocks[:, DOF] > 0]
    used = blocks[ordinary(blocks)]
    if not len(used):
        return SharedResponse(None, None)
    noise = [float(np.mean(np.square(e), where=~bad, dtype=np.float64)) for e in (first_error, second_error)]
    auto_1, auto_2, cross = (float(np.average(used[:, k], weights=used[:, DOF])) for k in (AUTO_A, AUTO_B, CROSS))
    auto_1, auto_2 = auto_1 - noise[0], auto_2 - noise[1]
    correlation = cross / math.sqrt(auto_1 * auto_2) if auto_1 > 0 and auto_2 > 0 else None
    return SharedResponse(correlation, auto_1 + auto_2 - 2.0 * cross)
