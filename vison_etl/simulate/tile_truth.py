"""Pair statistics of tiles straight from theory: photon-transfer curves of many channels without pixels, for closure.

Draws what ``pair_tiles`` holds from the distribution that pixels would give: linear theory for the expected variance and
correlations, the scatter of a sample of n correlated Gaussian pixels about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry, tiles
from vison_etl.simulate.build_up import kernel
from vison_etl.simulate.detector import unit_shift
from vison_etl.simulate.theory import Float64, covariances_e2, exponential_kernel

Arrays = dict[str, NDArray[np.float64] | NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class CurveTruth:
    """Truth of one photon-transfer curve. ``noise_e`` is all read-out noise, quantisation apart; ``a00_per_e`` <= 0."""

    gain_e_per_adu: float
    a00_per_e: float
    noise_e: float
    is_conserving: bool = True
    """True: kernel of the simulated pixels, which sums to zero. False: a00 alone, the exponential model to the letter."""

    def kernel(self) -> Float64:
        """Return a_ij, 1/e, shape (5, 5)."""
        if self.is_conserving:
            return kernel(unit_shift().scaled(-self.a00_per_e))
        return exponential_kernel(self.a00_per_e)


def expected_variance_adu2(truth: CurveTruth, mean_adu: Float64) -> Float64:
    """Return the variance of a pixel between frames at these signals, ADU^2, quantisation (1/12) included."""
    g = truth.gain_e_per_adu
    photon = covariances_e2(truth.kernel(), g * mean_adu, 0)[..., 0, 0]
    return np.asarray((photon + truth.noise_e**2) / g**2 + 1.0 / 12.0)


def tile_pairs(
    truth: CurveTruth,
    levels_adu: Sequence[float],
    pairs: Sequence[int],
    geometry: Geometry,
    rng: np.random.Generator,
    *,
    illumination_rms: float = 0.015,
    source_drift: float = 0.003,
) -> Arrays:
    """Draw the pair statistics of one channel.

    Parameters
    ----------
    levels_adu
        Mean signal of each script column, ADU.
    pairs
        Number of pairs of each script column.
    geometry
        Frame whose tiles are drawn: it sets the number of pixels of a tile.
    illumination_rms
        Relative scatter of the illumination between tiles, fixed for the channel.
    source_drift
        Relative scatter of the source between exposures.

    Returns
    -------
    dict
        Columns of ``pair_tiles`` as arrays of equal length, one row per pair and tile: ``level`` (index of the script column),
        ``pair``, ``tile, x, y, width_px, height_px, n, mean_1_adu, mean_2_adu, mean_adu, mean_adu_err, variance_adu2,
        variance_adu2_err, excess_kurtosis, excess_kurtosis_err, corr_01, corr_01_err, corr_10, corr_10_err, n_clipped,
        n_saturated``. The signal stays below the full well: what lies above is not described.
    """
    level = np.repeat(np.arange(len(levels_adu)), pairs)
    light = 1.0 + illumination_rms * rng.standard_normal(len(tiles(geometry)))
    source = 1.0 + source_drift * rng.standard_normal((2, level.size))
    signal = np.asarray(levels_adu, np.float64)[level] * source
    # A pixel of the difference has the variance of the mean flux to first order in the drift.
    first, second = (part[:, None] * light for part in signal)
    return _sampled(truth, level, 0.5 * (first + second), first, second, geometry, rng)


def _sampled(
    truth: CurveTruth,
    level: NDArray[np.int64],
    mean_adu: Float64,
    first: Float64,
    second: Float64,
    geometry: Geometry,
    rng: np.random.Generator,
) -> Arrays:
    areas = tiles(geometry)
    shape = mean_adu.shape
    n = np.broadcast_to(np.array([tile.width * tile.height for tile in areas]), shape)
    g = truth.gain_e_per_adu
    covariance = covariances_e2(truth.kernel(), g * mean_adu, 2) / g**2
    covariance[..., 0, 0] += truth.noise_e**2 / g**2 + 1.0 / 12.0
    variance = covariance[..., 0, 0]
    rho = covariance / variance[..., None, None]
    sides = np.where(np.arange(3) == 0, 1.0, 2.0)
    correlated = np.einsum("...ij,i,j->...", rho**2, sides, sides)
    relative = np.sqrt(2.0 * correlated / (n - 1))
    drawn = variance * (1.0 + relative * rng.standard_normal(shape))
    mean_err = np.sqrt(variance / n)

    def noisy(centre: Float64, error: Float64) -> Float64:
        return np.asarray(centre + error * rng.standard_normal(shape))

    mean_1, mean_2 = noisy(first, mean_err), noisy(second, mean_err)
    corr_err, kurtosis_err = 1.0 / np.sqrt(n), np.sqrt(24.0 / n)
    columns = {
        "n": n,
        "mean_1_adu": mean_1,
        "mean_2_adu": mean_2,
        "mean_adu": 0.5 * (mean_1 + mean_2),
        "mean_adu_err": mean_err / np.sqrt(2.0),
        "variance_adu2": drawn,
        "variance_adu2_err": drawn * relative,
        "excess_kurtosis": noisy(np.zeros(shape), kurtosis_err),
        "excess_kurtosis_err": kurtosis_err,
        "corr_01": noisy(rho[..., 1, 0], corr_err),
        "corr_01_err": corr_err,
        "corr_10": noisy(rho[..., 0, 1], corr_err),
        "corr_10_err": corr_err,
        "n_clipped": np.zeros(shape, np.int64),
        "n_saturated": np.zeros(shape, np.int64),
    }
    per_tile = np.array([(t.index, t.x, t.y, t.width, t.height) for t in areas]).T
    names = ("tile", "x", "y", "width_px", "height_px")
    columns |= {name: np.broadcast_to(row, shape) for name, row in zip(names, per_tile, strict=True)}
    columns |= {"level": np.broadcast_to(level[:, None], shape)}
    columns |= {"pair": np.broadcast_to(np.arange(level.size)[:, None], shape)}
    return {name: np.ascontiguousarray(values).ravel() for name, values in columns.items()}
