from __future__ import annotations

import numpy as np
import pytest

from vison_etl.effects.neighbours import agree_with_neighbours


@pytest.mark.parametrize("n", [1, 2, 9, 40, 1440])
def test_marks_exactly_the_outliers(n: int) -> None:
    rng = np.random.default_rng(n)
    mean, residual = rng.uniform(1e3, 6e4, n), rng.uniform(-1.5, 1.5, n)
    bad = np.zeros(n, bool)
    if n > 20:
        bad[rng.choice(n, n // 20, replace=False)] = True
    residual[bad] += 30.0
    np.testing.assert_array_equal(agree_with_neighbours(mean, residual, 5.0), ~bad)


@pytest.mark.parametrize("where", [[0], [1], [-1], [-2], [0, -1], [0, 1], [-1, -2]])
@pytest.mark.parametrize("n", [46, 12, 9])
def test_outliers_at_the_ends_are_found(n: int, where: list[int]) -> None:
    residual = np.random.default_rng(n).uniform(-1.5, 1.5, n)
    bad = np.zeros(n, bool)
    bad[where] = True
    residual[bad] += 30.0
    np.testing.assert_array_equal(agree_with_neighbours(np.arange(float(n)), residual, 5.0), ~bad)


def test_a_slope_is_kept_up_to_the_ends() -> None:
    residual = 1.5 * np.arange(46.0) + np.random.default_rng(3).uniform(-1.0, 1.0, 46)
    assert agree_with_neighbours(np.arange(46.0), residual, 5.0).all()


def test_what_neighbours_share_is_kept() -> None:
    rng = np.random.default_rng(1)
    mean = np.sort(rng.uniform(1e3, 6e4, 1000))
    residual = 20 * np.sin(mean / 1e4) + rng.standard_normal(1000)
    assert agree_with_neighbours(mean, residual, 5.0).all()


def test_a_common_scatter_is_not_cut_down_to_the_errors() -> None:
    residual = 8.0 * np.random.default_rng(2).standard_normal(1000)
    assert agree_with_neighbours(np.arange(1000.0), residual, 5.0).all()


def test_nothing_is_nothing() -> None:
    assert agree_with_neighbours(np.zeros(0), np.zeros(0), 5.0).size == 0
