"""The correction inverts the differential equation of charge that builds up, and keeps all charge."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.signal import convolve2d

from vison_etl.pixels.brighter_fatter import collect, correct, correct_first_order
from vison_etl.pixels.walls import Walls, area_change, walls_of

LIGHT_E = 1.5e5


@pytest.fixture(scope="module")
def walls():
    """Return walls of reach 3 of no scalar kernel: mirror images, but with a curl."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:4, 0:4]
    near_x = 4e-7 * np.exp(-1.3 * np.hypot(x + 0.5, y)) * rng.uniform(0.8, 1.2, (4, 4))
    near_y = 6e-7 * np.exp(-1.3 * np.hypot(x, y + 0.5)) * rng.uniform(0.8, 1.2, (4, 4))
    right = np.concatenate([near_x[:0:-1], near_x])
    up = np.concatenate([near_y[:, :0:-1], near_y], axis=1)
    return Walls(
        np.concatenate([-right[:, ::-1], right], axis=1),
        np.concatenate([-up[::-1], up]),
    )


@pytest.fixture(scope="module")
def light():
    """Return light of strong contrast that is even near the edges."""
    rng = np.random.default_rng(4)
    image = np.full((40, 50), LIGHT_E)
    image[8:-8, 8:-8] *= rng.uniform(0.3, 1.7, (24, 34))
    return image.astype(np.float32)


def integrated(light, walls, level_walls=None):
    """Integrate dQ/dt with an adaptive method and direct convolutions, in double precision."""
    light = light.astype(np.float64)
    at_east, at_north = 0.5 * (light[:, 1:] + light[:, :-1]), 0.5 * (light[1:] + light[:-1])

    def pushed(charge, w):
        around = np.pad(charge, w.reach + 1, mode="edge")
        east = convolve2d(around, w.east, mode="valid")
        north = convolve2d(around, w.north, mode="valid")
        return east[1:-1, 1:-1], north[1:-1, 1:-1]

    def rate(t, flat):
        charge = flat.reshape(light.shape)
        east, north = pushed(charge, walls)
        if level_walls is not None:
            more_east, more_north = pushed(charge, level_walls)
            east, north = east + t * at_east * more_east, north + t * at_north * more_north
        gained = light.copy()
        gained[:, :-1] -= at_east * east
        gained[:, 1:] += at_east * east
        gained[:-1] -= at_north * north
        gained[1:] += at_north * north
        return gained.ravel()

    found = solve_ivp(rate, (0, 1), np.zeros(light.size), rtol=1e-9, atol=1e-4)
    return found.y[:, -1].reshape(light.shape)


@pytest.mark.parametrize("growth", [0.0, 3e-6])
def test_series_solves_the_differential_equation(light, walls, growth):
    level_walls = Walls(growth * walls.east, growth * walls.north) if growth else None
    truth = integrated(light, walls, level_walls)
    assert np.abs(truth - light).max() > 2000
    assert np.abs(collect(light, walls, level_walls) - truth).max() < 0.1


@pytest.mark.parametrize("growth", [0.0, 3e-6])
def test_correction_gives_the_light_back(light, walls, growth):
    level_walls = Walls(growth * walls.east, growth * walls.north) if growth else None
    charge = integrated(light, walls, level_walls).astype(np.float32)
    found = correct(charge, walls, level_walls)
    assert found.is_converged
    assert found.n_rounds <= 8
    assert np.abs(found.image - light).max() < 0.1


def test_first_order_corrections_do_not_give_the_light_back(light, walls):
    charge = integrated(light, walls).astype(np.float32)
    effect = np.abs(charge - light).max()
    assert np.abs(correct_first_order(charge, walls).image - light).max() > 0.02 * effect
    assert np.abs(correct_first_order(charge, walls, max_rounds=10).image - light).max() > 0.02 * effect


def test_charge_is_conserved(light, walls):
    total = light.sum(dtype=np.float64)
    for image in (collect(light, walls), correct(light, walls).image, correct_first_order(light, walls).image):
        assert image.sum(dtype=np.float64) == pytest.approx(total, rel=2e-8)
        assert np.abs(image - light).max() > 1000


def test_an_even_image_stays(walls):
    image = np.full((30, 20), 1.23e5, np.float32)
    assert np.array_equal(correct(image, walls).image, image)
    assert np.array_equal(collect(image, walls), image)


def test_a_ripple_in_the_light(walls):
    """Light 1 + e cos(k x) leaves a ripple e (exp(x) - 1) / x, x = a(k) m; corrections of first order are wrong as they say."""
    n, ripple = 96, 1e-2
    wave = np.cos(2 * np.pi * (np.arange(n) + 0.5) / 4) * np.ones((n, n))
    image = (LIGHT_E * (1 + ripple * wave)).astype(np.float32)
    a = area_change(walls)
    x = LIGHT_E * float((a.sum(axis=0) * np.cos(np.pi / 2 * np.arange(-4, 5))).sum())
    assert x < -0.1

    def strength(found):
        inner = slice(24, -24)
        return float((found[:, inner] * wave[:, inner]).mean()) * 2 / (LIGHT_E * ripple)

    charge = collect(image, walls)
    assert strength(charge) == pytest.approx(np.expm1(x) / x, rel=1e-4)
    assert strength(correct(charge, walls).image) == pytest.approx(1, abs=1e-4)
    grown = np.expm1(x) / x
    assert strength(correct_first_order(charge, walls).image) == pytest.approx(grown * (1 - x / 2), rel=1e-4)
    iterated = correct_first_order(charge, walls, max_rounds=10).image
    assert strength(iterated) == pytest.approx(grown / (1 + x / 2), rel=1e-4)


def test_walls_of_a_scalar_kernel():
    rng = np.random.default_rng(5)
    quarter = rng.normal(size=(4, 4))
    half = np.concatenate([quarter[:0:-1], quarter])
    kernel = np.concatenate([half[:, :0:-1], half], axis=1)
    a = area_change(walls_of(kernel))
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_allclose(a, -convolve2d(kernel, laplacian), atol=1e-14)
    assert abs(a.sum()) < 1e-13


def test_pixels_without_value_are_refused(light, walls):
    broken = light.copy()
    broken[3, 4] = np.nan
    for method in (correct, correct_first_order):
        with pytest.raises(ValueError, match="finite"):
            method(broken, walls)


def test_a_correction_that_does_not_settle_says_so(light, walls):
    found = correct(light, walls, max_rounds=1)
    assert not found.is_converged
    assert found.n_rounds == 1
    assert found.max_change_e > 1


def test_kernel_reaching_beyond_the_image_is_no_error(walls):
    image = np.array([[1e5, 1.2e5, 1e5], [1e5, 1e5, 9e4]], np.float32)
    found = correct(image, walls)
    assert found.image.shape == image.shape
    assert found.image.sum() == pytest.approx(image.sum(), rel=1e-7)
