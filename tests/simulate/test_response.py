from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.shots import PLAIN, image_of, replace, shot, signal_adu, truth_of
from vison_etl.simulate.response import cubic, in_condition, nl_pct, seen_adu
from vison_etl.simulate.setup import Setup

E, G = truth_of(quadrant="E"), truth_of(quadrant="G")


def test_the_curve_of_the_truth_is_the_curve_of_the_frames():
    linear, bent = PLAIN, replace(PLAIN, nonlinearity=20.0)
    assert abs(20 * cubic(E)) > 1e-3
    for time_s in (0.35, 1.0, 2.2):
        true, seen = (image_of(signal_adu(E, shot(exptime_s=time_s), o)).mean() for o in (linear, bent))
        expected = seen_adu(E, true, 20.0) - true
        assert seen - true == pytest.approx(expected, rel=0.02, abs=0.05)


def test_non_linearity_is_relative_to_the_slope_at_a_fifth_of_full_scale():
    level = np.linspace(100, 60000, 400)
    seen = seen_adu(E, level, 20.0)
    at = np.interp(0.2 * 65536, seen, level)
    slope = np.diff(seen_adu(E, [at - 1, at + 1], 20.0))[0] / 2
    assert nl_pct(E, level, 20.0) == pytest.approx(100 * (seen / (level * slope) - 1), abs=1e-5)
    assert nl_pct(E, level, 0.0) == pytest.approx(0)
    assert np.abs(nl_pct(E, level)).max() < 0.2


def test_reset_drain_and_temperature_change_the_gain():
    assert in_condition(E, Setup()) is E
    assert in_condition(E, Setup(rd_v=(15.5, 16.0))).gain_e_per_adu == pytest.approx(E.gain_e_per_adu * 1.002)
    assert in_condition(G, Setup(rd_v=(15.5, 16.0))) is G
    assert in_condition(G, Setup(degc=-115.15)).gain_e_per_adu == pytest.approx(G.gain_e_per_adu * 1.002425)
    nominal, high = (image_of(signal_adu(E, shot(exptime_s=1.0, rd_v=(v, v)))).mean() for v in (16.0, 16.5))
    assert nominal / high == pytest.approx(1 - 0.002, abs=1e-5)
