from __future__ import annotations

import numpy as np
import pytest

from vison_etl.effects.covariance.model import multiplicity
from vison_etl.effects.covariance.sum_rule import sum_rule


def power_law(power: float, reach: int = 9, amplitude: float = 1e-7) -> np.ndarray:
    """Return a_ij with a tail r^-power and the a_00 that makes the sum over the whole plane zero."""
    size = 1200
    i, j = np.indices((size, size))
    r = np.hypot(i, j)
    r[0, 0] = np.inf
    a = amplitude * r**-power
    weight = multiplicity(size)
    # beyond: as an integral over the plane outside a disc would be, to a few per cent of a small rest
    total = float((a * weight).sum()) + amplitude * 8.0 / (power - 2.0) * size ** (2.0 - power) * 0.85
    return np.where(np.hypot(*np.indices((reach, reach))) > 0, a[:reach, :reach], -total)


@pytest.mark.parametrize("power", [2.5, 3.0, 4.0])
def test_a_power_law_is_completed_to_zero(power: float) -> None:
    a = power_law(power)
    found = sum_rule(a, np.diag(np.full(81, 1e-12**2)))
    assert found.power == pytest.approx(power, abs=0.06)
    assert found.inner_per_e < 0
    assert abs(found.total_per_e) < 0.02 * abs(found.inner_per_e)
    assert found.total_per_e == pytest.approx(found.inner_per_e + found.tail_per_e)
    assert found.height_per_e == pytest.approx(1e-7 * 6.0**-power, rel=0.05)


def test_where_no_tail_is_seen_its_error_is_that_of_all_powers() -> None:
    rng = np.random.default_rng(1)
    covariance = np.diag(np.full(81, 5e-10**2))
    totals = [sum_rule(5e-10 * rng.standard_normal((9, 9)), covariance) for _ in range(300)]
    pulls = np.array([each.total_per_e / each.total_per_e_err for each in totals])
    assert np.mean(np.abs(pulls) < 3) > 0.98
    assert np.std(pulls) < 1.1
    assert all(each.total_per_e_err > each.inner_per_e_err for each in totals)


def test_without_errors_or_outer_lags_there_is_none() -> None:
    assert np.isnan(sum_rule(np.zeros((9, 9)), np.full((81, 81), np.nan)).total_per_e)
    assert np.isnan(sum_rule(np.zeros((3, 3)), np.eye(9)).total_per_e)
