from __future__ import annotations

import numpy as np
import pytest

from vison_etl.effects.photon_transfer.model import Points, exponential_variance
from vison_etl.effects.photon_transfer.quadratic import fit_quadratic

RANGE = {"low_adu": 1e3, "high_adu": 4e4}


def draw(rng: np.random.Generator, a00: float, *, exact_quadratic: bool = False, n_px: int = 90_000) -> Points:
    mean = np.repeat((0.05, 0.1, 0.2, 0.3, 0.5, 0.7), 180) * 65536 * rng.uniform(0.95, 1.05, 1080)
    truth = mean / 3.5 + a00 * mean**2 + 1.6 if exact_quadratic else exponential_variance(mean, 3.5, a00, 1.6)
    return Points(mean, truth * rng.chisquare(n_px - 3, mean.size) / (n_px - 3), np.full(mean.size, np.sqrt(2 / n_px)))


def test_errors_are_the_scatter_where_the_quadratic_is_the_truth() -> None:
    rng = np.random.default_rng(11)
    fits = [fit_quadratic(draw(rng, -1.5e-6, exact_quadratic=True), **RANGE) for _ in range(300)]
    values = np.array([(f.gain_e_per_adu, f.a00_per_e, f.n00_adu2) for f in fits])
    errors = np.mean([f.errors for f in fits], axis=0)
    np.testing.assert_allclose(values.std(axis=0), errors, rtol=0.15)
    assert np.all(np.abs(values.mean(axis=0) - (3.5, -1.5e-6, 1.6)) < 3.3 * errors / np.sqrt(300))
    assert np.mean([f.chi2 / f.dof for f in fits]) == pytest.approx(1.0, abs=0.02)


def test_only_its_range_is_used() -> None:
    points = draw(np.random.default_rng(12), -1e-6)
    fit = fit_quadratic(points, **RANGE)
    np.testing.assert_array_equal(fit.used, (points.mean_adu >= 1e3) & (points.mean_adu <= 4e4))
    assert fit.n_points == 900
    assert fit.dof == 897


def test_no_points_in_range_and_no_slope() -> None:
    points = draw(np.random.default_rng(13), -1e-6)
    assert fit_quadratic(points, low_adu=7e4, high_adu=8e4).status == "no_data"
    falling = Points(points.mean_adu, 1e4 - 0.1 * points.mean_adu, points.relative_err)
    assert fit_quadratic(falling, **RANGE).status == "failed"
    same = Points(np.full(50, 1e4), np.full(50, 3e3), np.full(50, 0.005))
    assert fit_quadratic(same, **RANGE).status == "failed"
