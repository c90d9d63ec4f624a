"""Widths of the original and growth of spots, against images of points and spots."""

import numpy as np
import pytest

from tests.effects.brighter_fatter.test_lags_and_kernel import coefficients, drawn, errors
from tests.pulls import assert_pulls
from vison_etl.effects.brighter_fatter import widths
from vison_etl.effects.covariance import kernel
from vison_etl.effects.covariance.lags import Measured, balanced, mirrored
from vison_etl.pixels.brighter_fatter import collect, correct_first_order
from vison_etl.pixels.walls import walls_of

SIGNALS = np.array([6e3, 13e3, 20e3, 33e3, 45e3])
GAIN, GAIN_ERR = 3.4, 0.01
WALLS = (-0.25e-6, -0.31e-6)
COVARIANCE = np.diag([3e-9**2, 4e-9**2, GAIN_ERR**2])


def test_a_point_degraded_once():
    """The image of one bright pixel, 51 x 51, first order and one pass, as the original makes it."""
    walls = walls_of(mirrored(kernel.solve(Measured(coefficients(), errors())).values))
    signal = 1.1e5
    point = np.zeros((51, 51), np.float32)
    point[25, 25] = signal
    degraded = 2.0 * point - correct_first_order(point, walls).image
    middle = walls.reach
    east, north = -walls.east[middle, middle + 1], -walls.north[middle + 1, middle]
    found = widths.point_widths_um(east, north, np.array([signal]))
    for width, neighbours in zip(found, (degraded[25, 24::2][:2], degraded[24::2, 25][:2]), strict=True):
        share = neighbours.mean() / degraded[25, 25]
        assert width[0] == pytest.approx(2.355 * 12 * np.sqrt(-1 / (2 * np.log(share))), rel=1e-4)
        assert 5 < width[0] < 15


def test_errors_of_the_original_widths():
    rng = np.random.default_rng(1)
    truth = widths.original_widths(WALLS, COVARIANCE, GAIN, SIGNALS, 32768.0)
    root = np.linalg.cholesky(COVARIANCE)
    found = []
    for _ in range(400):
        east, north, gain = np.array([*WALLS, GAIN]) + root @ rng.standard_normal(3)
        found.append(widths.original_widths((east, north), COVARIANCE, gain, SIGNALS, 32768.0))
    for k, name in enumerate(("fwhm_x_um", "fwhm_y_um", "slope_x", "slope_y", "ellipticity")):
        assert_pulls([getattr(w, name) for w in found], [w.errors[k] for w in found], getattr(truth, name))
    assert truth.fwhm_y_um > truth.fwhm_x_um
    assert truth.ellipticity < 0
    assert truth.slope_x > 0


def test_walls_that_yield_outwards_have_no_width():
    found = widths.original_widths((0.1e-6, -0.3e-6), COVARIANCE, GAIN, SIGNALS, 32768.0)
    assert np.isnan(found.fwhm_x_um)
    assert found.fwhm_y_um > 0


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.6])
def test_spots_grow_as_foretold(sigma):
    """Second moments of spots, mean over places of the centre in a pixel, at a flux where the first order is all."""
    k = kernel.solve(Measured(coefficients(), errors()))
    walls = walls_of(mirrored(k.values))
    flux, half = 2e4, 24
    axis = np.arange(-half, half + 1)
    grown = []
    for x in (np.arange(5) + 0.5) / 5 - 0.5:
        for y in (np.arange(5) + 0.5) / 5 - 0.5:
            light = (flux * widths.gaussian_spot(sigma, half, x, y)).astype(np.float32)
            change = (collect(light, walls, tolerance_e=1e-5) - light).astype(np.float64) / flux
            grown.append((change.sum(axis=0) @ (axis - x) ** 2, change.sum(axis=1) @ (axis - y) ** 2))
    direct = np.mean(grown, axis=0) * widths.FWHM_PER_SIGMA / (2 * sigma) / flux
    found, _ = widths.growth(k, sigma)
    assert found == pytest.approx(direct, rel=3e-3)
    assert found[1] > found[0] > 0


def test_errors_of_the_growth():
    truth = widths.growth(kernel.solve(Measured(coefficients(), errors())), 0.9)[0]
    found = [widths.growth(kernel.solve(balanced(a)), 0.9) for a in drawn(np.random.default_rng(3), 400)]
    for axis in (0, 1):
        assert_pulls([f[0][axis] for f in found], [f[1][axis] for f in found], truth[axis])
