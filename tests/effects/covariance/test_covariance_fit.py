from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.closure.covariance_fit_truth import PTC01, PTC02, Truth, simulate
from tests.effects.covariance.pairs_of import exact, inner, pairs_of, prior_of
from vison_etl.effects.covariance.fit import CURVATURE_BOUNDS, fit_covariances
from vison_etl.effects.covariance.model import Coefficients, curves
from vison_etl.effects.covariance.pairs import Pairs, nodes, predicted_adu2
from vison_etl.effects.covariance.record import Prior
from vison_etl.effects.covariance.symmetry import symmetry_chi2
from vison_etl.effects.photon_transfer.goodness import p_value

MEAN = np.repeat([3e3, 7e3, 1.5e4, 3e4, 4.5e4, 6e4], 2) * np.linspace(0.99, 1.01, 12)
TRUTH = inner(Truth(b_per_e=-1e-6))


def test_exact_covariances_give_back_their_coefficients() -> None:
    fit = fit_covariances(exact(TRUTH, MEAN))
    assert fit.status == "ok"
    found, error = fit.coefficients, fit.errors
    assert found.gain_e_per_adu == pytest.approx(TRUTH.gain_e_per_adu, rel=1e-5)
    for name in ("a_per_e", "c_per_e2", "n_e2"):
        off = (getattr(found, name) - getattr(TRUTH, name)) / getattr(error, name)
        assert np.abs(off).max() < 0.02, name
    assert fit.chi2 < 0.1
    assert fit.dof == 12 * 81 - 244
    assert fit.level_dof == 6 * 81 - 244
    assert fit.n_points == 12


def test_c_held_at_zero() -> None:
    truth = Coefficients(TRUTH.gain_e_per_adu, TRUTH.a_per_e, 0.0 * TRUTH.c_per_e2, TRUTH.n_e2)
    fit = fit_covariances(exact(truth, MEAN), c_is_free=False, prior=Prior(1.646, 0.08))
    assert fit.dof == 12 * 81 + 1 - 163
    assert fit.coefficients.gain_e_per_adu == pytest.approx(3.5, rel=1e-5)
    assert not fit.coefficients.c_per_e2.any()
    assert np.isnan(fit.errors.c_per_e2).all()


def test_what_a_pair_hides_is_in_the_prediction() -> None:
    """Spread of the illumination and unequal fluxes, by averaging the curve itself."""
    truth = Truth(a00=-3e-6)
    found = simulate(np.random.default_rng(1), truth, {0.3: 1, 0.9: 1}, spread=0.05)
    uneven = replace(found, imbalance=np.array([0.04, -0.03]))
    curve = exact(inner(truth), found.mean_adu)
    for imbalance in (found.imbalance, uneven.imbalance):
        pairs = Pairs(
            found.mean_adu, imbalance, found.spread_adu, curve.covariance_adu2, curve.n, curve.difference_adu2
        )
        grouped = nodes(pairs)
        coefficients = inner(truth)
        at_nodes = curves(coefficients, coefficients.gain_e_per_adu * grouped.mean_adu)
        predicted = predicted_adu2(pairs, grouped, at_nodes, coefficients)[:, 0]
        expected = np.zeros(2)
        place, weight = np.polynomial.legendre.leggauss(8)
        w1, w2 = 1 + imbalance, 1 - imbalance
        for x, w in zip(1 + 0.05 * np.sqrt(3) * place, weight / 2, strict=True):
            first, second = (exact(coefficients, x * found.mean_adu * f).covariance_adu2[:, 0, 0] for f in (w1, w2))
            expected += w * (w2**2 * first + w1**2 * second) / (2 * w1 * w2)
        # read noise is not multiplied by the illumination, nor is the fourth moment of the spread known
        np.testing.assert_allclose(predicted, expected, rtol=2e-5)
        assert np.abs(curve.covariance_adu2[:, 0, 0] / expected - 1).max() > 1e-4


def test_nodes_take_pairs_of_like_signal() -> None:
    pairs = exact(TRUTH, np.array([5e3, 1e3, 5.1e3, 1.03e3, 1.06e3]))
    grouped = nodes(pairs)
    assert grouped.of_pair.tolist() == [2, 0, 2, 0, 1]
    np.testing.assert_allclose(grouped.mean_adu, [1015, 1060, 5050])
    assert grouped.n[0, 0] == 8e6


def test_few_levels_are_no_data() -> None:
    pairs = exact(TRUTH, MEAN)
    assert fit_covariances(pairs[:6]).status == "no_data"
    assert fit_covariances(pairs[:6], c_is_free=False, prior=Prior(1.646, 0.08)).status == "ok"
    assert fit_covariances(pairs[:4], c_is_free=False).status == "no_data"
    assert fit_covariances(pairs[:0]).status == "no_data"


def test_nonsense_fails() -> None:
    pairs = exact(TRUTH, MEAN)
    dead = replace(pairs, covariance_adu2=np.where(np.arange(81).reshape(9, 9) == 0, 1.6, 0.0) * np.ones((12, 1, 1)))
    fit = fit_covariances(dead)
    assert fit.status == "failed"
    assert np.isnan(fit.coefficients.gain_e_per_adu)
    assert fit.n_points == 0
    upside = replace(pairs, covariance_adu2=-pairs.covariance_adu2)
    assert fit_covariances(upside).status == "failed"


def test_a_curve_that_turns_down_ends_at_the_bound() -> None:
    pairs = exact(TRUTH, MEAN)
    falling = pairs.covariance_adu2.copy()
    falling[:, 0, 0] = 1.6 + 4e3 * (1 - np.exp(-MEAN / 4e3))
    fit = fit_covariances(
        replace(pairs, covariance_adu2=falling), c_is_free=False, prior=Prior(1.646, 0.08), outlier_sigma=np.inf
    )
    assert fit.status in {"bound", "failed"}
    if fit.status == "bound":
        found = fit.coefficients
        top = nodes(pairs).mean_adu.max()
        assert 2 * found.a_per_e[0, 0] * found.gain_e_per_adu * top == pytest.approx(CURVATURE_BOUNDS[0], rel=0.01)
        assert np.isnan(fit.errors.a_per_e[0, 0])
        assert np.isnan(fit.mixing.x)


def test_one_lag_of_one_pair_takes_the_pair_out() -> None:
    found = simulate(np.random.default_rng(2), Truth())
    pairs = pairs_of(found)
    hit = pairs.covariance_adu2.copy()
    hit[17, 3, 1] += 0.01 * hit[17, 0, 0]
    clean, fit = (fit_covariances(p, prior=prior_of(found)) for p in (pairs, replace(pairs, covariance_adu2=hit)))
    assert clean.used[17]
    assert not fit.used[17]
    assert fit.n_outliers == clean.n_outliers + 1
    shift = fit.coefficients.gain_e_per_adu - clean.coefficients.gain_e_per_adu
    assert abs(shift) < clean.errors.gain_e_per_adu


def test_a_giant_outlier_does_not_steer_the_start() -> None:
    found = simulate(np.random.default_rng(3), Truth(), PTC01)
    pairs = pairs_of(found)
    hit = pairs.covariance_adu2.copy()
    hit[30] *= 40.0
    fit = fit_covariances(replace(pairs, covariance_adu2=hit), prior=prior_of(found))
    assert fit.status == "ok"
    assert not fit.used[30]
    assert abs(fit.coefficients.gain_e_per_adu - 3.5) < 4 * fit.errors.gain_e_per_adu


def test_a_shape_that_is_wrong_is_not_cut_but_told() -> None:
    """Second-order coefficients that are not zero, held at zero: the gain is wrong by 1 %, and chi2 says so."""
    found = simulate(np.random.default_rng(4), Truth(b_per_e=-2e-6), PTC02)
    fit = fit_covariances(pairs_of(found), c_is_free=False, prior=prior_of(found))
    assert fit.n_outliers == 0
    assert fit.level_chi2 > 2 * fit.level_dof
    assert fit.coefficients.gain_e_per_adu > 3.5 * 1.005


def test_codes_that_are_not_even_show_in_the_variances() -> None:
    """A converter off by 1 ADU with a period of 2048 codes changes variances by (dF/dmu)^2, and the other lags with them."""
    found = simulate(np.random.default_rng(5), Truth(), PTC01)
    pairs = pairs_of(found)
    slope = 1.0 + 2.0 * np.pi / 2048.0 * np.cos(2.0 * np.pi * pairs.mean_adu / 2048.0)
    wavy = replace(pairs, covariance_adu2=pairs.covariance_adu2 * slope[:, None, None] ** 2)
    even, uneven = (fit_covariances(p, prior=prior_of(found)) for p in (pairs, wavy))
    assert p_value(even.variance_chi2, even.variance_dof) > 1e-3
    assert p_value(uneven.variance_chi2, uneven.variance_dof) < 1e-4
    # all lags together hardly tell
    assert p_value(uneven.level_chi2, uneven.level_dof) > p_value(uneven.variance_chi2, uneven.variance_dof)


def test_symmetry_sees_an_asymmetry() -> None:
    truth = Truth()
    found = simulate(np.random.default_rng(6), truth)
    coefficients = inner(truth)
    chi2, dof = symmetry_chi2(pairs_of(found), coefficients)
    assert dof == 64
    assert abs(chi2 - 64) < 3.3 * np.sqrt(128)
    skew = found.difference_adu2.copy()
    skew[:, 0, 0] += 0.3 * 0.02 * 1.5e-6 * found.mean_adu**2
    assert symmetry_chi2(pairs_of(replace(found, difference_adu2=skew)), coefficients)[0] > 64 + 6 * np.sqrt(128)
