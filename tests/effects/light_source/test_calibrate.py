"""Tables of the light source from frame statistics."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.light_source.effect import EFFECT
from vison_etl.tables import CCDS, QUADRANTS, table

RUN = {"run_id", "block", "test", "acquisition"}
N = 246 * 256
GAIN_VALUE = 3.5


def _inputs(
    times, *, rate=3000.0, offset_s=0.03, wavelength=800.0, label="800", gain=True, jitter=0.0, seed=1, n_saturated=0
):
    rng = np.random.default_rng(seed)
    start = datetime(2019, 3, 12, 20)  # noqa: DTZ001 - the bench writes no zone
    exposures, statistics = [], []
    for k, time in enumerate(times):
        flicker = 1 + jitter * rng.normal()
        for ccd in CCDS:
            exposures.append(
                {
                    "obsid": 500 + k,
                    "ccd": ccd,
                    "exptime_s": time,
                    "started_at": start + timedelta(minutes=3 * k),
                    "wavelength_nm": wavelength,
                    "filter": label,
                }
            )
            for q, quadrant in enumerate(QUADRANTS):
                light = rate * (1 + 0.05 * q) * (time + offset_s) * flicker if time > 0 else 0.0
                base = {"obsid": 500 + k, "ccd": ccd, "quadrant": quadrant, "n_clipped": 0, "n_zero": 0}
                noise = np.sqrt(light / GAIN_VALUE / N)
                level = min(2600 + light, 65000) + rng.normal(0, noise)
                common = {**base, "n": N, "n_saturated": n_saturated}
                statistics.append({**common, "region": "img", "mean_adu": level, "mean_adu_err": 20 * noise + 1e-3})
                statistics.append(
                    {
                        **base,
                        "n": 21 * 256,
                        "n_saturated": 0,
                        "region": "pre",
                        "mean_adu": 2600 + rng.normal(0, 0.015),
                        "mean_adu_err": 0.015,
                    }
                )
    gains = pl.DataFrame(
        [
            {"ccd": c, "quadrant": q, "gain_e_per_adu": GAIN_VALUE, "gain_e_per_adu_err": 0.01}
            for c in CCDS
            for q in QUADRANTS
        ]
    )
    return CalibrationInput(
        "FLATFLUX00_800",
        wavelength,
        EFFECT.parameters,
        pl.DataFrame(exposures, schema_overrides={"wavelength_nm": pl.Float64}),
        pl.DataFrame(statistics),
        {},
        gains if gain else None,
    )


def test_four_levels():
    found = EFFECT.calibrate(_inputs([1.0, 4.0, 10.0, 13.0]))
    light = found.tables["light_source"]
    assert light.columns == [c for c in table("light_source").names if c not in RUN]
    assert light.height == 12
    assert light["status"].to_list() == ["ok"] * 12
    truth = 3000.0 * (1 + 0.05 * light["quadrant"].replace_strict(dict(zip(QUADRANTS, range(4), strict=True))))
    pulls = (light["rate_adu_per_s"] - truth) / light["rate_adu_per_s_err"]
    assert pulls.abs().max() < 4
    np.testing.assert_allclose(light["saturation_s"], 65536 / truth, rtol=1e-4)
    np.testing.assert_allclose(light["shutter_offset_s"], 0.03, atol=5e-4)
    # the zero signal is known to 3 ADU only
    assert (light["shutter_offset_s_err"] >= 3.0 / truth).all()
    assert light["dof"].to_list() == [2] * 12
    assert found.flags == ()
    assert found.tables["stability"]["status"].to_list() == ["no_data"] * 3
    assert found.tables["stability"]["rms_pct"].null_count() == 3
    assert found.tables["allan_deviation"].is_empty()


def test_zero_second_exposures_fix_the_shutter_offset():
    light = EFFECT.calibrate(_inputs([0.0, 0.0, 0.0, 1.0, 4.0, 10.0, 13.0])).tables["light_source"]
    assert light["shutter_offset_s_err"].max() < 1e-4
    assert light["n_points"].to_list() == [4] * 12
    np.testing.assert_allclose(light["shutter_offset_s"], 0.03, atol=4e-4)


def test_an_exposure_without_lamp_is_left_out_and_named():
    times = [1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 10.0, 10.0, 10.0]
    whole = _inputs(times, jitter=1e-3)
    off = (pl.col("obsid") == 504) & (pl.col("region") == "img")
    dark = whole.statistics.with_columns(mean_adu=pl.when(off).then(2600.01).otherwise("mean_adu"))
    found = EFFECT.calibrate(dataclasses.replace(whole, statistics=dark))
    light = found.tables["light_source"]
    assert light["status"].to_list() == ["ok"] * 12
    assert light["n_points"].to_list() == [8] * 12
    assert light["saturation_s_err"].max() < 1e-2 * light["saturation_s"].min()
    assert [(flag.name, flag.n) for flag in found.flags] == [("BADFIT", 1)]
    assert "504" in found.flags[0].detail


def test_a_dead_channel_has_no_line():
    whole = _inputs([1.0, 4.0, 10.0, 13.0])
    is_dead = (pl.col("ccd") == "CCD3") & (pl.col("quadrant") == "H")
    dead = whole.statistics.with_columns(
        mean_adu=pl.when(is_dead).then(2600.0).otherwise("mean_adu"),
        mean_adu_err=pl.when(is_dead).then(0.0).otherwise("mean_adu_err"),
    )
    with np.errstate(all="raise"):
        light = EFFECT.calibrate(dataclasses.replace(whole, statistics=dead)).tables["light_source"]
    assert light.filter(ccd="CCD3", quadrant="H")["status"].to_list() == ["no_data"]
    assert light.filter(status="ok").height == 11


def test_bright_levels_are_left_out():
    light = EFFECT.calibrate(_inputs([1.0, 4.0, 10.0, 20.0, 40.0])).tables["light_source"]
    assert light["n_points"].to_list() == [3] * 12
    np.testing.assert_allclose(light["shutter_offset_s"], 0.03, atol=2e-3)
    saturated = EFFECT.calibrate(_inputs([1.0, 4.0, 10.0], n_saturated=N // 10))
    assert saturated.tables["light_source"]["status"].to_list() == ["no_data"] * 12


def test_two_levels_fail_and_say_so():
    found = EFFECT.calibrate(_inputs([1.0, 4.0]))
    assert found.tables["light_source"]["status"].to_list() == ["failed"] * 12
    assert found.tables["light_source"]["rate_adu_per_s"].null_count() == 12
    assert [(flag.name, flag.n) for flag in found.flags] == [("BADFIT", 12)]


def test_without_gain_the_pixel_scatter_bounds_the_photon_noise():
    found = EFFECT.calibrate(_inputs([1.0, 4.0, 10.0, 13.0], gain=False))
    known = EFFECT.calibrate(_inputs([1.0, 4.0, 10.0, 13.0]))
    assert [(flag.name, flag.n) for flag in found.flags] == [("NO_GAIN", 12)]
    column = "rate_adu_per_s_err"
    assert (found.tables["light_source"][column] > known.tables["light_source"][column]).all()


@pytest.mark.parametrize(("label", "wanted"), [("0", 0.0), ("2000", 2000.0)])
def test_slots_without_wavelength_go_by_their_label(label, wanted):
    light = EFFECT.calibrate(_inputs([1.0, 4.0, 10.0], wavelength=None, label=label)).tables["light_source"]
    assert light["wavelength_nm"].unique().to_list() == [wanted]


def test_an_unknown_filter_is_flagged():
    found = EFFECT.calibrate(_inputs([1.0, 4.0, 10.0], wavelength=None, label=None))
    assert found.tables["light_source"].is_empty()
    assert [(flag.name, flag.n) for flag in found.flags] == [("NO_WAVELENGTH", 3)]


def test_stability_of_equal_exposures():
    rms = []
    for seed in range(20):
        tables = EFFECT.calibrate(_inputs([6.0] * 15 + [1.0, 2.0], jitter=2e-3, seed=seed)).tables
        found, common = tables["stability"], tables["common_mode"]
        assert found["ccd"].to_list() == list(CCDS)
        assert found["n_points"].to_list() == [15] * 3
        rms.append(common["rms_pct"][0])
        assert found["rms_pct"].max() / found["rms_pct"].min() == pytest.approx(1, abs=0.02)  # the source is common
        assert (found["drift_pct_per_h"] / found["drift_pct_per_h_err"]).abs().max() < 6
        # and all that is left between the CCDs is photon noise
        assert common["residual_rms_pct"].fill_null(0.0).max() < 1e-3
        assert 5 < common["chi2"][0] < 62
        assert common["dof"].to_list() == [28]
    assert np.sqrt(np.mean(np.square(rms))) == pytest.approx(0.2, rel=0.15)


def test_track_and_allan_deviation_of_equal_exposures():
    tables = EFFECT.calibrate(_inputs([6.0] * 15, jitter=2e-3)).tables
    assert tables["light_source"]["status"].to_list() == ["no_data"] * 12
    track, allan = tables["source_track"], tables["allan_deviation"]
    assert track.height == 4 * 15
    assert track.group_by("scope").agg(pl.col("deviation_pct").mean().abs())["deviation_pct"].max() < 1e-9
    assert track.filter(scope="common")["residual_pct"].null_count() == 15
    residual = track.filter(pl.col("scope") != "common")
    assert (residual["residual_pct"] / residual["residual_pct_err"]).std() == pytest.approx(1.0, abs=0.3)
    one = allan.filter(scope="common").sort("n_averaged")
    assert one["tau_s"].to_list() == pytest.approx([180.0, 360.0, 720.0])
    steps = np.diff(track.filter(scope="common").sort("obsid")["deviation_pct"])
    assert one["adev_pct"][0] == pytest.approx(np.sqrt(np.mean(steps**2) / 2))


def test_interleaved_equal_exposures_are_one_series():
    times = [6.0] + [t for level in (1.0, 2.0, 3.0, 8.0) for t in (level, level, 6.0)]
    found = EFFECT.calibrate(_inputs(times)).tables["stability"]
    assert found["exptime_s"].to_list() == [6.0] * 3
    assert found["n_points"].to_list() == [5] * 3
    assert found["span_h"][0] == pytest.approx(12 * 180 / 3600)


def test_a_dead_quadrant_does_not_count_in_the_stability():
    inputs = _inputs([6.0] * 15, jitter=2e-3)
    dead = pl.when(pl.col("quadrant") == "E", pl.col("ccd") == "CCD1").then(2600.0 + pl.col("obsid") % 3 * 0.01)
    dead = inputs.statistics.with_columns(mean_adu=dead.otherwise(pl.col("mean_adu")))
    found = EFFECT.calibrate(dataclasses.replace(inputs, statistics=dead)).tables
    assert found["common_mode"]["n_channels"].to_list() == [11]
    whole = EFFECT.calibrate(inputs).tables
    assert found["stability"]["rms_pct"][0] == pytest.approx(whole["stability"]["rms_pct"][0], rel=0.02)


def test_exposures_without_start_have_no_stability():
    inputs = _inputs([6.0] * 15)
    untimed = inputs.exposures.with_columns(started_at=pl.lit(None, pl.Datetime))
    found = EFFECT.calibrate(dataclasses.replace(inputs, exposures=untimed)).tables
    assert found["stability"].select("status", "n_points").unique().rows() == [("failed", 15)]


def test_dead_quadrants_have_no_signal():
    inputs = _inputs([1.0, 4.0, 10.0])
    dead = pl.when(pl.col("quadrant") == "E").then(None).otherwise(pl.col("mean_adu")).alias("mean_adu")
    inputs = CalibrationInput(
        inputs.test, 800.0, inputs.parameters, inputs.exposures, inputs.statistics.with_columns(dead), {}, inputs.gain
    )
    light = EFFECT.calibrate(inputs).tables["light_source"]
    assert set(light.filter(status="ok")["quadrant"]) == {"F", "G", "H"}
