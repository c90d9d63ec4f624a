from __future__ import annotations

import numpy as np
import pytest

from vison_etl.instrument.geometry import geometry_of
from vison_etl.simulate.tile_truth import CurveTruth, expected_variance_adu2, tile_pairs

FULL = geometry_of(4238, 4172)
LEVELS = np.array([0.05, 0.1, 0.3, 0.5]) * 65536
TRUTH = CurveTruth(gain_e_per_adu=3.4, a00_per_e=-1.4e-6, noise_e=4.2)


def draw(truth=TRUTH, seed=1):
    return tile_pairs(truth, LEVELS, [5, 5, 5, 2], FULL, np.random.default_rng(seed))


def test_one_row_per_pair_and_tile():
    columns = draw()
    assert {values.shape for values in columns.values()} == {(17 * 36,)}
    assert columns["n"].min() == 300 * 300
    assert np.bincount(columns["level"]).tolist() == [180, 180, 180, 72]
    assert len(set(zip(columns["pair"].tolist(), columns["tile"].tolist(), strict=True))) == 17 * 36
    assert columns["x"].min() == 51


def test_scatter_is_what_the_errors_say():
    columns = draw()
    pulls = (columns["variance_adu2"] - expected_variance_adu2(TRUTH, columns["mean_adu"])) / columns[
        "variance_adu2_err"
    ]
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    assert pulls.std() == pytest.approx(1, abs=0.12)
    assert columns["variance_adu2_err"] / columns["variance_adu2"] == pytest.approx(np.sqrt(2 / 90000), rel=0.02)


def test_correlations_grow_with_signal_and_more_along_y():
    columns = draw()
    top, low = columns["level"] == 3, columns["level"] == 0
    assert columns["corr_01"][top].mean() > 1.5 * columns["corr_10"][top].mean() > 0
    assert columns["corr_01"][top].mean() > 5 * columns["corr_01"][low].mean()


def test_exponential_truth_to_the_letter():
    truth = CurveTruth(3.4, -1.4e-6, 4.2, is_conserving=False)
    mu = np.array([3e3, 3e4])
    x = 2 * truth.a00_per_e * truth.gain_e_per_adu
    expected = np.expm1(x * mu) / (x * truth.gain_e_per_adu) + (4.2 / 3.4) ** 2 + 1 / 12
    assert expected_variance_adu2(truth, mu) == pytest.approx(expected, rel=1e-12)
    assert np.abs(draw(truth)["corr_01"]).mean() < 0.01


def test_draws_repeat():
    assert np.array_equal(draw()["variance_adu2"], draw()["variance_adu2"])
    assert not np.array_equal(draw()["variance_adu2"], draw(seed=2)["variance_adu2"])
