from __future__ import annotations

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.photon_transfer.noise import noise_prior

N00 = 1.65
DOF = 6297
PAIR = np.repeat(np.arange(30), 36)
BAND = np.tile(np.arange(36) % 6, 30) * 300


def prescans(rng: np.random.Generator, dof: int = DOF) -> tuple[np.ndarray, np.ndarray]:
    """Return variances of the six bands of thirty pairs at all their tiles, and errors."""
    drawn = N00 * rng.chisquare(dof, (30, 6)) / dof
    variance = drawn[PAIR, BAND // 300]
    return variance, variance * np.sqrt(2 / dof)


def test_is_the_mean_of_the_bands_with_its_error() -> None:
    rng = np.random.default_rng(61)
    priors = [noise_prior(PAIR, BAND, *prescans(rng), 0.0) for _ in range(300)]
    assert_pulls([p.n00_adu2 for p in priors], [p.sigma_adu2 for p in priors], N00)
    # 36 tiles have six bands: the error is that of 180 measurements and not of 1080
    assert priors[0].sigma_adu2 / N00 == pytest.approx(np.sqrt(2 / DOF / 180), rel=0.15)


def test_few_pixels_do_not_bias() -> None:
    rng = np.random.default_rng(62)
    found = np.array([noise_prior(PAIR, BAND, *prescans(rng, 100), 0.0).n00_adu2 for _ in range(200)])
    assert abs(found.mean() / N00 - 1) < 3.3 * found.std() / N00 / np.sqrt(200)


def test_the_fraction_is_added_to_the_error() -> None:
    prior = noise_prior(PAIR, BAND, *prescans(np.random.default_rng(63)), 0.05)
    assert prior.sigma_adu2 == pytest.approx(0.05 * prior.n00_adu2, rel=0.01)


def test_outliers_are_left_out() -> None:
    variance, error = prescans(np.random.default_rng(64))
    clean = noise_prior(PAIR, BAND, variance, error, 0.0)
    hit = (PAIR == 7) | ((PAIR == 11) & (BAND == 600))
    found = noise_prior(PAIR, BAND, np.where(hit, 40.0, variance), np.where(hit, 1.0, error), 0.0)
    assert found.n00_adu2 == pytest.approx(clean.n00_adu2, abs=clean.sigma_adu2)


def test_scatter_beyond_the_errors_widens_the_error() -> None:
    rng = np.random.default_rng(65)
    variance, error = prescans(rng)
    shaken = variance * (1 + 0.1 * rng.standard_normal((30, 6))[PAIR, BAND // 300])
    assert noise_prior(PAIR, BAND, shaken, error, 0.0).sigma_adu2 > 3 * N00 * np.sqrt(2 / DOF / 180)


def test_bands_not_measured_do_not_speak() -> None:
    variance, error = prescans(np.random.default_rng(66))
    half = PAIR < 15
    missing = noise_prior(PAIR, BAND, np.where(half, variance, np.nan), np.where(half, error, np.nan), 0.0)
    assert missing == noise_prior(PAIR[half], BAND[half], variance[half], error[half], 0.0)


@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0])
def test_without_measurement_there_is_none(value: float) -> None:
    nothing = np.full(PAIR.size, value)
    assert noise_prior(PAIR, BAND, nothing, nothing, 0.05) is None
    assert noise_prior(PAIR[:0], BAND[:0], nothing[:0], nothing[:0], 0.05) is None


def test_a_negative_fraction_switches_it_off() -> None:
    assert noise_prior(PAIR, BAND, *prescans(np.random.default_rng(67)), -1.0) is None
