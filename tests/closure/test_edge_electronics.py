"""Bounces longer than a pixel, slow memory and slopes of the line, releases within a pixel along columns: none is taken for another, and errors hold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.closure.test_edge_response import ALONG_COLUMNS, bounces, column, results
from tests.effects.edge_response.edge_truth import PARALLEL, Edge
from tests.pulls import assert_pulls

pytestmark = [pytest.mark.slow, pytest.mark.lengthy, pytest.mark.timeout(900)]

CHANNELS = 60
RELEASE = ((1.0, 2.0),)
ELECTRONICS = {
    "memory of 60 px": {"memory": (1e-4, 60.0)},
    "memory of 25 px": {"memory": (-1e-4, 25.0)},
    "slope": {"slope": 6.7e-7},
    "three pixels": {"settling": (0.4, 0.15)},
    "overshoot": {"settling": (-0.4,)},
    "settling": {"settling": tuple(0.3 ** np.arange(1, 12))},
    "settling, and memory": {"settling": tuple(0.3 ** np.arange(1, 12)), "memory": (1e-4, 60.0)},
}


def simple(drawn, transfers, taus=None):
    """Return CTI (sum over the tail) and error of an exponential tail, a bounce of one pixel and a constant: what a simpler method fits."""
    level, k = drawn.level, np.arange(drawn.signal.shape[1])
    best = None
    for tau in np.geomspace(1.0, 10.0, 200) if taus is None else taus:
        g = np.exp(-k / tau)
        rows = [
            np.concatenate([level[j] * np.stack([g, k == 0], 1), np.zeros((k.size, 5 + k.size))], 1)
            for j in range(level.size)
        ]
        for j, row in enumerate(rows):
            row[:, 2 + j], row[k, 7 + k] = 1.0, 1.0
        design = np.concatenate(rows) / drawn.error.reshape(-1, 1)
        # the structure of the offset is small
        design = np.concatenate([design, np.eye(design.shape[1])[7:] / 0.1])
        data = np.append((drawn.signal / drawn.error).ravel(), np.zeros(k.size))
        covariance = np.linalg.inv(design.T @ design)
        value = covariance @ design.T @ data
        chi2 = float(np.sum((data - design @ value) ** 2))
        factor = 1.0 / (1.0 - np.exp(-1.0 / tau)) / transfers
        if best is None or chi2 < best[0]:
            best = chi2, value[0] * factor, np.sqrt(covariance[0, 0]) * factor
    return best[1], best[2]


@pytest.mark.parametrize("name", ELECTRONICS)
def test_deferred_charge_beside_what_is_electronic(name):
    edge = Edge(species=RELEASE, **ELECTRONICS[name])
    found = results(edge, CHANNELS)
    for which in (-1, 1):
        value, error, truth = column(found, which, "eper_cti")
        assert np.mean(np.abs(value - truth) < 3 * error) >= 0.95
        assert np.abs((value - truth) / error).max() < 5
    value, error, truth = column(found, -1, "eper_cti")
    assert np.abs(value / truth - 1).max() < 0.2
    # the mean is right to a third of what is claimed of one channel, or to what it is known to
    assert abs((value - truth).mean()) < max(0.02 * truth[0], 3.3 * value.std() / np.sqrt(CHANNELS))
    for k in range(3):
        value, error = bounces(found, k)
        # without an error: no longer bounce is left
        assert np.mean(np.abs(value - edge.step()[k]) <= 3 * error + 1e-12) >= 0.9


@pytest.mark.parametrize("name", ["memory of 60 px", "slope", "three pixels"])
def test_a_fit_without_it_is_wrong(name):
    """By more than its error, and more than what is found here."""
    edge = Edge(species=RELEASE, **ELECTRONICS[name])
    drawn, found = results(edge, 1)[0]
    value, error = simple(drawn, edge.transfers)
    truth = drawn.eper_cti[-1]
    assert abs(value - truth) > 5 * error
    assert abs(found.eper_cti.value[-1] - truth) < 0.5 * abs(value - truth)


@pytest.mark.parametrize("name", ELECTRONICS)
def test_what_is_electronic_is_no_deferred_charge(name):
    edge = Edge(eper_cti=0.0, **ELECTRONICS[name])
    found = results(edge, CHANNELS)
    for which in (-1, 1):
        value, error, _ = column(found, which, "eper_cti")
        assert np.mean(np.abs(value) < 3 * error) >= 0.9
        separate = np.array([f.is_separate for _, f in found])
        assert np.mean((np.abs(value) < 3 * error) | ~separate) >= 0.9
    assert np.mean([f.tail_px is None or not f.is_separate for _, f in found]) >= 0.95
    value, error = bounces(found)
    assert np.mean((np.abs(value - edge.bounce) < 3 * error) | [not f.is_separate for _, f in found]) >= 0.9


def test_the_slow_shift_is_measured():
    edge = Edge(species=RELEASE, memory=(1e-4, 60.0))
    slow = np.array([f.slow for _, f in results(edge, 200)]).T
    assert_pulls(*slow, edge.memory[0] * np.expm1(-19 / 60.0))


def test_the_leading_edge_sees_what_the_trailing_edge_cannot_tell():
    """A bounce that settles over a pixel looks like charge released over one behind the image; before the image it is seen alone."""
    edge = Edge(eper_cti=0.0, bounce=2e-3, settling=tuple(0.38 ** np.arange(1, 20)))
    found = results(edge, CHANNELS)
    leading = np.array([(f.leading.value[0], f.leading.error[0]) for _, f in found]).T
    # what is left of the bounce in the fourth pixel and after is taken for illumination: a tenth
    assert abs(leading[0].mean() - 2e-3) < 2e-4 + 3.3 * leading[0].std() / np.sqrt(CHANNELS)
    assert np.mean(leading[0] > 4 * leading[1]) > 0.8
    wrong = np.array([abs(f.eper_cti.value[-1]) > 5e-7 for _, f in found])
    assert np.mean(wrong & [f.is_separate for _, f in found]) < 0.2


@pytest.mark.parametrize("tau", [0.3, 0.5, 1.0])
def test_release_within_a_pixel_along_columns(tau):
    edge = Edge(bounce=0.0, transfers=PARALLEL, species=((1.0, tau),), white_adu=0.1)
    found = results(edge, 200, ALONG_COLUMNS)
    assert not any(f.is_at_bound for _, f in found)
    for which in (0, -1):
        assert_pulls(*column(found, which, "eper_cti"))
    value, _, truth = column(found, -1, "eper_cti")
    assert np.abs(value / truth - 1).max() < 0.05


@pytest.mark.parametrize("what", [{"memory": (1e-4, 60.0)}, {"slope": 6.7e-7}])
@pytest.mark.parametrize("cti", [0.0, 1e-6])
def test_slow_shifts_along_columns(what, cti):
    edge = Edge(bounce=0.0, eper_cti=cti, transfers=PARALLEL, species=RELEASE, white_adu=0.1, **what)
    found = results(edge, CHANNELS, ALONG_COLUMNS)
    for which in (-1, 1):
        value, error, truth = column(found, which, "eper_cti")
        assert np.mean(np.abs(value - truth) < 3 * error) >= 0.95
    if cti:
        value, _, truth = column(found, -1, "eper_cti")
        assert np.abs(value / truth - 1).max() < 0.2
