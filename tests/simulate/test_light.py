from __future__ import annotations

import numpy as np
import pytest

from vison_etl.instrument.geometry import geometry_of, place_quadrant
from vison_etl.simulate.detector import channel
from vison_etl.simulate.light import (
    illumination,
    illumination_map,
    pixel_response,
    quadrant_rate_adu_per_s,
    rate_map_e_per_s,
    source_level,
)
from vison_etl.simulate.settings import SimulationError

SMALL = geometry_of(654, 552)
TRUTH = channel(1, "BORN", "CCD2", "F")


def test_illumination_is_smooth_over_the_whole_ccd():
    light = illumination(1, "BORN", "CCD2", "800")
    image = np.zeros((552, 654))
    for quadrant in "EFGH":
        canonical = np.zeros((276, 327))
        canonical[:256, 51:307] = illumination_map(light, SMALL, quadrant)
        place_quadrant(image, SMALL, quadrant, canonical)
    rows = np.r_[0:256, 296:552]
    columns = np.r_[51:307, 347:603]
    lit = image[np.ix_(rows, columns)]
    assert lit.mean() == pytest.approx(1, abs=1e-4)
    assert 0.93 < lit.min() < lit.max() < 1.05
    assert np.abs(np.diff(lit, axis=0)).max() < 3e-4
    assert np.abs(np.diff(lit, axis=1)).max() < 3e-4


def test_prnu_is_fixed_and_has_its_size():
    pattern = pixel_response(TRUTH, SMALL)
    assert pattern.std() * 100 == pytest.approx(TRUTH.prnu_pct, rel=0.02)
    assert pixel_response(channel(1, "BORN", "CCD2", "F"), SMALL) is pattern
    other = pixel_response(channel(1, "BORN", "CCD2", "G"), SMALL)
    assert abs(np.corrcoef(pattern.ravel(), other.ravel())[0, 1]) < 0.02


def test_rate_fills_the_scale_in_the_time_of_the_chamber():
    rate = quadrant_rate_adu_per_s(TRUTH, "B_BORN", "800", SMALL)
    assert 65536 / rate == pytest.approx(3.5, rel=0.06)
    in_pixels = rate_map_e_per_s(TRUTH, "B_BORN", "800", SMALL).mean(dtype=np.float64)
    assert in_pixels / TRUTH.gain_e_per_adu == pytest.approx(rate, rel=2e-4)


def test_source_drifts_by_a_third_of_a_percent():
    levels = np.array([source_level(1, "BORN", obsid) for obsid in range(17000, 17400)])
    assert levels.std() == pytest.approx(0.003, rel=0.15)
    assert levels.mean() == pytest.approx(1, abs=6e-4)


def test_a_filter_that_the_chamber_lacks():
    with pytest.raises(SimulationError, match="no flat-source saturation time for filter 640: 590"):
        rate_map_e_per_s(TRUTH, "B_BORN", "640", SMALL)
