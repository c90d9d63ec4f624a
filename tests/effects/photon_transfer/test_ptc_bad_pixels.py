"""Frames and pixels that are bad whatever the light: they cost what they spoil, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.closure.covariance_fit_truth import Truth
from tests.closure.ptc_truth import PTC02, TILE_PX, FullWell, Physics
from tests.effects.photon_transfer.ptc_covariance_frames import simulated_covariances
from tests.effects.photon_transfer.ptc_frames import CHANNELS, calibration_input, simulated_test
from vison_etl.effects.declare import Calibrated
from vison_etl.effects.photon_transfer.effect import EFFECT

PHYSICS = Physics(gain=3.4, a00=-1.2e-6, tail=None)
PLAN = {0.05: 3, 0.10: 3, 0.20: 3, 0.30: 3, 0.50: 3, 0.70: 3, 0.80: 3, 0.90: 3, 1.00: 2}
MINE = CHANNELS[:2]
MOMENTS = [
    f"{name}{suffix}" for name in ("mean_adu", "variance_adu2", "excess_kurtosis", "corr_01") for suffix in ("", "_err")
] + ["mean_1_adu", "mean_2_adu"]


@pytest.fixture(scope="module")
def tiles() -> pl.DataFrame:
    return simulated_test(231, PHYSICS, PLAN, channels=MINE)


@pytest.fixture(scope="module")
def covariances() -> pl.DataFrame:
    return simulated_covariances(232, Truth(gain=3.4, a00=-1.2e-6), PTC02, MINE[:1])


def calibrate(tiles: pl.DataFrame, covariances: pl.DataFrame | None = None) -> Calibrated:
    inputs = calibration_input(tiles)
    measured = {"pair_tiles": tiles} | ({} if covariances is None else {"pair_covariances": covariances})
    return EFFECT.calibrate(replace(inputs, measured=measured))


def gains(result: Calibrated, model: str = "exponential") -> pl.DataFrame:
    return result.tables["gain"].filter(pl.col("status") != "no_data", model=model)


def reasons(result: Calibrated, **where: object) -> list[str | None]:
    return result.tables["ptc_points"].filter(**where)["reject_reason"].unique(maintain_order=True).to_list()  # type: ignore[arg-type]


def of_pair(obsid: int) -> pl.Expr:
    return pl.col("obsid_1") == obsid


def blinded(tiles: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    """Return tiles of which every pixel is at 65535 in one of the frames."""
    return tiles.with_columns(
        [pl.when(where).then(None).otherwise(pl.col(name)).alias(name) for name in MOMENTS]
        + [
            pl.when(where).then(0).otherwise(pl.col("n")).alias("n"),
            pl.when(where).then(TILE_PX).otherwise(pl.col("n_saturated")).alias("n_saturated"),
        ]
    )


def too_bright(tiles: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    """Return tiles whose second frame is 25 % too bright, a third of its pixels saturated."""
    excess = {"mean_2_adu": 1.2, "mean_adu": 1.1, "variance_adu2": 0.6}
    return tiles.with_columns(
        [pl.when(where).then(pl.col(name) * by).otherwise(pl.col(name)).alias(name) for name, by in excess.items()]
        + [
            pl.when(where).then(TILE_PX // 3).otherwise(pl.col("n_saturated")).alias("n_saturated"),
            pl.when(where).then(2 * TILE_PX // 3).otherwise(pl.col("n")).alias("n"),
        ]
    )


def test_a_saturated_frame_costs_its_pair(tiles: pl.DataFrame) -> None:
    clean, found = calibrate(tiles), calibrate(blinded(tiles, of_pair(1026)))
    assert reasons(found, obsid_1=1026) == ["saturated"]
    assert reasons(found, obsid_1=1024) == [None]
    assert reasons(found, script_column="col006") == [None]
    np.testing.assert_array_equal(gains(found)["n_points"], gains(clean)["n_points"] - 36)
    np.testing.assert_allclose(gains(found)["gain_e_per_adu_err"], gains(clean)["gain_e_per_adu_err"], rtol=0.05)
    np.testing.assert_array_equal(gains(found)["turnoff_lower_adu"], gains(clean)["turnoff_lower_adu"])


@pytest.mark.parametrize("spoil", [blinded, too_bright])
def test_a_bad_pair_does_not_hide_the_turn_off(spoil) -> None:  # type: ignore[no-untyped-def]
    tiles = simulated_test(233, PHYSICS, PLAN, full_well=FullWell(50_000, 4000), channels=MINE)
    clean, found = calibrate(tiles), calibrate(spoil(tiles, of_pair(1036)))
    for result in (clean, found):
        assert (gains(result)["turnoff_lower_adu"] < 50_000).all()
        assert (gains(result)["turnoff_upper_adu"] > 50_000).all()
    assert reasons(found, obsid_1=1036) == [{blinded: "saturated", too_bright: "flux_mismatch"}[spoil]]
    assert reasons(found, obsid_1=1038) == ["above_turnoff"]


def hot(columns: int = 0, cluster: int = 0) -> pl.Expr:
    """Return saturated pixels of every frame: a column through six tiles, a cluster in one."""
    in_column = pl.when(pl.col("x") == 351).then(columns).otherwise(0)
    in_cluster = pl.when(pl.col("tile") == 20).then(cluster).otherwise(0)
    return pl.col("n_saturated") + in_column + in_cluster


@pytest.mark.parametrize("defects", [{"columns": 300}, {"cluster": 10}, {"columns": 600, "cluster": 400}])
def test_what_is_saturated_in_every_frame_does_no_harm(tiles: pl.DataFrame, defects: dict[str, int]) -> None:
    clean, found = calibrate(tiles), calibrate(tiles.with_columns(n_saturated=hot(**defects)))
    for name, frame in clean.tables.items():
        assert frame.equals(found.tables[name]), name
    assert found.flags == clean.flags


def test_single_hot_pixels_of_small_tiles_do_no_harm(tiles: pl.DataFrame) -> None:
    small = tiles.with_columns(width_px=42, height_px=42, n=pl.col("n").clip(0, 42 * 42))
    speckled = small.with_columns(n_saturated=pl.col("n_saturated") + (pl.col("tile") % 2))
    clean, found = gains(calibrate(small)), gains(calibrate(speckled))
    assert found["status"].unique().to_list() == ["ok"]
    # tiles with a hot pixel do not say where the ADC ends the curve, those without one do
    assert (found["n_points"] >= 0.95 * clean["n_points"]).all()
    assert (found["fit_max_adu"] >= 0.98 * clean["fit_max_adu"]).all()


def test_a_column_that_grows_with_light_costs_its_tiles_alone(tiles: pl.DataFrame) -> None:
    bleeding = hot(columns=300) + pl.when((pl.col("x") == 351) & (pl.col("mean_adu") > 3e4)).then(30).otherwise(0)
    clean, found = calibrate(tiles), calibrate(tiles.with_columns(n_saturated=bleeding))
    assert (gains(found)["fit_max_adu"] > 0.99 * gains(clean)["fit_max_adu"]).all()
    lost = gains(clean)["n_points"] - gains(found)["n_points"]
    assert lost.is_between(6 * 3 * 2, 6 * 3 * 4).all()


def test_covariances_of_quadrants_with_defects_count(covariances: pl.DataFrame) -> None:
    tiles = simulated_test(234, PHYSICS, PTC02, channels=MINE[:1])
    clean = calibrate(tiles, covariances)
    assert gains(clean, "covariance")["status"].to_list() == ["ok"]
    found = calibrate(
        tiles.with_columns(n_saturated=hot(columns=300, cluster=10)), covariances.with_columns(n_saturated=2076)
    )
    for name, frame in clean.tables.items():
        assert frame.equals(found.tables[name]), name


def test_a_pair_with_one_saturated_tile_is_saturated(covariances: pl.DataFrame) -> None:
    """Its covariances, means over the quadrant, do not count; there is no turn-off that it could be above."""
    tiles = simulated_test(234, PHYSICS, PTC02, channels=MINE[:1])
    one = of_pair(1008) & (pl.col("tile") == 5)
    found = calibrate(
        tiles.with_columns(n_saturated=pl.when(one).then(50).otherwise(pl.col("n_saturated"))), covariances
    )
    adopted = found.tables["gain"].filter(pl.col("is_adopted"), pl.col("status") != "no_data")
    assert adopted["model"].to_list() == ["covariance"]
    assert adopted["turnoff_adu"].to_list() == [None]
    assert reasons(found, obsid_1=1008) == ["saturated"]
    assert reasons(found, obsid_1=1010) == [None]
