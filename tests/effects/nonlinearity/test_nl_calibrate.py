"""Tables of the non-linearity from tile levels of known truth."""

from dataclasses import replace

import altair as alt
import numpy as np
import polars as pl
import pytest

from tests.closure.nl_truth import RESPONSES, Bench, true_nl_pct
from tests.effects.nonlinearity.nl_tables import CHANNELS, FIRST, inputs
from tests.report.test_effect_charts import axis_titles
from vison_etl.effects.nonlinearity import charts
from vison_etl.effects.nonlinearity.effect import EFFECT
from vison_etl.report import theme
from vison_etl.tables import table

RUN = {"run_id", "block", "test", "acquisition"}
BENCH = Bench(RESPONSES["original"], flux_rms=0.001)
FOUR = CHANNELS[:4]


@pytest.fixture(scope="module")
def found():
    return EFFECT.calibrate(inputs(BENCH))


def flags(result):
    return {flag.name: flag for flag in result.flags}


def test_tables_have_the_columns_and_rows_they_promise(found):
    for name, frame in found.tables.items():
        assert frame.columns == [c for c in table(name).names if c not in RUN]
    assert set(found.tables) == set(EFFECT.tables)
    assert found.tables["nonlinearity"].select("ccd", "quadrant").rows() == list(CHANNELS)
    assert found.tables["nonlinearity"]["status"].to_list() == ["ok"] * 12
    assert set(flags(found)) == {"NO_FULL_WELL"}


def off_truth(result, lowest):
    """Return by how much the curves miss the truth from a fraction of full scale on, per cent, and their errors."""
    curve = result.tables["nonlinearity_curve"].filter(pl.col("fluence_adu") > lowest * 65536)
    truth = true_nl_pct(BENCH.response, curve["fluence_adu"].to_numpy())
    return curve["nl_pct"].to_numpy() - truth, curve["nl_pct_err"].to_numpy()


def test_the_curve_is_the_truth_within_a_tenth_of_a_per_cent():
    result = EFFECT.calibrate(inputs(replace(BENCH, flux_rms=0.0), channels=FOUR))
    assert np.abs(off_truth(result, 0.05)[0]).max() < 0.1
    assert np.abs(off_truth(result, 0.01)[0]).max() < 0.5


def test_light_that_does_not_repeat_has_its_errors(found):
    off, error = off_truth(found, 0.005)
    assert np.abs(off / error).max() < 3.3
    curve = found.tables["nonlinearity_curve"]
    linear = curve["fluence_adu"] / (1 + curve["nl_pct"] / 100)
    np.testing.assert_allclose(curve["linear_adu"], linear, rtol=1e-12)


def test_latency_and_repeatability(found):
    latency = found.tables["shutter_latency"]
    assert latency["filter"].to_list() == ["0", "880"]
    assert latency["is_separable"].all()
    pulls = (latency["latency_s"] - 0.025) / latency["latency_s_err"]
    assert pulls.abs().max() < 3.3
    scatter = found.tables["nonlinearity"]["flux_repeatability_pct"].to_numpy()
    assert (np.abs(scatter / 0.1 - 1) < 3.3 / np.sqrt(2 * 80)).all()


def test_the_source_drifts_by_three_per_cent(found):
    track = found.tables["nonlinearity_light"]
    assert 2.5 < track["drift_pct"].max() - track["drift_pct"].min() < 3.5
    stability = found.tables["nonlinearity"]["stability_pct"].unique()
    assert stability.len() == 1
    assert 0.5 < stability[0] < 2.0


def test_residuals_are_of_the_size_of_their_errors(found):
    residuals = found.tables["nonlinearity_residuals"].unique("script_column")
    assert 0.5 < residuals["residual_sigma"].std() < 1.5


def test_a_failed_flash_is_not_believed():
    def spoil(every):
        for frames in every:
            frames.signal[40] *= 0.7

    result = EFFECT.calibrate(inputs(BENCH, channels=FOUR, change=spoil))
    track = result.tables["nonlinearity_light"].filter(~pl.col("is_trusted"))
    assert track["obsid"].to_list() == [FIRST + 40]
    assert f"exposure {FIRST + 40}" in flags(result)["BADFIT"].detail
    off, error = off_truth(result, 0.005)
    assert np.abs(off / error).max() < 3.3


def test_a_particle_in_one_tile_is_left_out():
    def spoil(every):
        every[0].signal[30, 7] *= 1.01

    spoilt, clean = (EFFECT.calibrate(inputs(BENCH, channels=FOUR[:1], change=change)) for change in (spoil, None))
    first, second = (result.tables["nonlinearity"].filter(status="ok") for result in (spoilt, clean))
    assert first["n_points"][0] == second["n_points"][0] - 1
    assert abs(first["max_nl_pct"][0] / second["max_nl_pct"][0] - 1) < 0.01


def test_levels_where_charge_spills_are_left_out():
    given = inputs(BENCH, channels=FOUR)
    levels = given.measured["tile_levels"]
    spilt = levels.with_columns(
        variance_adu2=pl.when(pl.col("mean_adu") > 45_000).then(500.0).otherwise(pl.col("variance_adu2"))
    )
    result = EFFECT.calibrate(replace(given, measured={"tile_levels": spilt}))
    assert result.tables["nonlinearity"]["fit_max_adu"].drop_nulls().max() < 45_000


def test_without_frames_of_zero_seconds_there_is_no_fit():
    given = inputs(BENCH, channels=FOUR)
    result = EFFECT.calibrate(replace(given, exposures=given.exposures.filter(pl.col("exptime_s") > 0)))
    assert result.tables["nonlinearity"]["status"].to_list() == ["no_data"] * 12
    assert "zero seconds" in flags(result)["POORQUALDATA"].detail
    assert result.tables["nonlinearity_curve"].is_empty()


def test_an_unknown_chamber_has_slots_instead_of_labels():
    given = inputs(BENCH, channels=FOUR, chamber=None)
    given = replace(given, exposures=given.exposures.with_columns(filter=pl.lit(None, pl.String)))
    result = EFFECT.calibrate(given)
    assert result.tables["shutter_latency"]["filter"].to_list() == ["slot 5", "slot 6"]
    assert result.tables["shutter_latency"]["shutter"].null_count() == 2


def test_a_channel_without_equal_frames_failed_and_says_why():
    given = inputs(BENCH, channels=FOUR)
    gone = (pl.col("ccd") == "CCD1") & (pl.col("quadrant") == "F") & (pl.col("obsid") % 4 != 0)
    result = EFFECT.calibrate(replace(given, measured={"tile_levels": given.measured["tile_levels"].filter(~gone)}))
    status = {row[:2]: row[2] for row in result.tables["nonlinearity"].select("ccd", "quadrant", "status").rows()}
    assert status["CCD1", "E"] == "ok"
    assert status["CCD1", "F"] == "failed"
    assert "CCD1 F" in flags(result)["POORQUALDATA"].detail


def test_every_figure_is_valid_and_names_its_units(found):
    figures = charts.charts(found.tables)
    keys = [
        "nonlinearity_linear",
        "nonlinearity_log",
        "nonlinearity_residuals",
        "nonlinearity_largest",
        "nonlinearity_light",
    ]
    assert [figure.key for figure in figures] == keys
    with alt.theme.enable(theme.NAME):
        for figure in figures:
            spec = figure.chart.to_dict()
            titles = axis_titles(spec)
            assert titles
            assert all("(" in title for title in titles if title)
    assert charts.charts({}) == []
