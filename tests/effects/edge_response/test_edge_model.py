"""Separation of bounce and deferred charge: exact where there is no noise, honest where data say little."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.effects.edge_response.edge_truth import MOT_FF, Edge, draw
from vison_etl.effects.edge_response.leading import leading_bounce
from vison_etl.effects.edge_response.lines import Overscan
from vison_etl.effects.edge_response.model import Options, separate
from vison_etl.effects.edge_response.shapes import shapes, stretched, two_species
from vison_etl.effects.edge_response.tail import Leading

SERIAL = Options((1.0, 10.0), has_bounce=True)
PARALLEL = Options((0.2, 10.0), has_bounce=False)


def leading_of(value, error):
    return Leading(np.array([value, 0.0, 0.0]), np.eye(3) * error**2)


def found_of(edge, seed=1, options=SERIAL, leading=None, used=None):
    drawn = draw(np.random.default_rng(seed), edge)
    overscan = Overscan(drawn.level, drawn.signal, drawn.error, edge.transfers)
    used = np.ones(drawn.level.size, bool) if used is None else np.array(used)
    return drawn, separate(overscan, used, options, leading)


@pytest.mark.parametrize("tau", [1.5, 3.0, 6.0])
@pytest.mark.parametrize("bounce", [-1e-4, 0.0, 1e-4])
def test_bounce_and_deferred_charge_are_told_apart(tau, bounce):
    drawn, found = found_of(Edge(species=((1.0, tau),), bounce=bounce))
    assert found.bounce.value[0] == pytest.approx(bounce, abs=3.5 * found.bounce.error[0])
    # a bounce that is not seen may settle over any length: it is known less well where the release is short
    assert found.bounce.error[0] < (2e-5 if bounce else 5e-5)
    np.testing.assert_allclose(found.eper_cti.value, drawn.eper_cti, rtol=0.2)
    assert np.all(np.abs(found.eper_cti.value - drawn.eper_cti) < 4 * found.eper_cti.error)
    assert found.tail_px[0] == pytest.approx(tau, abs=4 * found.tail_px[1])
    assert found.is_separate


def test_the_first_pixel_holds_both():
    drawn, found = found_of(Edge())
    expected = 1e-4 + 2099 * drawn.cti[-1]
    assert found.response.value[0] == pytest.approx(expected, abs=4 * found.response.error[0])
    assert np.all(np.abs(found.points.value[:, 0] - expected) < 4 * found.points.error[:, 0])
    np.testing.assert_allclose(found.cti.value, drawn.cti, rtol=0.1)


def test_where_nothing_is_deferred_there_is_no_tail():
    _, found = found_of(Edge(eper_cti=0.0, bounce=0.0))
    assert found.tail_px is None
    assert abs(found.bounce.value[0]) < 4 * found.bounce.error[0]
    assert np.all(np.abs(found.eper_cti.value) < 4 * found.eper_cti.error)


def test_columns_have_no_bounce():
    _, found = found_of(Edge(bounce=0.0, transfers=2066), options=PARALLEL)
    assert found.bounce is None
    assert found.correlation is None
    assert found.is_separate


def test_release_within_a_pixel_is_bounce():
    """What is one pixel long is called bounce, whatever it is: a release over 0.2 px cannot be told from it."""
    edge = Edge(species=((1.0, 0.2),), eper_cti=1e-6, bounce=0.0)
    drawn, found = found_of(edge)
    assert found.bounce.value[0] == pytest.approx(2099 * drawn.cti[-1], rel=0.1)


def test_leading_edge_counts_where_it_agrees():
    edge = dataclasses.replace(Edge(), levels=MOT_FF, frames=2, white_adu=1.0)
    _, alone = found_of(edge)
    _, joined = found_of(edge, leading=leading_of(1.2e-4, 2e-5))
    assert joined.leading_used
    assert joined.bounce.error[0] < 2.1e-5 < alone.bounce.error[0]
    assert joined.bounce.value[0] == pytest.approx(1e-4, abs=7e-5)


def test_a_leading_edge_that_cannot_be_right_does_not_count():
    """It shows more than all that the overscan holds: a column unlike the others."""
    _, apart = found_of(Edge(), leading=leading_of(5e-3, 1e-4))
    assert not apart.leading_used
    assert apart.is_separate
    np.testing.assert_array_equal(apart.bounce.value, apart.trailing.value)
    assert apart.leading.value[0] == pytest.approx(5e-3, rel=0.01)


def test_edges_that_disagree_separate_nothing():
    """A release within a pixel looks like a bounce behind the image and does not before it."""
    _, found = found_of(Edge(species=((1.0, 0.2),), bounce=0.0), leading=leading_of(0.0, 2e-4))
    assert not found.leading_used
    assert not found.is_separate


def test_fluences_left_out_are_evaluated_all_the_same():
    drawn, found = found_of(Edge(), used=[True, True, True, True, False])
    assert np.isfinite(found.eper_cti.value).all()
    assert found.eper_cti.value[-1] == pytest.approx(drawn.eper_cti[-1], abs=4 * found.eper_cti.error[-1])


def test_one_fluence_tells_nothing():
    assert found_of(Edge(levels=(0.3,)))[1] is None
    assert found_of(Edge(levels=(0.3, 0.301)))[1] is None
    drawn, found = found_of(Edge(levels=(0.3,), has_dark=True))
    assert found.eper_cti.value[1] == pytest.approx(drawn.eper_cti[1], rel=0.1)
    assert np.isnan(found.eper_cti.value[0])


def test_noise_hides_and_says_so():
    _, found = found_of(Edge(white_adu=30.0, levels=MOT_FF, frames=1, eper_cti=2e-6))
    assert not found.is_separate or abs(found.response.value[0]) < 5 * found.response.error[0]
    _, found = found_of(Edge(white_adu=12.0, levels=MOT_FF, frames=2, eper_cti=3e-6, bounce=0.0))
    assert not found.is_separate


def test_a_leading_edge_has_the_bounce_with_opposite_sign():
    rng = np.random.default_rng(2)
    level = np.array([5e3, 1e4, 3e4])
    seen = np.array([2e-4, 8e-5, -3e-5])
    response = 1.0 + 1e-5 * rng.standard_normal(10) + 1e-5 * np.arange(10)
    response[:3] -= seen
    found = leading_bounce(level, 0.3 + level[:, None] * response, np.full((3, 10), 0.01), 0.025)
    pulls = (found.value - seen) / np.sqrt(np.diag(found.covariance))
    assert np.all(np.abs(pulls) < 3)
    assert np.sqrt(np.diag(found.covariance)).max() < 5e-5
    assert leading_bounce(level[:1], np.ones((1, 10)), np.ones((1, 10)), 0.0) is None
    assert leading_bounce(level, np.ones((3, 7)), np.ones((3, 7)), 0.0) is None


def test_errors_of_a_leading_edge():
    """Few pixels tell the scatter: pulls are as wide as they claim all the same."""
    rng = np.random.default_rng(3)
    level, error = np.array([5e3, 1e4, 3e4]), np.full((3, 10), 0.01)
    pulls = []
    for _ in range(2000):
        response = 1.0 + 1e-4 * rng.standard_normal(10)
        found = leading_bounce(level, level[:, None] * response, error, 0.0)
        pulls.append(found.value / np.sqrt(np.diag(found.covariance)))
    # Student's distribution of 5 degrees of freedom over its rms
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.08
    assert np.sqrt(np.mean(np.square(pulls), axis=0)) == pytest.approx(np.ones(3), abs=0.12)


def test_a_slow_shift_is_no_deferred_charge():
    drawn = draw(np.random.default_rng(4), Edge(species=((1.0, 2.0),)))
    k = np.arange(20)
    for shift in (1e-4 * np.exp(-k / 60.0), 7e-7 * k):
        signal = drawn.signal + drawn.level[:, None] * shift
        found = separate(Overscan(drawn.level, signal, drawn.error, 2099), np.ones(5, bool), SERIAL)
        assert found.slow[0] == pytest.approx(shift[-1] - shift[0], abs=4 * found.slow[1])
        assert abs(found.slow[0]) > 5 * found.slow[1]
        np.testing.assert_allclose(found.eper_cti.value, drawn.eper_cti, rtol=0.1)


def test_no_part_of_a_tail_is_longer_than_the_longest_release():
    corners = {
        "stretched": np.array([[1.0, np.log(0.4)], [1.0, 0.0]]),
        "two_species": np.array([[np.log(3.0), 1.0, 1.0], [np.log(10.0), 0.5, 0.5]]),
    }
    for family in (stretched((1.0, 10.0)), two_species((1.0, 10.0))):
        # a sum over pixels is longer by half of one
        assert np.all(shapes(family, corners[family.name]).sum(axis=1) < 10.6)


def test_what_no_tail_describes_is_not_separated():
    drawn = draw(np.random.default_rng(5), Edge())
    wave = 2e-5 * np.cos(2.5 * np.arange(20))
    signal = drawn.signal + drawn.level[:, None] * wave
    found = separate(Overscan(drawn.level, signal, drawn.error, 2099), np.ones(5, bool), SERIAL)
    assert found.is_improbable
    assert not found.is_separate


@pytest.mark.parametrize("tau", [0.3, 0.5, 0.8])
def test_a_release_within_a_pixel_is_known_along_columns(tau):
    edge = Edge(species=((1.0, tau),), bounce=0.0, transfers=2066, white_adu=0.1)
    drawn, found = found_of(edge, options=PARALLEL)
    assert not found.is_at_bound
    assert np.all(np.abs(found.eper_cti.value - drawn.eper_cti) < 4 * found.eper_cti.error)
    np.testing.assert_allclose(found.eper_cti.value[-1], drawn.eper_cti[-1], rtol=0.02)
