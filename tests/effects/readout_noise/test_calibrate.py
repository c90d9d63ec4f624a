"""Tables of offsets and read noise from statistics and pairs."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.frames import SMALL, ArrayGroup, bias_frame, ccd_frame, raw
from tests.pulls import assert_pulls
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.readout_noise.effect import EFFECT
from vison_etl.effects.readout_noise.measure import noise
from vison_etl.instrument.geometry import QUADRANTS
from vison_etl.pixels.histograms import region_statistics
from vison_etl.tables import table

RUN = {"run_id", "block", "test", "acquisition"}
GAIN = pl.DataFrame(
    {"ccd": ["CCD1"] * 4, "quadrant": list("EFGH"), "gain_e_per_adu": [3.5] * 4, "gain_e_per_adu_err": [0.007] * 4}
)


def _inputs(groups, gain=GAIN, minutes=1.5):
    start = datetime(2019, 3, 12, 23, 55)  # noqa: DTZ001 - the bench writes no zone
    exposures, statistics, pairs = [], [], []
    for group in groups:
        for k, (obsid, frame) in enumerate(zip(group.obsids, group.frames, strict=True)):
            exposures.append(
                {
                    "obsid": obsid,
                    "ccd": group.ccd,
                    "started_at": start + timedelta(minutes=k * minutes),
                    "exptime_s": 0.0,
                }
            )
            statistics += [
                {"obsid": obsid, "ccd": group.ccd, **row}
                for row in region_statistics(raw(frame), group.geometry, group.vstart, group.vend)
            ]
        pairs.append(pl.DataFrame(dict(noise(group, {}).tables["noise_pairs"]), schema=_PAIR_SCHEMA))
    return CalibrationInput(
        test="BIAS01",
        wavelength_nm=None,
        parameters={},
        exposures=pl.DataFrame(exposures),
        statistics=pl.DataFrame(statistics, infer_schema_length=None),
        measured={"noise_pairs": pl.concat(pairs), "profiles": pl.DataFrame(), "previews": pl.DataFrame()},
        gain=gain,
    )


_KINDS = {"text": pl.String, "int": pl.Int64, "float": pl.Float64}
_ADDED = {"block", "test", "acquisition", "script_column", "unit_key"}
_PAIR_SCHEMA = {c.name: _KINDS[c.kind] for c in table("noise_pairs").columns if c.name not in _ADDED}


def _group(seed, n, **kwargs):
    rng = np.random.default_rng(seed)
    return ArrayGroup(tuple(bias_frame(rng, **kwargs) for _ in range(n)))


def _noise(found, region="img"):
    return found.tables["readout_noise"].filter(region=region).sort("quadrant")


def test_tables_have_the_promised_columns_and_keys():
    found = EFFECT.calibrate(_inputs([_group(1, 4)]))
    for name, frame in found.tables.items():
        assert frame.columns == [c for c in table(name).names if c not in RUN]
        assert frame.height == 16
        assert frame.select("ccd", "quadrant", "region").is_unique().all()
    assert set(found.tables) == set(EFFECT.tables)
    assert found.flags == ()


def test_closure_with_row_noise():
    found = EFFECT.calibrate(_inputs([_group(2, 10, noise=1.2, row_noise=0.4)]))
    truth = np.sqrt(1.2**2 + 0.4**2)
    for region in ("pre", "img", "ove"):
        rows = _noise(found, region)
        assert rows["status"].to_list() == ["ok"] * 4
        assert rows["n_pairs"].to_list() == rows["n_points"].to_list() == [9] * 4
        for name, wanted in (("ron_adu", truth), ("ron_white_adu", 1.2), ("row_noise_adu", 0.4)):
            pulls = (rows[name] - wanted) / rows[f"{name}_err"]
            assert pulls.abs().max() < 4
    image = _noise(found)
    np.testing.assert_allclose(image["ron_e"], image["ron_adu"] * 3.5)
    relative = np.hypot(image["ron_adu_err"] / image["ron_adu"], 0.002)
    np.testing.assert_allclose(image["ron_e_err"] / image["ron_e"], relative, rtol=1e-9)
    assert (image["row_variance_adu2"] - 0.16).abs().max() < 0.02


def test_variances_that_come_out_negative_are_told_as_such():
    rows = EFFECT.calibrate(_inputs([_group(3, 6)])).tables["readout_noise"]
    negative = rows.filter(pl.col("column_variance_adu2") <= 0)
    assert 0 < negative.height < rows.height
    assert negative["column_noise_adu"].null_count() == negative["column_noise_adu_err"].null_count() == negative.height
    assert_pulls(rows["column_variance_adu2"], rows["column_variance_adu2_err"], 0.0)


def test_without_gain_there_are_no_electrons_and_a_flag():
    found = EFFECT.calibrate(_inputs([_group(4, 3)], gain=GAIN.filter(pl.col("quadrant") != "F")))
    assert _noise(found).filter(pl.col("ron_e").is_null())["quadrant"].to_list() == ["F"]
    assert [(flag.name, flag.n, flag.detail) for flag in found.flags] == [("NO_GAIN", 1, "CCD1 F")]
    none = EFFECT.calibrate(_inputs([_group(4, 3)], gain=None))
    assert _noise(none)["ron_e"].null_count() == 4
    assert none.flags[0].n == 4


def test_offsets_with_drift():
    rng = np.random.default_rng(5)
    frames = tuple(bias_frame(rng, offset=2600.0 + 2.0 * k) for k in range(5))
    offsets = EFFECT.calibrate(_inputs([ArrayGroup(frames)], minutes=30.0)).tables["offsets"]
    np.testing.assert_allclose(offsets["offset_adu"], 2604.0, atol=0.05)
    np.testing.assert_allclose(offsets["drift_adu_per_h"], 4.0, atol=0.1)
    np.testing.assert_allclose(offsets["offset_adu_err"], np.std(2.0 * np.arange(5), ddof=1) / np.sqrt(5), rtol=0.03)
    assert offsets["n_frames"].to_list() == [5] * 16


def test_one_frame_has_offsets_and_no_noise():
    found = EFFECT.calibrate(_inputs([_group(6, 1)]))
    rows = _noise(found)
    assert rows["status"].to_list() == ["no_data"] * 4
    assert rows["ron_adu"].null_count() == rows["dof"].null_count() == 4
    assert rows["n_pairs"].to_list() == [0] * 4
    assert found.tables["offsets"]["offset_adu"].null_count() == 0
    assert [(flag.name, flag.n) for flag in found.flags] == [("NO_PAIRS", 4)]


def test_two_frames_have_one_pair():
    rows = _noise(EFFECT.calibrate(_inputs([_group(7, 2)])))
    assert rows["n_pairs"].to_list() == [1] * 4
    assert (rows["ron_adu"] - 1.2).abs().max() < 0.05


def test_dead_and_stuck_quadrants():
    rng = np.random.default_rng(8)
    h, w = SMALL.quadrant_rows, SMALL.quadrant_columns
    levels = {"E": lambda: np.zeros((h, w)), "F": lambda: np.full((h, w), 2600.0)}
    frames = tuple(
        ccd_frame(SMALL, {q: levels.get(q, lambda: rng.normal(2600, 1.2, (h, w)))() for q in QUADRANTS})
        for _ in range(3)
    )
    found = EFFECT.calibrate(_inputs([ArrayGroup(frames)]))
    assert _noise(found)["status"].to_list() == ["no_data", "failed", "ok", "ok"]
    offsets = found.tables["offsets"].filter(region="img").sort("quadrant")
    assert offsets["offset_adu"][0] is None
    assert offsets["offset_adu"][1] == 2600.0
    flags = {flag.name: flag.detail for flag in found.flags}
    assert flags["DEADQUAD"] == "CCD1 E"
    assert flags["POORQUALDATA"] == "CCD1 F"
    assert "NO_PAIRS" not in flags


def test_excluded_frames_and_channels_take_their_pairs_with_them():
    inputs = _inputs([_group(9, 4)])
    last = inputs.exposures["obsid"].max()
    kept = inputs.statistics.filter(
        (pl.col("obsid") != last) & ~((pl.col("obsid") == 100) & (pl.col("quadrant") == "G"))
    )
    fewer = CalibrationInput(
        inputs.test, None, {}, inputs.exposures.filter(pl.col("obsid") != last), kept, inputs.measured, GAIN
    )
    assert _noise(EFFECT.calibrate(fewer))["n_pairs"].to_list() == [2, 2, 1, 2]


def test_regions_that_were_not_read_have_no_row():
    group = _group(10, 2)
    found = EFFECT.calibrate(_inputs([ArrayGroup(group.frames, vend=256)]))
    for frame in found.tables.values():
        assert set(frame["region"]) == {"pre", "img", "ove"}


def test_nothing_at_all():
    inputs = _inputs([_group(11, 2)])
    empty = CalibrationInput(
        "BIAS01",
        None,
        {},
        inputs.exposures.clear(),
        inputs.statistics.clear(),
        {"noise_pairs": inputs.measured["noise_pairs"].clear()},
        None,
    )
    found = EFFECT.calibrate(empty)
    assert all(frame.is_empty() for frame in found.tables.values())


@pytest.mark.parametrize("shift", [0, 40])
def test_a_noisy_frame_widens_the_error(shift):
    rng = np.random.default_rng(12)
    frames = [bias_frame(rng, noise=1.2) for _ in range(6)]
    if shift:
        frames[3] = bias_frame(rng, noise=1.8)
    rows = _noise(EFFECT.calibrate(_inputs([ArrayGroup(tuple(frames))])))
    if shift:
        assert rows["ron_adu_err"].min() > 0.02
        assert rows["chi2"].min() > 100
    else:
        assert rows["ron_adu_err"].max() < 0.01
