from __future__ import annotations

import numpy as np

from vison_etl.simulate.charge import add_particles, spill


def test_spilling_conserves_charge_and_stays_in_its_column():
    charge = np.full((50, 9), 1e5, np.float32)
    charge[25, 4] = 4e5
    before = charge.sum(axis=0, dtype=np.float64)
    spill(charge, 1.5e5)
    assert np.allclose(charge.sum(axis=0, dtype=np.float64), before, rtol=1e-6)
    assert charge[25, 4] < 2.5e5
    assert np.allclose(charge[:, 4], charge[::-1, 4][np.r_[49, 0:49]], atol=0.1)
    assert (charge[:, 5] == 1e5).all()


def test_below_the_full_well_nothing_changes():
    charge = np.random.default_rng(0).uniform(0, 1e5, (20, 20)).astype(np.float32)
    same = charge.copy()
    spill(charge, 1e5)
    assert np.array_equal(charge, same)


def test_variance_of_a_flat_falls_above_the_full_well():
    rng = np.random.default_rng(1)
    flat = (2e5 + np.sqrt(2e5) * rng.standard_normal((200, 200))).astype(np.float32)
    before, mean = flat.var(), flat.mean(dtype=np.float64)
    spill(flat, 1.5e5)
    assert flat.var() < 0.2 * before
    assert abs(flat.mean(dtype=np.float64) - mean) < 0.1


def test_spilling_reaches_the_ends_of_a_column_and_stops_there():
    charge = np.zeros((6, 1), np.float32)
    charge[0] = 1e6
    spill(charge, 1e4, passes=500)
    assert np.isclose(charge.sum(dtype=np.float64), 1e6, rtol=1e-6)
    assert charge.min() > 1e5


def test_particles_leave_tracks():
    charge = np.zeros((300, 300), np.float32)
    number = add_particles(charge, 20.0, np.random.default_rng(3))
    assert 5 < number < 40
    assert charge[charge > 0].min() > 500
    assert number <= (charge > 0).sum() < 60 * number
