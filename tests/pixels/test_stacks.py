"""Clipped stacks of few frames."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.pixels.stacks import CLIPPED, NO_DATA, NOISY, clipped_stack, frame_noise

SHAPE = (40, 60)


def _frames(rng, n, noise=1.5, level=2600.0):
    return np.rint(rng.normal(level, noise, (n, *SHAPE))).astype(np.uint16)


def _offsets(n):
    return np.full((n, SHAPE[0]), 2600.0)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_noise_between_frames_is_unbiased_whatever_their_offsets(n):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(60):
        frames = _frames(rng, n) + np.arange(0, 50 * n, 50, dtype=np.uint16)[:, None, None]
        found.append(frame_noise(frames) ** 2)
    assert np.mean(found) == pytest.approx(1.5**2 + 1 / 12, rel=0.01)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_mean_and_error_of_clean_frames(n):
    rng = np.random.default_rng(2)
    frames = _frames(rng, n)
    stack = clipped_stack(frames, _offsets(n), np.sqrt(1.5**2 + 1 / 12))
    assert_pulls(stack.mean.ravel(), stack.sem.ravel(), 0.0)
    assert np.sqrt(np.mean(stack.std.astype(float) ** 2)) == pytest.approx(np.sqrt(1.5**2 + 1 / 12), rel=0.01)
    assert np.count_nonzero(stack.mask) < 5


@pytest.mark.parametrize("n", [3, 4, 5, 10])
def test_a_glitch_is_left_out_even_of_three_frames(n):
    rng = np.random.default_rng(3)
    frames = _frames(rng, n)
    clean = clipped_stack(frames, _offsets(n), 1.53)
    frames[1, 20, 30] = 2650
    stack = clipped_stack(frames, _offsets(n), 1.53)
    assert stack.mask[20, 30] == CLIPPED
    assert abs(stack.mean[20, 30] - np.delete(frames[:, 20, 30], 1).mean() + 2600) < 1e-5
    assert stack.sem[20, 30] == pytest.approx(1.53 / np.sqrt(n - 1), rel=1e-6)
    untouched = np.ones(SHAPE, bool)
    untouched[20, 30] = False
    np.testing.assert_array_equal(stack.mean[untouched], clean.mean[untouched])


def test_a_noisy_pixel_keeps_its_values_and_says_so():
    rng = np.random.default_rng(4)
    frames = _frames(rng, 10)
    frames[:, 5, 5] = np.rint(rng.normal(2600, 40, 10))
    stack = clipped_stack(frames, _offsets(10), 1.53)
    assert stack.mask[5, 5] & NOISY
    assert stack.sem[5, 5] > 5
    assert stack.mean[5, 5] == pytest.approx(frames[:, 5, 5].mean() - 2600, abs=30)


def test_lost_and_saturated_values_do_not_count():
    frames = _frames(np.random.default_rng(5), 4)
    frames[0, 1, 1] = 0
    frames[:, 2, 2] = 65535
    offsets = _offsets(4)
    offsets[:3, 3] = np.nan
    stack = clipped_stack(frames, offsets, 1.53)
    assert stack.mean[1, 1] == pytest.approx(frames[1:, 1, 1].mean() - 2600, abs=1e-4)
    assert stack.sem[1, 1] == pytest.approx(1.53 / np.sqrt(3))
    assert stack.mask[2, 2] == NO_DATA
    assert np.isnan([stack.mean[2, 2], stack.std[2, 2], stack.sem[2, 2]]).all()
    np.testing.assert_allclose(stack.mean[3], frames[3, 3] - 2600.0)
    assert np.isnan(stack.std[3]).all()


def test_one_frame_is_its_own_mean_without_error():
    frames = _frames(np.random.default_rng(6), 1)
    assert frame_noise(frames) is None
    stack = clipped_stack(frames, _offsets(1), None)
    np.testing.assert_array_equal(stack.mean, frames[0] - 2600.0)
    assert np.isnan(stack.std).all()
    assert np.isnan(stack.sem).all()


def test_two_frames_that_disagree_are_both_kept():
    frames = _frames(np.random.default_rng(7), 2)
    frames[:, 8, 8] = 2600, 2700
    stack = clipped_stack(frames, _offsets(2), 1.53)
    assert stack.mean[8, 8] == 50.0
    assert stack.mask[8, 8] == NOISY
