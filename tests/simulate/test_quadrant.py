from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vison_etl.instrument.geometry import geometry_of, region_window
from vison_etl.simulate.detector import channel
from vison_etl.simulate.electronics import frame_offset_adu
from vison_etl.simulate.quadrant import Options, Shot, collect, expose

SMALL = geometry_of(654, 552)
TRUTH = channel(7, "CURIE", "CCD3", "G")
OPTIONS = Options()
IMG = region_window(SMALL, "img", 0, 2086).slices


def shot(obsid: int, open_s: float) -> Shot:
    return Shot(obsid, "B_CURIE", "800", 1.0, open_s, open_s, 12.0, 0, 2086)


def test_a_frame_can_be_made_again_alone():
    first = expose(TRUTH, SMALL, shot(17001, 0.5), OPTIONS)
    assert first.dtype == np.uint16
    assert first.shape == (276, 327)
    expose(TRUTH, SMALL, shot(17002, 0.5), OPTIONS)
    assert np.array_equal(expose(channel(7, "CURIE", "CCD3", "G"), SMALL, shot(17001, 0.5), OPTIONS), first)
    assert not np.array_equal(expose(TRUTH, SMALL, shot(17002, 0.5), OPTIONS), first)


@pytest.mark.parametrize("open_s", [0.1, 0.3])
def test_gain_follows_from_mean_and_variance(open_s):
    """At low signal: g = m / V (1 + a00 m), with m and V from pairs of frames; some 0.4 % of scatter."""
    means, variances = [], []
    for pair in range(3):
        first, second = (expose(TRUTH, SMALL, shot(17100 + 2 * pair + k, open_s), OPTIONS)[IMG] for k in (0, 1))
        offset = frame_offset_adu(TRUTH, 17100 + 2 * pair, 12.0)
        means.append(0.5 * (first.mean() + second.mean()) - offset)
        variances.append((first.astype(float) - second).var() / 2 - TRUTH.ron_adu**2 - 1 / 12)
    mean, variance = np.mean(means), np.mean(variances)
    curvature = 1 + TRUTH.a00_per_e * mean * TRUTH.gain_e_per_adu
    assert mean / variance * curvature == pytest.approx(TRUTH.gain_e_per_adu, rel=0.017)


def test_variance_turns_over_above_the_full_well():
    signal_s = TRUTH.full_well_e / TRUTH.gain_e_per_adu / 65536 * 3.3

    def variance(open_s):
        first, second = (expose(TRUTH, SMALL, shot(k, open_s), OPTIONS)[IMG].astype(float) for k in (1, 2))
        return (first - second).var() / 2

    assert variance(1.15 * signal_s) < 0.4 * variance(0.85 * signal_s)


def test_dark_current_is_tiny_and_follows_poisson():
    image = np.full((200, 200), 3.0, np.float32)
    charge = collect(TRUTH, image, 1, OPTIONS)
    assert charge.mean() == pytest.approx(3, abs=0.04)
    assert charge.var() == pytest.approx(3, rel=0.04)
    assert np.array_equal(charge, np.round(charge))


def test_particles_are_optional():
    clean = collect(TRUTH, np.zeros((256, 256), np.float32), 5, OPTIONS)
    hit = collect(TRUTH, np.zeros((256, 256), np.float32), 5, replace(OPTIONS, cosmics_per_quadrant=10.0))
    assert clean.max() == 0
    assert hit.max() > 500


def test_full_frames_have_the_same_light():
    full = geometry_of(4238, 4172)
    frame = expose(TRUTH, full, shot(1, 0.1), OPTIONS)
    assert frame.shape == (2086, 2119)
    small = expose(TRUTH, SMALL, shot(1, 0.1), OPTIONS)[IMG]
    assert frame[region_window(full, "img", 0, 2086).slices].mean() == pytest.approx(small.mean(), rel=2e-3)
    assert frame[2066:].max() < 3100
