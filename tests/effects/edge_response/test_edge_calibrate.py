"""From frames to the tables and charts of the effect."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tests.closure.edge_frames import GAIN, GEOMETRY, Silicon, calibration_input, flats, quadrant_of
from tests.frames import raw
from tests.report.test_effect_charts import axis_titles
from vison_etl.campaign.limits import flag_table
from vison_etl.campaign.metrics_edges import first_responses
from vison_etl.effects import charts as common
from vison_etl.effects.edge_response import charts
from vison_etl.effects.edge_response.calibrate import calibrate
from vison_etl.effects.edge_response.effect import EFFECT
from vison_etl.instrument.geometry import QUADRANTS
from vison_etl.pixels.edges import edge_profiles
from vison_etl.tables import table

ADDED = {"run_id", "block", "test", "acquisition"}
ENGINE = {"block", "test", "acquisition", "script_column", "unit_key"}
MEASUREMENT = EFFECT.measurements[0]
PLAN = {0.0: 2, 0.1: 2, 0.3: 2, 0.5: 2, 0.7: 1, 0.9: 1}


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(3)
    silicon = Silicon(serial_cti=3e-6, parallel_cti=3e-6)
    return flats(rng, {name: quadrant_of(rng, silicon) for name in QUADRANTS}, PLAN)


@pytest.fixture(scope="module")
def inputs(frames):
    return calibration_input(frames)


@pytest.fixture(scope="module")
def found(inputs):
    return calibrate(inputs)


def test_columns_of_the_measurement(frames):
    columns = MEASUREMENT.function(frames[2][2], MEASUREMENT.parameters).tables["edge_profiles"]
    assert set(columns) == set(table("edge_profiles").names) - ENGINE
    assert len({len(values) for values in columns.values()}) == 1
    # 10 image + 20 overscan twice, 10 + 10 and 10 at the leading edges
    assert len(columns["pixel"]) == 4 * (30 + 20 + 30 + 10)


def test_codes_as_in_the_file_are_measured_alike(frames):
    frame = frames[4][2]
    as_stored = dataclasses.replace(frame, image=raw(frame.image))
    assert MEASUREMENT.function(as_stored, MEASUREMENT.parameters) == MEASUREMENT.function(
        frame, MEASUREMENT.parameters
    )


def test_a_saturated_frame_is_counted_and_has_no_values(frames):
    full = dataclasses.replace(frames[0][2], image=np.full_like(frames[0][2].image, 65535))
    columns = MEASUREMENT.function(full, MEASUREMENT.parameters).tables["edge_profiles"]
    assert set(columns["direction"]) == {"serial", "parallel"}
    assert set(columns["mean_adu"]) == set(columns["mean_adu_err"]) == {None}
    assert set(columns["n"]) == {0}
    assert min(columns["n_lines_out"]) > 0


def test_tables(found):
    assert set(found.tables) == set(EFFECT.tables)
    for name, rows in found.tables.items():
        assert set(rows.columns) == set(table(name).names) - ADDED
        keys = [key for key in table(name).keys if key not in ADDED]
        assert rows.height
        assert rows.select(keys).is_unique().all()
    assert found.tables["edge_response"].height == 4 * 2 * 20
    assert set(found.tables["cti"]["script_column"]) == {f"col{k:03d}" for k in (2, 3, 4, 5, 6)}


def test_frames_without_light_are_the_zero_signal(found):
    rows = found.tables["edge_separation"]
    assert rows["has_zero_signal"].all()
    assert rows["n_fluences"].to_list() == [4] * 8
    assert rows["n_points"].to_list() == [8] * 8


def test_values_are_plausible(found):
    serial = found.tables["edge_separation"].filter(direction="serial")
    assert (abs(serial["bounce"] - 1e-4) < 4 * serial["bounce_err"]).all()
    first = found.tables["edge_response"].filter(direction="serial", pixel=1)["response"].to_numpy()
    single = serial["single_frame_response"].to_numpy()
    np.testing.assert_allclose(first, 3e-6 * 307 + 1e-4, rtol=0.05)
    np.testing.assert_allclose(single, first, rtol=0.1)
    parallel = found.tables["edge_separation"].filter(direction="parallel")
    assert parallel["bounce"].null_count() == 4


def test_flags(inputs, found):
    assert found.flags == ()
    bare = calibrate(dataclasses.replace(inputs, gain=None))
    assert [flag.name for flag in bare.flags] == ["NO_GAIN"]
    assert bare.flags[0].name in flag_table()
    assert bare.tables["full_well"]["full_well_e"].null_count() == 4
    np.testing.assert_allclose(
        found.tables["full_well"]["full_well_e"] / found.tables["full_well"]["full_well_adu"], GAIN
    )


def test_an_improbable_fit_is_flagged(inputs):
    """A ripple along the line, in proportion to signal, is none of the things that are looked for."""
    profiles = inputs.measured["edge_profiles"]
    level = pl.col("mean_adu").filter(pl.col("pixel") == 0).first().over("obsid", "quadrant", "direction", "edge")
    ripple = (
        pl.when(pl.col("pixel") > 0, edge="trailing").then(2e-4 * level * (2.5 * pl.col("pixel")).cos()).otherwise(0.0)
    )
    measured = {"edge_profiles": profiles.with_columns(mean_adu=pl.col("mean_adu") + ripple)}
    found = calibrate(dataclasses.replace(inputs, measured=measured))
    rows = found.tables["edge_separation"].filter(direction="serial")
    assert not rows["is_probable"].any()
    assert not rows["is_separated"].any()
    assert {flag.name for flag in found.flags} == {"BADFIT", "NOT_SEPARATED"}


def test_one_fluence_is_no_data(frames):
    few = calibrate(calibration_input([frame for frame in frames if frame[0] == "col003"]))
    assert few.tables["edge_separation"]["status"].to_list() == ["no_data"] * 8
    assert few.tables["full_well"]["status"].to_list() == ["no_data"] * 4
    assert few.tables["cti"].is_empty()


def test_rows_not_read_have_no_profile(frames):
    image = frames[2][2].image
    half = [profile.direction for profile in edge_profiles(image[:276, :327], GEOMETRY, 0, 200)]
    assert half == ["serial", "serial", "parallel"]


@pytest.mark.parametrize("lost", ["one pixel", "overscan", "rows"])
def test_a_frame_without_some_of_the_pixels_is_left_out(inputs, found, lost):
    profiles = inputs.measured["edge_profiles"]
    here = (pl.col("obsid") == profiles["obsid"].sort()[-1]) & (pl.col("edge") == "trailing")
    here &= (pl.col("pixel") == 1) if lost == "one pixel" else (pl.col("pixel") > 0)
    less = profiles.filter(~(here & (pl.col("direction") == "parallel"))) if lost == "rows" else profiles
    less = less if lost == "rows" else less.with_columns(mean_adu=pl.when(~here).then("mean_adu"))
    rest = calibrate(dataclasses.replace(inputs, measured={"edge_profiles": less}))
    assert rest.tables["edge_separation"]["status"].to_list() == ["ok"] * 8
    for direction in ("serial", "parallel"):
        both = [
            some.tables["edge_response"].filter(direction=direction, pixel=1)["response"].to_numpy()
            for some in (rest, found)
        ]
        np.testing.assert_allclose(*both, rtol=0.05)


def test_charts(found):
    figures = charts.charts(found.tables)
    assert [figure.key for figure in figures] == [
        "edge_profiles",
        "hard_edge_response",
        "bounce",
        "cti_fluence",
        "deferred_tail",
        "full_well_knee",
    ]
    for figure in figures:
        assert all(axis_titles(figure.chart.to_dict()))
    assert charts.charts({}) == []
    assert charts.charts({name: common.empty(name) for name in charts.TABLES}) == []


def test_the_limit_is_on_the_first_serial_pixel(found):
    values = first_responses(SimpleNamespace(results=found.tables))
    assert values.height == 4
    assert values["metric"].unique().to_list() == ["hard_edge_response"]
    assert values["value_err"].is_not_null().all()
    assert first_responses(SimpleNamespace(results={})).is_empty()
