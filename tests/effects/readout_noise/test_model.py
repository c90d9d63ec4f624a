"""Variance components, chains of pairs, roots: unbiased, with errors that hold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.readout_noise.model import (
    Estimate,
    Squares,
    chain_mean,
    components,
    in_electrons,
    root,
)


def _squares(d, kept=None):
    """Sums of a difference image d over the pixels kept, its variance given as that of all of them."""
    kept = np.ones(d.shape, bool) if kept is None else kept
    d = np.where(kept, d, 0.0)
    rows, columns = kept.sum(axis=1), kept.sum(axis=0)
    n = int(kept.sum())
    return Squares(
        n=n,
        n_rows=int(np.count_nonzero(rows)),
        n_columns=int(np.count_nonzero(columns)),
        total=d.sum(),
        squares=np.sum(d**2),
        row_squares=np.sum(d.sum(axis=1) ** 2 / np.maximum(rows, 1)),
        column_squares=np.sum(d.sum(axis=0) ** 2 / np.maximum(columns, 1)),
        row_pixels=np.sum(rows**2),
        column_pixels=np.sum(columns**2),
        variance=(np.sum(d**2) - d.sum() ** 2 / n) / (n - 1),
    )


@pytest.mark.parametrize(("row", "column"), [(0.0, 0.0), (0.5, 0.0), (0.6, 0.4)])
def test_components_are_unbiased_with_honest_errors(row, column):
    rng = np.random.default_rng(1)
    shape = (60, 40)
    found = []
    for _ in range(1200):
        frames = [
            rng.normal(0, 1.3, shape) + rng.normal(0, row, (60, 1)) + rng.normal(0, column, (1, 40)) for _ in range(2)
        ]
        found.append(components(_squares(frames[0] - frames[1])))
    truths = {"white": 1.69, "row": row**2, "column": column**2, "total": 1.69 + row**2 + column**2}
    for part, truth in truths.items():
        values = np.array([getattr(f, part).value for f in found])
        errors = np.array([getattr(f, part).error for f in found])
        # a variance of few degrees of freedom is skewed and its own error moves with it: judge with the mean error
        assert_pulls(values, np.sqrt(np.mean(errors**2)), truth)
    means = [f.mean_difference for f in found]
    assert_pulls([m.value for m in means], [np.sqrt(np.mean([m.error**2 for m in means]))] * len(means), 0.0)


def test_missing_pixels_do_not_bias():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        d = rng.normal(0, np.sqrt(2) * 1.3, (60, 40)) + rng.normal(0, np.sqrt(2) * 0.5, (60, 1))
        kept = rng.random((60, 40)) > 0.02
        kept[:, 7] = False
        found.append(components(_squares(d, kept)))
    assert np.mean([f.white.value for f in found]) == pytest.approx(1.69, rel=0.005)
    assert np.mean([f.row.value for f in found]) == pytest.approx(0.25, rel=0.03)


def test_truncation_is_undone_in_proportion():
    d = np.random.default_rng(3).normal(0, 1.5, (50, 50))
    plain = components(_squares(d))
    s = _squares(d)
    fields = {name: getattr(s, name) for name in Squares.__slots__}
    wider = components(Squares(**{**fields, "variance": 1.21 * s.variance}))
    for part in ("total", "white", "row", "column"):
        assert getattr(wider, part).value == pytest.approx(1.21 * getattr(plain, part).value)


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 30), (30, 1)])
def test_too_few_pixels_give_nothing(shape):
    n_rows, n_columns = shape
    n = n_rows * n_columns
    found = components(Squares(n, n_rows, n_columns, 0.0, 1.0 * n, 0.0, 0.0, n, n, 1.0))
    assert found.total.value is found.row.error is found.mean_difference.value is None


def test_constant_differences_have_no_variance():
    found = components(_squares(np.full((5, 5), 3.0)))
    assert (found.total.value, found.row.value, found.total.error) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("n_frames", [2, 3, 4, 10])
def test_error_of_a_chain_knows_that_pairs_share_frames(n_frames):
    rng = np.random.default_rng(4)
    n = 2000
    values, errors = [], []
    naive = []
    for _ in range(800):
        frames = rng.normal(0, 1.3, (n_frames, n))
        variances = np.var(np.diff(frames, axis=0), axis=1, ddof=1) / 2
        found = chain_mean(variances, variances * np.sqrt(2 / n), [(i, i + 1) for i in range(n_frames - 1)])
        values.append(found.value)
        errors.append(found.error)
        naive.append(np.mean(variances) * np.sqrt(2 / n / (n_frames - 1)))
    assert_pulls(values, errors, 1.69)
    if n_frames == 10:
        pairs = n_frames - 1
        assert np.mean(errors) / np.mean(naive) == pytest.approx(np.sqrt(1 + (pairs - 1) / (2 * pairs)), rel=0.02)
        with pytest.raises(AssertionError):
            assert_pulls(values, naive, 1.69)


def test_pairs_that_share_no_frame_are_independent():
    values = [1.0, 1.2, 1.1]
    found = chain_mean(values, [0.1, 0.1, 0.1], [(1, 2), (5, 6), (8, 9)])
    assert found.value == pytest.approx(1.1)
    assert found.error == pytest.approx(0.1 / np.sqrt(3))
    assert found.chi2 == pytest.approx(2.0)


def test_pairs_that_disagree_widen_the_error():
    calm = chain_mean([1.0, 1.01, 0.99, 1.0], [0.01] * 4, [(i, i + 1) for i in range(4)])
    wild = chain_mean([1.0, 1.01, 2.5, 2.5], [0.01] * 4, [(i, i + 1) for i in range(4)])
    assert calm.error < 0.01
    assert wild.error > 0.2
    assert wild.chi2 > 1000
    assert chain_mean([], [], []) is None


def test_pairs_without_scatter():
    found = chain_mean([0.0, 0.0], [0.0, 0.0], [(1, 2), (2, 3)])
    assert (found.value, found.error, found.chi2) == (0.0, 0.0, 0.0)


def test_root_and_its_error():
    found = root(1.5 + 1 / 12, 0.003, 1 / 12)
    assert found.value == pytest.approx(np.sqrt(1.5))
    assert found.error == pytest.approx(0.003 / 2 / np.sqrt(1.5), rel=1e-3)
    faint = root(0.0001, 0.01)
    assert faint.error == pytest.approx(np.sqrt(0.0101) - 0.01)
    for variance in (0.0, -0.01):
        assert root(variance, 0.01).value is root(variance, 0.01).error is None
    assert root(0.05, 0.001, 1 / 12).value is None


def test_electrons_carry_the_error_of_the_gain():
    found = in_electrons(Estimate(1.2, 0.012), 3.5, 0.035)
    assert found.value == pytest.approx(4.2)
    assert found.error == pytest.approx(4.2 * np.hypot(0.01, 0.01))
    assert in_electrons(Estimate(1.2, 0.012), None, None).value is None
    assert in_electrons(Estimate(None, None), 3.5, 0.1).value is None
