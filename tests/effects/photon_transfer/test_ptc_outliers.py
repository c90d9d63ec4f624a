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
@pytest.mark.parametrize("n", [45, 20, 10])
def test_outliers_at_the_ends_are_found_by_others_of_their_level(n: int, where: list[int]) -> None:
    residual, mean = np.random.default_rng(n).uniform(-1.5, 1.5, n), 1e3 * (1.0 + np.arange(n) // 5)
    bad = np.zeros(n, bool)
    bad[where] = True
    residual[bad] += 30.0
    np.testing.assert_array_equal(agree_with_neighbours(mean, residual, 5.0), ~bad)


def test_of_two_at_the_end_of_a_curve_none_is_known_to_be_wrong() -> None:
    residual, mean = np.random.default_rng(4).uniform(-1.5, 1.5, 12), 1e3 * (1.0 + np.arange(12) // 2)
    residual[-1] += 30.0
    assert agree_with_neighbours(mean, residual, 5.0).all()


@pytest.mark.parametrize("per_level", [1, 2, 5])
def test_a_bend_is_kept_up_to_the_ends(per_level: int) -> None:
    level = np.arange(45) // per_level
    residual = 10.0 * (level / level.max()) ** 4 * level.max() + np.random.default_rng(3).uniform(-1.0, 1.0, 45)
    assert agree_with_neighbours(1e3 * (1.0 + level), residual, 5.0)[[*range(5), *range(40, 45)]].all()


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
