from __future__ import annotations

import numpy as np
import pytest

from vison_etl.pixels.departing import departing


def parts(rng: np.random.Generator, n: int = 64, error: float = 0.0055) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return parts of a flat of 60 kADU +-10 % with a curve that bends as strongly as any does."""
    mean = 6e4 * rng.uniform(0.9, 1.1, n)
    variance = mean / 3.5 * np.exp(-0.8 * mean / 6e4) * (1 + error * rng.standard_normal(n))
    return mean, variance, np.full(n, error)


def test_sound_parts_stay() -> None:
    rng = np.random.default_rng(1)
    assert sum(int(departing(*parts(rng), 0.02, 5.0).sum()) for _ in range(200)) == 0


@pytest.mark.parametrize("n_bad", [1, 16])
def test_parts_that_spill_are_found(n_bad: int) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        mean, variance, error = parts(rng)
        variance[:n_bad] *= 0.93
        np.testing.assert_array_equal(np.flatnonzero(departing(mean, variance, error, 0.02, 5.0)), np.arange(n_bad))


def test_the_least_departure_holds_where_errors_are_small() -> None:
    mean, variance, error = parts(np.random.default_rng(3), error=1e-4)
    variance[0] *= 0.985
    variance[1] *= 0.975
    assert np.flatnonzero(departing(mean, variance, error, 0.02, 5.0)).tolist() == [1]


def test_what_is_not_measured_is_not_marked() -> None:
    mean, variance, error = parts(np.random.default_rng(4))
    variance[0], mean[1], variance[2] = np.nan, -5.0, variance[2] * 0.5
    assert np.flatnonzero(departing(mean, variance, error, 0.02, 5.0)).tolist() == [2]


def test_few_parts_or_many_wrong_ones_are_left_alone() -> None:
    mean, variance, error = parts(np.random.default_rng(5))
    assert not departing(mean[:7], variance[:7] * np.array([0.5] + [1] * 6), error[:7], 0.02, 5.0).any()
    variance[:17] *= 0.9
    assert not departing(mean, variance, error, 0.02, 5.0).any()


def test_equal_signals_have_no_slope() -> None:
    variance = np.ones(20)
    variance[3] = 0.9
    assert np.flatnonzero(departing(np.full(20, 1e4), variance, np.full(20, 0.005), 0.02, 5.0)).tolist() == [3]
