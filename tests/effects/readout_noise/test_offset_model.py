"""Offset over frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from tests.pulls import assert_pulls
from vison_etl.effects.readout_noise.offset_model import offset_over_frames

HOURS = np.arange(10) / 38.5


def _as_normal(values, errors, truth, dof):
    """Turn Student's t values into normal ones of the same probability."""
    return norm.ppf(t.cdf((np.array(values) - truth) / np.array(errors), dof))


@pytest.mark.parametrize("scatter", [0.0, 0.4])
def test_mean_and_drift_pulls(scatter):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(800):
        levels = 2600.0 + 0.8 * (HOURS - HOURS.mean()) + rng.normal(0, scatter, 10) + rng.normal(0, 0.01, 10)
        found.append(offset_over_frames(levels, np.full(10, 0.01), HOURS))
    drift = [f.drift_per_h for f in found]
    assert_pulls(_as_normal([d.value for d in drift], [d.error for d in drift], 0.8, 8), 1.0, 0.0)
    if scatter:
        flat = [offset_over_frames(2600 + rng.normal(0, scatter, 10), np.full(10, 0.01), HOURS) for _ in range(800)]
        pulls = _as_normal([f.mean.value for f in flat], [f.mean.error for f in flat], 2600.0, 9)
        assert_pulls(pulls, 1.0, 0.0)
        assert np.mean([f.rms for f in flat]) == pytest.approx(scatter, rel=0.05)


def test_without_scatter_the_error_is_that_of_the_pixels():
    found = offset_over_frames([2600.0, 2600.0, 2600.0], [0.01, 0.01, 0.01], [0, 1, 2])
    assert found.mean.error == pytest.approx(0.01 / np.sqrt(3))
    assert found.rms == 0.0


def test_a_drift_is_part_of_the_scatter():
    found = offset_over_frames(2600 + HOURS, np.full(10, 1e-3), HOURS)
    assert found.mean.error == pytest.approx(np.std(HOURS, ddof=1) / np.sqrt(10), rel=1e-3)
    assert found.drift_per_h.value == pytest.approx(1.0)


def test_few_frames():
    none = offset_over_frames([np.nan], [np.nan], [0.0])
    assert none.mean.value is none.rms is none.drift_per_h.value is None
    assert none.n_frames == 0
    one = offset_over_frames([2600.0], [0.02], [np.nan])
    assert (one.mean.value, one.mean.error, one.rms) == (2600.0, 0.02, None)
    two = offset_over_frames([2600.0, 2601.0], [0.02, 0.02], [0.0, 1.0])
    assert two.drift_per_h.value is None
    assert two.mean.error == pytest.approx(0.5, rel=1e-3)
    assert offset_over_frames([1.0, 2.0, 4.0], [0.1] * 3, [np.nan] * 3).drift_per_h.value is None
    assert offset_over_frames([1.0, 1.0, 1.0], [0.0] * 3, [0, 0, 0]).mean.value == 1.0
