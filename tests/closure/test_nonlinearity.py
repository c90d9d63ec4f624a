"""Closure of the non-linearity on tile means of 400 channels, one bench each: four responses, the campaign's frames, a source that drifts by
3 %, a shutter that is open 25 ms longer than commanded, photon and read noise.

A common factor of a curve is conventional: curves are compared where the line has slope 1 at 20 % of full scale.
"""

import numpy as np
import pytest
from scipy.stats import chi2

from tests.closure.anchored_line import anchored_curve
from tests.closure.nl_truth import RESPONSES, Bench, expose, true_nl_pct
from tests.effects.nonlinearity.nl_tables import CHANNELS, inputs
from vison_etl.effects.nonlinearity.effect import EFFECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FULL_SCALE = 65536.0
PER_RESPONSE = [13, pytest.param(100, marks=pytest.mark.lengthy)]
"""Channels of each of the four responses."""
BRIGHT = FULL_SCALE * np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85])
FAINT = FULL_SCALE * np.array([0.01, 0.015, 0.02, 0.03, 0.05])
LOWEST = 0.006 * FULL_SCALE
_TOO_LARGE = 1.7
"""Errors may be too large by this factor: drift and bends here are smoother than their priors, which are those of the likeliest size."""


def curves(n, seed, **bench):
    """Return deviation from the truth and error, per cent, at LOWEST, FAINT and BRIGHT, and latency and error: one row per channel."""
    off, errors, latencies = [], [], []
    at = np.concatenate([[LOWEST], FAINT, BRIGHT])
    for number, response in enumerate(RESPONSES.values()):
        truth = true_nl_pct(response, at)
        for k in range(n):
            given = inputs(Bench(response, **bench), [seed, number, k], channels=CHANNELS[:1])
            found = EFFECT.calibrate(given).tables
            assert found["nonlinearity"].filter(status="ok").height == 1
            curve = found["nonlinearity_curve"]
            names = ("fluence_adu", "nl_pct", "nl_pct_err")
            signal, value, error = (curve[name].to_numpy() for name in names)
            off.append(np.interp(at, signal, value) - truth)
            errors.append(np.interp(at, signal, error))
            row = found["shutter_latency"].filter(filter="0")
            latencies.append([row["latency_s"][0], row["latency_s_err"][0]])
    return np.array(off), np.array(errors), np.array(latencies).T


@pytest.fixture(scope="module", params=PER_RESPONSE)
def steady(request):
    return curves(request.param, 1)


def test_within_a_tenth_of_a_per_cent_from_5_to_85_per_cent(steady):
    off, _, _ = steady
    bright = off[:, 1 + FAINT.size :]
    assert np.abs(bright).max() < 0.1
    bias, error = bright.mean(axis=0), bright.std(axis=0) / np.sqrt(len(bright))
    assert (error < 0.003).all()
    assert (np.abs(bias) + 3.3 * error < 0.01).all()


def test_within_half_a_per_cent_from_1_to_5_per_cent(steady):
    off, _, _ = steady
    assert np.abs(off[:, 1 : 1 + FAINT.size]).max() < 0.5


def test_the_usual_way_fails():
    """The intercept of the anchors is the bend of the curve: at 0.5 % of full scale the original's own response comes out 30 % wrong.

    Even with a perfect source and shutter; compared as deviations from the line at 20 %.
    """
    response = RESPONSES["original"]
    frames = expose(np.random.default_rng(9), Bench(response, drift=0.0, latency_s=0.0))[0]
    at = FULL_SCALE * np.array([0.005, 0.05, 0.2])
    usual = anchored_curve(frames, at) - (true_nl_pct(response, at) - true_nl_pct(response, at[2:]))
    assert abs(usual[2]) < 0.5
    assert abs(usual[0]) > 20.0
    assert abs(usual[1]) > 1.0


@pytest.mark.lengthy
@pytest.mark.parametrize(
    "bench",
    [
        {"flux_rms": 0.001},
        {"flux_rms": 0.003, "corner_drop": 0.02},
        {"flux_rms": 0.001, "pattern_rms": 2e-4},
        {"flux_rms": 0.001, "latency_rms_s": 0.001},
    ],
    ids=["light", "even", "pattern", "shutter"],
)
def test_errors_are_never_too_small_where_more_than_noise_disturbs(bench):
    """Smoothness is a prior: a response that bends less than it may has errors larger than its scatter, never smaller."""
    off, errors, _ = curves(12, 3, **bench)
    pulls = off / errors
    assert np.sqrt(np.mean(pulls**2)) < 1.2
    assert np.mean(np.abs(pulls) > 2.0) < 0.1


def test_pulls_have_no_mean(steady):
    """Smoothing bends no curve by what matters: with 400 channels a sixth of an error would be seen."""
    off, errors, _ = steady
    pulls = off / errors
    assert np.abs(pulls.mean(axis=0)).max() < 3.3 / np.sqrt(len(pulls))


def test_errors_are_not_too_small(steady):
    off, errors, _ = steady
    square = np.mean((off / errors) ** 2, axis=0)
    lowest, highest = chi2.ppf([0.0005, 0.9995], len(off)) / len(off)
    assert (square < highest).all()
    assert (square > lowest / _TOO_LARGE**2).all()


def test_errors_of_the_latency_are_not_too_small(steady):
    _, _, (latency, error) = steady
    pulls = (latency - 0.025) / error
    assert np.mean(pulls**2) < chi2.ppf(0.9995, pulls.size) / pulls.size
    assert np.abs(latency - 0.025).max() < 1e-3
