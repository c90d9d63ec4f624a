"""Pixels whose response deviates: what the mask of a flat finds, and what it should not."""

import numpy as np
import pytest

from tests.closure.flat_truth import GEOMETRY, PRE, H, Scene, W, flats, response
from vison_etl.effects.flat_field import measure
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels import quality

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CCDS, PER_QUADRANT = 6, 20


def spotted(rng, scene, sigma):
    """Return a response with single pixels off by 8 to 40 sigma, a fifth of them nearly dead, and where they are."""
    image = response(rng, scene)
    at = rng.choice(H * W, PER_QUADRANT, replace=False)
    contrast = rng.choice([-1.0, 1.0], PER_QUADRANT) * rng.uniform(8.0, 40.0, PER_QUADRANT) * sigma
    contrast[: PER_QUADRANT // 5] = -0.9
    image.ravel()[at] = 1.0 + contrast
    return image, at, contrast


def flagged(found, quadrant, bits):
    dq = quadrant_view(found.products[1].extensions["DQ"], GEOMETRY, quadrant)[:H, PRE : PRE + W]
    return np.flatnonzero(dq & bits)


@pytest.mark.parametrize(("n_frames", "signal_adu"), [(30, 16000.0), (5, 4000.0)])
def test_completeness_and_purity_of_the_response_mask(n_frames, signal_adu):
    scene = Scene(signal_adu=signal_adu, dust=2, hits=2.0, bad_columns=0, dead_pixels=0)
    noise = np.sqrt((signal_adu / scene.gain + scene.ron_adu**2) / n_frames) / signal_adu
    sigma = np.hypot(scene.prnu, noise)
    n_true, n_found, n_false, n_plain = 0, 0, 0, 0
    for k in range(CCDS):
        rng = np.random.default_rng([77, n_frames, k])
        truth = {q: spotted(rng, scene, sigma) for q in QUADRANTS}
        found = measure.master(
            flats(rng, scene, n_frames, {q: one[0] for q, one in truth.items()}), measure.PARAMETERS, {}
        )
        for quadrant, (_, at, contrast) in truth.items():
            low, high = (flagged(found, quadrant, b) for b in (quality.LOW_RESPONSE, quality.HIGH_RESPONSE))
            n_true += at.size
            n_found += np.isin(at[contrast < 0], low).sum() + np.isin(at[contrast > 0], high).sum()
            n_false += (~np.isin(np.union1d(low, high), at)).sum()
            n_plain += (np.abs(contrast) > 0.5).sum()
            dead = flagged(found, quadrant, quality.DEAD)
            assert set(dead) == set(at[contrast < -0.5])
    assert n_true >= 200
    assert n_found >= 0.99 * n_true
    assert n_false <= 0.01 * n_found
    # thresholds at half and one and a half of the light see only the dead ones
    assert n_plain < 0.25 * n_true
