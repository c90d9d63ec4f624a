"""Cosmic rays found by comparison of frames, and what is done about them."""

import numpy as np
import pytest

from vison_etl.pixels.cosmics import count_tracks, find_hits, grown, noisy_pixels, stack_without
from vison_etl.pixels.stacks import NO_DATA, clipped_stack

NOISE = 1.2


def _frames(seed, n, shape=(200, 300), level=2600.0):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(level, NOISE, (n, *shape)), np.full((n, shape[0]), level)


def _codes(values):
    return np.rint(values).clip(0, 65535).astype(np.uint16)


@pytest.mark.parametrize("n", [2, 3, 4, 10])
def test_hits_are_found_and_nothing_else(n):
    rng, values, offsets = _frames(n, n)
    where = rng.choice(200 * 300, 100, replace=False)
    frame = rng.integers(0, n, 100)
    values.reshape(n, -1)[frame, where] += rng.uniform(12, 3000, 100)
    is_hit = find_hits(_codes(values), offsets, np.hypot(NOISE, 12**-0.5))
    assert is_hit.reshape(n, -1)[frame, where].all()
    assert is_hit.sum() <= 101
    assert 80 <= count_tracks(is_hit) <= 101


def test_a_hot_pixel_is_no_hit():
    rng, values, offsets = _frames(5, 4)
    values[:, ::10, ::10] += rng.poisson(3.4 * 2000.0, (4, 20, 30)) / 3.4
    assert find_hits(_codes(values), offsets, NOISE).sum() <= 1


def test_saturation_by_a_ray_is_a_hit_and_by_light_is_none():
    _, values, offsets = _frames(6, 4)
    values[2, 5, 5], values[:, 9, 9] = 70000.0, 70000.0
    is_hit = find_hits(_codes(values), offsets, NOISE)
    assert is_hit[:, 5, 5].tolist() == [False, False, True, False]
    assert not is_hit[:, 9, 9].any()


def test_neighbours_go_with_a_hit_and_no_further():
    is_hit = np.zeros((2, 5, 6), bool)
    is_hit[1, 0, 5] = is_hit[1, 3, 2] = True
    found = grown(is_hit)
    assert not found[0].any()
    assert found[1].sum() == 4 + 9
    assert found[1, 1, 4]
    assert not found[1, 1, 3]


def test_means_without_hits():
    _, values, offsets = _frames(7, 4, (60, 80))
    clean = values.copy()
    values[3, 30, 40] += 500.0
    values[3, 30, 41] += 3.0
    codes = _codes(values)
    stack = clipped_stack(codes, offsets, NOISE)
    is_hit = find_hits(codes, offsets, NOISE)
    again = stack_without(stack, codes, offsets, grown(is_hit), NOISE)
    box = (slice(29, 32), slice(39, 42))
    np.testing.assert_allclose(again.mean[box], _codes(clean)[:3, 29:32, 39:42].mean(axis=0) - 2600.0, atol=1e-3)
    np.testing.assert_allclose(again.sem[box], NOISE / np.sqrt(3))
    outside = np.ones((60, 80), bool)
    outside[box] = False
    assert np.array_equal(again.mean[outside], stack.mean[outside])
    everything = stack_without(stack, codes, offsets, np.ones_like(is_hit), NOISE)
    assert np.isnan(everything.mean).all()
    assert (everything.mask & NO_DATA).all()


@pytest.mark.parametrize("n", [5, 20])
def test_noisy_pixels(n):
    rng, values, offsets = _frames(8, n)
    flips = rng.integers(0, 2, n).astype(bool)
    flips[:5] = [True, False, True, False, False]
    values[:, 20, 30] += 30.0 * flips
    values[:, 40, 50] = 2600.0 + 20 * NOISE * np.linspace(-1, 1, n)
    values[1, 60, 70] += 900.0
    codes = _codes(values)
    stack = clipped_stack(codes, offsets, 1.24, 5.0)
    found = noisy_pixels(stack, codes, offsets, 1.24)
    assert found[20, 30]
    assert found[40, 50]
    assert not found[60, 70]
    assert found.sum() == 2
