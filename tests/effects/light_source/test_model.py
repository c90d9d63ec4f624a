"""Rate, saturation time and shutter offset of the source."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.light_source.model import fit_line, usable_levels

TIMES = np.array([1.0, 4.0, 10.0, 16.0])
RATE, OFFSET = 3000.0, 0.03


def _signals(rng, jitter=0.0, times=TIMES, photon=5e-4, zero=0.0):
    truth = zero + RATE * (times + OFFSET)
    errors = photon * np.sqrt(truth * 3.0e4)
    return truth * (1 + rng.normal(0, jitter, times.size)) + rng.normal(0, errors), errors


def test_pulls_with_photon_noise_alone():
    rng = np.random.default_rng(1)
    fits = [fit_line(TIMES, *_signals(rng), 0.0, 0.0) for _ in range(1000)]
    assert_pulls([f.rate_adu_per_s for f in fits], [f.rate_err for f in fits], RATE)
    assert_pulls([f.saturation_s for f in fits], [f.saturation_err for f in fits], 65536 / RATE)
    assert_pulls([f.shutter_offset_s for f in fits], [f.shutter_offset_err for f in fits], OFFSET)
    assert np.mean([f.chi2 for f in fits]) == pytest.approx(2.0, abs=0.2)
    assert np.mean([f.repeatability == 0 for f in fits]) > 0.99


def test_the_error_covers_a_source_that_does_not_repeat():
    rng = np.random.default_rng(2)
    fits = [fit_line(TIMES, *_signals(rng, jitter=0.005, photon=1e-6), 0.0, 0.0) for _ in range(500)]
    assert all(f.chi2 > 100 for f in fits)
    pulls = np.array([(f.rate_adu_per_s - RATE) / f.rate_err for f in fits])
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.683, abs=0.08)
    naive = np.array([(f.rate_adu_per_s - RATE) / 0.01 for f in fits])
    assert np.std(naive) > 100
    assert np.median([f.repeatability for f in fits]) == pytest.approx(0.004, abs=0.0015)


def test_many_exposures_measure_the_repeatability():
    rng = np.random.default_rng(3)
    times = np.repeat(TIMES, 25)
    fits = [fit_line(times, *_signals(rng, 0.004, times, 1e-6), 0.0, 0.0) for _ in range(400)]
    assert np.mean([f.repeatability for f in fits]) == pytest.approx(0.004, rel=0.03)
    assert_pulls([f.rate_adu_per_s for f in fits], [f.rate_err for f in fits], RATE)
    assert_pulls([f.shutter_offset_s for f in fits], [f.shutter_offset_err for f in fits], OFFSET)


def test_the_zero_signal_limits_the_shutter_offset_not_the_rate():
    rng = np.random.default_rng(4)
    signals, errors = _signals(rng, zero=6.0)
    assumed = fit_line(TIMES, signals, errors, 0.0, 6.0)
    measured = fit_line(TIMES, signals, errors, 6.0, 0.1)
    assert assumed.rate_adu_per_s == measured.rate_adu_per_s
    assert measured.shutter_offset_s == pytest.approx(assumed.shutter_offset_s - 0.002, abs=2e-6)
    assert np.hypot(measured.shutter_offset_err, 0.002) == pytest.approx(assumed.shutter_offset_err, rel=0.05)


def test_a_shutter_offset_that_is_not_constrained_is_none():
    fit = fit_line(TIMES, RATE * TIMES, np.full(4, 5000.0), 0.0, 0.0)
    assert fit.shutter_offset_s is fit.shutter_offset_err is None
    assert fit.rate_adu_per_s == pytest.approx(RATE)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 2.0], [3.0, 3.0, 3.0]])
def test_too_few_exposures_give_no_fit(times):
    t = np.array(times)
    assert fit_line(t, RATE * t, np.ones(t.size), 0.0, 1.0) is None


def test_no_light_gives_no_fit():
    assert fit_line(TIMES, -TIMES, np.ones(4), 0.0, 1.0) is None


def test_saturated_levels_are_left_out():
    times = [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(
        usable_levels(times, [10, 20, 30, 40, 39, 45], 100), [True, True, True, True, False, False]
    )
    np.testing.assert_array_equal(usable_levels(times, [10, 20, 30, 40, 50, 60], 45), [True] * 4 + [False] * 2)
    np.testing.assert_array_equal(usable_levels([0, 1, 2], [0.0, 10.0, np.nan], 45), [False, True, False])
    assert usable_levels([], [], 45).size == 0
