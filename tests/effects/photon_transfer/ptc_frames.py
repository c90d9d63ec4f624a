"""Tables of a simulated test, as the engine hands them to the calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from tests.closure.ptc_truth import PTC01, TILE_PX, FullWell, Physics, Tiles, simulate_tiles
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.tables import CCDS, QUADRANTS

Key = tuple[str, str]
CHANNELS: tuple[Key, ...] = tuple((ccd, quadrant) for ccd in CCDS for quadrant in QUADRANTS)


def tile_frame(key: Key, found: Tiles, n_px: int = TILE_PX) -> pl.DataFrame:
    """Return the rows of ``pair_tiles`` of one channel; NaN is NULL."""
    side = int(np.sqrt(n_px))
    return pl.DataFrame(
        {
            "script_column": [f"col{level + 1:03d}" for level in found.level],
            "obsid_1": 1000 + 2 * found.pair,
            "obsid_2": 1001 + 2 * found.pair,
            "ccd": key[0],
            "quadrant": key[1],
            "tile": np.arange(found.pair.size) % 36,
            "x": 51 + np.arange(found.pair.size) % 36 // 6 * side,
            "y": found.y,
            "width_px": np.full(found.pair.size, side),
            "height_px": np.full(found.pair.size, n_px // side),
            "n": found.n,
            "mean_1_adu": found.mean_1,
            "mean_2_adu": found.mean_2,
            "mean_adu": found.mean,
            "mean_adu_err": np.sqrt(found.variance / 2 / n_px),
            "variance_adu2": found.variance,
            "variance_adu2_err": found.variance_err,
            "excess_kurtosis": found.kurtosis,
            "excess_kurtosis_err": found.kurtosis_err,
            "corr_01": found.correlation,
            "corr_01_err": found.correlation_err,
            "n_saturated": found.n_saturated,
            "noise_variance_adu2": found.noise,
            "noise_variance_adu2_err": found.noise_err,
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))


def simulated_test(
    seed: int,
    physics: Physics,
    plan: Mapping[float, int] = PTC01,
    *,
    full_well: FullWell | None = None,
    channels: tuple[Key, ...] = CHANNELS,
) -> pl.DataFrame:
    """Return ``pair_tiles`` of all channels of a test, from independent streams of random numbers.

    The prescans differ from the image by as much as the calibration expects.
    """
    fraction = float(EFFECT.parameters["noise_prior_fraction"])
    streams = np.random.default_rng(seed).spawn(len(channels))
    return pl.concat(
        tile_frame(key, simulate_tiles(rng, physics, dict(plan), full_well=full_well, prescan_error=fraction))
        for key, rng in zip(channels, streams, strict=True)
    )


def calibration_input(tiles: pl.DataFrame, **parameters: float) -> CalibrationInput:
    """Return what the engine would hand over, all exposures of ``tiles`` in use."""
    obsids = pl.concat([tiles[name] for name in ("obsid_1", "obsid_2")]).unique().sort()
    channels = pl.DataFrame(CHANNELS, schema=["ccd", "quadrant"], orient="row")
    statistics = pl.DataFrame({"obsid": obsids}).join(channels, how="cross")
    return CalibrationInput(
        test="PTC01",
        wavelength_nm=800.0,
        parameters={**EFFECT.parameters, **parameters},
        exposures=statistics.select("obsid", "ccd").unique(),
        statistics=statistics,
        measured={"pair_tiles": tiles},
        gain=None,
    )
