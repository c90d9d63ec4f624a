"""From sums of products of pixels to covariances with errors, one element per lag."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.lag_products import MAX_LAG

Floats = NDArray[np.float64]

MIN_PIXELS = 1000
"""With fewer pixels, or pairs of pixels at a lag, nothing is measured."""

_SIGNIFICANT = 5.0

LAGS: tuple[tuple[int, int], ...] = tuple(
    (x, y) for x in range(MAX_LAG + 1) for y in range(-MAX_LAG if x else 0, MAX_LAG + 1)
)
"""All (lag_x, lag_y), in the order of results: (0, 0) first."""


def covariances_of(
    products: NDArray[np.int64], pairs: NDArray[np.int64], step: float, truncation: float, lost: float, sign: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Turn sums of products into covariances of the difference, one element per lag.

    Parameters
    ----------
    products, pairs
        Shape (9, 17), of a quadrant as stored, see ``lag_products``.
    step
        Unit of the integers, ADU.
    truncation
        Variance of a unit normal distribution cut at the clip.
    lost
        Fraction of the variance that planes take out of every lag.
    sign
        -1 where one axis of the stored quadrant runs against the canonical one, 1 where none or both do.

    Returns
    -------
    covariance, n
        ADU^2 (NaN where there are fewer than ``MIN_PIXELS`` pairs) and pairs of pixels, in the order of ``LAGS``.
    """
    along_x, along_y = np.array(LAGS).T
    along_y = sign * along_y
    # each lag is stored in the half plane lag_y > 0, or lag_y = 0 and lag_x >= 0
    is_below = along_y < 0
    place = np.where(is_below, -along_y, along_y), np.where(is_below, -along_x, along_x) + MAX_LAG
    n = pairs[place]
    enough = n >= MIN_PIXELS
    mean = np.where(enough, products[place] / np.maximum(n, 1), np.nan)
    mean[0] -= 1.0 / 12.0
    mean[0] /= truncation
    mean[1:] /= truncation**2
    return step**2 * (mean + lost * mean[0]), n


def bartlett_errors(covariance: Floats, n: NDArray[np.int64]) -> Floats:
    """Return the standard errors of covariances between pixels, from Bartlett's formula.

    Parameters
    ----------
    covariance, n
        Covariances and pairs of pixels, in the order of ``LAGS``. NaN counts as uncorrelated.

    Returns
    -------
    ndarray
        Errors in the unit of the covariance; NaN where that is NaN. Correlations beyond 8 px are taken as zero.
    """
    along_x, along_y = np.array(LAGS).T
    rho = covariance / covariance[0]
    rho = np.where(np.abs(rho) > _SIGNIFICANT / np.sqrt(np.maximum(n, 1)), rho, 0.0)
    size = 4 * MAX_LAG + 1
    image = np.zeros((size, size))
    image[along_y % size, along_x % size] = rho
    image[-along_y % size, -along_x % size] = rho
    # the map is even, so its autocorrelation at 2 l is the sum over k of rho(k + l) rho(k - l)
    shifted = np.fft.irfft2(np.abs(np.fft.rfft2(image)) ** 2, image.shape)[2 * along_y % size, 2 * along_x % size]
    error = covariance[0] * np.sqrt((np.sum(image**2) + shifted) / np.maximum(n, 1))
    return np.where(np.isfinite(covariance), error, np.nan)
