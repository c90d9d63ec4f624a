"""Rows of ``pair_covariances`` of simulated channels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from tests.closure.covariance_fit_truth import PTC01, REACH, Sample, Truth, simulate
from tests.effects.photon_transfer.ptc_frames import CHANNELS, Key

LAGS = [(x, y) for x in range(REACH) for y in range(-REACH + 1 if x else 0, REACH)]


def covariance_frame(key: Key, found: Sample, n_cells_out: int = 0) -> pl.DataFrame:
    """Return the rows of one channel; exposures are numbered as in `ptc_frames`."""
    pairs = found.mean_adu.size
    x, y = np.array(LAGS).T
    half = np.zeros((pairs, REACH, REACH))
    half[:, 1:, 1:] = 0.5 * found.difference_adu2
    value = (found.covariance_adu2[:, x, abs(y)] + np.sign(y) * half[:, x, abs(y)]).ravel()
    n = found.n[:, x, abs(y)].ravel()
    variance = np.repeat(found.covariance_adu2[:, 0, 0], len(LAGS))
    twice = np.where((x == 0) & (y == 0), 2.0, 1.0)

    def each(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, len(LAGS))

    return pl.DataFrame(
        {
            "script_column": each(np.array([f"col{level + 1:03d}" for level in found.level])),
            "obsid_1": each(1000 + 2 * np.arange(pairs)),
            "obsid_2": each(1001 + 2 * np.arange(pairs)),
            "ccd": key[0],
            "quadrant": key[1],
            "lag_x": np.tile(x, pairs),
            "lag_y": np.tile(y, pairs),
            "mean_1_adu": each(found.mean_adu * (1.0 + found.imbalance)),
            "mean_2_adu": each(found.mean_adu * (1.0 - found.imbalance)),
            "mean_adu": each(found.mean_adu),
            "mean_adu_err": each(np.sqrt(found.covariance_adu2[:, 0, 0] / 2.0 / found.n[:, 0, 0])),
            "spread_adu": each(found.spread_adu),
            "covariance_adu2": value,
            "covariance_adu2_err": variance * np.sqrt(np.tile(twice, pairs) / n),
            "n": n.astype(np.int64),
            "n_clipped": 0,
            "n_saturated": 0,
            "n_cells_out": n_cells_out,
        }
    )


def simulated_covariances(
    seed: int, truth: Truth, plan: Mapping[float, int] = PTC01, channels: tuple[Key, ...] = CHANNELS
) -> pl.DataFrame:
    """Return ``pair_covariances`` of channels from independent streams of random numbers."""
    streams = np.random.default_rng(seed).spawn(len(channels))
    return pl.concat(
        covariance_frame(key, simulate(rng, truth, plan)) for key, rng in zip(channels, streams, strict=True)
    )
