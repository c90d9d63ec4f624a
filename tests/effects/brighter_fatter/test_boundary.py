"""Boundary shifts: walls of the model come back, areas are those measured, errors cover."""

import numpy as np
import pytest

from tests.effects.brighter_fatter.test_lags_and_kernel import coefficients, drawn, errors
from tests.pulls import assert_pulls
from vison_etl.effects.brighter_fatter import boundary
from vison_etl.effects.covariance.lags import Measured, mirrored, multiplicity
from vison_etl.pixels.walls import area_change

REACH = 9


def smooth_walls(p, rate, reach=REACH):
    north, east = boundary._shapes(reach, rate)
    return p * north, p * east


def areas_of(north, east):
    """Return equation (1) by the walls of each pixel, written out."""
    a = np.zeros(north.shape)
    for i, j in np.ndindex(a.shape):
        south = -north[i, 0] if j == 0 else north[i, j - 1]
        west = -east[0, j] if i == 0 else east[i - 1, j]
        a[i, j] = north[i, j] - south + east[i, j] - west
    return a


@pytest.mark.parametrize("rate", [-0.3, -0.8])
def test_walls_of_the_smooth_model_come_back(rate):
    north, east = smooth_walls(4e-7, rate)
    a = Measured(areas_of(north, east), np.diag(np.full(81, 1e-11**2)))
    found = boundary.solve(a)
    assert found.status == "ok"
    np.testing.assert_allclose(found.north, north, atol=2e-10)
    np.testing.assert_allclose(found.east, east, atol=2e-10)
    assert found.smooth == pytest.approx((4e-7, rate), rel=1e-3)


def test_areas_are_those_measured_and_charge_is_conserved():
    a = Measured(coefficients(), errors())
    found = boundary.solve(a)
    areas = areas_of(found.north, found.east)
    assert (np.abs(areas - a.values) < 3 * a.errors).all()
    outward = 2 * (
        (multiplicity(REACH)[:, 0] * found.north[:, -1]).sum() + (multiplicity(REACH)[0] * found.east[-1]).sum()
    )
    assert (areas * multiplicity(REACH)).sum() == pytest.approx(outward, abs=1e-18)
    assert found.chi2 < 11
    # Pixels shrink around charge, along y more than along x.
    assert found.north[0, 0] < found.east[0, 0] < 0


def test_errors_cover():
    """Against the walls of the coefficients without noise: what the closure itself gets wrong is no error of the measurement."""
    truth = boundary.solve(Measured(coefficients(), errors()))
    found = [boundary.solve(a) for a in drawn(np.random.default_rng(5), 400)]
    assert all(walls.status == "ok" for walls in found)
    for lag in ((0, 0), (1, 0), (0, 1), (2, 1), (5, 3)):
        assert_pulls([w.north[lag] for w in found], [w.north_err[lag] for w in found], truth.north[lag])
        assert_pulls([w.east[lag] for w in found], [w.east_err[lag] for w in found], truth.east[lag])


def test_chi2_tells_charge_that_is_not_conserved():
    a = coefficients()
    a[0, 0] *= 0.7
    assert boundary.solve(Measured(a, errors())).chi2 > 20


def test_walls_that_yield_the_wrong_way_are_no_walls():
    found = boundary.solve(Measured(-coefficients(), errors()))
    assert found.status == "failed"
    assert np.isnan(found.north).all()


def test_a_field_that_does_not_fall_off_is_at_the_bound():
    north, east = smooth_walls(4e-7, -8.0)
    found = boundary.solve(Measured(areas_of(north, east), np.diag(np.full(81, 1e-12**2))))
    assert found.status == "bound"


def test_shifts_as_currents():
    found = boundary.solve(Measured(coefficients(), errors()))
    walls = boundary.pushes(found)
    # The window of lags ends with the outermost walls, which give the next ring of pixels what they take.
    np.testing.assert_allclose(area_change(walls)[1:-1, 1:-1], mirrored(boundary.areas(found)), atol=1e-20)
    np.testing.assert_allclose(boundary.areas(found), areas_of(found.north, found.east), atol=1e-20)
    assert walls.east[8, 9] == -found.east[0, 0] > 0
    assert walls.north[10, 9] == -found.north[1, 1]


def test_noise_alone_makes_no_failure():
    """Coefficients twenty times as uncertain: walls scatter about the truth, those that noise turns round included."""
    truth = boundary.solve(Measured(coefficients(), errors()))
    rng = np.random.default_rng(6)
    wide = 1600.0 * errors()
    root = np.linalg.cholesky(wide)
    found = [
        boundary.solve(Measured(coefficients() + (root @ rng.standard_normal(81)).reshape(9, 9), wide))
        for _ in range(200)
    ]
    good = [walls for walls in found if walls.status != "failed"]
    assert len(good) > 190
    values = np.array([walls.east[0, 0] for walls in good])
    assert (values > 0).any()
    assert abs(values.mean() - truth.east[0, 0]) < 3.3 * values.std() / np.sqrt(len(good))
