"""Closure of the non-linearity with the photon noise of pairs, on tile means and covariances of known truth.

The light of exposures does not repeat (0.1 or 0.3 % rms) beside its drift of 3 %, and the shutter is open 25 ms longer than commanded: then
exposure times alone leave what is a power law of the signal to 0.2 to 0.5 % at the faint end.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.closure.covariance_fit_truth import Truth
from tests.closure.nl_truth import FULL_SCALE, RESPONSES, Bench, true_nl_pct
from tests.effects.nonlinearity.nl_tables import CHANNELS, inputs
from vison_etl.effects.nonlinearity.effect import EFFECT

pytestmark = [pytest.mark.slow, pytest.mark.lengthy, pytest.mark.timeout(3600)]
AT = FULL_SCALE * np.array([0.006, 0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 0.5, 0.7, 0.85])
PER_RESPONSE = 100


def read(given, truth):
    """Return deviation from the truth and error of each channel at AT, per cent, and the tables."""
    tables = EFFECT.calibrate(given).tables
    off, errors = [], []
    for _, curve in tables["nonlinearity_curve"].group_by("ccd", "quadrant", maintain_order=True):
        signal, value, error = (curve[name].to_numpy() for name in ("fluence_adu", "nl_pct", "nl_pct_err"))
        off.append(np.interp(AT, signal, value) - truth)
        errors.append(np.interp(AT, signal, error))
    return np.array(off), np.array(errors), tables


@pytest.fixture(scope="module")
def singles():
    """Return deviations and errors of 400 channels, each of a bench of its own, 100 of each response."""
    found = []
    for number, response in enumerate(RESPONSES.values()):
        truth = true_nl_pct(response, AT)
        for k in range(PER_RESPONSE):
            bench = Bench(response, flux_rms=0.001)
            given = inputs(bench, [41, number, k], channels=CHANNELS[:1], charge=Truth())
            off, error, tables = read(given, truth)
            row = tables["nonlinearity"].filter(status="ok")
            found.append([off[0], error[0], [row["n_ptc_levels"][0], row["ptc_chi2"][0], row["ptc_dof"][0]]])
    return [np.array(part) for part in zip(*found, strict=True)]


def test_pulls_have_no_mean(singles):
    off, errors, _ = singles
    assert len(off) >= 400
    assert np.abs((off / errors).mean(axis=0)).max() < 3.3 / np.sqrt(len(off))


def test_errors_are_as_wide_as_they_claim(singles):
    """A response without any bend is known better than it says; the others as it says."""
    off, errors, _ = singles
    rms = np.sqrt(np.mean((off / errors) ** 2, axis=0))
    assert (rms < 1.1).all()
    assert (rms > 0.75).all()


def test_the_check_against_the_exposure_times_is_chi2(singles):
    levels, chi2, dof = singles[2].T
    assert (levels >= 15).all()
    pulls = (chi2 - dof) / np.sqrt(2.0 * dof)
    assert abs(pulls.mean()) < 0.5
    assert 0.8 < pulls.std() < 1.3


@pytest.mark.parametrize(
    "charge", [Truth(), Truth(a00=-3e-6), Truth(b_per_e=1e-6)], ids=["usual", "strong", "changing"]
)
def test_twelve_channels_have_half_the_errors_and_are_right(charge):
    """Light to 0.3 %, particles below the clip in all pairs: what is common to the channels is what pairs tell."""
    ratios, pulls = [], []
    for number, response in enumerate(RESPONSES.values()):
        truth = true_nl_pct(response, AT)
        given = inputs(Bench(response, flux_rms=0.003), [42, number], charge=charge, particles_adu2=1.25)
        off, errors, tables = read(given, truth)
        assert (tables["nonlinearity"]["n_ptc_levels"] >= 15).all()
        _, alone, _ = read(replace(given, measured={"tile_levels": given.measured["tile_levels"]}), truth)
        ratios.append(errors / alone)
        pulls.append((off / errors).mean(axis=0))
    # a response without bends is known well from its smoothness alone
    assert np.median(ratios[:3]) < 0.6
    assert np.max(ratios) < 1.1
    assert np.abs(pulls).max() < 3.0
    assert np.sqrt(np.mean(np.square(pulls))) < 1.3
