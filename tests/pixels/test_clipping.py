"""The clip of an integer histogram: unbiased at the ADC's quantisation, honest errors, robust, finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from tests.pulls import assert_pulls
from vison_etl.pixels.clipping import CODES, clipped_moments, code_statistics


def _rounded_gaussian(sigma, mean, n=10**11, reach=12):
    """Return expected counts of rounded Gaussian data and the first value, as good as without sampling noise."""
    half = int(np.ceil(reach * sigma)) + 2
    values = np.arange(-half, half + 1)
    probability = np.diff(norm.cdf(np.append(values - 0.5, half + 0.5), mean, sigma))
    return np.rint(n * probability).astype(np.int64), -half


def _std(counts, first):
    return np.sqrt(np.cov(np.arange(first, first + counts.size), fweights=counts))


@pytest.mark.parametrize("sigma", [0.5, 0.6, 0.7, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 30.0])
def test_corrected_std_of_rounded_gaussian_data_is_unbiased(sigma):
    variances = []
    for mean in np.arange(10) / 10.0:
        counts, first = _rounded_gaussian(sigma, mean)
        found = clipped_moments(counts, first)
        variances.append(found.std**2)
        assert found.n_clipped > 0
        assert found.std == pytest.approx(_std(counts, first), rel=1e-4)
        assert found.mean == pytest.approx(
            np.average(np.arange(first, first + counts.size), weights=counts), abs=2e-4 * sigma
        )
    # below 0.7 ADU the variance of rounding depends on where the mean lies between two codes; 1/12 is its average
    assert np.sqrt(np.mean(variances)) == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=1e-3)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_the_factor_at_four_sigma_alone_is_biased_where_the_limits_fall_between_codes(sigma):
    naive, ours = [], []
    for mean in np.linspace(0, 0.5, 6):
        counts, first = _rounded_gaussian(sigma, mean)
        spread = _std(counts, first)
        kept = np.where(np.abs(np.arange(first, first + counts.size)) <= 4 * spread, counts, 0)
        naive.append(_std(kept, first) / np.sqrt(0.99893) / spread - 1)
        ours.append(clipped_moments(counts, first).std / spread - 1)
    assert np.max(np.abs(naive)) > 3e-4
    assert np.max(np.abs(ours)) < 0.1 * np.max(np.abs(naive))


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.25, 0.29])
def test_data_narrower_than_a_code_lose_nothing(sigma):
    for mean in (0.0, 0.2, 0.5):
        counts, first = _rounded_gaussian(sigma, mean, n=10**5)
        found = clipped_moments(counts, first)
        assert found.n_clipped == 0
        assert found.std == pytest.approx(_std(counts, first), abs=1e-9)


@pytest.mark.parametrize("sigma", [0.7, 1.3, 120.0])
def test_pulls_of_mean_and_std(sigma):
    rng = np.random.default_rng(11)
    n, trials = 4000, 600
    found = []
    for _ in range(trials):
        codes = np.rint(rng.normal(3000.3, sigma, n)).astype(np.int64)
        row = code_statistics(np.bincount(codes, minlength=CODES))
        found.append((row["mean_adu"], row["mean_adu_err"], row["clipped_std_adu"]))
    mean, error, std = np.array(found).T
    assert_pulls(mean, error, 3000.3)
    # cutting at 4 sigma costs 0.5 % of the efficiency of a variance
    assert_pulls(std, std / np.sqrt(2 * n) * 1.0025, np.sqrt(sigma**2 + 1 / 12))


def test_five_per_cent_of_outliers_do_not_matter():
    rng = np.random.default_rng(12)
    codes = np.rint(rng.normal(2600.0, 1.2, 100_000)).astype(np.int64)
    codes[:5000] += rng.integers(50, 30000, 5000)
    row = code_statistics(np.bincount(codes, minlength=CODES))
    assert row["n_clipped"] >= 5000
    assert row["clipped_std_adu"] == pytest.approx(np.sqrt(1.44 + 1 / 12), rel=0.01)
    assert row["mean_adu"] == pytest.approx(2600.0, abs=0.02)


def test_empty_single_and_double_histograms():
    empty = code_statistics(np.zeros(CODES, np.uint32))
    assert empty["n"] == 0
    assert empty["mean_adu"] is None
    one = np.zeros(CODES, np.uint32)
    one[77] = 1
    assert code_statistics(one)["clipped_std_adu"] is None
    one[79] = 1
    two = code_statistics(one)
    assert (two["mean_adu"], two["std_adu"]) == (78.0, pytest.approx(np.sqrt(2)))


def test_special_codes_are_counted_apart():
    counts = np.zeros(CODES, np.uint32)
    counts[[0, 100, 101, 65535]] = 7, 10, 10, 3
    row = code_statistics(counts)
    assert (row["n"], row["n_zero"], row["n_saturated"]) == (20, 7, 3)
    assert (row["min_adu"], row["max_adu"], row["mean_adu"]) == (100.0, 101.0, 100.5)


def test_a_histogram_of_another_length_is_refused():
    with pytest.raises(ValueError, match="65536"):
        code_statistics(np.zeros(100, np.uint32))


def test_full_size_counts_do_not_overflow():
    counts = np.zeros(CODES, np.uint32)
    counts[1], counts[65534] = 4_000_000, 4_000_000
    row = code_statistics(counts)
    assert row["mean_adu"] == pytest.approx(32767.5)
    assert row["std_adu"] == pytest.approx(32766.5, rel=1e-6)


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(1, 40)), st.integers(0, 60000))
def test_order_statistics_equal_numpy_for_any_small_sample(steps, origin):
    codes = origin + steps
    row = code_statistics(np.bincount(codes, minlength=CODES))
    wanted = np.percentile(codes, [50, 5, 25, 75, 95])
    assert [row[f"{name}_adu"] for name in ("median", "p05", "p25", "p75", "p95")] == pytest.approx(list(wanted))
    assert row["n"] + row["n_clipped"] == codes.size
    assert row["min_adu"] <= row["mean_adu"] <= row["max_adu"]
    if codes.size > 1:
        assert row["std_adu"] == pytest.approx(np.std(codes, ddof=1), abs=1e-9)
