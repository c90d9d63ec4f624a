"""Ramp, injection and bits by hand and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.functional.model import excess_over, fit_ramp, injected, judge_bit, ramp_curve

ROWS = np.arange(2066)
SLOPE, ROW_NOISE = 13.0, 0.4
N = 400


def ramp(rng, *, bend=0.0):
    truth = 5.0 + SLOPE * ROWS
    truth = truth + bend * truth * truth / 65536.0
    errors = np.hypot(1.2, np.sqrt(np.maximum(truth, 0) / 3.3)) / np.sqrt(2038)
    return truth + rng.normal(0, errors) + rng.normal(0, ROW_NOISE, ROWS.size), errors


def test_slope_and_noise_of_rows():
    rng = np.random.default_rng(1)
    found = [fit_ramp(ROWS, *ramp(rng), 36000.0) for _ in range(N)]
    assert_pulls([f.slope for f in found], [f.slope_err for f in found], SLOPE)
    assert np.mean([f.row_noise for f in found]) == pytest.approx(ROW_NOISE, rel=0.05)
    assert np.mean([f.chi2 / f.dof for f in found]) == pytest.approx(1.0, abs=0.05)


def test_without_the_noise_common_to_a_row_chi_square_is_wrong():
    rng = np.random.default_rng(2)
    levels, errors = ramp(rng)
    slope, intercept = np.polyfit(ROWS, levels, 1, w=1 / errors)
    assert np.mean(((levels - slope * ROWS - intercept) / errors) ** 2) > 1.2
    found = fit_ramp(ROWS, levels, errors, 36000.0)
    assert 0.9 < found.chi2 / found.dof < 1.1


def test_pseudo_non_linearity_of_a_bent_ramp():
    rng = np.random.default_rng(3)
    bend, z_scores = 0.02, []
    for _ in range(40):
        found = fit_ramp(ROWS, *ramp(rng, bend=bend), 36000.0)
        assert found.chi2 / found.dof > 5
        high = [point for point in ramp_curve(found, 30) if point.level > 20000]
        z_scores += [(point.nonlinearity, point.level) for point in high]
    z, level = np.array(z_scores).T
    # the line touches at about 0.2 of full scale: Z = bend (u - 2 x 0.2 + 0.2² / u) with u the part of full scale
    u = level / 65536
    expected = bend * (u - 0.4 + 0.04 / u)
    assert np.abs(z - expected).max() < 3e-3
    assert z.max() > 2e-3


def test_a_straight_ramp_has_a_flat_curve():
    rng = np.random.default_rng(4)
    pulls = [
        point.nonlinearity / point.nonlinearity_err
        for _ in range(N)
        for point in ramp_curve(fit_ramp(ROWS, *ramp(rng), 36000.0), 20)[10:11]
    ]
    assert_pulls(pulls, np.ones(N), 0.0)


def test_a_short_ramp_is_compared_with_its_own_low_part():
    rng = np.random.default_rng(5)
    levels, errors = ramp(rng)
    curve = ramp_curve(fit_ramp(ROWS[:256], levels[:256], errors[:256], 36000.0), 20)
    assert curve
    assert curve[-1].level > 3000
    assert fit_ramp(ROWS[:15], levels[:15], errors[:15], 36000.0) is None


def pattern(phase, level):
    return level * (((ROWS - phase) % 80) < 30)


def test_injection_on_a_ramp():
    rng = np.random.default_rng(6)
    found = []
    for phase in rng.integers(0, 80, N):
        levels, errors = ramp(rng)
        one = injected(
            levels + pattern(int(phase), 4000.0) * (1 + rng.normal(0, 0.002, ROWS.size)), errors, 30, 50, 36000.0
        )
        assert one.phase == phase
        found.append(one)
    assert_pulls([f.level for f in found], [f.error for f in found], 4000.0)


def test_no_injection_is_nothing():
    rng = np.random.default_rng(7)
    for _ in range(20):
        one = injected(*ramp(rng), 30, 50, 36000.0)
        assert abs(one.level) < 3.0
    assert injected(np.zeros(60), np.ones(60), 30, 50, 36000.0) is None
    assert injected(np.full(400, np.nan), np.ones(400), 30, 50, 36000.0) is None


def test_a_flat_above_the_ramp():
    rng = np.random.default_rng(8)
    values = []
    for _ in range(N):
        (one, one_errors), (two, two_errors) = ramp(rng), ramp(rng)
        values.append(excess_over(one + 8000.0, two, one_errors, two_errors, 36000.0))
    value, error = np.array(values).T
    assert_pulls(value, error, 8000.0)
    assert excess_over([40000.0], [0.0], [1.0], [1.0], 36000.0) is None


@pytest.mark.parametrize(
    ("n_set", "span", "correlation", "state"),
    [
        (5000, 4000.0, 0.01, "ok"),
        (0, 4000.0, 0.0, "stuck"),
        (10000, 4000.0, 0.0, "stuck"),
        (5000, 4000.0, -0.99, "coupled"),
        (7000, 4000.0, 0.0, "coupled"),
        (0, 100.0, 0.0, "not_tested"),
    ],
)
def test_states_of_a_bit(n_set, span, correlation, state):
    assert judge_bit(5, 10000, n_set, span, correlation).state == state
    assert judge_bit(5, 0, 0, span, 0.0).state == "not_tested"


def test_bits_of_good_converters_are_not_called_bad():
    """Whatever the distribution of the codes, as long as it is wide and smooth but for its ends."""
    rng = np.random.default_rng(9)
    z = []
    for _ in range(N):
        low, span = rng.uniform(500, 3000), rng.uniform(2000, 30000)
        shape = rng.uniform(size=20000) ** rng.uniform(0.7, 1.4)
        codes = np.rint(low + span * shape + rng.normal(0, 2, shape.size)).astype(int)
        seen = np.subtract(*np.quantile(codes, [0.95, 0.05]))
        for bit in range(16):
            judged = judge_bit(bit, codes.size, int(((codes >> bit) & 1).sum()), seen, 0.0)
            assert judged.state in {"ok", "not_tested"}
            if judged.z is not None:
                z.append(judged.z)
    assert np.abs(z).max() < 5.0
