"""Functional check through pixels: 24 channels of two blocks against what was simulated."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.effects.functional.warm_truth import (
    FIRST,
    GEOMETRY,
    OBSIDS,
    bench,
    failures,
    given,
    planned,
    true_slope_adu_per_row,
)
from tests.pulls import assert_pulls
from vison_etl.effects.functional.effect import EFFECT
from vison_etl.instrument.geometry import region_window
from vison_etl.simulate.bench import bench_channel
from vison_etl.simulate.dark import dark_rate_e_per_s
from vison_etl.simulate.electronics import frame_offset_adu, region_offset_adu
from vison_etl.simulate.injection import level_adu
from vison_etl.simulate.light import quadrant_rate_adu_per_s
from vison_etl.simulate.response import in_condition
from vison_etl.simulate.truth import truth_tables
from vison_etl.tables import CCDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SEEDS = (11, 12)


@pytest.fixture(scope="module")
def results():
    return {seed: EFFECT.calibrate(given(seed, ccds=CCDS)) for seed in SEEDS}


def setup_of(seed, name):
    return planned(seed)[OBSIDS[name] - FIRST].shot


def test_nothing_is_claimed_of_whole_blocks(results):
    for result in results.values():
        assert failures(result) == set()
        assert [(flag.name, flag.n) for flag in result.flags] == [("NO_GAIN", 12)]
        counts = result.tables["functional_checks"].group_by("verdict").len().rows()
        assert dict(counts)["not_done"] == 6  # injection into G and H, which the drain delay does not select


def test_slope_of_the_ramp(results):
    rows = [
        (
            row["slope_adu_per_row"],
            row["slope_adu_per_row_err"],
            true_slope_adu_per_row(seed, row["ccd"], row["quadrant"]),
        )
        for seed, result in results.items()
        for row in result.tables["warm_ramp"].iter_rows(named=True)
    ]
    value, error, truth = np.array(rows).T
    assert value.size == 24
    # the response of the chain bends the ramp by 1e-5 at its end, less than a tenth of the error
    assert_pulls(value, error, truth)
    ratio = [r.tables["warm_ramp"].select((pl.col("chi2") / pl.col("dof")).mean()).item() for r in results.values()]
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.1)


def test_offset_and_noise_of_the_reverse_frame(results):
    offsets, noises = [], []
    for seed, result in results.items():
        shot = setup_of(seed, "reverse_all")
        levels = result.tables["mode_levels"].filter(rdmode="rwd_bas_vs", region="img")
        for row in levels.iter_rows(named=True):
            nominal = bench_channel(bench(seed), row["ccd"], row["quadrant"])
            truth = in_condition(nominal, shot.setup)
            window = region_window(GEOMETRY, "img", 0, GEOMETRY.quadrant_rows)
            offset = frame_offset_adu(nominal, shot.obsid, shot.time_h) + region_offset_adu(nominal, GEOMETRY, window)
            offsets.append((row["offset_adu"], np.hypot(row["offset_adu_err"], truth.row_noise_adu / 16), offset))
            noises.append((row["noise_adu"], row["noise_adu_err"], np.hypot(truth.ron_white_adu, 0.12)))
    # row noise is common to 246 pixels of each of 256 rows; the fixed pattern of columns is in neighbours
    assert_pulls(*np.array(offsets).T)
    value, error, truth = np.array(noises).T
    assert np.abs(value / truth - 1).max() < 0.02
    assert np.std((value - truth) / error) < 2.0


def to_adu(seed, ccd, quadrant, name):
    """Return nominal ADU over ADU as read: at room temperature a channel has another gain than that in which levels are drawn."""
    nominal = bench_channel(bench(seed), ccd, quadrant)
    return nominal, in_condition(nominal, setup_of(seed, name).setup).gain_e_per_adu


def test_injected_level(results):
    ratios = []
    for seed, result in results.items():
        injection = setup_of(seed, "injection").setup.injection
        found = result.tables["functional_checks"].filter(check_name="injection", verdict="go")
        for row in found.iter_rows(named=True):
            nominal, gain = to_adu(seed, row["ccd"], row["quadrant"], "injection")
            ratios.append(row["value"] * gain / (level_adu(nominal, injection) * nominal.gain_e_per_adu))
            assert row["reason"].endswith("first injected row 0")
    assert len(ratios) == 12
    # the columns inject unevenly, by 5 %: a trimmed mean of them is not their mean
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.005)
    assert np.abs(np.array(ratios) - 1).max() < 0.015


def test_flat_level(results):
    ratios = []
    for seed, result in results.items():
        shot = setup_of(seed, "flat")
        for row in result.tables["functional_checks"].filter(check_name="flat").iter_rows(named=True):
            nominal, gain = to_adu(seed, row["ccd"], row["quadrant"], "flat")
            rate_adu = quadrant_rate_adu_per_s(nominal, shot.chamber, shot.label, GEOMETRY)
            light_e = rate_adu * nominal.gain_e_per_adu * shot.open_s * shot.level
            dark_e = dark_rate_e_per_s(nominal, shot.setup.degc) * shot.exptime_s
            ratios.append(row["value"] * gain / (light_e + dark_e))
    # the median of the rows of an uneven illumination
    assert np.abs(np.array(ratios) - 1).max() < 0.01


def test_response_of_the_first_overscan_pixel(results):
    rows = []
    for seed, result in results.items():
        truth = truth_tables(bench(seed), planned(seed))["edge_response"].filter(direction="serial", pixel=1)
        found = result.tables["functional_checks"].filter(check_name="edge_serial")
        both = found.join(truth.select("ccd", "quadrant", "response"), on=["ccd", "quadrant"])
        rows += both.select("value", "value_err", "response").rows()
    value, error, truth = np.array(rows, float).T
    assert value.size == 24
    assert_pulls(value, error, truth)
    assert error.max() < 1.5e-4  # a tenth of the limit, from rows of a small frame
