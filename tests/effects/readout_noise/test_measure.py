"""Noise of pairs from pixels: closure on simulated frames, and frames that are not as they should be."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.frames import SMALL, TINY, ArrayGroup, bias_frame, ccd_frame
from tests.pulls import assert_pulls
from vison_etl.effects.readout_noise.effect import EFFECT
from vison_etl.effects.readout_noise.measure import noise
from vison_etl.effects.readout_noise.model import chain_mean, root
from vison_etl.instrument.geometry import quadrant_view, region_window
from vison_etl.tables import table

ADDED = {"block", "test", "acquisition", "script_column", "unit_key"}


def _pairs(group):
    return pl.DataFrame(dict(noise(group, {}).tables["noise_pairs"]))


def _group(seed, n, geometry=SMALL, **kwargs):
    rng = np.random.default_rng(seed)
    return ArrayGroup(tuple(bias_frame(rng, geometry, **kwargs) for _ in range(n)), geometry)


def _ron(pairs, region, quadrant):
    rows = pairs.filter(region=region, quadrant=quadrant)
    found = chain_mean(rows["variance_adu2"], rows["variance_adu2_err"], rows.select("obsid_1", "obsid_2").rows())
    return root(found.value, found.error, 1 / 12)


def test_rows_are_those_of_the_table():
    pairs = _pairs(_group(1, 3))
    assert set(pairs.columns) == set(table("noise_pairs").names) - ADDED
    assert pairs.height == 2 * 4 * 4
    assert pairs.select("obsid_1", "obsid_2").unique().sort("obsid_1").rows() == [(100, 101), (101, 102)]
    assert not pairs.select(pl.selectors.float().is_nan().any()).row(0).count(True)


def test_ron_closure_over_400_channels():
    rng = np.random.default_rng(2)
    values = {region: [] for region in ("pre", "img", "ove")}
    for _ in range(100):
        group = ArrayGroup(tuple(bias_frame(rng, TINY, noise=1.25) for _ in range(4)), TINY)
        pairs = _pairs(group)
        for region, found in values.items():
            found += [_ron(pairs, region, quadrant) for quadrant in "EFGH"]
    for found in values.values():
        ron, errors = np.array([(f.value, f.error) for f in found]).T
        assert abs(ron.mean() / 1.25 - 1) < 0.005
        assert_pulls(ron, np.sqrt(np.mean(errors**2)), 1.25)


def test_row_and_column_noise_are_found_and_counted():
    pairs = _pairs(_group(3, 6, noise=1.2, row_noise=0.5, column_noise=0.2))
    image = pairs.filter(region="img").select(pl.selectors.float().mean()).row(0, named=True)
    assert image["white_variance_adu2"] == pytest.approx(1.44 + 1 / 12, rel=0.005)
    assert image["row_variance_adu2"] == pytest.approx(0.25, rel=0.08)
    assert image["column_variance_adu2"] == pytest.approx(0.04, rel=0.08)
    assert image["variance_adu2"] == pytest.approx(1.44 + 0.25 + 0.04 + 1 / 12, rel=0.02)


def test_single_frame_scatter_fails_where_differences_do_not():
    """Fixed structure, slow drift and hot columns are no noise; the scatter of one frame takes them for it."""
    rng = np.random.default_rng(4)
    structure = rng.normal(0, 0.6, (SMALL.quadrant_rows, SMALL.quadrant_columns)) + 0.01 * np.arange(
        SMALL.quadrant_columns
    )
    structure[:, 100] += 30
    group = ArrayGroup(tuple(bias_frame(rng, noise=1.2, structure=structure) for _ in range(4)))
    truth = 1.2
    window = region_window(SMALL, "img", 0, 2086)
    pairs = _pairs(group)
    for quadrant in "EFGH":
        naive = quadrant_view(group.frames[0], SMALL, quadrant)[window.slices].std()
        assert naive / truth > 1.3
        found = _ron(pairs, "img", quadrant)
        assert abs(found.value - truth) < 4 * found.error
        assert abs(found.value / truth - 1) < 0.005


def test_glitches_do_not_count():
    group = _group(5, 3)
    rng = np.random.default_rng(6)
    for _ in range(300):
        group.frames[1][rng.integers(0, 552), rng.integers(0, 654)] += 100
    pairs = _pairs(group)
    assert pairs.filter(region="img")["n_clipped"].min() > 40
    for quadrant in "EFGH":
        assert _ron(pairs, "img", quadrant).value == pytest.approx(1.2, rel=0.01)


def test_the_offset_of_the_frames_is_the_mean_difference():
    rng = np.random.default_rng(7)
    group = ArrayGroup((bias_frame(rng), bias_frame(rng, offset=2590.3)))
    image = _pairs(group).filter(region="img")
    np.testing.assert_allclose(image["mean_difference_adu"], 9.7, atol=0.05)
    assert_pulls(image["mean_difference_adu"], image["mean_difference_adu_err"], 9.7)


def test_one_frame_gives_no_rows():
    assert _pairs(_group(8, 1)).is_empty()


def test_without_parallel_overscan_there_is_no_row_of_it():
    group = _group(9, 2)
    pairs = _pairs(ArrayGroup(group.frames, SMALL, vend=256))
    assert set(pairs["region"]) == {"pre", "img", "ove"}


def test_a_dead_and_a_saturated_quadrant_have_no_values():
    h, w = SMALL.quadrant_rows, SMALL.quadrant_columns
    rng = np.random.default_rng(10)
    frames = tuple(
        ccd_frame(SMALL, {"E": np.zeros((h, w)), "F": np.full((h, w), 65535), "G": rng.normal(2600, 1.2, (h, w))})
        for _ in range(2)
    )
    pairs = _pairs(ArrayGroup(frames))
    for quadrant in "EF":
        row = pairs.filter(quadrant=quadrant, region="img").row(0, named=True)
        assert (row["n"], row["n_rows"], row["variance_adu2"], row["mean_difference_adu"]) == (0, 0, None, None)
    assert pairs.filter(quadrant="G", region="img")["variance_adu2"][0] == pytest.approx(1.523, rel=0.02)


def test_a_stuck_output_has_a_variance_of_zero():
    image = np.full((552, 654), 2600, np.uint16)
    row = _pairs(ArrayGroup((image, image))).row(1, named=True)
    assert (row["variance_adu2"], row["row_variance_adu2"]) == (0.0, 0.0)


def test_noise_beyond_the_histogram_has_no_value():
    rng = np.random.default_rng(11)
    frames = tuple(rng.integers(1, 65535, (552, 654), dtype=np.uint16) for _ in range(2))
    row = _pairs(ArrayGroup(frames)).row(1, named=True)
    assert row["variance_adu2"] is None
    assert row["n"] > 0


def test_a_partly_saturated_region_uses_the_rest():
    group = _group(12, 2)
    group.frames[0][100:150, 60:200] = 65535
    row = _pairs(group).filter(quadrant="H", region="img").row(0, named=True)
    assert row["n"] + row["n_clipped"] == 246 * 256 - 50 * 140
    assert row["variance_adu2"] == pytest.approx(1.523, rel=0.03)


def test_declaration():
    assert [m.name for m in EFFECT.measurements] == ["noise", "master"]
    for measurement in EFFECT.measurements:
        for name in measurement.tables:
            assert table(name).stage == "lake"
