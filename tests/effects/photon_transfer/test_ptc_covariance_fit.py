from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl
import pytest

from tests.closure.covariance_fit_truth import REACH, Truth
from tests.closure.ptc_truth import FullWell, Physics
from tests.effects.photon_transfer.ptc_covariance_frames import simulated_covariances
from tests.effects.photon_transfer.ptc_frames import calibration_input, simulated_test
from tests.pulls import assert_pulls
from vison_etl.effects.declare import Calibrated
from vison_etl.effects.photon_transfer import charts
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.report import theme

TRUTH = Truth(gain=3.4, a00=-1.2e-6, power=2.5)
SAME = Physics(gain=3.4, a00=-1.2e-6, tail=2.5)
CCD2F = (pl.col("ccd") == "CCD2") & (pl.col("quadrant") == "F")


@pytest.fixture(scope="module")
def tiles() -> pl.DataFrame:
    return simulated_test(131, SAME)


@pytest.fixture(scope="module")
def covariances() -> pl.DataFrame:
    return simulated_covariances(132, TRUTH)


def calibrate(tiles: pl.DataFrame, covariances: pl.DataFrame, **parameters: float) -> Calibrated:
    inputs = calibration_input(tiles, **parameters)
    both = {**inputs.measured, "pair_covariances": covariances}
    changed = type(inputs)(**{name: getattr(inputs, name) for name in inputs.__slots__} | {"measured": both})
    return EFFECT.calibrate(changed)


@pytest.fixture(scope="module")
def result(tiles: pl.DataFrame, covariances: pl.DataFrame) -> Calibrated:
    return calibrate(tiles, covariances)


def test_the_covariance_fit_is_adopted_where_it_is_good(result: Calibrated) -> None:
    gain = result.tables["gain"].filter("is_adopted")
    assert gain["model"].to_list() == ["covariance"] * 12
    assert gain["status"].unique().to_list() == ["ok"]
    assert_pulls(gain["gain_e_per_adu"], gain["gain_e_per_adu_err"], 3.4)
    assert_pulls(gain["a00_per_e"], gain["a00_per_e_err"], -1.2e-6)
    # of the eighth level some pairs have saturated tiles
    assert gain["n_points"].is_between(36, 40).all()
    assert gain["fit_max_adu"].is_between(55_000, 62_000).all()
    assert result.flags == ()
    used = result.tables["ptc_points"].group_by("script_column").agg(pl.col("used").mean()).sort("script_column")
    assert (used["used"][:7] > 0.95).all()
    assert (used["used"][8:] == 0).all()


def test_its_tables(result: Calibrated) -> None:
    coefficients = result.tables["bfe_coefficients"]
    assert coefficients.height == 12 * REACH**2
    truth = {(0, 0): -1.2e-6, (0, 1): 0.14 * 1.2e-6, (1, 0): 0.06 * 1.2e-6, (1, 1): 0.02 * 1.2e-6}
    for (x, y), value in truth.items():
        one = coefficients.filter(lag_x=x, lag_y=y)
        assert_pulls(one["a_per_e"], one["a_per_e_err"], value)
        assert_pulls(one["c_per_e2"], one["c_per_e2_err"], 0.0)
    at_zero = coefficients.filter(lag_x=0, lag_y=0)
    assert_pulls(at_zero["noise_e2"], at_zero["noise_e2_err"], TRUTH.n00_adu2 * 3.4**2)
    means = result.tables["covariances"]
    assert means.height == 12 * 8 * REACH**2
    # eight levels less three parameters per lag
    assert means["residual_sigma"].std() == pytest.approx(np.sqrt(5 / 8), abs=0.03)
    assert means["used"].all()
    assert means["n_pairs"].is_between(2, 5).all()
    fluence = result.tables["gain_vs_fluence"]
    assert fluence.height == 12 * 8
    assert fluence["model"].unique().to_list() == ["covariance"]
    np.testing.assert_allclose(fluence["gain_e_per_adu"], 3.4, rtol=0.005)


def test_fits_with_and_without_c_and_the_sum_rule(result: Calibrated) -> None:
    fits = result.tables["covariance_fits"]
    assert fits.height == 24
    free, zero = fits.filter(variant="c_free"), fits.filter(variant="c_zero")
    assert free["is_chosen"].all()
    assert not zero["is_chosen"].any()
    assert ((zero["gain_e_per_adu_err"] / free["gain_e_per_adu_err"]).is_between(0.5, 0.8)).all()
    for rows in (free, zero):
        assert ((rows["a_total_per_e"] / rows["a_total_per_e_err"]).abs() < 3.5).all()
    # the lags measured alone have a tail missing, which the fit with c = 0 is precise enough to see
    assert (zero["a_inner_per_e"] / zero["a_inner_per_e_err"]).mean() < -3
    total = fits["symmetry_chi2"][::2].sum()
    assert abs(total - 12 * 64) < 3.3 * np.sqrt(2 * 12 * 64)


def test_without_covariances_the_exponential_stays(tiles: pl.DataFrame, covariances: pl.DataFrame) -> None:
    result = calibrate(tiles, covariances.clear())
    gain = result.tables["gain"]
    assert gain.filter(model="covariance")["status"].to_list() == ["no_data"] * 12
    assert gain.filter(model="covariance")["gain_e_per_adu"].null_count() == 12
    assert gain.filter("is_adopted")["model"].to_list() == ["exponential"] * 12
    assert result.flags == ()
    assert result.tables["covariances"].height == result.tables["bfe_coefficients"].height == 0
    fluence = result.tables["gain_vs_fluence"].filter("used")
    assert fluence["model"].unique().to_list() == ["exponential"]
    np.testing.assert_allclose(fluence["gain_e_per_adu"], 3.4, rtol=0.01)


def test_a_bad_covariance_fit_is_flagged_and_not_adopted(tiles: pl.DataFrame, covariances: pl.DataFrame) -> None:
    wrong = (pl.col("script_column") == "col005") & CCD2F & (pl.col("lag_x") == 2) & (pl.col("lag_y") == 0)
    shaken = covariances.with_columns(
        covariance_adu2=pl.when(wrong).then(pl.col("covariance_adu2") + 30.0).otherwise("covariance_adu2")
    )
    result = calibrate(tiles, shaken)
    gain = result.tables["gain"]
    assert gain.filter(CCD2F, pl.col("is_adopted"))["model"].to_list() == ["exponential"]
    assert gain.filter(~CCD2F, pl.col("is_adopted"))["model"].unique().to_list() == ["covariance"]
    assert [(flag.name, flag.n) for flag in result.flags] == [("BADFIT", 1)]
    assert "CCD2 F: covariance chi2" in result.flags[0].detail


def test_outlying_pairs_are_left_out(tiles: pl.DataFrame, covariances: pl.DataFrame) -> None:
    hit = (pl.col("obsid_1") == 1032) & CCD2F & (pl.col("lag_x") == 0) & (pl.col("lag_y") == 1)
    shaken = covariances.with_columns(
        covariance_adu2=pl.when(hit).then(pl.col("covariance_adu2") * 1.6).otherwise("covariance_adu2")
    )
    result = calibrate(tiles, shaken)
    point = result.tables["ptc_points"].filter(CCD2F, obsid_1=1032)
    assert point["reject_reason"].to_list() == ["outlier"]
    assert result.tables["gain"].filter(CCD2F, model="covariance")["n_outliers"].item() >= 1


def test_pairs_above_the_turnoff_or_incomplete_or_saturated_do_not_count(covariances: pl.DataFrame) -> None:
    missing = (pl.col("obsid_1") == 1010) & (pl.col("lag_x") == 3) & (pl.col("lag_y") == -2)
    saturated = pl.when(pl.col("obsid_1") == 1020).then(100_000).otherwise(0)
    result = calibrate(
        simulated_test(133, SAME, full_well=FullWell(46_000)),
        covariances.filter(~missing).with_columns(n_saturated=saturated),
    )
    points = result.tables["ptc_points"]
    assert points.filter(script_column="col007")["reject_reason"].unique().to_list() == ["above_turnoff"]
    for obsid in (1010, 1020):
        assert points.filter(obsid_1=obsid)["reject_reason"].unique().to_list() == ["no_covariances"]
    gain = result.tables["gain"].filter(model="covariance")
    assert (gain["fit_max_adu"] < 46_000).all()
    assert_pulls(gain["gain_e_per_adu"], gain["gain_e_per_adu_err"], 3.4)
    high = result.tables["covariances"].filter(script_column="col007")
    assert not high["used"].any()


def test_holding_c_and_fewer_lags(tiles: pl.DataFrame, covariances: pl.DataFrame) -> None:
    result = calibrate(tiles, covariances, covariance_c_is_free=False, covariance_lags=5)
    coefficients = result.tables["bfe_coefficients"]
    assert coefficients.height == 12 * 25
    assert coefficients["c_per_e2"].null_count() == coefficients.height
    fits = result.tables["covariance_fits"].filter("is_chosen")
    assert fits["variant"].to_list() == ["c_zero"] * 12


def test_figures_of_covariances(result: Calibrated, tiles: pl.DataFrame) -> None:
    figures = {figure.key: figure for figure in charts.charts({**result.tables, "pair_tiles": tiles})}
    drawn = {"gain_vs_fluence", "covariance_vs_signal", "bfe_maps", "bfe_radial", "bfe_sum"}
    assert drawn <= set(figures)
    for key in drawn:
        with alt.theme.enable(theme.NAME):
            spec = figures[key].chart.to_dict(validate=True)
        assert all(len(rows) < 5000 for rows in spec["datasets"].values())
    # residuals about the curve of the covariance model, not about the exponential of its a00
    with alt.theme.enable(theme.NAME):
        spec = figures["ptc_curves_log"].chart.to_dict()
    rows = [row for rows in spec["datasets"].values() for row in rows if row.get("use") == "used in the fit"]
    residuals = np.array([row["residual_sigma"] for row in rows if row.get("residual_sigma") is not None])
    assert residuals.size > 400
    assert np.sqrt(np.mean(residuals**2)) < 1.3
