"""Levels of rows: what does not belong to a row does not move it, and the errors are right."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.pixels.row_levels import row_levels


def test_pulls_of_gaussian_rows():
    rng = np.random.default_rng(1)
    truth = rng.uniform(2500, 4000, 600)
    codes = np.rint(truth[:, None] + rng.normal(0, 12.0, (600, 246))).astype(np.uint16)
    level, error, n = row_levels(codes)
    assert (n == 246).all()
    assert_pulls(level, error, truth)
    assert error.mean() == pytest.approx(12.0 / np.sqrt(246), rel=0.05)  # a trimmed mean loses 3 %


def test_hot_columns_and_spots_do_not_move_a_row():
    rng = np.random.default_rng(2)
    codes = np.rint(2600 + rng.normal(0, 3.0, (300, 246))).astype(np.uint16)
    clean, _, _ = row_levels(codes)
    codes[:, 100:103] = 9000
    codes[140:150, 20:30] = 40000
    level, _, _ = row_levels(codes)
    # 13 of 246 pixels on one side only: the trimmed mean moves by less than half a sigma of a pixel
    assert np.abs(level - clean).max() < 0.25 * 3.0
    naive = codes.mean(axis=1)
    assert (naive - clean).max() > 500


def test_lost_and_saturated_pixels_do_not_count():
    codes = np.full((3, 50), 3000, np.uint16)
    codes[0, :10], codes[1, :20], codes[2] = 0, 65535, 65535
    level, error, n = row_levels(codes)
    assert n.tolist() == [40, 30, 0]
    assert level[:2].tolist() == [3000.0, 3000.0]
    assert np.isnan(level[2])
    assert np.isnan(error[2])


def test_the_number_of_rows_does_not_matter():
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 65536, (300, 40)).astype(np.uint16)
    whole = row_levels(codes)
    parts = [row_levels(codes[i : i + 1]) for i in range(300)]
    for index in range(3):
        np.testing.assert_array_equal(whole[index], np.concatenate([part[index] for part in parts]))
