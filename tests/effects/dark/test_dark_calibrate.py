"""From dark frames to the table, with and without what it wants."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.closure.dark_truth import GAIN, Sky, calibration_input, detector, group_of, measure, typed
from vison_etl.campaign.limits import flag_table
from vison_etl.effects.dark.calibrate import calibrate
from vison_etl.effects.dark.effect import EFFECT
from vison_etl.effects.declare import Product
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels import quality
from vison_etl.tables import table

ADDED = {"run_id", "block", "test", "acquisition"}
ENGINE = {"block", "test", "acquisition", "script_column", "unit_key"}
MEASUREMENT = EFFECT.measurements[0]
SKY = Sky(0.003)


@pytest.fixture(scope="module")
def inputs():
    return measure(7, SKY)


@pytest.fixture(scope="module")
def darks():
    rng = np.random.default_rng(8)
    return group_of(rng, {name: detector(rng, SKY) for name in QUADRANTS}, SKY, 4, 565.0, 100)


def test_table(inputs):
    found = calibrate(inputs)
    rows = found.tables["dark_signal"]
    assert set(rows.columns) == set(table("dark_signal").names) - ADDED
    assert rows.height == 4
    assert rows["status"].to_list() == ["ok"] * 4
    assert (abs(rows["dark_e_per_px_h"] - 10.8) < 4 * rows["dark_e_per_px_h_err"]).all()
    np.testing.assert_allclose(rows["dark_e_per_px_h"], rows["dark_adu"] * GAIN * 3600 / 565)
    assert (rows["dark_upper_adu"] > rows["dark_adu"]).all()
    assert rows["temperature_degc"].to_list() == [-120.5] * 4
    assert rows["exptime_s"].to_list() == [565.0] * 4
    assert [flag.name for flag in found.flags] == ["NO_MASK"]
    assert {flag.name for flag in found.flags} <= set(flag_table())


def test_median_as_before(inputs):
    rows = calibrate(inputs).tables["dark_signal"]
    stats = inputs.statistics.filter(quadrant="F").sort("obsid")
    of = {region: stats.filter(region=region)["median_adu"].to_numpy() for region in ("pre", "img", "ove")}
    wanted = np.mean(of["img"] - (of["pre"] + of["ove"]) / 2)
    assert rows.filter(quadrant="F")["dark_median_adu"].item() == pytest.approx(wanted)


def test_without_gain_there_are_no_electrons(inputs):
    found = calibrate(replace(inputs, gain=None))
    rows = found.tables["dark_signal"]
    assert rows["dark_e_per_px_h"].null_count() == 4
    assert rows["dark_upper_e_per_px_h"].null_count() == 4
    assert rows["dark_adu"].null_count() == 0
    assert {flag.name: flag.n for flag in found.flags}["NO_GAIN"] == 4


def test_without_bias_only_the_step_remains(darks):
    tables = MEASUREMENT.function(darks, MEASUREMENT.parameters, {}).tables
    found = calibrate(calibration_input(darks, tables))
    rows = found.tables["dark_signal"]
    assert rows["dark_adu"].null_count() == 4
    assert rows["status"].to_list() == ["no_data"] * 4
    assert (abs(rows["dark_overscan_e_per_px_h"] - 10.8) < 4 * rows["dark_overscan_e_per_px_h_err"]).all()
    assert {flag.name: flag.n for flag in found.flags} == {"NO_BIAS": 4, "NO_MASK": 4}


def test_zero_seconds_have_no_current(inputs):
    found = calibrate(replace(inputs, exposures=inputs.exposures.with_columns(exptime_s=pl.lit(0.0))))
    assert found.tables["dark_signal"]["status"].to_list() == ["no_data"] * 4


def test_the_longest_exposures_count(inputs):
    exposures = inputs.exposures
    other = exposures.with_columns(script_column=pl.lit("col002"), exptime_s=pl.lit(1000.0), obsid=pl.col("obsid") + 50)
    measured = {n: pl.concat([t, t.with_columns(script_column=pl.lit("col002"))]) for n, t in inputs.measured.items()}
    rows = calibrate(replace(inputs, exposures=pl.concat([exposures, other]), measured=measured)).tables["dark_signal"]
    assert rows["exptime_s"].to_list() == [1000.0] * 4


def test_measured_tables_and_product(darks):
    geometry = darks.geometry
    mask = np.zeros((geometry.naxis2, geometry.naxis1), np.int16)
    quadrant_view(mask, geometry, "G")[:, 60:80] = quality.BAD_PIXEL
    given = {"mask": Product("mask", "CCD1", {"DQ": mask})}
    extracted = MEASUREMENT.function(darks, MEASUREMENT.parameters, given)
    assert set(extracted.tables) == set(MEASUREMENT.tables)
    for name, columns in extracted.tables.items():
        assert set(columns) == set(table(name).names) - ENGINE, name
    cells = typed("dark_cells", extracted.tables["dark_cells"])
    assert cells["mask_applied"].all()
    assert not cells["bias_subtracted"].any()
    used = cells.filter(region="img").group_by("quadrant").agg(pl.col("n").sum())
    of = dict(used.rows())
    assert of["E"] - of["G"] == pytest.approx(20 * 128, rel=0.05)
    assert cells.filter(region="pov")["row_block"].unique().to_list() == [16]
    histogram = typed("dark_histogram", extracted.tables["dark_histogram"])
    assert histogram.filter(quadrant="E")["n"].sum() == 128 * 128
    product = extracted.products[0]
    assert (product.kind, list(product.extensions)) == ("master_dark", ["DARK", "EDARK", "MASK"])
    assert product.cards["NCOMB"] == 4
    assert product.cards["BIASSUB"] is False
    assert quadrant_view(product.extensions["MASK"], geometry, "G")[5, 70] & quality.BAD_PIXEL
    assert np.nanmedian(product.extensions["EDARK"]) == pytest.approx(np.hypot(1.17, 1.2 / 3.4 * 0.8) / 2, rel=0.15)


def test_a_product_of_another_size_is_refused(darks):
    given = {"master_bias": Product("master_bias", "CCD1", {"STACK": np.zeros((10, 10), np.float32)})}
    with pytest.raises(ValueError, match="10 x 10 px"):
        MEASUREMENT.function(darks, MEASUREMENT.parameters, given)


def test_dead_frames_break_nothing(darks):
    dead = replace(darks, frames=tuple(np.zeros_like(frame) for frame in darks.frames))
    tables = MEASUREMENT.function(dead, MEASUREMENT.parameters, {}).tables
    assert tables["dark_cells"]["ccd"] == []
    assert tables["dark_counts"]["n_hot"] == [0] * 4
