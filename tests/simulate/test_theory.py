from __future__ import annotations

import numpy as np
import pytest

from vison_etl.simulate.build_up import kernel
from vison_etl.simulate.detector import unit_shift
from vison_etl.simulate.theory import covariances_e2, exponential_kernel

A00 = -1.2e-6


def test_a_kernel_of_a00_alone_is_the_exponential_model():
    m = np.array([1e3, 5e4, 2e5])
    found = covariances_e2(exponential_kernel(A00), m)
    assert found[:, 0, 0] == pytest.approx(np.expm1(2 * A00 * m) / (2 * A00), rel=1e-12)
    assert np.abs(found[:, 0, 1]).max() < 1e-6


def test_without_effect_it_is_photon_noise():
    found = covariances_e2(exponential_kernel(0.0), 7e4)
    assert found == pytest.approx(np.array([[7e4, 0], [0, 0]]), abs=1e-6)


def test_covariances_sum_to_the_photon_noise():
    """Charge is conserved, so the power at k = 0 is that of Poisson's law."""
    found = covariances_e2(kernel(unit_shift().scaled(-A00)), 1.5e5, 7)
    sides = np.where(np.arange(8) == 0, 1.0, 2.0)
    assert float(sides @ found @ sides) == pytest.approx(1.5e5, rel=1e-4)


def test_expansion_to_second_order():
    """C_ij = m (delta + a_ij m + 2/3 [a * a]_ij m^2 + ...)."""
    a, m = kernel(unit_shift().scaled(-A00)), 2e4
    second = sum(a[y + 2, x + 2] * a[2 - y, 2 - x] for y in range(-2, 3) for x in range(-2, 3))
    expected = m * (1 + a[2, 2] * m + 2 / 3 * second * m**2)
    assert covariances_e2(a, m)[0, 0] == pytest.approx(expected, rel=1e-5)
    assert covariances_e2(a, 1e2)[1, 0] == pytest.approx(a[3, 2] * 1e4, rel=1e-3)
