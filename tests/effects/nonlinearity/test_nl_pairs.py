"""Photon noise of pairs as a constraint of the response."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.closure.covariance_fit_truth import Truth
from tests.closure.nl_truth import FULL_SCALE, RESPONSES, Bench, true_nl_pct
from tests.effects.covariance.pairs_of import exact, inner
from tests.effects.nonlinearity.nl_tables import CHANNELS, inputs
from vison_etl.effects.nonlinearity import transfer
from vison_etl.effects.nonlinearity.effect import EFFECT
from vison_etl.effects.nonlinearity.pair_sums import common_tail, fit_kernel, sum_pairs
from vison_etl.effects.nonlinearity.response import make_basis, respond

BENCH = Bench(RESPONSES["original"], flux_rms=0.003)
TRUTH = Truth()
LEVELS = FULL_SCALE * np.array([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85])
NOISE = TRUTH.n00_adu2
TWO = CHANNELS[:2]


def sums_of(truth=TRUTH, levels=LEVELS, others=1):
    pairs = exact(inner(truth), levels)
    kernel = fit_kernel(pairs, 0.0)
    return sum_pairs(pairs, 0.0, NOISE, np.arange(levels.size), kernel, common_tail([kernel] * others))


def test_the_sum_over_lags_has_no_bend_but_that_of_the_lags_beyond():
    sums = sums_of()
    photons = sums.variance_adu2 - NOISE
    assert photons[-1, 0] * TRUTH.gain / LEVELS[-1] < 0.82
    beyond = -np.sum(TRUTH.a) + np.sum(TRUTH.a[np.ix_(*2 * [np.r_[0:9, -8:0]])])
    expected = LEVELS / TRUTH.gain + beyond * LEVELS**2
    np.testing.assert_allclose(photons[:, 1], expected, rtol=2e-3)
    assert abs(sums.sum_per_e - beyond) < 3 * sums.sum_per_e_err
    assert abs(sums.kernel_per_e / TRUTH.a00 - 1) < 0.1


def test_the_tail_of_many_channels_is_told_better_and_its_error_counts_once():
    one, twelve = sums_of(), sums_of(others=12)
    beyond = -np.sum(TRUTH.a) + np.sum(TRUTH.a[np.ix_(*2 * [np.r_[0:9, -8:0]])])
    assert twelve.sum_per_e_err / np.sqrt(12) < 0.9 * one.sum_per_e_err
    assert abs(twelve.sum_per_e - beyond) < twelve.sum_per_e_err / np.sqrt(12)


def test_the_sampling_covariance_of_white_noise():
    """289 lags of independent pixels: the sum has 17 times the error of the variance, and what both share is the variance's."""
    white = Truth(a00=-1e-12)
    sums = sums_of(white)
    variance = LEVELS / white.gain + NOISE
    unit = 2.0 * variance**2 / 4e6
    np.testing.assert_allclose(sums.covariance[:, 0, 0], unit, rtol=1e-4)
    np.testing.assert_allclose(sums.covariance[:, 1, 1], 289 * unit, rtol=1e-3)
    np.testing.assert_allclose(sums.covariance[:, 0, 1], unit, rtol=1e-3)


def test_too_few_pairs_or_lags_are_none():
    few = exact(inner(TRUTH), LEVELS[:5])
    assert fit_kernel(few, 0.0) is None


def test_derivatives_are_those_of_the_model():
    basis, sums = make_basis(60_000.0), sums_of()
    sums = replace(sums, imbalance=np.linspace(-0.03, 0.03, LEVELS.size), spread=np.full(LEVELS.size, 0.04))
    rng = np.random.default_rng(0)
    c = 0.01 * rng.standard_normal(basis.size)
    theta = transfer.start(sums).value + np.array([0, 0, 1e-6, 1e-13, 1e-8, 2e-3, 0.1, 1, 0.5, 3, 0.5, 3])
    model, by_nuisance, by_coefficient = transfer._expected(sums, transfer._chain(basis, c, sums.signal_adu), theta)
    steps = np.array([1e-5, 1e-10, 1e-9, 1e-15, 1e-10, 1e-5, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3])
    for j, step in enumerate(steps):
        moved = theta + step * np.eye(12)[j]
        other = transfer._expected(sums, transfer._chain(basis, c, sums.signal_adu), moved)[0]
        np.testing.assert_allclose(
            (other - model) / step, by_nuisance[:, :, j], rtol=2e-3, atol=1e-6 * abs(model[-1, 0])
        )
    for j in range(basis.size):
        moved = c + 1e-6 * np.eye(basis.size)[j]
        other = transfer._expected(sums, transfer._chain(basis, moved, sums.signal_adu), theta)[0]
        np.testing.assert_allclose((other - model) / 1e-6, by_coefficient[:, :, j], rtol=1e-3, atol=1e-3 * model[-1, 0])


@pytest.mark.parametrize("truth", [TRUTH, Truth(a00=-3e-6), Truth(b_per_e=1e-6)], ids=["usual", "strong", "changing"])
def test_exact_pairs_of_a_linear_chain_pull_no_response(truth):
    """The model of twelve nuisances stands for the exact solution to a fraction of the sampling errors."""
    basis, sums = make_basis(60_000.0), sums_of(truth)
    found = transfer.constrain(basis, np.zeros(basis.size), sums, transfer.start(sums))
    assert np.abs(found.pull).max() < 0.3
    assert abs(np.exp(-found.nuisances.value[transfer.LOG_G]) / truth.gain - 1) < 1e-3
    values, axes = np.linalg.eigh(found.precision)
    told = values > 1e5
    assert told.sum() >= 3
    assert np.abs(axes[:, told].T @ found.gradient / np.sqrt(values[told])).max() < 0.3


def test_a_bent_chain_pulls_the_response_towards_the_truth():
    basis, sums = make_basis(60_000.0), sums_of()
    c = 2e-3 * np.cos(np.arange(basis.size) / 4.0)
    z = transfer.invert(basis, c, sums.signal_adu)
    bent = respond(basis, c, z)[1] ** 2
    charge = sums_of(levels=z).variance_adu2 - NOISE
    sums = replace(sums, variance_adu2=bent[:, None] * charge + NOISE)
    linear, right = (transfer.constrain(basis, at, sums, transfer.start(sums)) for at in (0.0 * c, c))
    assert right.chi2 < 1.0
    assert linear.chi2 > 3.84


@pytest.fixture(scope="module")
def given():
    return inputs(BENCH, channels=TWO, charge=TRUTH)


@pytest.fixture(scope="module")
def constrained(given):
    return EFFECT.calibrate(given)


@pytest.fixture(scope="module")
def alone(given):
    return EFFECT.calibrate(replace(given, measured={"tile_levels": given.measured["tile_levels"]}))


def curve(result):
    return result.tables["nonlinearity_curve"].sort("ccd", "quadrant", "point")


def test_pairs_make_the_errors_smaller_and_the_curve_right(constrained, alone):
    rows = constrained.tables["nonlinearity"].filter(status="ok")
    assert (rows["n_ptc_levels"] >= 15).all()
    assert (rows["ptc_chi2"] / rows["ptc_dof"]).is_between(0.4, 1.8).all()
    ratio = curve(constrained)["nl_pct_err"].to_numpy() / curve(alone)["nl_pct_err"].to_numpy()
    assert np.median(ratio) < 0.7
    found = curve(constrained)
    off = found["nl_pct"].to_numpy() - true_nl_pct(BENCH.response, found["fluence_adu"].to_numpy())
    assert np.abs(off / found["nl_pct_err"].to_numpy()).max() < 3.3


def test_without_pairs_a_column_says_so(alone):
    rows = alone.tables["nonlinearity"].filter(status="ok")
    assert rows["n_ptc_levels"].to_list() == [0] * 2
    assert rows["ptc_chi2"].null_count() == rows["ptc_dof"].null_count() == 2


def test_contradicting_photon_noise_is_not_used_and_flagged(alone):
    """A variance that goes as another power of the signal than light and slope of the response allow, in one channel of two."""
    given = inputs(BENCH, channels=TWO, charge=TRUTH)
    wrong = inputs(BENCH, channels=TWO, charge=TRUTH, wrong_slope=0.05).measured["pair_covariances"]
    first = (pl.col("ccd") == "CCD1") & (pl.col("quadrant") == "E")
    mixed = pl.concat([wrong.filter(first), given.measured["pair_covariances"].filter(~first)])
    result = EFFECT.calibrate(replace(given, measured={**given.measured, "pair_covariances": mixed}))
    rows = result.tables["nonlinearity"].filter(status="ok")
    assert rows["n_ptc_levels"].to_list()[0] == 0
    assert (rows["n_ptc_levels"][1:] > 10).all()
    assert rows["ptc_chi2"][0] > 2 * rows["ptc_dof"][0]
    flag = next(flag for flag in result.flags if flag.name == "BADFIT")
    assert "CCD1 E: photon noise contradicts" in flag.detail


def test_one_pair_that_is_off_is_left_out(given, constrained):
    table = given.measured["pair_covariances"]
    obsid = table["obsid_1"].unique().sort()[20]
    spoilt = table.with_columns(
        covariance_adu2=pl.when(pl.col("obsid_1") == obsid, lag_x=0, lag_y=0)
        .then(1.05 * pl.col("covariance_adu2"))
        .otherwise(pl.col("covariance_adu2"))
    )
    result = EFFECT.calibrate(replace(given, measured={**given.measured, "pair_covariances": spoilt}))
    rows = result.tables["nonlinearity"].filter(status="ok")
    assert (rows["n_ptc_levels"] >= 15).all()
    shift = curve(result)["nl_pct"].to_numpy() - curve(constrained)["nl_pct"].to_numpy()
    assert np.abs(shift / curve(constrained)["nl_pct_err"].to_numpy()).max() < 0.7


def test_particles_below_the_clip_do_not_bend_the_curve(constrained):
    result = EFFECT.calibrate(inputs(BENCH, channels=TWO, charge=TRUTH, particles_adu2=1.25))
    assert (result.tables["nonlinearity"].filter(status="ok")["n_ptc_levels"] >= 15).all()
    shift = curve(result)["nl_pct"].to_numpy() - curve(constrained)["nl_pct"].to_numpy()
    assert np.abs(shift / curve(constrained)["nl_pct_err"].to_numpy()).max() < 0.5
