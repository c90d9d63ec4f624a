"""Separation of bounce and deferred charge: exact where there is no noise, honest where data say little."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.effects.edge_response.edge_truth import MOT_FF, Edge, draw
from vison_etl.effects.edge_response.lines import Overscan
from vison_etl.effects.edge_response.model import Options, leading_bounce, separate

SERIAL = Options((1.0, 10.0), has_bounce=True, leading_transfers=52)
PARALLEL = Options((1.0, 10.0), has_bounce=False)


def found_of(edge, seed=1, options=SERIAL, leading=None, used=None):
    drawn = draw(np.random.default_rng(seed), edge)
    overscan = Overscan(drawn.level, drawn.signal, drawn.error, edge.transfers)
    used = np.ones(drawn.level.size, bool) if used is None else np.array(used)
    return drawn, separate(overscan, used, options, leading)


@pytest.mark.parametrize("tau", [1.5, 3.0, 6.0])
@pytest.mark.parametrize("bounce", [-1e-4, 0.0, 1e-4])
def test_bounce_and_deferred_charge_are_told_apart(tau, bounce):
    drawn, found = found_of(Edge(species=((1.0, tau),), bounce=bounce))
    assert found.bounce[0] == pytest.approx(bounce, abs=3.5 * found.bounce[1])
    assert found.bounce[1] < 2e-5
    np.testing.assert_allclose(found.cti.value, drawn.cti, rtol=0.2)
    assert np.all(np.abs(found.cti.value - drawn.cti) < 4 * found.cti.error)
    assert found.tail_px[0] == pytest.approx(tau, abs=4 * found.tail_px[1])
    assert found.is_separate


def test_the_first_pixel_holds_both():
    drawn, found = found_of(Edge())
    expected = 1e-4 + 2099 * drawn.first_cti[-1]
    assert found.response.value[0] == pytest.approx(expected, abs=4 * found.response.error[0])
    assert np.all(np.abs(found.points.value[:, 0] - expected) < 4 * found.points.error[:, 0])
    np.testing.assert_allclose(found.first_cti.value, drawn.first_cti, rtol=0.1)


def test_where_nothing_is_deferred_there_is_no_tail():
    _, found = found_of(Edge(cti=0.0, bounce=0.0))
    assert found.tail_px is None
    assert abs(found.bounce[0]) < 4 * found.bounce[1]
    assert np.all(np.abs(found.cti.value) < 4 * found.cti.error)


def test_columns_have_no_bounce():
    _, found = found_of(Edge(bounce=0.0, transfers=2066), options=PARALLEL)
    assert found.bounce is None
    assert found.correlation is None
    assert found.is_separate


def test_release_within_a_pixel_is_bounce():
    """What is one pixel long is called bounce, whatever it is: a release over 0.2 px cannot be told from it."""
    edge = Edge(species=((1.0, 0.2),), cti=1e-6, bounce=0.0)
    drawn, found = found_of(edge)
    assert found.bounce[0] == pytest.approx(2099 * drawn.first_cti[-1], rel=0.1)


def test_leading_edge_counts_where_it_agrees():
    edge = dataclasses.replace(Edge(), levels=MOT_FF, frames=2, white_adu=1.0)
    _, alone = found_of(edge)
    _, joined = found_of(edge, leading=(1.2e-4, 2e-5))
    assert joined.leading_used
    assert joined.bounce[1] < 2.1e-5 < alone.bounce[1]
    assert joined.bounce[0] == pytest.approx(1e-4, abs=7e-5)
    _, apart = found_of(Edge(), leading=(5e-3, 1e-4))
    assert not apart.leading_used
    assert apart.bounce == apart.trailing
    assert apart.leading[0] == pytest.approx(5e-3, rel=0.01)


def test_fluences_left_out_are_evaluated_all_the_same():
    drawn, found = found_of(Edge(), used=[True, True, True, True, False])
    assert np.isfinite(found.cti.value).all()
    assert found.cti.value[-1] == pytest.approx(drawn.cti[-1], abs=4 * found.cti.error[-1])


def test_one_fluence_tells_nothing():
    assert found_of(Edge(levels=(0.3,)))[1] is None
    assert found_of(Edge(levels=(0.3, 0.301)))[1] is None
    drawn, found = found_of(Edge(levels=(0.3,), has_dark=True))
    assert found.cti.value[1] == pytest.approx(drawn.cti[1], rel=0.1)
    assert np.isnan(found.cti.value[0])


def test_noise_hides_and_says_so():
    _, found = found_of(Edge(white_adu=30.0, levels=MOT_FF, frames=1, cti=2e-6))
    assert not found.is_separate or abs(found.response.value[0]) < 5 * found.response.error[0]
    _, found = found_of(Edge(white_adu=12.0, levels=MOT_FF, frames=2, cti=3e-6, bounce=0.0))
    assert not found.is_separate


def test_a_leading_edge_has_the_bounce_with_opposite_sign():
    level = np.array([5e3, 1e4, 3e4])
    value, error = leading_bounce(level, 0.3 + level * (1 - 2e-4), np.full(3, 0.01), 1e-5)
    assert value == pytest.approx(2e-4, rel=1e-6)
    assert error == pytest.approx(1e-5, rel=0.01)
    assert leading_bounce(level[:1], level[:1], np.ones(1), 0.0) is None
