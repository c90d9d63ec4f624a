"""Planes of quality bits, and the offsets of rows."""

import numpy as np
import pytest

from vison_etl.pixels import quality
from vison_etl.pixels.offsets import row_offsets, smoothed


def test_bits_are_powers_of_two_that_never_change():
    assert list(quality.BITS.values()) == [1 << k for k in range(15)]
    assert quality.BITS["BAD_COLUMN"] == 8
    assert np.iinfo(quality.DQ_TYPE).max >= sum(quality.BITS.values())
    assert quality.names_of(quality.HOT | quality.LOST) == ("LOST", "HOT")


def test_what_codes_tell_is_joined_with_masks():
    codes = np.array([[0, 65535, 7, 7]], np.uint16)
    mask = quality.from_mask(np.array([[0, 0, 3, 0]]))
    found = quality.joined(quality.codes_quality(codes), mask)
    assert found.dtype == quality.DQ_TYPE
    assert found.tolist() == [[quality.LOST, quality.SATURATED, quality.BAD_PIXEL, 0]]
    assert quality.is_bad(found).tolist() == [[True, True, True, False]]
    assert quality.is_bad(found, quality.LOST).tolist() == [[True, False, False, False]]


def test_what_masters_correct_is_not_masked():
    for bit in (quality.WARM, quality.COSMIC, quality.LOW_RESPONSE, quality.HIGH_RESPONSE, quality.DEVIANT_COLUMN):
        assert not quality.UNUSABLE & bit
    assert quality.UNUSABLE & quality.HOT
    assert quality.any_in_column(np.array([[0, 8], [16, 0]], np.int16), quality.HOT).tolist() == [True, False]


def test_smoothed_row_offsets_add_less_than_a_twentieth_of_the_read_noise():
    rng = np.random.default_rng(3)
    white = 1.2
    prescan = np.rint(rng.normal(2600.0, white, (60, 500, 21))).astype(np.uint16)
    found = smoothed(row_offsets(prescan), 12.0) - 2600.0
    assert found.std() < 0.05 * white
    assert found[:, 0].std() == pytest.approx(0.048 * white, rel=0.3)
    assert row_offsets(prescan).std() > 0.2 * white
