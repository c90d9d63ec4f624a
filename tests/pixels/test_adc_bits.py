"""Bits of codes, and sources above their rows."""

from __future__ import annotations

import numpy as np
import pytest

from vison_etl.pixels.adc_bits import bit_counts, correlations
from vison_etl.pixels.compact_sources import compact_sources


def histogram(codes):
    return np.bincount(np.asarray(codes).ravel(), minlength=65536).astype(np.uint32)


def test_bits_are_counted():
    found = bit_counts(histogram([0, 1, 3, 3, 65535, 8]))
    assert found.n == 4
    assert found.n_set[:5].tolist() == [3, 2, 0, 1, 0]
    assert found.n_both[0, 1] == 2


def test_correlations_against_the_pixels():
    rng = np.random.default_rng(1)
    codes = rng.integers(1, 65535, 5000)
    bits = (codes[:, None] >> np.arange(16)) & 1
    np.testing.assert_allclose(correlations(bit_counts(histogram(codes))) + np.eye(16), np.corrcoef(bits.T), atol=1e-12)


def test_a_bit_that_follows_another_is_fully_correlated():
    rng = np.random.default_rng(2)
    codes = rng.integers(1000, 30000, 4000)
    follows = (codes & ~np.int64(4)) | ((codes >> 3) & 4)
    found = correlations(bit_counts(histogram(follows)))
    assert found[2, 5] == pytest.approx(1.0)
    assert np.abs(np.delete(found[2, :15], [2, 5])).max() < 0.1
    assert np.isnan(correlations(bit_counts(histogram(codes | 4)))[2, 3])


def test_sources_are_found_where_they_are():
    rng = np.random.default_rng(3)
    codes = np.rint(3000 + 12.0 * np.arange(200)[:, None] + rng.normal(0, 20, (200, 180)))
    y, x = np.mgrid[:200, :180]
    places = [(40, 30), (150, 35), (100, 90), (50, 140), (160, 150)]
    for row, column in places:
        codes += 20000 * np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / 0.8**2)
    codes[10, 10] += 4000  # a hot pixel
    image = codes.astype(np.uint16)
    found = compact_sources(image, np.median(image, axis=1), 20)
    assert {(one.y, one.x) for one in found[:5]} == set(places)
    assert (found[5].y, found[5].x) == (10, 10)
    assert len(found) == 6
    assert min(one.sum_adu / one.peak_adu for one in found[:5]) > 2.5
    assert found[5].sum_adu / found[5].peak_adu < 1.5
    assert compact_sources(np.full((50, 50), 3000, np.uint16), np.full(50, 3000.0), 5) == []
