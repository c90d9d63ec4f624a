"""The response as a spline: what it must be by construction."""

import numpy as np

from vison_etl.effects.nonlinearity.response import (
    FULL_SCALE_ADU,
    deviations,
    invert,
    is_monotone,
    make_basis,
    respond,
)

BASIS = make_basis(60_000.0)
BENT = 0.01 * np.sin(np.arange(BASIS.size) / 3.0)


def test_it_is_zero_at_zero_and_has_a_slope_there():
    value, slope = respond(BASIS, BENT, np.array([0.0, 1.0]))
    assert value[0] == 0.0
    np.testing.assert_allclose(value[1], slope[0], rtol=1e-4)


def test_derivatives():
    z = np.linspace(100.0, 59_000.0, 40)
    step = 1.0
    for order in (1, 2):
        numeric = (BASIS.values(z + step, order - 1) - BASIS.values(z - step, order - 1)) / (2.0 * step)
        np.testing.assert_allclose(BASIS.values(z, order), numeric, rtol=1e-4, atol=1e-10 / 10**order)
    np.testing.assert_array_equal(BASIS.values(np.array(BASIS.reference_adu)), 0.0)


def test_the_inverse():
    z = np.geomspace(10.0, 59_000.0, 50)
    np.testing.assert_allclose(invert(BASIS, BENT, respond(BASIS, BENT, z)[0]), z, rtol=1e-12)


def test_roughness_is_that_of_second_differences_and_knows_no_constant():
    np.testing.assert_allclose(BENT @ BASIS.roughness @ BENT, np.sum(np.diff(np.append(BENT, 0.0), n=2) ** 2))
    assert np.linalg.matrix_rank(BASIS.roughness) == BASIS.size - 1


def test_the_line_touches_the_curve_where_the_signal_is_20_per_cent():
    reference = 0.2 * FULL_SCALE_ADU
    F = reference + np.array([-1.0, 0.0, 1.0])
    value, _ = deviations(BASIS, BENT, F)
    linear = F / (1.0 + value)
    np.testing.assert_allclose((F[2] - F[0]) / (linear[2] - linear[0]), 1.0, atol=1e-9)


def test_jacobian_of_the_deviations():
    F = np.array([400.0, 3000.0, 13_107.2, 50_000.0])
    value, jacobian = deviations(BASIS, BENT, F)
    for m in range(BASIS.size):
        step = np.zeros(BASIS.size)
        step[m] = 1e-6
        numeric = (deviations(BASIS, BENT + step, F)[0] - deviations(BASIS, BENT - step, F)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[:, m], numeric, atol=2e-6)
    assert value.shape == (4,)


def test_a_response_that_falls_is_not_monotone():
    assert is_monotone(BASIS, BENT)
    assert not is_monotone(BASIS, 600.0 * BENT)
