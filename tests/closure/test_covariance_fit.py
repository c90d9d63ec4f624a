"""Closure of the covariance fit on 400 channels of sample covariances whose truth is the differential equation.

The kernels have tails r^-3 that reach far beyond the lags measured. Tolerances: a mean over N channels must lie within 3.3 of its
standard error of what it should be; a bound on a bias is applied to the mean plus 3.3 of its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy.stats import chi2 as chi2_law

from tests.closure.covariance_fit_truth import (
    FULL_SCALE,
    PTC01,
    REACH,
    SIZE,
    Truth,
    bartlett,
    simulate,
)
from tests.effects.covariance.pairs_of import inner, pairs_of, prior_of
from tests.pulls import assert_pulls
from vison_etl.effects.covariance.fit import fit_covariances
from vison_etl.effects.covariance.model import Coefficients
from vison_etl.effects.covariance.record import CovarianceFit
from vison_etl.effects.covariance.sum_rule import SumRule, sum_rule
from vison_etl.effects.covariance.symmetry import symmetry_chi2
from vison_etl.effects.photon_transfer.goodness import p_value
from vison_etl.effects.photon_transfer.model import Points
from vison_etl.effects.photon_transfer.quadratic import fit_quadratic

CHANNELS = 400
LAGS = REACH**2
WEAK, MIDDLE, STRONG = (Truth(a00=a00) for a00 in (-0.5e-6, -1.5e-6, -3e-6))
SECOND_ORDER = Truth(a00=-1.5e-6, b_per_e=-1e-6)
LONG = Truth(a00=-1.5e-6, power=2.5, near=(0.16, 0.05, 0.01))
CASES = {
    "weak": (WEAK, CHANNELS),
    "middle": (MIDDLE, CHANNELS),
    "strong": (STRONG, CHANNELS),
    "second_order": (SECOND_ORDER, 200),
    "long": (LONG, 200),
}

LENGTHY = ("weak", "middle", "long")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def cases(*names: str) -> list[object]:
    """Return the names of cases as parameters, most of them too long for every change."""
    return [pytest.param(name, marks=pytest.mark.lengthy) if name in LENGTHY else name for name in names]


@dataclass(frozen=True)
class Result:
    """What is kept of one fit."""

    value: Coefficients
    error: Coefficients
    chi2: float
    dof: int
    level_chi2: float
    level_dof: int
    variance_chi2: float
    variance_dof: int
    sums: SumRule


@dataclass(frozen=True)
class Fits:
    """Fits of many channels, c free and c held at zero."""

    truth: Truth
    free: tuple[Result, ...]
    zero: tuple[Result, ...]
    symmetry: np.ndarray
    quadratic: np.ndarray


def result(fit: CovarianceFit) -> Result:
    assert fit.status == "ok"
    sums = sum_rule(fit.coefficients.a_per_e, fit.covariance[1 : 1 + LAGS, 1 : 1 + LAGS])
    of_variances = fit.variance_chi2, fit.variance_dof
    return Result(fit.coefficients, fit.errors, fit.chi2, fit.dof, fit.level_chi2, fit.level_dof, *of_variances, sums)


@cache
def channels(case: str) -> Fits:
    truth, n = CASES[case]
    free, zero, symmetry, quadratic = [], [], [], []
    for rng in np.random.default_rng(71).spawn(n):
        found = simulate(rng, truth)
        pairs, prior = pairs_of(found), prior_of(found)
        held = fit_covariances(pairs, c_is_free=False, prior=prior)
        zero.append(result(held))
        free.append(result(fit_covariances(pairs, prior=prior, near=held.coefficients)))
        symmetry.append(symmetry_chi2(pairs, free[-1].value))
        variance = found.covariance_adu2[:, 0, 0]
        points = Points(found.mean_adu, variance, np.sqrt(2.0 / found.n[:, 0, 0]))
        quadratic.append(fit_quadratic(points, low_adu=1e3, high_adu=4e4).gain_e_per_adu)
    return Fits(truth, tuple(free), tuple(zero), np.array(symmetry), np.array(quadratic))


def gain_bias(fits: tuple[Result, ...], truth: Truth) -> tuple[float, float]:
    """Return the relative bias of the gain and its standard error."""
    off = np.array([fit.value.gain_e_per_adu for fit in fits]) / truth.gain - 1.0
    return float(off.mean()), float(off.std() / np.sqrt(off.size))


def stack(fits: tuple[Result, ...], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return values and errors, shape (channels, r, r)."""
    return np.array([getattr(fit.value, name) for fit in fits]), np.array([getattr(fit.error, name) for fit in fits])


@pytest.mark.parametrize("case", cases("weak", "middle", "second_order", "long", "strong"))
def test_gain_bias(case: str) -> None:
    found, bound = channels(case), 2e-3 if case == "strong" else 5e-4
    kinds = (found.free,) if found.truth.b_per_e else (found.free, found.zero)
    for fits in kinds:
        bias, error = gain_bias(fits, found.truth)
        assert error < bound / 3
        assert abs(bias) + 3.3 * error < bound
        # far better than promised
        assert abs(bias) < 1e-4
        gains = [fit.value.gain_e_per_adu for fit in fits]
        assert_pulls(gains, [fit.error.gain_e_per_adu for fit in fits], found.truth.gain)


@pytest.mark.parametrize("case", cases("weak", "strong", "second_order", "long"))
def test_pulls_of_coefficients(case: str) -> None:
    """Per lag z = sqrt(N) mean pull, normal if unbiased: the largest of 81 stays below 4 (but 1 in 200), their squares in chi².

    The rms of the pulls of each lag is held to the rule of the house, its probability shared between the 81 lags.
    """
    found = channels(case)
    truth = inner(found.truth)
    kinds = ("a_per_e", "c_per_e2", "n_e2") if case != "weak" else ("a_per_e", "n_e2")
    for name in kinds:
        value, error = stack(found.free, name)
        pulls = ((value - getattr(truth, name)) / error).reshape(-1, LAGS)
        if name == "n_e2":
            # the prior of n_00 is drawn about the truth with the error it claims
            assert_pulls(value[:, 0, 0], error[:, 0, 0], truth.n_e2[0, 0])
        n = pulls.shape[0]
        z = np.sqrt(n) * pulls.mean(axis=0)
        assert np.max(np.abs(z)) < 4.0, (name, np.unravel_index(int(np.argmax(np.abs(z))), (REACH, REACH)))
        assert np.sum(z**2) < chi2_law.ppf(0.9995, LAGS)
        squares = np.mean(pulls**2, axis=0)
        low, high = chi2_law.ppf([0.0005 / LAGS, 1 - 0.0005 / LAGS], n) / n
        assert low < squares.min()
        assert squares.max() < high
    assert_pulls(*(part[:, 0, 0] for part in stack(found.free, "a_per_e")), found.truth.a00)


def information(truth: Truth, *, c_is_free: bool) -> np.ndarray:
    """Return the Fisher information of (gain, a, [c,] n), the prior included, by numerical derivatives of the truth.

    Nothing of the code under test: the equation is integrated anew for shifted parameters, lag by lag, on a grid of 32 px.
    """
    size = 32
    lag = np.fft.fftfreq(size, 1.0 / size).astype(int)
    signals = np.array(list(PTC01)) * FULL_SCALE * truth.gain
    nodes, weights = np.polynomial.legendre.leggauss(24)

    def covariances(a: np.ndarray, c: np.ndarray, m: np.ndarray) -> np.ndarray:
        a, c = np.fft.fft2(a).real[None], np.fft.fft2(c).real[None]
        total = np.zeros((m.size, size, size))
        for node, weight in zip(nodes, weights, strict=True):
            s = 0.5 * (node + 1.0) * m[:, None, None]
            top = m[:, None, None]
            total += 0.5 * weight * top * np.exp(2 * a * (top - s) + c * (top**2 - s**2))
        return np.fft.ifft2(total).real[:, :REACH, :REACH]

    a = np.zeros((size, size))
    keep = np.abs(lag) < REACH
    a[np.ix_(keep, keep)] = truth.a[np.ix_(lag[keep], lag[keep])]
    c = a * truth.b_per_e
    n00 = truth.n00_adu2 * truth.gain**2
    columns = []
    base = covariances(a, c, signals)
    step = 1e-4
    ahead = covariances(a, c, signals * (1 + step))
    behind = covariances(a, c, signals * (1 - step))
    noise = np.zeros((REACH, REACH))
    noise[0, 0] = n00
    columns.append(((ahead + noise) / (1 + step) ** 2 - (behind + noise) / (1 - step) ** 2) / (2 * step * truth.gain))
    for which, step in ((0, 1e-9), (1, 1e-15)) if c_is_free else ((0, 1e-9),):
        for i, j in np.ndindex(REACH, REACH):
            bump = np.zeros((size, size))
            bump[np.array([i, -i, i, -i]), np.array([j, j, -j, -j])] = step
            shifted = covariances(*((a + bump, c) if which == 0 else (a, c + bump)), signals)
            columns.append((shifted - base) / step)
    design = np.stack([column.reshape(signals.size, LAGS) for column in columns], axis=2)
    design = np.concatenate([design, np.broadcast_to(np.eye(LAGS), (signals.size, LAGS, LAGS))], axis=2)
    n = np.array([[(2048 - i) * (2066 - j) for j in range(REACH)] for i in range(REACH)]).ravel()
    total = np.zeros((design.shape[2], design.shape[2]))
    powers = truth.power_spectra(signals / truth.gain) + n00
    for power, rows, pairs in zip(powers, design, PTC01.values(), strict=True):
        matrix = bartlett(power) / np.sqrt(np.outer(n, n)) / pairs
        total += rows.T @ np.linalg.solve(matrix, rows)
    prior = np.zeros(total.shape[0])
    prior[0], prior[-LAGS] = -2 * n00 / truth.gain**3, 1 / truth.gain**2
    sigma = 0.05 * truth.n00_adu2
    return total + np.outer(prior, prior) / sigma**2


@pytest.mark.parametrize("case", cases("weak", "strong"))
@pytest.mark.parametrize("c_is_free", [True, False])
def test_scatter_is_that_of_cramer_and_rao(case: str, *, c_is_free: bool) -> None:
    found = channels(case)
    fits = found.free if c_is_free else found.zero
    matrix = information(found.truth, c_is_free=c_is_free)
    scale = np.sqrt(np.diag(matrix))
    bound = np.sqrt(np.diag(np.linalg.inv(matrix / np.outer(scale, scale)))) / scale
    gains = np.array([fit.value.gain_e_per_adu for fit in fits])
    a00 = stack(fits, "a_per_e")[0][:, 0, 0]
    for values, least in ((gains, bound[0]), (a00, bound[1])):
        # the standard deviation of 400 is itself uncertain by 3.5 %
        assert values.std(ddof=1) < 1.1 * least
    claimed = np.mean([fit.error.gain_e_per_adu for fit in fits])
    assert claimed == pytest.approx(bound[0], rel=0.02)


@pytest.mark.parametrize("case", cases("weak", "middle", "strong", "second_order", "long"))
def test_chi_squares(case: str) -> None:
    found = channels(case)
    for name in ("chi2", "level_chi2"):
        dof_name = "dof" if name == "chi2" else "level_dof"
        chi2, dof = (sum(getattr(fit, key) for fit in found.free) for key in (name, dof_name))
        # cutting pairs beyond 5 sigma takes a part in a thousand of the chi-square of pairs
        slack = 1e-3 * dof if name == "chi2" else 0.0
        assert abs(chi2 - dof) < 3.3 * np.sqrt(2 * dof) + slack, name
    p = np.array([p_value(fit.level_chi2, fit.level_dof) for fit in found.free])
    assert np.mean(p < 1e-4) < 0.01
    # variances alone: what else of the lags tells of their parameters leaves them a little more freedom than is counted
    p = np.array([p_value(fit.variance_chi2, fit.variance_dof) for fit in found.free])
    assert np.mean(p < 1e-4) < 0.01
    assert 0.8 < np.mean([fit.variance_chi2 / fit.variance_dof for fit in found.free]) < 1.3
    total, dof = found.symmetry.sum(axis=0)
    assert abs(total - dof) < 3.3 * np.sqrt(2 * dof)


def beyond_grid(truth: Truth) -> float:
    """Return the sum of the power law where the truth has none: beyond half of its grid."""
    amplitude = truth.a[5, 0] * 5.0**truth.power
    return float(2.0 * np.pi * amplitude * (SIZE / 2) ** (2.0 - truth.power) / (truth.power - 2.0))


@pytest.mark.parametrize("case", cases("weak", "middle", "strong", "long"))
def test_charge_is_conserved(case: str) -> None:
    """The sum over lags to 8 and the tail is zero within three of its errors, channel by channel.

    On average it is within one of them: where the data do not tell the power of the tail, the mean is that of the powers allowed.
    """
    found = channels(case)
    for fits in (found.free, found.zero):
        sums = [fit.sums for fit in fits]
        total, error = (np.array([getattr(one, name) for one in sums]) for name in ("total_per_e", "total_per_e_err"))
        assert np.mean(np.abs(total / error) < 3.0) > 0.99
        assert abs(np.mean((total - beyond_grid(found.truth)) / error)) < 1.0
        inner_sum = np.array([(one.inner_per_e, one.inner_per_e_err) for one in sums])
        if fits is found.zero and case in {"strong", "long"}:
            # without the tail it is not
            assert np.mean(inner_sum[:, 0] / inner_sum[:, 1]) < -3.0


@pytest.mark.lengthy
def test_simpler_methods_fail() -> None:
    """The quadratic at any of these, c = 0 where c is not."""
    for case, least in (("middle", 0.008), ("strong", 0.03)):
        found = channels(case)
        assert np.nanmean(found.quadratic) / found.truth.gain - 1 > least
    found = channels("second_order")
    bias, error = gain_bias(found.zero, found.truth)
    assert bias > 0.003
    assert bias > 30 * error
    p = np.array([p_value(fit.level_chi2, fit.level_dof) for fit in found.zero])
    assert np.mean(p < 1e-4) > 0.99


def test_how_far_lags_are_from_independent() -> None:
    """At 1e5 e- and -3e-6: correlations of 10 % between lags, an error of the variance 0.2 % larger than sqrt(2 / N) V."""
    power = STRONG.power_spectra(np.array([1e5 / STRONG.gain]))[0] + STRONG.n00_adu2 * STRONG.gain**2
    matrix = bartlett(power)
    c00 = float(np.fft.ifft2(power).real[0, 0])
    assert 1.001 < np.sqrt(matrix[0, 0] / 2) / c00 < 1.01
    scale = np.sqrt(np.diag(matrix))
    correlation = matrix / np.outer(scale, scale)
    assert 0.08 < correlation[0, 1] < 0.14
    assert np.abs(correlation - np.eye(LAGS)).max() < 0.15
