from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.closure.ptc_truth import PTC02, FullWell, Physics
from tests.effects.photon_transfer.ptc_frames import CHANNELS, calibration_input, simulated_test
from tests.pulls import assert_pulls
from vison_etl.effects.declare import Calibrated
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.tables import table

ENGINE = {"run_id", "block", "test", "acquisition"}
EXACT = Physics(gain=3.4, a00=-1.2e-6, tail=None)


def calibrate(tiles: pl.DataFrame, **parameters: float) -> Calibrated:
    return EFFECT.calibrate(calibration_input(tiles, **parameters))


def names(result: Calibrated) -> set[str]:
    return {flag.name for flag in result.flags}


@pytest.fixture(scope="module")
def tiles() -> pl.DataFrame:
    return simulated_test(31, EXACT)


@pytest.fixture(scope="module")
def result(tiles: pl.DataFrame) -> Calibrated:
    return calibrate(tiles)


def test_tables_are_those_declared(result: Calibrated) -> None:
    assert set(result.tables) == set(EFFECT.tables)
    for name, frame in result.tables.items():
        definition = table(name)
        assert frame.columns == [column for column in definition.names if column not in ENGINE]
        keys = [key for key in definition.keys if key not in ENGINE]
        assert frame.select(keys).is_duplicated().sum() == 0
        assert frame.select(keys).null_count().row(0) == (0,) * len(keys)
        assert frame.select(pl.col(pl.Float64).is_nan().sum()).sum_horizontal().item() == 0


def test_gains_are_recovered_with_their_errors(result: Calibrated) -> None:
    gain = result.tables["gain"].filter(model="exponential")
    assert gain.height == 12
    for column, truth in (("gain_e_per_adu", 3.4), ("a00_per_e", -1.2e-6), ("n00_adu2", EXACT.n00_adu2)):
        assert_pulls(gain[column], gain[f"{column}_err"], truth)
    assert gain["status"].unique().to_list() == ["ok"]
    assert gain["wavelength_nm"].unique().to_list() == [800.0]
    assert gain["level_dof"].to_list() == [6] * 12
    assert result.flags == ()


def test_without_prescans_the_curve_alone_tells_the_intercept(tiles: pl.DataFrame, result: Calibrated) -> None:
    none = pl.lit(None, pl.Float64)
    bare = calibrate(tiles.with_columns(noise_variance_adu2=none, noise_variance_adu2_err=none)).tables["gain"]
    off = calibrate(tiles, noise_prior_fraction=-1.0).tables["gain"]
    assert bare.equals(off)
    free, known = bare.filter(model="exponential"), result.tables["gain"].filter(model="exponential")
    assert free["status"].unique().to_list() == ["ok"]
    assert free["level_dof"].to_list() == [5] * 12
    np.testing.assert_array_equal(free["dof"] + 1, known["dof"])
    assert (known["gain_e_per_adu_err"] < 0.6 * free["gain_e_per_adu_err"]).all()
    np.testing.assert_allclose(known["n00_adu2_err"], 0.05 * known["n00_adu2"], rtol=0.05)
    assert off.filter(model="quadratic").equals(result.tables["gain"].filter(model="quadratic"))


def test_one_model_per_channel_is_adopted_and_never_the_quadratic(result: Calibrated) -> None:
    adopted = result.tables["gain"].filter("is_adopted")
    assert sorted(adopted.select("ccd", "quadrant").rows()) == sorted(CHANNELS)
    assert adopted["model"].unique().to_list() == ["exponential"]
    assert result.tables["gain"].group_by("model").len().sort("model").rows() == [
        ("covariance", 12),
        ("exponential", 12),
        ("quadratic", 12),
    ]


def test_points_are_the_means_of_their_tiles(result: Calibrated, tiles: pl.DataFrame) -> None:
    points = result.tables["ptc_points"]
    assert points.height == 12 * 46
    one = points.filter(ccd="CCD2", quadrant="G", pair=17).row(0, named=True)
    mine = tiles.filter(ccd="CCD2", quadrant="G", obsid_1=one["obsid_1"])
    assert (one["obsid_1"], one["obsid_2"], one["script_column"]) == (1034, 1035, "col004")
    assert one["mean_adu"] == pytest.approx(mine["mean_adu"].mean())
    assert one["variance_adu2"] == pytest.approx(mine["variance_adu2"].mean())
    assert one["variance_adu2_err"] == pytest.approx(mine["variance_adu2_err"].mean() / 6, rel=0.01)
    assert (one["used"], one["reject_reason"], one["n_tiles"], one["n_tiles_used"]) == (True, None, 36, 36)
    reasons = points.group_by("script_column").agg(pl.col("reject_reason").unique(), pl.col("used").any())
    assert {row[0]: row[2] for row in reasons.rows()} == {f"col{i:03d}": i < 9 for i in range(1, 12)}
    assert points.filter(~pl.col("used"))["reject_reason"].unique().to_list() == ["saturated"]


def test_turnoff_reaches_the_tables() -> None:
    result = calibrate(simulated_test(32, EXACT, full_well=FullWell(46_000)))
    gain = result.tables["gain"].filter(model="exponential")
    assert (gain["turnoff_lower_adu"] < 46_500).all()
    assert (gain["turnoff_upper_adu"] > 46_000).all()
    np.testing.assert_allclose(gain["turnoff_e"], gain["turnoff_adu"] * gain["gain_e_per_adu"])
    assert (gain["fit_max_adu"] < 46_000).all()
    above = result.tables["ptc_points"].filter(script_column="col007")
    assert above["reject_reason"].unique().to_list() == ["above_turnoff"]
    assert not above["used"].any()
    assert abs(gain["gain_e_per_adu"].mean() - 3.4) < 3.3 * gain["gain_e_per_adu_err"].mean() / np.sqrt(12)
    assert "BADFIT" not in names(result)


def test_turnoff_not_reached_is_null_with_its_lower_bound(result: Calibrated) -> None:
    gain = result.tables["gain"]
    for column in ("turnoff_adu", "turnoff_adu_err", "turnoff_upper_adu", "turnoff_e", "turnoff_e_err"):
        assert gain[column].null_count() == gain.height
    assert gain["turnoff_lower_adu"].is_between(57_000, 61_000).all()


def test_pairs_of_unequal_flux_are_left_out(tiles: pl.DataFrame) -> None:
    pale = (
        pl.when(pl.col("obsid_1").is_in([1004, 1040])).then(pl.col("mean_2_adu") * 0.85).otherwise(pl.col("mean_2_adu"))
    )
    result = calibrate(tiles.with_columns(mean_2_adu=pale))
    left_out = result.tables["ptc_points"].filter(reject_reason="flux_mismatch")
    assert sorted(left_out["obsid_1"].unique().to_list()) == [1004, 1040]
    assert left_out.height == 24
    assert not left_out["used"].any()
    assert result.tables["gain"].filter(model="exponential")["n_points"].max() == 36 * 38


def test_pairs_with_few_tiles_are_left_out(tiles: pl.DataFrame) -> None:
    few = tiles.with_columns(
        n=pl.when((pl.col("obsid_1") == 1004) & (pl.col("tile") > 7)).then(3).otherwise(pl.col("n"))
    )
    points = calibrate(few).tables["ptc_points"].filter(obsid_1=1004)
    assert points["reject_reason"].unique().to_list() == ["too_few_tiles"]
    assert points["n_tiles"].unique().to_list() == [8]


def test_outliers_are_counted(tiles: pl.DataFrame) -> None:
    hit = (pl.col("tile") == 5) & pl.col("obsid_1").is_between(1010, 1018) & (pl.col("quadrant") == "F")
    shaken = tiles.with_columns(
        variance_adu2=pl.when(hit).then(pl.col("variance_adu2") * 1.3).otherwise("variance_adu2")
    )
    gain = calibrate(shaken).tables["gain"].filter(model="exponential")
    assert gain.filter(quadrant="F")["n_outliers"].to_list() == [5, 5, 5]
    assert gain.filter(pl.col("quadrant") != "F")["n_outliers"].sum() == 0


def test_a_channel_without_data_has_its_rows() -> None:
    result = calibrate(simulated_test(33, EXACT, PTC02, channels=CHANNELS[:7]))
    gain = result.tables["gain"].filter(ccd="CCD3", quadrant="H")
    assert gain["status"].to_list() == ["no_data"] * 3
    assert gain["gain_e_per_adu"].to_list() == [None] * 3
    assert gain["is_adopted"].to_list() == [False, True, False]
    assert gain["n_points"].to_list() == [0] * 3
    flag = next(flag for flag in result.flags if flag.name == "NO_PAIRS")
    assert flag.n == 5
    assert "CCD3 H" in flag.detail


def test_no_tiles_at_all_is_no_error(tiles: pl.DataFrame) -> None:
    result = calibrate(tiles.clear())
    assert result.tables["gain"].height == 36
    assert result.tables["ptc_points"].height == 0
    assert names(result) == {"NO_PAIRS"}


def test_excluded_frames_take_their_pair_with_them(tiles: pl.DataFrame) -> None:
    inputs = calibration_input(tiles)
    fewer = inputs.statistics.filter(
        ~((pl.col("obsid") == 1011) & (pl.col("ccd") == "CCD1") & (pl.col("quadrant") == "E"))
    )
    changed = type(inputs)(**{name: getattr(inputs, name) for name in inputs.__slots__} | {"statistics": fewer})
    points = EFFECT.calibrate(changed).tables["ptc_points"].filter(obsid_1=1010)
    assert points.height == 11
    assert points.filter(ccd="CCD1", quadrant="E").is_empty()


def test_a_dead_channel_fails_without_taking_the_others_with_it(tiles: pl.DataFrame) -> None:
    dead = (pl.col("ccd") == "CCD2") & (pl.col("quadrant") == "E")
    constant = tiles.with_columns(
        variance_adu2=pl.when(dead).then(1.6 + 0.001 * (pl.col("obsid_1") % 7)).otherwise("variance_adu2"),
        variance_adu2_err=pl.when(dead).then(0.01).otherwise("variance_adu2_err"),
        mean_adu=pl.when(dead).then(0.01 * pl.col("tile") - 0.1).otherwise("mean_adu"),
        mean_1_adu=pl.when(dead).then(0.0).otherwise("mean_1_adu"),
        mean_2_adu=pl.when(dead).then(0.0).otherwise("mean_2_adu"),
    )
    result = calibrate(constant)
    gain = result.tables["gain"].filter(model="exponential")
    assert gain.filter(dead)["status"].item() == "failed"
    assert gain.filter(dead)["is_adopted"].item()
    assert gain.filter(~dead)["status"].unique().to_list() == ["ok"]
    flag = next(flag for flag in result.flags if flag.name == "BADFIT")
    assert flag.n == 1
    assert "CCD2 E: exponential failed" in flag.detail
    unused = result.tables["ptc_points"].filter(dead, n_tiles=36)
    assert unused["reject_reason"].unique().to_list() == ["no_fit"]


def test_scatter_beyond_the_errors_is_a_bad_fit(tiles: pl.DataFrame) -> None:
    noise = np.random.default_rng(34).standard_normal(tiles.height)
    shaken = tiles.with_columns(variance_adu2=pl.col("variance_adu2") * (1 + 0.004 * pl.Series(noise)))
    result = calibrate(shaken)
    assert names(result) == {"BADFIT"}
    assert result.flags[0].n == 12


def test_parameters_are_obeyed(tiles: pl.DataFrame) -> None:
    gain = calibrate(tiles, quadratic_high_adu=2e4).tables["gain"].filter(model="quadratic")
    assert gain["fit_max_adu"].max() <= 2e4
    strict = calibrate(tiles, flux_mismatch_max=0.0).tables["ptc_points"]
    assert strict["reject_reason"].eq("flux_mismatch").sum() > 300
