"""Full well from the charge behind the last row."""

from __future__ import annotations

import numpy as np
import pytest

from vison_etl.effects.edge_response.knee import full_well_knee

LEVELS = 65536 * np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9])
NOISE = 0.3


def behind(level, well, *, cti=4e-7, surface=4e-5, rows=2066, fall=0.3):
    slow = rows * cti * level * (level / 2e4) ** -fall
    return 0.4 + slow + rows * surface * np.maximum(level - well, 0.0)


def knee_of(well, levels=LEVELS, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    charge = behind(levels, well, **kwargs) + NOISE * rng.standard_normal(levels.size)
    return full_well_knee(levels, charge, np.full(levels.size, NOISE), blooming_adu=36e3)


@pytest.mark.parametrize("seed", range(8))
def test_any_full_well_is_inside_its_bracket(seed):
    rng = np.random.default_rng(100 + seed)
    for _ in range(25):
        well = rng.uniform(34e3, 58e3)
        knee = knee_of(well, seed=rng.integers(1 << 30), cti=rng.choice([0.0, 1e-7, 1e-6]), fall=rng.choice([0.0, 0.3]))
        assert knee.status == "ok"
        assert knee.lower < well < knee.upper
        assert knee.lower < knee.value < knee.upper
        assert knee.error == pytest.approx((knee.upper - knee.lower) / 12**0.5)


def test_the_bracket_is_as_narrow_as_the_fluences_are_close():
    levels = 65536 * np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, *np.arange(0.55, 0.93, 0.01)])
    knee = knee_of(45_000, levels)
    assert knee.lower < 45_000 < knee.upper
    assert knee.upper - knee.lower < 1800


def test_without_loss_there_is_a_lower_bound():
    knee = knee_of(1e6)
    assert (knee.value, knee.error, knee.upper, knee.status) == (None, None, None, "bound")
    assert knee.lower == pytest.approx(0.99 * LEVELS[-1])


def test_full_well_below_where_it_is_looked_for():
    levels = 65536 * np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6])
    knee = knee_of(27_000, levels)
    assert knee.lower < 27_000 < knee.upper


def test_a_single_high_outlier_is_no_knee():
    charge = behind(LEVELS, 1e6)
    charge[5] += 500.0
    knee = full_well_knee(LEVELS, charge, np.full(LEVELS.size, NOISE), blooming_adu=36e3)
    assert knee.status == "bound"


def test_order_and_gaps_do_not_matter():
    order = np.random.default_rng(1).permutation(LEVELS.size)
    charge = behind(LEVELS, 47e3)
    expected = full_well_knee(LEVELS, charge, np.full(LEVELS.size, NOISE), blooming_adu=36e3)
    level = np.append(LEVELS[order], np.nan)
    mixed = full_well_knee(level, np.append(charge[order], 1.0), np.full(LEVELS.size + 1, NOISE), blooming_adu=36e3)
    assert mixed == expected


def test_uneven_light_widens_the_bracket():
    charge = behind(LEVELS, 47e3)
    error = np.full(LEVELS.size, NOISE)
    even = full_well_knee(LEVELS, charge, error, blooming_adu=36e3)
    uneven = full_well_knee(LEVELS, charge, error, blooming_adu=36e3, spread=np.full(LEVELS.size, 0.02))
    assert uneven.upper == pytest.approx(even.upper / 1.01 * 1.06)


def test_too_few_signals():
    few = full_well_knee(LEVELS[5:], np.ones(3), np.ones(3), blooming_adu=36e3)
    assert (few.status, few.value, few.lower) == ("no_data", None, None)
