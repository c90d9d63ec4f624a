"""Row offsets from the prescan: unbiased, robust, smooth, and no row noise of their own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frames import SMALL, ArrayGroup, bias_frame
from vison_etl.pixels.offsets import bands_with_offsets, reach_of, row_offsets, smoothed


def test_offset_of_a_row_is_unbiased_and_as_good_as_a_mean():
    rng = np.random.default_rng(1)
    codes = np.rint(rng.normal(2600.4, 1.25, (20000, 21))).astype(np.uint16)
    found = row_offsets(codes)
    assert found.mean() == pytest.approx(2600.4, abs=0.01)
    assert found.std() < 1.05 * np.sqrt((1.25**2 + 1 / 12) / 21)


def test_two_wild_pixels_in_a_row_do_not_matter():
    codes = np.full((3, 21), 2600, np.uint16)
    codes[0, :2] = 60000
    codes[1, :2] = 0, 65535
    codes[2] = 0
    np.testing.assert_array_equal(row_offsets(codes), [2600.0, 2600.0, np.nan])


def test_smoothing_adds_less_than_five_per_cent_of_the_noise_at_every_row():
    rng = np.random.default_rng(2)
    codes = np.rint(rng.normal(2600.3, 1.25, (400, 300, 21))).astype(np.uint16)
    noise = smoothed(row_offsets(codes), 12.0).std(axis=0)
    assert noise.max() < 0.05 * 1.25 * 1.1
    assert noise[50:-50].max() < 0.04 * 1.25 * 1.1
    assert row_offsets(codes).std() > 0.2 * 1.25


def test_smoothing_follows_a_drift_and_keeps_a_constant():
    y = np.arange(600.0)
    drift = 3.0 * np.sin(2 * np.pi * y / 400.0)
    np.testing.assert_allclose(smoothed(drift, 12.0)[60:-60], drift[60:-60], atol=0.06)
    np.testing.assert_allclose(smoothed(np.full(50, 2600.7), 12.0), 2600.7, rtol=1e-14)
    np.testing.assert_array_equal(smoothed(drift, 0.0), drift)


def test_lost_rows_are_filled_from_their_neighbours_within_reach():
    offsets = np.full(300, 2600.0)
    offsets[10:15] = np.nan
    offsets[100:250] = np.nan
    found = smoothed(offsets, 12.0)
    np.testing.assert_allclose(found[:100], 2600.0, rtol=1e-12)
    assert np.isnan(found[100 + reach_of(12.0) + 1 : 250 - reach_of(12.0) - 1]).all()


@pytest.mark.parametrize("rows", [16, 37, 300])
def test_every_row_comes_out_once_with_the_offset_of_the_whole_frame(rows):
    rng = np.random.default_rng(3)
    drift = np.cumsum(rng.normal(0, 0.05, SMALL.quadrant_rows))
    group = ArrayGroup(tuple(bias_frame(rng, drift=drift) for _ in range(2)), max_rows=rows)
    seen = {}
    bands = list(bands_with_offsets(group.bands(rows), SMALL, 0, 2086))
    for quadrant, y0, codes, offsets in bands:
        assert codes.shape[:2] == offsets.shape
        for i in range(offsets.shape[1]):
            assert seen.setdefault((quadrant, y0 + i), offsets[:, i]) is not None
    assert sum(codes.shape[1] for _, _, codes, _ in bands) == len(seen) == 4 * SMALL.quadrant_rows
    found = np.array([seen["F", y] for y in range(SMALL.quadrant_rows)]).T
    truth = 2600.0 + drift
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.15
    whole = {}
    for quadrant, y0, _, offsets in bands_with_offsets(group.bands(500), SMALL, 0, 2086):
        whole.setdefault(quadrant, []).append((y0, offsets))
    np.testing.assert_allclose(found, np.concatenate([o for _, o in sorted(whole["F"], key=lambda p: p[0])], axis=1))


def test_bands_are_cut_to_the_rows_read():
    group = ArrayGroup((bias_frame(np.random.default_rng(4)),), vstart=20, vend=256)
    rows = [
        (q, y0 + i)
        for q, y0, codes, _ in bands_with_offsets(group.bands(50), SMALL, 20, 256)
        for i in range(codes.shape[1])
    ]
    assert sorted(rows) == [(q, y) for q in "EFGH" for y in range(20, 256)]


def test_memory_of_a_band_may_be_used_again_by_the_reader():
    group = ArrayGroup((bias_frame(np.random.default_rng(5)),))
    memory = np.empty((1, 50, SMALL.quadrant_columns), np.uint16)

    def reusing():
        for quadrant, y0, band in group.bands(50):
            memory[:, : band.shape[1]] = band
            yield quadrant, y0, memory[:, : band.shape[1]]

    for (_, _, a, _), (_, _, b, _) in zip(
        bands_with_offsets(reusing(), SMALL, 0, 2086), bands_with_offsets(group.bands(50), SMALL, 0, 2086), strict=True
    ):
        np.testing.assert_array_equal(a, b)
