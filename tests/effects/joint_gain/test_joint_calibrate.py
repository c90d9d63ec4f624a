from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from tests.closure import covariance_fit_truth, ptc_truth
from tests.closure.covariance_fit_truth import Truth
from tests.closure.ptc_truth import Physics
from tests.effects.photon_transfer.ptc_covariance_frames import simulated_covariances
from tests.effects.photon_transfer.ptc_frames import CHANNELS, calibration_input, simulated_test
from tests.pulls import assert_pulls
from vison_etl.effects.declare import Calibrated
from vison_etl.effects.joint_gain.effect import EFFECT

A00 = {"PTC01": -1.2e-6, "PTC02_590": -1.3e-6, "PTC02_880": -1.0e-6}
NM = {"PTC01": 800.0, "PTC02_590": 590.0, "PTC02_880": 880.0}
SOME = CHANNELS[:5]


def frames(test: str, gain: float, shift: int) -> dict[str, pl.DataFrame]:
    """Return tables of one test; exposures start at 1000 + ``shift``."""
    plans = (
        (ptc_truth.PTC01, covariance_fit_truth.PTC01)
        if test == "PTC01"
        else (ptc_truth.PTC02, covariance_fit_truth.PTC02)
    )
    made = {
        "pair_tiles": simulated_test(231 + shift, Physics(gain=gain, a00=A00[test]), plans[0], channels=SOME),
        "pair_covariances": simulated_covariances(
            232 + shift, Truth(gain=gain, a00=A00[test], power=2.5), plans[1], channels=SOME
        ),
    }
    moved = [(pl.col(name) + shift).alias(name) for name in ("obsid_1", "obsid_2")]
    return {name: frame.with_columns(*moved, test=pl.lit(test)) for name, frame in made.items()}


def calibrate(gains: Mapping[str, float]) -> Calibrated:
    parts = [frames(test, gain, 1000 * k) for k, (test, gain) in enumerate(gains.items())]
    measured = {name: pl.concat([part[name] for part in parts]) for name in parts[0]}
    inputs = calibration_input(measured["pair_tiles"])
    light = (
        measured["pair_tiles"]
        .unpivot(["obsid_1", "obsid_2"], index="test", value_name="obsid")
        .unique(["test", "obsid"])
    )
    statistics = inputs.statistics.join(light.select("test", "obsid"), on="obsid").with_columns(
        wavelength_nm=pl.col("test").replace_strict(NM)
    )
    changes = {"measured": measured, "statistics": statistics, "parameters": EFFECT.parameters, "test": "PTC_JOINT"}
    return EFFECT.calibrate(type(inputs)(**{name: getattr(inputs, name) for name in inputs.__slots__} | changes))


@pytest.fixture(scope="module")
def result() -> Calibrated:
    return calibrate(dict.fromkeys(A00, 3.4))


def test_one_gain_and_the_coefficients_of_each_colour(result: Calibrated) -> None:
    gain = result.tables["joint_gain"].filter(status="ok")
    assert gain.height == len(SOME)
    assert_pulls(gain["gain_e_per_adu"], gain["gain_e_per_adu_err"], 3.4)
    assert_pulls(gain["n00_adu2"], gain["n00_adu2_err"], Truth().n00_adu2)
    assert gain["n_tests"].unique().to_list() == [3]
    assert gain["dof"].unique().to_list() == [2]
    assert gain["p_value"].min() > 1e-4
    tests = result.tables["joint_gain_tests"].drop_nulls("gain_e_per_adu")
    assert tests.height == 3 * len(SOME)
    truth = tests["source_test"].replace_strict(A00)
    assert_pulls(tests["a00_per_e"], tests["a00_per_e_err"], truth)
    assert_pulls(tests["a01_per_e"], tests["a01_per_e_err"], -0.14 * truth.to_numpy())
    assert tests.select("source_test", "wavelength_nm").unique().sort("source_test").rows() == sorted(NM.items())
    best = tests.group_by("ccd", "quadrant").agg(pl.col("gain_e_per_adu_err").min().alias("best"))
    assert (
        gain.join(best, on=["ccd", "quadrant"]).select(pl.col("gain_e_per_adu_err") < pl.col("best")).to_series()
    ).all()


def test_channels_without_data_have_their_rows(result: Calibrated) -> None:
    missing = result.tables["joint_gain"].filter(status="no_data")
    assert missing.height == 12 - len(SOME)
    assert missing["gain_e_per_adu"].null_count() == missing.height
    assert [(flag.name, flag.n) for flag in result.flags] == [("NO_PAIRS", 12 - len(SOME))]


def test_gains_that_differ_raise_a_flag() -> None:
    found = calibrate({"PTC01": 3.4, "PTC02_590": 3.4 * 1.005})
    flag = next(flag for flag in found.flags if flag.name == "BADFIT")
    assert flag.n == len(SOME)
    assert "gains differ" in flag.detail
    ratio = (
        found.tables["joint_gain_tests"]
        .drop_nulls("gain_e_per_adu")
        .group_by("source_test")
        .agg(pl.col("gain_e_per_adu").mean())
        .sort("source_test")["gain_e_per_adu"]
    )
    assert ratio[1] / ratio[0] == pytest.approx(1.005, abs=0.002)
    np.testing.assert_array_less(found.tables["joint_gain"].drop_nulls("p_value")["p_value"].to_numpy(), 1e-4)
