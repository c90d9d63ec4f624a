from __future__ import annotations

import numpy as np

from vison_etl.simulate.streams import Purpose, normal_row, normals, quantiles, state_of, stream


def test_fast_normals_have_the_moments_of_a_gaussian():
    z = normals(stream(1, "BORN", Purpose.PHOTONS, 1), (2000, 1000)).astype(np.float64)
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * np.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96 / n) + 4e-4
    assert 4.5 < np.abs(z).max() < 6.3


def test_neighbours_are_not_correlated():
    z = normals(stream(2, "BORN", Purpose.PHOTONS), (1000, 1000)).astype(np.float64)
    for lag in (1, 2, 3, 4):
        assert abs((z[:, lag:] * z[:, :-lag]).mean()) < 4.5e-3
    assert abs((z[1:] * z[:-1]).mean()) < 4.5e-3


def test_sum_of_two_quantiles_has_unit_variance_exactly():
    table = quantiles().astype(np.float64)
    assert abs(2 * np.mean(table**2) - 1) < 1e-6
    assert abs(table.mean()) < 1e-7


def test_odd_lengths_are_filled():
    out = np.full(7, np.nan, np.float32)
    normal_row(state_of(stream(0, "A", Purpose.PHOTONS)), quantiles(), out)
    assert np.isfinite(out).all()


def test_streams_differ_by_every_part_of_their_key():
    base = (3, "BORN", Purpose.PHOTONS, 1, 2, 17001)
    others = [
        (4, "BORN", Purpose.PHOTONS, 1, 2, 17001),
        (3, "CURIE", Purpose.PHOTONS, 1, 2, 17001),
        (3, "BORN", Purpose.AMPLIFIER, 1, 2, 17001),
        (3, "BORN", Purpose.PHOTONS, 2, 2, 17001),
        (3, "BORN", Purpose.PHOTONS, 1, 3, 17001),
        (3, "BORN", Purpose.PHOTONS, 1, 2, 17002),
    ]
    states = {tuple(state_of(stream(*key)).tolist()) for key in (base, *others)}
    assert len(states) == 1 + len(others)
    assert np.array_equal(state_of(stream(*base)), state_of(stream(*base)))
