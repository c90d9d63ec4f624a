"""From covariances of a simulated test to the tables and charts of the effect."""

from dataclasses import replace

import altair as alt
import numpy as np
import polars as pl
import pytest

from tests.closure.covariance_fit_truth import Truth
from tests.closure.ptc_truth import Physics
from tests.effects.photon_transfer.ptc_covariance_frames import simulated_covariances
from tests.effects.photon_transfer.ptc_frames import calibration_input, simulated_test
from tests.pulls import assert_pulls
from tests.report.test_effect_charts import axis_titles
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.limits import flag_table
from vison_etl.effects import charts as common
from vison_etl.effects.brighter_fatter import charts
from vison_etl.effects.brighter_fatter.effect import EFFECT
from vison_etl.effects.covariance.kernel_file import kernel_of
from vison_etl.effects.photon_transfer.effect import EFFECT as PHOTON_TRANSFER
from vison_etl.report import theme
from vison_etl.tables import table

ADDED = {"run_id", "block", "test", "acquisition"}
TRUTH = Truth(gain=3.4, a00=-1.2e-6, power=3.0)
CHANNELS = (("CCD1", "E"), ("CCD2", "F"), ("CCD3", "H"))
BROKEN = ("CCD3", "H")


HELD = "col003"


def corrected_rows(covariances):
    """Return what a perfect correction makes of the first pair of each column: white noise of light and of the amplifier.

    One column of CCD2 did not settle; CCD3 has no kernel.
    """
    is_first = pl.col("obsid_1") == pl.col("obsid_1").min().over("ccd", "script_column")
    is_zero = (pl.col("lag_x") == 0) & (pl.col("lag_y") == 0)
    light = pl.when(is_zero).then(pl.col("mean_adu") / TRUTH.gain + TRUTH.n00_adu2).otherwise(0.0)
    is_held = (pl.col("ccd") == "CCD2") & (pl.col("script_column") == HELD)
    state = pl.when(pl.col("ccd") == "CCD3").then(pl.lit("no_kernel")).when(is_held).then(pl.lit("not_converged"))
    rows = covariances.filter(is_first).with_columns(covariance_adu2=light, state=state.otherwise(pl.lit("corrected")))
    known = pl.col("state") == "corrected"
    names = ("covariance_adu2", "covariance_adu2_err", "mean_1_adu", "mean_2_adu", "mean_adu", "mean_adu_err")
    rows = rows.select(name for name in table("corrected_covariances").names if name in rows.columns)
    return rows.with_columns(pl.when(known).then(pl.col(name)).alias(name) for name in names)


@pytest.fixture(scope="module")
def inputs():
    tiles = simulated_test(61, Physics(gain=3.4, a00=-1.2e-6, tail=3.0), channels=CHANNELS)
    covariances = simulated_covariances(62, TRUTH, channels=CHANNELS)
    broken = (pl.col("ccd") == BROKEN[0]) & (pl.col("quadrant") == BROKEN[1])
    # So much along y that the east wall of a pixel would have to move away from its charge.
    wrong = pl.when(broken & (pl.col("lag_x") == 0) & (pl.col("lag_y") == 1)).then(9.0).otherwise(1.0)
    covariances = covariances.with_columns(covariance_adu2=pl.col("covariance_adu2") * wrong)
    given = calibration_input(tiles)
    corrected = corrected_rows(covariances)
    measured = {"pair_tiles": tiles, "pair_covariances": covariances, "corrected_covariances": corrected}
    return replace(given, test="BF01", parameters=EFFECT.parameters, measured=measured)


@pytest.fixture(scope="module")
def found(inputs):
    return EFFECT.calibrate(inputs)


def of_good(frame):
    return frame.filter(~((pl.col("ccd") == BROKEN[0]) & (pl.col("quadrant") == BROKEN[1])))


def test_tables(found):
    assert set(found.tables) == set(EFFECT.tables)
    for name, frame in found.tables.items():
        assert set(frame.columns) == set(table(name).names) - ADDED, name
        keys = [key for key in table(name).keys if key not in ADDED]
        assert frame.select(keys).is_duplicated().sum() == 0, name
    heights = {name: frame.height for name, frame in found.tables.items()}
    assert heights["bfe_summary"] == heights["bfe_widths"] == 12
    assert heights["bfe_kernel"] == heights["bfe_boundaries"] == 3 * 81
    assert heights["bfe_spot_growth"] == 3 * 10
    levels = found.tables["covariances"].filter("used").select("ccd", "quadrant", "script_column").unique()
    n = {ccd: levels.filter(ccd=ccd).height for ccd in ("CCD1", "CCD2", "CCD3")}
    of_pixels = 16 * n["CCD1"] + 16 * (n["CCD2"] - 1) + 1 + n["CCD3"]
    assert heights["bfe_residuals"] == 16 * (2 * n["CCD1"] + 2 * n["CCD2"] + n["CCD3"]) + of_pixels
    assert heights["bfe_corrected_ptc"] == 3
    assert {flag.name for flag in found.flags} <= set(flag_table())


def test_what_failed_says_so(found):
    summary = found.tables["bfe_summary"]
    assert summary["status"].value_counts(sort=True).rows() == [("no_data", 9), ("ok", 3)]
    assert of_good(summary.filter(status="ok"))["boundary_status"].to_list() == ["ok", "ok"]
    walls = found.tables["bfe_boundaries"].filter(ccd=BROKEN[0], quadrant=BROKEN[1])
    assert walls["status"].unique().to_list() == ["failed"]
    assert walls["shift_north_px_per_e"].null_count() == 81
    widths = found.tables["bfe_widths"].filter(ccd=BROKEN[0], quadrant=BROKEN[1])
    assert widths["status"].to_list() == ["failed"]
    assert widths["fwhm_x_um"].null_count() == 1
    flags = {flag.name: flag for flag in found.flags}
    assert flags["NO_PAIRS"].n == 9
    assert flags["BADFIT"].detail.startswith("CCD3 H: boundaries failed")


def test_same_coefficients_as_photon_transfer(inputs, found):
    parameters = {name: value for name, value in inputs.parameters.items() if name in PHOTON_TRANSFER.parameters}
    other = PHOTON_TRANSFER.calibrate(replace(inputs, test="PTC01", parameters=parameters))
    for name in ("bfe_coefficients", "covariances"):
        assert found.tables[name].equals(other.tables[name])


def test_headline_numbers(found):
    summary = of_good(found.tables["bfe_summary"]).filter(status="ok")
    truth = {"a00": -1.2e-6, "a01": 0.14 * 1.2e-6, "a10": 0.06 * 1.2e-6}
    for name, value in truth.items():
        assert_pulls(summary[f"{name}_per_e"], summary[f"{name}_per_e_err"], value)
    assert_pulls(summary["axis_ratio"], summary["axis_ratio_err"], 6 / 14)
    assert_pulls(summary["gain_e_per_adu"], summary["gain_e_per_adu_err"], 3.4)
    assert (summary["sum_a_per_e"].abs() < 5 * summary["sum_a_per_e_err"]).all()
    widths = of_good(found.tables["bfe_widths"]).filter(status="ok")
    assert widths["fwhm_x_um"].is_between(7, 12).all()
    assert (widths["fwhm_y_um"] > widths["fwhm_x_um"]).all()
    assert (widths["ellipticity"] < 0).all()
    growth = of_good(found.tables["bfe_spot_growth"]).filter(spot_sigma_px=1.0)
    assert growth["fwhm_x_growth_px_per_e"].is_between(1e-8, 1e-7).all()


def test_residuals(found):
    rows = of_good(found.tables["bfe_residuals"])
    after = rows.filter(method="inverse")
    pulls = (after["covariance_after_adu2"] - after["expected_after_adu2"]) / after["covariance_after_adu2_err"]
    # The fit has followed these covariances: pulls are narrower than those of other data.
    assert abs(pulls.mean()) < 0.3
    assert 0.7 < pulls.std() < 1.1
    top = after.filter(pl.col("mean_adu") == pl.col("mean_adu").max().over("ccd"), lag_x=0, lag_y=1)
    assert (top["covariance_after_adu2"].abs() < 0.1 * top["covariance_before_adu2"]).all()


def test_residuals_of_pixels(found):
    """What the simulated correction left is what its rows say, less the noise at zero signal."""
    rows = found.tables["bfe_residuals"].filter(method="pixels", ccd="CCD1")
    assert rows["n_pairs"].unique().to_list() == [1]
    inverse = found.tables["bfe_residuals"].filter(method="inverse", ccd="CCD1")
    both = rows.join(inverse, on=["script_column", "lag_x", "lag_y"], suffix="_all")
    at_zero = both.filter(lag_x=0, lag_y=0)
    ratio = at_zero["expected_after_adu2"] / at_zero["expected_after_adu2_all"]
    assert (ratio / (at_zero["mean_adu"] / at_zero["mean_adu_all"]) - 1).abs().max() < 1e-3
    variance = rows.filter(lag_x=0, lag_y=0).sort("mean_adu")
    noise = variance["mean_adu"] / TRUTH.gain - variance["covariance_after_adu2"]
    # The correction makes more of the noise, too: by 30 % at full well.
    assert noise.abs().max() < 0.35 * TRUTH.n00_adu2
    assert (rows.filter(pl.col("lag_x") > 0)["covariance_after_adu2"] == 0).sum() == 0


def test_what_was_not_corrected_has_no_values_and_a_flag(found):
    rows = found.tables["bfe_residuals"].filter(method="pixels")
    missing = rows.filter(pl.col("covariance_after_adu2").is_null())
    assert missing.filter(ccd="CCD2").select("script_column", "n_pairs").rows() == [(HELD, 0)]
    assert missing.filter(ccd="CCD3").height == rows.filter(ccd="CCD3").height > 0
    assert missing.filter(ccd="CCD1").is_empty()
    flags = {flag.name: flag for flag in found.flags}
    assert flags["NO_KERNEL"].n == 1
    assert flags["NO_KERNEL"].detail.startswith("CCD3 H: col001 no_kernel")
    assert (flags["NOT_CORRECTED"].n, flags["NOT_CORRECTED"].detail) == (1, f"CCD2 F: {HELD} not_converged")


def test_line_through_corrected_variances(found):
    ptc = found.tables["bfe_corrected_ptc"].sort("ccd")
    assert ptc["status"].to_list() == ["ok", "ok", "no_data"]
    good = ptc.head(2)
    assert good["n_points"].to_list() == [8, 7]
    # Variances without noise of their own; photon order is taken off although none is in them.
    assert good["gain_e_per_adu"].is_between(3.4, 1.02 * 3.4).all()
    assert good["before_gain_e_per_adu"].min() > 1.05 * 3.4
    assert (good["difference_e_per_adu"] - good["gain_e_per_adu"] + 3.4).abs().max() < 0.02
    assert ptc["gain_e_per_adu"].null_count() == 1


def test_without_the_measurement_all_is_missing(inputs):
    measured = {name: rows for name, rows in inputs.measured.items() if name != "corrected_covariances"}
    found = EFFECT.calibrate(replace(inputs, measured=measured))
    assert found.tables["bfe_corrected_ptc"]["status"].to_list() == ["no_data"] * 3
    rows = found.tables["bfe_residuals"].filter(method="pixels")
    assert rows["covariance_after_adu2"].null_count() == rows.height > 0
    assert {flag.name: flag.n for flag in found.flags}["NOT_CORRECTED"] == 3


def test_which_tests_have_it():
    for name in ("BF01", "BF01_590", "BF01_730", "BF01_880", "MOT_FF"):
        assert "brighter_fatter" in dict(definition(name).effects)
    assert "brighter_fatter" not in dict(definition("PTC_JOINT").effects)


def test_charts(found):
    figures = charts.charts(found.tables)
    assert [figure.key for figure in figures] == [
        "bfe_corrected_covariances",
        "bfe_corrected_ptc",
        "bfe_corrected_gain",
        "bfe_residuals",
        "bfe_kernel",
        "bfe_spot_growth",
        "bfe_axis_ratio",
        "bfe_widths",
        "bfe_point_widths",
    ]
    for figure in figures:
        with alt.theme.enable(theme.NAME):
            spec = figure.chart.to_dict(validate=True)
        assert all(len(rows) < 5000 for rows in spec["datasets"].values()), figure.key
        assert figure.caption.endswith(".")
        assert all("(" in title for title in axis_titles(spec)), figure.key
    assert charts.charts({}) == []
    assert charts.charts({name: common.empty(name) for name in charts.TABLES}) == []


def test_nothing_measured():
    nothing = calibration_input(simulated_test(1, Physics(), channels=CHANNELS[:1]))
    measured = {"pair_tiles": nothing.measured["pair_tiles"].clear()}
    found = EFFECT.calibrate(replace(nothing, parameters=EFFECT.parameters, measured=measured))
    assert found.tables["bfe_summary"]["status"].to_list() == ["no_data"] * 12
    assert [flag.name for flag in found.flags] == ["NO_PAIRS"]
    assert np.all([frame.height == 0 for name, frame in found.tables.items() if name.startswith("bfe_k")])


def test_photon_transfer_delivers_the_kernel(inputs, found):
    parameters = {name: value for name, value in inputs.parameters.items() if name in PHOTON_TRANSFER.parameters}
    made = PHOTON_TRANSFER.calibrate(replace(inputs, test="PTC01", parameters=parameters))
    products = {product.ccd: product for product in made.products}
    assert set(products) == {"CCD1", "CCD2", "CCD3"}
    assert [products["CCD1"].cards[f"FIT_{quadrant}"] for quadrant in "EFGH"] == ["ok", *["no_data"] * 3]
    assert np.isnan(products["CCD1"].extensions["KERNEL_F"]).all()
    kernel = kernel_of(products["CCD1"], "E")
    rows = found.tables["bfe_kernel"].filter(ccd="CCD1", quadrant="E").sort("lag_x", "lag_y")
    for name in ("kernel_per_e", "kernel_per_e_err", "kernel_growth_per_e2", "kernel_growth_per_e2_err"):
        mine = getattr(kernel, name.removeprefix("kernel_") if "growth" in name else name)
        np.testing.assert_allclose(mine.ravel(), rows[name], rtol=1e-12)
    (summary,) = found.tables["bfe_summary"].filter(ccd="CCD1", quadrant="E").iter_rows(named=True)
    assert kernel.gain_e_per_adu == summary["gain_e_per_adu"]
    used = found.tables["covariances"].filter(pl.col("used"), ccd="CCD1", quadrant="E")
    assert kernel.max_adu == pytest.approx(used["mean_adu"].max(), rel=0.03)


def test_without_covariances_there_is_no_kernel():
    nothing = calibration_input(simulated_test(1, Physics(), channels=CHANNELS[:1]))
    assert PHOTON_TRANSFER.calibrate(nothing).products == ()
