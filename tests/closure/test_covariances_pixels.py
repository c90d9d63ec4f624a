"""Covariances between pixels through simulated photons, charge that builds up, particles, amplifier and converter: 24 channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.closure.covariance_truth import pairs
from tests.frames import SMALL
from tests.pulls import assert_pulls
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels.covariances import measure_covariances
from vison_etl.pixels.lag_covariances import LAGS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BLOCKS, CCDS = ("CURIE", "LORENTZ"), ("CCD1", "CCD2", "CCD3")
LEVELS_ADU = (3000.0, 15000.0, 38000.0)
N_PAIRS = 8
NEAR = ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (2, 2), (2, -2))


@dataclass(frozen=True)
class Sample:
    """Shape (levels, channels and pairs, lags). ``simple``: products clipped at 4 sigma, at lags (0, 0) and (0, 1), highest level."""

    value: np.ndarray
    error: np.ndarray
    truth: np.ndarray
    mean: np.ndarray
    mean_error: np.ndarray
    true_mean: np.ndarray
    simple: np.ndarray


def clipped_products(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Return variance and +y covariance of a difference whose products are clipped at 4 sigma, again and again."""
    d = first.astype(np.float64) - second.astype(np.float64)
    d -= np.median(d)
    found = []
    for products in (d * d, d[:-1] * d[1:]):
        kept = products.ravel()
        for _ in range(20):
            inside = np.abs(kept - kept.mean()) < 4 * kept.std()
            if inside.all():
                break
            kept = kept[inside]
        found.append(kept.mean() / 2)
    return found


@pytest.fixture(scope="module")
def sample() -> Sample:
    rows: list[list[tuple]] = []
    simple = []
    for n, level in enumerate(LEVELS_ADU):
        rows.append([])
        for block in BLOCKS:
            for ccd in CCDS:
                for flats in pairs(block, ccd, level, N_PAIRS, 1000 + 100 * n):
                    found = measure_covariances(flats.first, flats.second, SMALL)
                    rows[-1] += [
                        (
                            one.covariance_adu2,
                            one.covariance_adu2_err,
                            flats.truth[one.quadrant],
                            (one.mean_adu, one.mean_adu_err, flats.mean_adu[one.quadrant]),
                        )
                        for one in found
                    ]
                    if n == len(LEVELS_ADU) - 1:
                        views = [
                            [quadrant_view(f, SMALL, q)[:256, 51:307] for f in (flats.first, flats.second)]
                            for q in QUADRANTS
                        ]
                        simple += [clipped_products(*view) for view in views]
    value, error, truth, means = (np.array([[row[k] for row in level] for level in rows]) for k in range(4))
    return Sample(value, error, truth, means[..., 0], means[..., 1], means[..., 2], np.array(simple))


def test_pulls_of_near_lags(sample: Sample) -> None:
    assert sample.value.shape == (3, 24 * N_PAIRS, 145)
    for lag in NEAR:
        k = LAGS.index(lag)
        assert_pulls(sample.value[..., k], sample.error[..., k], sample.truth[..., k])


def test_pulls_of_far_lags(sample: Sample) -> None:
    far = [k for k, (x, y) in enumerate(LAGS) if max(x, abs(y)) > 2]
    for level in range(len(LEVELS_ADU)):
        assert_pulls(sample.value[level][:, far], sample.error[level][:, far], sample.truth[level][:, far])
    for is_chosen in (lambda x, y: y == 0, lambda x, y: x == 0, lambda x, y: y > 0 and x > 0, lambda x, y: y < 0):
        some = [k for k in far if is_chosen(*LAGS[k])]
        assert_pulls(sample.value[..., some], sample.error[..., some], sample.truth[..., some])


def test_pulls_of_each_lag(sample: Sample) -> None:
    pulls = ((sample.value - sample.truth) / sample.error).reshape(-1, len(LAGS))
    mean = pulls.mean(axis=0) * np.sqrt(pulls.shape[0])
    # the largest of 145 is below 4.3 in all but one of 400 samples
    assert np.max(np.abs(mean)) < 4.3, LAGS[int(np.argmax(np.abs(mean)))]
    assert np.sum(mean**2) < 145 + 3.3 * np.sqrt(2 * 145)


def test_biases_at_the_highest_signal(sample: Sample) -> None:
    value, truth = sample.value[-1], sample.truth[-1]
    # in units of the variance; the covariances themselves are 1.9 and 1.0 % of it
    for lag, allowed in (((0, 0), 3e-3), ((0, 1), 1.5e-3), ((1, 0), 1.5e-3)):
        k = LAGS.index(lag)
        off = (value[:, k] - truth[:, k]) / truth[:, 0]
        mean, error = off.mean(), off.std() / np.sqrt(off.size)
        assert error < allowed / 3
        assert abs(mean) + 3.3 * error < allowed


def test_the_mean_signal(sample: Sample) -> None:
    # the offset of the image area differs from that of the prescan by up to 1 ADU in these channels
    assert np.max(np.abs(sample.mean - sample.true_mean)) < 3.3 * sample.mean_error.max() + 2.0


def test_clipping_products_loses_a_seventh(sample: Sample) -> None:
    truth = sample.truth[-1][:, [LAGS.index((0, 0)), LAGS.index((0, 1))]]
    ratio = sample.simple.mean(axis=0) / truth.mean(axis=0)
    assert ratio[0] < 0.9
    assert ratio[1] < 0.9
