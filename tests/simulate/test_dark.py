from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.shots import SMALL, image_of, shot, signal_adu, truth_of
from vison_etl.simulate.dark import dark_rate_e_per_s, exposed_s, register_e, stray_rate_e_per_s
from vison_etl.simulate.response import in_condition
from vison_etl.simulate.setup import Setup

TRUTH = truth_of()
GAIN = TRUTH.gain_e_per_adu
WARM = {"degc": 20.0, "row_s": 0.0324304}
WARM_GAIN = in_condition(TRUTH, Setup(**WARM)).gain_e_per_adu


def test_warm_dark_current_rises_along_the_rows_as_they_wait():
    signal = signal_adu(TRUTH, shot(**WARM))
    rows = signal[:256, 51:307].mean(axis=1)
    slope = np.polyfit(np.arange(256), rows, 1)[0]
    rate = dark_rate_e_per_s(TRUTH, 20.0)
    assert 1000 < rate < 2000
    assert slope == pytest.approx(rate * WARM["row_s"] / WARM_GAIN, rel=3e-3)
    late = signal[260:276, 51:307].mean()
    assert late == pytest.approx(
        rate * 256 * WARM["row_s"] / WARM_GAIN + register_e(TRUTH, Setup(**WARM)) / WARM_GAIN, rel=3e-3
    )


def test_only_charge_that_is_clocked_to_the_node_is_read():
    register = register_e(TRUTH, Setup(**WARM)) / WARM_GAIN
    at_work = in_condition(TRUTH, Setup(**WARM))
    error = 4 * np.hypot(1.5, at_work.row_noise_adu * 16) / 256
    forward = image_of(signal_adu(TRUTH, shot(**WARM)))
    vertical = image_of(signal_adu(TRUTH, shot(rdmode="rwd_bas_v", **WARM)))
    both = image_of(signal_adu(TRUTH, shot(rdmode="rwd_bas_vs", **WARM)))
    assert forward.mean() > 1000
    assert vertical.mean() == pytest.approx(register, abs=error)
    assert both.mean() == pytest.approx(0, abs=error)
    assert both.std() == pytest.approx(np.hypot(at_work.ron_adu, 12**-0.5), rel=0.02)


def test_a_reverse_read_out_holds_no_light():
    assert image_of(signal_adu(TRUTH, shot(exptime_s=1.0))).mean() > 10_000
    assert image_of(signal_adu(TRUTH, shot(exptime_s=1.0, rdmode="rwd_bas_v"))).mean() == pytest.approx(0, abs=0.03)


def test_cold_dark_signal_grows_with_exposure_time():
    frames = {t: image_of(signal_adu(TRUTH, shot(exptime_s=t, is_open=False))).mean() for t in (0.0, 565.0)}
    rate = dark_rate_e_per_s(TRUTH, -120.0) + stray_rate_e_per_s("")
    assert frames[565.0] - frames[0.0] == pytest.approx(565.0 * rate / GAIN, abs=4 * 1.3 / 256)
    assert -2 < frames[565.0] < 5


def test_temperature_matters_little_when_cold():
    assert dark_rate_e_per_s(TRUTH, -115.15) == pytest.approx(TRUTH.dark_e_per_px_h / 3600, rel=1e-2)


def test_rows_of_the_overscan_know_nothing_of_the_exposure():
    collected = exposed_s(SMALL, Setup(row_s=0.03), 10.0)
    assert collected[0] == 10.0
    assert collected[255] == pytest.approx(10.0 + 255 * 0.03)
    assert collected[256:] == pytest.approx(256 * 0.03)


def test_stray_light_follows_what_the_operator_noted():
    lit, dark, usual = (stray_rate_e_per_s(note) for note in ("LABLIT", "GAUGEOFF", "DARK"))
    assert lit > stray_rate_e_per_s("LABOUTW1") > stray_rate_e_per_s("TUNGSOFF") > dark == usual
    seen = [
        image_of(signal_adu(TRUTH, shot(exptime_s=100.0, is_open=False, environment=n))).mean()
        for n in ("LABLIT", "GAUGEOFF")
    ]
    assert seen[0] - seen[1] == pytest.approx(100 * (lit - dark) / GAIN, abs=4 * 2 / 256)
