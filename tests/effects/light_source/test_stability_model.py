"""Stability of series by hand: trends, residuals, averages."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, norm

from vison_etl.effects.light_source.noise_model import (
    family,
    freedom,
    line_residuals,
    neighbour_differences,
    trend,
    variance_interval,
)
from vison_etl.effects.light_source.stability_model import NOTHING, allan, apart, shared, steadiness

HOURS = np.arange(15) * 0.03


def test_a_straight_line_is_its_own_drift():
    series = family(HOURS)
    for degree, values in ((1, 3.0 - 0.7 * HOURS), (2, 1.0 + 5.0 * (HOURS - HOURS.mean()) ** 2)):
        found = trend(series, values, degree)
        assert found.value == pytest.approx([0, -0.7, 5.0][degree])
        assert found.error < 1e-9


def test_a_walk_is_told_from_white_noise_and_has_the_larger_error():
    rng = np.random.default_rng(1)
    hours = np.arange(60) * 0.03
    series = family(hours)
    white = [trend(series, rng.normal(0, 1, 60), 1) for _ in range(50)]
    walks = [trend(series, np.cumsum(rng.normal(0, 1, 60)), 1) for _ in range(50)]
    assert np.mean([found.weights[0] for found in walks]) < 0.01
    assert np.mean([found.weights[0] for found in white]) > 0.2
    assert np.mean([found.error for found in walks]) > 5 * np.mean([found.error for found in white])
    # the drift of a walk is that of its ends: error = step / sqrt(steps) per step
    assert np.mean([found.error for found in walks]) == pytest.approx(1.0 / (0.03 * np.sqrt(59)), rel=0.15)


def test_degrees_of_freedom_of_white_noise():
    series = family(HOURS)
    assert freedom(series, line_residuals(HOURS))[0] == pytest.approx(13)
    assert (np.diff(freedom(series, line_residuals(HOURS))) < 0).all()
    # overlapping differences of single values, white: 2 (n - 1)² / (3 n - 4)
    assert freedom(series, neighbour_differences(15, 1))[0] == pytest.approx(14**2 * 2 / (3 * 15 - 4))


def test_variance_interval_of_white_noise():
    low, high = variance_interval(4.0, np.array([1.0]), np.array([13.0]))
    one_sigma = norm.cdf([1.0, -1.0])
    assert (low, high) == pytest.approx(tuple(4.0 * 13 / chi2.ppf(one_sigma, 13)))


def test_differences_of_averages():
    rows = neighbour_differences(7, 2)
    assert rows.shape == (4, 7)
    np.testing.assert_allclose(rows @ np.arange(7.0), 2.0)
    np.testing.assert_allclose(rows.sum(axis=1), 0, atol=1e-15)


def test_nothing_but_photon_noise_has_no_rms():
    found = steadiness(family(HOURS), 1 + 1e-4 * np.cos(np.arange(15.0)), 1e-3)
    assert found.rms == NOTHING
    assert found.drift.error > 0


def test_too_few_exposures_have_no_stability():
    series = family(HOURS[:2])
    assert steadiness(series, [1.0, 1.01], 0.0) is None
    assert list(allan(series, [1.0, 1.01], 0.0)) == []
    assert shared(series, np.ones((3, 2)), np.ones((3, 2))) is None


def test_two_ccds_share_a_source_but_cannot_be_told_apart():
    rng = np.random.default_rng(2)
    series = family(HOURS)
    source = rng.normal(0, 2e-3, 15)
    x = 1 + source + rng.normal(0, 1e-4, (2, 15))
    both = shared(series, x, np.full((2, 15), 1e-6))
    projector = line_residuals(HOURS)
    assert both.source.rms.value == pytest.approx(np.sqrt(source @ projector @ source / 13), rel=0.02)
    assert both.residual_rms.value == pytest.approx(1e-4, rel=0.4)
    assert all(one.variance == NOTHING and one.drift.value is not None for one in apart(series, x, np.ones((2, 15))))
