from __future__ import annotations

import numpy as np
import pytest

from tests.closure.covariance_fit_truth import PTC01, PTC02, Truth, simulate
from tests.effects.covariance.pairs_of import pairs_of
from tests.pulls import assert_pulls
from vison_etl.effects.covariance.fit import fit_covariances
from vison_etl.effects.covariance.joint import JointFit, joint_fit
from vison_etl.effects.covariance.record import Prior

COLOURS = (Truth(a00=-1.5e-6), Truth(a00=-1.2e-6), Truth(a00=-1.7e-6, near=(0.16, 0.05, 0.02)))


def joint(rng: np.random.Generator, colours: tuple[Truth, ...]) -> JointFit:
    """Fit one channel; the prescan knows the noise to 5 %, once for all tests."""
    samples = [simulate(rng, truth, PTC01 if k == 0 else PTC02) for k, truth in enumerate(colours)]
    fits = [fit_covariances(pairs_of(each)) for each in samples]
    return joint_fit(fits, Prior(samples[0].noise_adu2, samples[0].noise_adu2_err))


@pytest.fixture(scope="module")
def many() -> list[JointFit]:
    return [joint(rng, COLOURS) for rng in np.random.default_rng(7).spawn(60)]


def test_one_gain_for_all_colours(many: list[JointFit]) -> None:
    assert {each.status for each in many} == {"ok"}
    assert_pulls([each.gain_e_per_adu for each in many], [each.gain_e_per_adu_err for each in many], 3.5)
    for k, truth in enumerate(COLOURS):
        a00 = [each.coefficients[k].a_per_e[0, 0] for each in many]
        errors = [np.sqrt(each.covariances[k][1, 1]) for each in many]
        assert_pulls(a00, errors, truth.a00)
        separate = [each.separate_gain_e_per_adu[k] for each in many]
        assert_pulls(separate, [each.separate_gain_e_per_adu_err[k] for each in many], 3.5)
    chi2 = sum(each.chi2 for each in many)
    assert many[0].dof == 2
    assert abs(chi2 - 120) < 3.3 * np.sqrt(240)
    noise = sum(each.noise_chi2 for each in many)
    assert abs(noise - 60 * 162) < 3.3 * np.sqrt(2 * 60 * 162)


def test_joint_error_is_below_that_of_each(many: list[JointFit]) -> None:
    for each in many[:5]:
        assert each.gain_e_per_adu_err < each.separate_gain_e_per_adu_err.min()
        for coefficients in each.coefficients:
            assert coefficients.gain_e_per_adu == each.gain_e_per_adu
            np.testing.assert_allclose(coefficients.n_e2, each.coefficients[0].n_e2)


def test_gains_that_differ_are_told() -> None:
    other = Truth(gain=3.5 * 1.003, a00=-1.2e-6)
    found = joint(np.random.default_rng(8), (COLOURS[0], other))
    assert found.dof == 1
    assert found.chi2 > 12
    assert found.separate_gain_e_per_adu[1] / found.separate_gain_e_per_adu[0] == pytest.approx(1.003, abs=0.002)


def test_one_test_is_no_joint_fit() -> None:
    sample = simulate(np.random.default_rng(9), COLOURS[0])
    fit, nothing = fit_covariances(pairs_of(sample)), fit_covariances(pairs_of(sample)[:3])
    found = joint_fit([fit, nothing])
    assert found.status == "no_data"
    assert np.isnan(found.gain_e_per_adu)
    assert found.used.tolist() == [0]
