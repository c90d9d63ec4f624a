"""Channels whose full well, or that of a part of them, lies far below what the ADC can hold: tiles and covariances that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from tests.closure.covariance_fit_truth import REACH, Sample, Truth, simulate
from tests.closure.ptc_truth import TILES, FullWell, Physics, simulate_tiles
from tests.effects.photon_transfer.ptc_covariance_frames import covariance_frame
from tests.effects.photon_transfer.ptc_frames import CHANNELS, tile_frame

TRUTH = Truth(a00=-1.5e-6)
TWELVE = {
    0.03: 3,
    0.06: 3,
    0.10: 3,
    0.14: 3,
    0.18: 3,
    0.22: 3,
    0.26: 3,
    0.30: 3,
    0.34: 3,
    0.38: 3,
    0.48: 3,
    0.60: 3,
    0.75: 3,
}
"""Levels of full scale and pairs of each; ten below 40 %, twelve below 60 %."""


def spoiled(clean: Sample, signal_adu: np.ndarray, wells: FullWell) -> Sample:
    """Return covariances of a quadrant whose tiles, at signals of shape (pairs, 36), are above their full wells.

    The mean over the tiles: the variance of each falls as that of `simulate_tiles`, and its correlation with the +y neighbour grows.
    """
    excess = np.maximum(signal_adu - wells.adu, 0.0)
    left = np.exp(-excess / wells.fall_adu)
    value = clean.covariance_adu2.copy()
    value[:, 0, 1] += value[:, 0, 0] * np.mean(left * wells.correlation_per_kadu * excess / 1e3, axis=1)
    value[:, 0, 0] *= left.mean(axis=1)
    return replace(clean, covariance_adu2=value)


def low_channels(
    seed: int, wells: np.ndarray, plan: Mapping[float, int], *, cells_out: int | None = None, fall_adu: float = 8000.0
) -> dict[str, pl.DataFrame]:
    """Return ``pair_tiles`` and ``pair_covariances`` of channels, wells of shape (channels, 36) or (channels, 1), ADU.

    ``cells_out``: of 64 cells, left out of the covariances of pairs in which a tile spills but the others do not, which then are clean;
    None: nothing is left out.
    """
    tiles, covariances = [], []
    streams = np.random.default_rng(seed).spawn(2 * len(wells))
    physics = Physics(gain=TRUTH.gain, a00=TRUTH.a00, ron_adu=TRUTH.ron_adu)
    for key, mine, first, second in zip(CHANNELS, wells, streams[::2], streams[1::2], strict=False):
        of_tiles = np.broadcast_to(mine, TILES)
        n_pairs = sum(plan.values())
        found = simulate_tiles(
            first, physics, dict(plan), full_well=FullWell(np.tile(of_tiles, n_pairs), fall_adu), prescan_error=0.05
        )
        tiles.append(tile_frame(key, found))
        clean = simulate(second, TRUTH, plan)
        signal = np.nan_to_num(found.mean, nan=9e4).reshape(n_pairs, TILES)
        spilling = signal > of_tiles
        covered = clean
        is_part = spilling.any(axis=1) & (spilling.mean(axis=1) <= 0.25)
        if cells_out is not None:
            scale = np.where(is_part, 1.0 - cells_out / 64.0, 1.0)[:, None, None]
            covered = replace(clean, n=clean.n * scale)
        bad = spoiled(covered, signal, FullWell(of_tiles, fall_adu))
        if cells_out is not None:
            value = np.where(is_part[:, None, None], covered.covariance_adu2, bad.covariance_adu2)
            bad = replace(bad, covariance_adu2=value)
        rows = covariance_frame(key, bad).with_columns(
            n_cells_out=np.repeat(is_part * (cells_out or 0), REACH * (2 * REACH - 1) - REACH + 1)
        )
        covariances.append(rows)
    return {"pair_tiles": pl.concat(tiles), "pair_covariances": pl.concat(covariances)}
