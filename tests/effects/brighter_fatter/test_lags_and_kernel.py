"""Sum rule, kernel and its sign and factor: a flat gets the covariances that the kernel was made of."""

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.covariance import kernel
from vison_etl.effects.covariance.lags import Measured, balanced, mirrored, multiplicity, quarter_of
from vison_etl.pixels.brighter_fatter import collect
from vison_etl.pixels.walls import area_change, walls_of
from vison_etl.simulate.theory import covariances_e2

REACH = 9


def coefficients(reach=REACH, a00=-1.5e-6):
    """Return a_ij with a long tail whose sum over the window is zero, stronger along y."""
    x, y = np.mgrid[0:reach, 0:reach]
    a = (1.0 + (x == 0)) / np.maximum(np.hypot(x, y), 1.0) ** 3
    a[0, 0] = 0.0
    a *= -a00 / (a * multiplicity(reach)).sum()
    a[0, 0] = a00
    return a


def errors(reach=REACH):
    """Return a covariance matrix: errors of white noise, and a gain that all share."""
    sigma = 2e-9 * np.where(multiplicity(reach) == 4, np.sqrt(0.5), 1.0)
    sigma[0, 0] *= np.sqrt(2.0)
    scale = 2e-3 * coefficients(reach).ravel()
    return np.diag(sigma.ravel() ** 2) + np.outer(scale, scale)


def drawn(rng, n, reach=REACH):
    root = np.linalg.cholesky(errors(reach))
    truth = coefficients(reach)
    for _ in range(n):
        yield Measured(truth + (root @ rng.standard_normal(reach**2)).reshape(truth.shape), errors(reach))


def test_mirror_and_back():
    quarter = np.arange(12.0).reshape(3, 4)[:, :3]
    image = mirrored(quarter)
    assert image.shape == (5, 5)
    assert image[2, 3] == quarter[1, 0]
    assert image[3, 2] == quarter[0, 1]
    assert np.array_equal(image, image[::-1, ::-1])
    assert np.array_equal(quarter_of(image), quarter)
    assert image.sum() == (quarter * multiplicity(3)).sum()


def test_balanced_sums_to_zero_and_hardly_moves_the_centre():
    for found in drawn(np.random.default_rng(1), 20):
        total, sigma = found.total
        assert sigma > 3e-8
        made = balanced(found)
        assert abs(made.total[0]) < 1e-20
        assert made.total[1] < 1e-3 * sigma
        assert abs(made.values[0, 0] - found.values[0, 0]) < 0.05 * abs(total) + 1e-12
        assert (made.errors <= found.errors * (1 + 1e-9)).all()


def test_errors_of_balanced_coefficients_and_of_the_kernel():
    truth = coefficients()
    made = [balanced(found) for found in drawn(np.random.default_rng(2), 400)]
    true_kernel = kernel.solve(Measured(truth, errors())).values
    kernels = [kernel.solve(found) for found in made]
    for lag in ((0, 0), (1, 0), (0, 1), (3, 2), (8, 8)):
        assert_pulls([m.values[lag] for m in made], [m.errors[lag] for m in made], truth[lag])
        assert_pulls([k.values[lag] for k in kernels], [k.errors[lag] for k in kernels], true_kernel[lag])


def test_laplacian_of_the_kernel():
    a = coefficients()
    k = kernel.solve(Measured(a, errors())).values
    areas = area_change(walls_of(mirrored(k)))
    np.testing.assert_allclose(areas[1:-1, 1:-1], mirrored(a), atol=1e-18)
    # What the window of lags cannot hold is small beside what it holds.
    assert np.abs(areas).sum() - np.abs(areas[1:-1, 1:-1]).sum() < 0.02 * abs(a[0, 0])
    assert k[0, 0] < k[1, 0] < 0
    assert k[0, 0] < k[0, 1] < 0


def test_uniform_flat_gets_its_covariances():
    """Sign and factor: fluctuations n << mu of a flat get C_ij = V (d_ij + a_ij mu), one half of a_ij mu from each of two pixels."""
    a, mu, n = coefficients(), 1e3, 10.0
    walls = walls_of(mirrored(kernel.solve(Measured(a, errors())).values))
    size = 65
    light = np.full((size, size), mu, np.float32)
    light[32, 32] += n
    response = (collect(light, walls, tolerance_e=1e-9).astype(np.float64) - mu) / n
    response[32, 32] -= 1
    found = quarter_of(2 * response[32 - 8 : 41, 32 - 8 : 41]) / mu
    # An image in float32 is rounded by 3e-5 e.
    np.testing.assert_allclose(found, a, atol=1.5 * 2 * 6e-5 / n / mu + 1e-3 * abs(a[0, 0]))
    assert found[0, 0] < 0 < found[1, 0] < found[0, 1]


def test_effective_coefficients_are_those_of_covariances():
    """The series against the exact covariances of a flat of linear theory, whose fourth order is left."""
    a = np.zeros((5, 5))
    a[:3, :3] = [[-1.0, 0.135, 0.045], [0.069, 0.038, 0.028], [0.035, 0.024, 0.0175]]
    a[0, 0] = -(a * multiplicity(5)).sum() - 1.0
    a *= 1.0e-6
    full = mirrored(a)[2:-2, 2:-2]
    for mean in (2e4, 5e4):
        exact = (covariances_e2(full, mean, 4) / mean - np.eye(5)[0][:, None] * np.eye(5)[0]) / mean
        series = kernel.effective(a, np.zeros((5, 5)), mean)
        np.testing.assert_allclose(series, exact.T, atol=3 * abs(a[0, 0]) * (1.3e-6 * mean) ** 3)
        assert np.abs(series - a).max() > 0.01 * abs(a[0, 0])


def test_effective_coefficients_with_growth():
    a, c = coefficients(5), 2e-7 * coefficients(5)
    mean = 10.0
    found = kernel.effective(a, c, mean)
    assert found[0, 0] - kernel.effective(a, np.zeros((5, 5)), mean)[0, 0] == pytest.approx(
        2 / 3 * c[0, 0] * mean, rel=1e-3
    )


def test_walls_from_rows_of_the_table():
    k = kernel.solve(Measured(coefficients(), errors())).values
    order = np.random.default_rng(4).permutation(k.size)
    x, y = (lag.ravel()[order] for lag in np.indices(k.shape))
    walls = kernel.walls_from(x, y, k.ravel()[order])
    np.testing.assert_array_equal(walls.east, walls_of(mirrored(k)).east)
    np.testing.assert_array_equal(walls.north, walls_of(mirrored(k)).north)
    twice = np.concatenate([x[1:], x[1:2]]), np.concatenate([y[1:], y[1:2]])
    empty = np.zeros(0, np.int64)
    for lags in ((x[1:], y[1:]), twice, (empty, empty), (x, -y)):
        with pytest.raises(ValueError, match="each once"):
            kernel.walls_from(*lags, np.ones(lags[0].size))
    with pytest.raises(ValueError, match="with a value"):
        kernel.walls_from(x, y, np.full(x.size, np.nan))
