import numpy as np
import pytest
from scipy.signal import convolve2d

from vison_etl.pixels.brighter_fatter import _taps, correct
from vison_etl.pixels.wall_kernels import AT_ONCE, add_moved
from vison_etl.pixels.walls import Walls, walls_of


def kernel_of(reach, seed):
    quarter = np.random.default_rng(seed).normal(size=(reach + 1, reach + 1))
    half = np.concatenate([quarter[:0:-1], quarter])
    return np.concatenate([half[:, :0:-1], half], axis=1)


def by_definition(light, level, power, charge, walls):
    """Return - div[ F^p (w * Q) ] with full convolutions in double precision."""
    around = np.pad(charge.astype(np.float64), walls.reach + 1, mode="edge")
    east = convolve2d(around, walls.east, mode="valid")[1:-1, 1:-1]
    north = convolve2d(around, walls.north, mode="valid")[1:-1, 1:-1]
    light = light.astype(np.float64) + level
    east = east * (0.5 * (light[:, 1:] + light[:, :-1])) ** power
    north = north * (0.5 * (light[1:] + light[:-1])) ** power
    gained = np.zeros(light.shape)
    gained[:, :-1] -= east
    gained[:, 1:] += east
    gained[:-1] -= north
    gained[1:] += north
    return gained


@pytest.mark.parametrize("reach", [1, 2, 5, 8])
@pytest.mark.parametrize("power", [1, 2])
def test_currents_are_those_of_the_definition(reach, power):
    rng = np.random.default_rng(reach)
    walls, taps = walls_of(kernel_of(reach, 5)), _taps(walls_of(kernel_of(reach, 5)))
    assert taps.east.shape[1] % AT_ONCE == 0
    light, charge = (rng.normal(size=(23, 31)).astype(np.float32) for _ in range(2))
    found = np.ones((23, 31), np.float32)
    add_moved(light, 2.0, power, charge, taps.east, taps.north, -0.5, found)
    expected = 1.0 - 0.5 * by_definition(light, 2.0, power, charge, walls)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_walls_that_are_no_mirror_images_are_refused():
    walls = walls_of(kernel_of(3, 5))
    image = np.ones((9, 9), np.float32)
    for name in ("east", "north"):
        wrong = getattr(walls, name).copy()
        wrong[0, 0] *= 1.01
        pair = {"east": walls.east, "north": walls.north, name: wrong}
        with pytest.raises(ValueError, match="mirror"):
            correct(image, Walls(**pair))


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1), (2, 2)])
def test_images_smaller_than_the_reach(shape):
    image = np.random.default_rng(1).normal(1e5, 300, shape).astype(np.float32)
    found = correct(image, walls_of(1e-8 * kernel_of(4, 5)))
    assert found.is_converged
    assert found.image.sum(dtype=np.float64) == pytest.approx(image.sum(dtype=np.float64), rel=1e-7)
