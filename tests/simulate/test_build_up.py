from __future__ import annotations

import numpy as np
import pytest

from vison_etl.simulate.build_up import GAUSSIAN_LIMIT_E, accumulate, kernel, steps_for
from vison_etl.simulate.detector import unit_shift
from vison_etl.simulate.streams import Purpose, state_of, stream
from vison_etl.simulate.theory import covariances_e2

A00 = -1.5e-6
SHIFT = unit_shift().scaled(-A00)
MEAN_E = 1.6e5
LAGS = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0))


def state(*keys: int):
    return state_of(stream(5, "BORN", Purpose.PHOTONS, *keys))


def test_kernel_conserves_charge_and_is_anisotropic():
    a = kernel(SHIFT)
    assert a[2, 2] == pytest.approx(A00)
    assert abs(a.sum()) < 1e-12 * abs(A00)
    assert np.array_equal(a, a[::-1, :])
    assert np.array_equal(a, a[:, ::-1])
    assert (np.delete(a.ravel(), 12) > 0).all()
    assert a[3, 2] > 1.5 * a[2, 3]


def test_charge_is_conserved_over_a_frame_of_strong_contrast():
    rng = np.random.default_rng(1)
    mean = rng.uniform(2e4, 2e5, (123, 77)).astype(np.float32)
    mean[40:60, 30:50] = 3e5
    charge = accumulate(mean, SHIFT, 20, state(), noisy=False)
    assert charge.sum(dtype=np.float64) == pytest.approx(mean.sum(dtype=np.float64), rel=1e-7)
    assert np.abs(charge - mean).max() > 1000


def test_uniform_light_without_noise_moves_nothing():
    mean = np.full((30, 40), 1e5, np.float32)
    assert accumulate(mean, SHIFT, 10, state(), noisy=False) == pytest.approx(1e5, rel=1e-5)


@pytest.mark.parametrize(("axis", "period"), [(0, 4), (1, 4), (0, 16), (1, 16)])
def test_a_ripple_grows_as_linear_theory_says(axis, period):
    """Light 1 + e cos(k x) gives a ripple e (exp(a(k) m) - 1) / a(k): a test of kernel and steps without noise."""
    length, ripple = 64, 0.01
    wave = np.cos(2 * np.pi * (np.arange(length) + 0.5) / period)
    light = 1 + ripple * (wave[:, None] if axis == 0 else wave[None, :]) * np.ones((length, length))
    charge = accumulate((MEAN_E * light).astype(np.float32), SHIFT, 20, state(), noisy=False).astype(np.float64)
    found = 2 * (charge * (light - 1) / ripple).mean()
    lags = np.cos(2 * np.pi * np.arange(-2, 3) / period)
    a = float((kernel(SHIFT).sum(axis=1 - axis) * lags).sum())
    assert a < 0
    assert found == pytest.approx(ripple * np.expm1(a * MEAN_E) / a, rel=5e-4)


def measured(steps: int, frames: int):
    products = []
    for frame in range(frames):
        mean = np.full((256, 256), MEAN_E, np.float32)
        d = accumulate(mean, SHIFT, steps, state(steps, frame)).astype(np.float64)
        d -= d.mean()
        products.append([(d[y:, x:] * d[: 256 - y, : 256 - x]).mean() for y, x in LAGS])
    return np.mean(products, axis=0)


@pytest.mark.parametrize("steps", [8, 20, 60])
def test_variance_and_covariances_are_those_of_linear_theory(steps):
    """S(k) = (exp(2 a(k) m) - 1) / (2 a(k)); eight frames of 65 536 pixels."""
    frames = 8
    expected = np.array([covariances_e2(kernel(SHIFT), MEAN_E, 2)[lag] for lag in LAGS])
    pixels = frames * 256**2
    error = expected[0] * np.sqrt(np.array([2.0, 1.0, 1.0, 1.0, 1.0]) * 1.01 / pixels)
    pulls = (measured(steps, frames) - expected) / error
    assert np.abs(pulls).max() < 3.5
    assert expected[0] < 0.82 * MEAN_E


def test_few_steps_are_second_order():
    """One step leaves 2.5 % of the variance too much; the error falls with the square of the number of steps."""
    expected = covariances_e2(kernel(SHIFT), MEAN_E)[0, 0]
    one, four = (measured(steps, 12)[0] / expected - 1 for steps in (1, 4))
    assert 0.015 < one < 0.035
    assert abs(four) < 0.0055


def test_no_effect_leaves_photon_noise():
    mean = np.full((256, 256), 5e4, np.float32)
    charge = accumulate(mean, unit_shift().scaled(0.0), 5, state()).astype(np.float64)
    assert charge.mean() == pytest.approx(5e4, abs=4 * np.sqrt(5e4) / 256)
    assert charge.var() / 5e4 == pytest.approx(1, abs=4 * np.sqrt(2) / 256)


def test_numbers_depend_on_the_state_alone():
    mean = np.full((32, 33), 3e4, np.float32)
    assert np.array_equal(accumulate(mean, SHIFT, 4, state(1)), accumulate(mean, SHIFT, 4, state(1)))
    assert not np.array_equal(accumulate(mean, SHIFT, 4, state(1)), accumulate(mean, SHIFT, 4, state(2)))


def test_steps_and_sizes():
    assert steps_for(GAUSSIAN_LIMIT_E, 1e4) == 1
    assert steps_for(2e5, 2500.0) == 80
    with pytest.raises(ValueError, match="at least 1 step"):
        accumulate(np.ones((5, 5), np.float32), SHIFT, 0, state())
    with pytest.raises(ValueError, match="3 x 3"):
        accumulate(np.ones((2, 5), np.float32), SHIFT, 1, state())
