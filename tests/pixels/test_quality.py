"""Planes of quality bits and the steps of preparation."""

import numpy as np
import pytest

from tests.frames import SMALL, bias_frame
from vison_etl.instrument.geometry import quadrant_view
from vison_etl.pixels import quality
from vison_etl.pixels.offsets import row_offsets, smoothed
from vison_etl.pixels.preparation import (
    divide_flat,
    frame_offsets,
    quality_of,
    subtract_bias,
    subtract_offsets,
    without,
)


def test_bits_are_powers_of_two_that_never_change():
    assert list(quality.BITS.values()) == [1 << k for k in range(15)]
    assert quality.BITS["BAD_COLUMN"] == 8
    assert np.iinfo(quality.DQ_TYPE).max >= sum(quality.BITS.values())
    assert quality.names_of(quality.HOT | quality.LOST) == ("LOST", "HOT")


def test_what_codes_tell_is_joined_with_masks():
    codes = np.array([[0, 65535, 7, 7]], np.uint16)
    mask = quality.from_mask(np.array([[0, 0, 3, 0]]))
    found = quality_of(codes, mask)
    assert found.dtype == quality.DQ_TYPE
    assert found.tolist() == [[quality.LOST, quality.SATURATED, quality.BAD_PIXEL, 0]]
    assert quality.is_bad(found).tolist() == [[True, True, True, False]]
    assert quality.is_bad(found, quality.LOST).tolist() == [[True, False, False, False]]


def test_what_masters_correct_is_not_masked():
    for bit in (quality.WARM, quality.COSMIC, quality.LOW_RESPONSE, quality.HIGH_RESPONSE, quality.DEVIANT_COLUMN):
        assert not quality.UNUSABLE & bit
    assert quality.UNUSABLE & quality.HOT
    assert quality.any_in_column(np.array([[0, 8], [16, 0]], np.int16), quality.HOT).tolist() == [True, False]


def test_steps_give_back_the_light():
    rng = np.random.default_rng(1)
    bias = rng.normal(0.0, 0.5, (40, 60)).astype(np.float32)
    flat = rng.normal(1.0, 0.01, (40, 60))
    offsets = rng.normal(2600.0, 3.0, (3, 40))
    light = rng.uniform(100, 200, (40, 60))
    codes = np.rint(offsets[:, :, None] + bias + flat * light).astype(np.uint16)
    codes[1, 3, 4], codes[2, 5, 6] = 0, 65535
    found = divide_flat(subtract_bias(subtract_offsets(codes, offsets), bias), flat)
    assert np.isnan(found[1, 3, 4])
    assert np.isnan(found[2, 5, 6])
    np.testing.assert_allclose(found[0], light, atol=0.6)
    flat[0, 0] = 0.0
    assert np.isnan(divide_flat(found, flat)[:, 0, 0]).all()
    bad = np.zeros((40, 60), np.int16)
    bad[1, 1] = quality.HOT
    assert np.isnan(without(found, bad, quality.UNUSABLE)[:, 1, 1]).all()
    assert np.isfinite(without(found, bad, quality.WARM)[:, 1, 1]).all()


def test_offset_per_frame():
    rng = np.random.default_rng(2)
    codes = np.array([quadrant_view(bias_frame(rng, offset=level), SMALL, "F") for level in (2600.0, 2611.0)])
    found = frame_offsets(codes, SMALL, 0, 256)
    assert found.shape == (2, 1)
    np.testing.assert_allclose(found[:, 0], [2600.0, 2611.0], atol=0.1)
    codes[:] = 0
    assert np.isnan(frame_offsets(codes, SMALL, 0, 256)).all()


def test_smoothed_row_offsets_add_less_than_a_twentieth_of_the_read_noise():
    rng = np.random.default_rng(3)
    white = 1.2
    prescan = np.rint(rng.normal(2600.0, white, (60, 500, 21))).astype(np.uint16)
    found = smoothed(row_offsets(prescan), 12.0) - 2600.0
    assert found.std() < 0.05 * white
    assert found[:, 0].std() == pytest.approx(0.048 * white, rel=0.3)
    assert row_offsets(prescan).std() > 0.2 * white
