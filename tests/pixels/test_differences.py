"""Sums over differences of adjacent frames: exact against numpy, whatever the order and size of the bands."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frames import SMALL, TINY, ArrayGroup, bias_frame
from vison_etl.instrument.geometry import QUADRANTS, REGIONS, geometry_of, quadrant_view, region_window
from vison_etl.pixels.clipping import clipped_moments
from vison_etl.pixels.differences import HALF_WIDTH, band_rows, difference_sums


def _sums(group, rows=40):
    return dict(difference_sums(group.bands(rows), group.geometry, group.vstart, group.vend))


def _group(seed, n, geometry=TINY, **kwargs):
    rng = np.random.default_rng(seed)
    return ArrayGroup(tuple(bias_frame(rng, geometry, **kwargs) for _ in range(n)), geometry)


def _difference(group, pair, quadrant, region):
    slices = region_window(group.geometry, region, group.vstart, group.vend).slices
    first, second = (
        quadrant_view(frame, group.geometry, quadrant)[slices].astype(np.int64)
        for frame in group.frames[pair : pair + 2]
    )
    return first - second, (first > 0) & (second > 0) & (first < 65535) & (second < 65535)


def test_sums_equal_numpy_when_one_band_holds_all_rows():
    group = _group(1, 3, row_noise=0.5)
    group.frames[1][40:50, 60:80] = 65535
    group.frames[2][45:60, 70:90] = 0
    sums = _sums(ArrayGroup(group.frames, TINY, max_rows=200), rows=200)
    for quadrant in QUADRANTS:
        for pair in range(2):
            for r, region in enumerate(REGIONS):
                d, is_valid = _difference(group, pair, quadrant, region)
                s = sums[quadrant]
                pivot = s.pivot[pair]
                histogram = np.bincount(d[is_valid] - pivot + HALF_WIDTH, minlength=2 * HALF_WIDTH + 1)
                np.testing.assert_array_equal(s.counts[pair, r, :-2], histogram)
                assert s.counts[pair, r, -1] == np.count_nonzero(~is_valid)
                clip = clipped_moments(histogram, -HALF_WIDTH)
                d = d - pivot
                kept = is_valid & (d >= clip.first) & (d <= clip.last)
                d = np.where(kept, d, 0)
                per_row, per_column = kept.sum(axis=1), kept.sum(axis=0)
                assert s.n[pair, r] == kept.sum() == clip.n
                assert (s.total[pair, r], s.squares[pair, r]) == (d.sum(), (d**2).sum())
                assert (s.n_rows[pair, r], s.n_columns[pair, r]) == (np.sum(per_row > 0), np.sum(per_column > 0))
                assert (s.row_pixels[pair, r], s.column_pixels[pair, r]) == (np.sum(per_row**2), np.sum(per_column**2))
                rows = np.sum(d.sum(axis=1) ** 2 / np.maximum(per_row, 1))
                columns = np.sum(d.sum(axis=0) ** 2 / np.maximum(per_column, 1))
                assert s.row_squares[pair, r] == pytest.approx(rows, rel=1e-12)
                assert s.column_squares[pair, r] == pytest.approx(columns, rel=1e-12)


def test_bands_may_come_in_any_order_and_size():
    group = _group(2, 3, SMALL)
    whole = _sums(ArrayGroup(group.frames, max_rows=300), rows=300)
    bands = list(group.bands(37))[::-1]
    reordered = dict(difference_sums(iter(bands), SMALL, 0, 2086))
    for quadrant in QUADRANTS:
        np.testing.assert_array_equal(whole[quadrant].counts, reordered[quadrant].counts)
        # limits follow from the rows seen so far, so a handful of pixels at 4 sigma may differ
        assert np.max(np.abs(whole[quadrant].n - reordered[quadrant].n)) < 20
        np.testing.assert_allclose(whole[quadrant].row_squares, reordered[quadrant].row_squares, rtol=0.02)


def test_a_change_of_offset_between_frames_moves_the_pivot_only():
    rng = np.random.default_rng(3)
    near = bias_frame(rng, TINY), bias_frame(rng, TINY)
    far = near[0], near[1] + np.uint16(5000)
    a, b = _sums(ArrayGroup(near, TINY)), _sums(ArrayGroup(far, TINY))
    for quadrant in QUADRANTS:
        assert b[quadrant].pivot[0] == a[quadrant].pivot[0] - 5000
        np.testing.assert_array_equal(a[quadrant].counts, b[quadrant].counts)


def test_differences_beyond_the_histogram_are_counted():
    group = _group(4, 2, TINY)
    group.frames[0][30:40, 70:80] = 20000
    s = _sums(group)["H"]
    assert s.n_outside(0, 1) == 100
    assert s.covers_clip(0, 1)
    rng = np.random.default_rng(5)
    wild = tuple(rng.integers(1, 65535, (172, 234), dtype=np.uint16) for _ in range(2))
    assert not _sums(ArrayGroup(wild, TINY))["H"].covers_clip(0, 1)


def test_one_frame_has_no_differences():
    assert _sums(_group(6, 1)) == {}


def test_rows_outside_the_window_do_not_count():
    group = _group(7, 2, TINY)
    s = _sums(ArrayGroup(group.frames, TINY, vstart=10, vend=60))["E"]
    np.testing.assert_array_equal(s.rows_read, [50, 50, 50, 0])
    assert s.n[0, 3] == 0


def test_bands_are_bounded():
    full = geometry_of(4238, 4172)
    assert band_rows(2, full) == 2086
    assert band_rows(100, full) * 100 * 2119 * 2 <= 32_000_000
    assert band_rows(10_000, full) == 16
