"""Brighter-fatter effect lowers the non-uniformity that a flat shows; the a00 of the photon-transfer curve gives it back."""

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.flat_field.model import percent_of, smoothing_of
from vison_etl.pixels.prnu import non_uniformity
from vison_etl.simulate.build_up import BoundaryShift, accumulate, kernel
from vison_etl.simulate.streams import Purpose, state_of, stream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PRNU, MEAN_E, SHAPE, N_FRAMES, STEPS = 0.008, 60_000.0, (150, 150), 6, 12
SHIFT = BoundaryShift((3.5e-7, 9e-8, 2e-8), (4e-8, 2e-8, 1e-8), (3.0e-7, 8e-8, 2e-8), (5e-8, 2e-8, 1e-8))
A00, A00_REL_ERR = float(kernel(SHIFT)[2, 2]), 0.02


def halves(channel, prnu):
    """Return the means of odd and even frames whose boundaries move with the charge, about 1."""
    rng = np.random.default_rng([41, channel])
    light = (MEAN_E * (1.0 + prnu * rng.standard_normal(SHAPE))).astype(np.float32)
    frames = [
        accumulate(light, SHIFT, STEPS, state_of(stream(6, "BORN", Purpose.PHOTONS, channel, k)))
        for k in range(N_FRAMES)
    ]
    return [(np.mean(frames[h::2], axis=0) / MEAN_E).astype(np.float32) for h in range(2)]


def test_a00_gives_back_what_moving_boundaries_take():
    shown, shown_err, given_back, errors = [], [], [], []
    for channel in range(400):
        found = non_uniformity(*halves(channel, PRNU), np.zeros(SHAPE, np.bool_))
        value, error = percent_of(found.variance.value, found.variance.error)
        # a00 as a photon-transfer curve knows it
        a00 = A00 * (1.0 + A00_REL_ERR * np.random.default_rng([42, channel]).standard_normal())
        smoothing = smoothing_of(value, error, MEAN_E, a00, A00_REL_ERR * abs(A00))
        shown.append(value)
        shown_err.append(error)
        given_back.append(smoothing.static_pct)
        errors.append(smoothing.static_pct_err)
    assert_pulls(given_back, errors, 100 * PRNU)
    bias = np.mean(given_back) / (100 * PRNU) - 1
    assert abs(bias) < 0.002 + 3.3 * np.std(given_back) / (100 * PRNU) / np.sqrt(400)
    # what a flat shows is several per cent less, far beyond its error
    with pytest.raises(AssertionError):
        assert_pulls(shown, shown_err, 100 * PRNU)
    assert np.mean(shown) / (100 * PRNU) - 1 == pytest.approx(A00 * MEAN_E / 2, rel=0.15)


def test_without_effect_nothing_is_given_back():
    smoothing = smoothing_of(0.5, 0.001, MEAN_E, 0.0, 0.0)
    assert (smoothing.bias_pct, smoothing.static_pct) == (0.0, 0.5)
    assert smoothing_of(0.5, 0.001, MEAN_E, None, None) is None
    assert smoothing_of(None, None, MEAN_E, A00, 1e-8) is None
