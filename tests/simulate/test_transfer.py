from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.shots import SMALL, replace, shot, signal_adu, truth_of
from vison_etl.simulate.transfer import TAIL_PX, tail, transfer, transferred

E = truth_of()


def test_charge_is_kept():
    charge = np.zeros((256, 256), np.float32)
    charge[100, 100] = 1e5
    out = transferred(charge, E, SMALL)
    truth = transfer(E)
    assert out.shape == (276, 276)
    assert out.sum(dtype=np.float64) == pytest.approx(1e5, rel=1e-6)
    lost_y, lost_x = 101 * truth.parallel_cti, 152 * truth.serial_cti
    assert out[101:109, 100].sum() == pytest.approx(1e5 * lost_y, rel=2e-3)
    assert out[102, 100] / out[101, 100] == pytest.approx(np.exp(-1 / 2.0), rel=1e-3)
    assert out[100, 101:109].sum() == pytest.approx(1e5 * (lost_x + truth.bounce), rel=5e-3)


def test_what_is_above_full_well_is_left_behind():
    charge = np.zeros((256, 256), np.float32)
    charge[100, 100] = E.full_well_e + 1e4
    out, truth = transferred(charge, E, SMALL), transfer(E)
    assert out.sum(dtype=np.float64) == pytest.approx(E.full_well_e + 1e4, rel=1e-6)
    left = 101 * (truth.parallel_cti * (E.full_well_e + 1e4) + 4e-5 * 1e4)
    assert out[101:109, 100].sum() == pytest.approx(left, rel=2e-3)


def test_a_flat_stays_flat_and_has_tails_in_the_overscans():
    charge = np.full((256, 256), 1e5, np.float32)
    out, truth = transferred(charge, E, SMALL), transfer(E)
    assert out[20:250, 20:250] == pytest.approx(1e5, rel=2e-5)
    assert out[256:264, 100].sum() == pytest.approx(1e5 * _deferred("parallel", truth.parallel_cti, 256), rel=2e-3)
    serial = _deferred("serial", truth.serial_cti, 51 + 256) + truth.bounce
    assert out[100, 256:264].sum() == pytest.approx(1e5 * serial, rel=5e-3)
    assert out[100, 0] == pytest.approx(1e5 * (1 - truth.bounce), rel=1e-4)


def _deferred(direction, cti, transfers):
    lags = np.arange(TAIL_PX)
    return sum((tail(direction)[pixel:] * cti * (transfers - (lags[pixel:] - pixel))).sum() for pixel in range(TAIL_PX))


def test_tails_of_a_bright_flat_show_in_the_frame():
    truth = transfer(E)
    dark = replace(E, response=E.response)
    signal = signal_adu(dark, shot(exptime_s=2.0))
    last = signal[20:250, 306].mean()
    first = signal[20:250, 307].mean()
    expected = tail("serial")[0] * truth.serial_cti * 307 + truth.bounce
    back = sum(tail("serial")[k] * truth.serial_cti * (307 - k) for k in range(1, TAIL_PX))
    assert first / last == pytest.approx(expected + back, abs=4 * 1.3 / np.sqrt(230) / last)
    assert signal[20:250, 318:].mean() == pytest.approx(0, abs=0.1)


def test_weights():
    assert tail("serial").sum() == pytest.approx(1)
    assert (np.diff(tail("parallel")) < 0).all()
