from __future__ import annotations

import numpy as np
import pytest

from vison_etl.instrument.geometry import geometry_of, region_window
from vison_etl.simulate.detector import channel
from vison_etl.simulate.electronics import (
    SATURATED,
    column_structure,
    digitise,
    frame_offset_adu,
    region_offset_adu,
)
from vison_etl.simulate.streams import Purpose, state_of, stream

SMALL = geometry_of(654, 552)
TRUTH = channel(1, "BORN", "CCD1", "H")
DARK = np.zeros((256, 256), np.float32)


def read(charge=DARK, offset=2650.0, window=(0, 2086), key=0):
    return digitise(charge, TRUTH, SMALL, offset, window, state_of(stream(1, "BORN", Purpose.AMPLIFIER, key)))


def test_noise_between_frames_is_that_of_the_truth():
    differences = [read(key=2 * k).astype(float) - read(key=2 * k + 1) for k in range(6)]
    window = region_window(SMALL, "img", 0, 2086).slices
    variance = np.mean([d[window].var() / 2 for d in differences]) - 1 / 12
    assert np.sqrt(variance) == pytest.approx(TRUTH.ron_adu, rel=0.02)
    rows = np.mean([d[window].mean(axis=1).var() / 2 for d in differences])
    white = (TRUTH.ron_white_adu**2 + 1 / 12) / 246
    assert np.sqrt(rows - white) == pytest.approx(TRUTH.row_noise_adu, rel=0.1)
    pre = region_window(SMALL, "pre", 0, 2086).slices
    together = np.corrcoef(differences[0][window].mean(axis=1), differences[0][pre].mean(axis=1))[0, 1]
    assert together > 0.3


@pytest.mark.parametrize("region", ["pre", "img", "ove", "pov"])
def test_region_offset_is_the_mean_that_is_read(region):
    window = region_window(SMALL, region, 0, 2086)
    found = np.mean([read(key=k)[window.slices].mean() for k in range(8)])
    expected = 2650.0 + region_offset_adu(TRUTH, SMALL, window)
    rows, columns = window.y1 - window.y0, window.x1 - window.x0
    error = np.sqrt((TRUTH.ron_adu**2 + 1 / 12) / (8 * rows * columns) + TRUTH.row_noise_adu**2 / (8 * rows))
    assert found == pytest.approx(expected, abs=4 * error)


def test_prescan_settles_before_the_region_used():
    structure = column_structure(TRUTH, SMALL)
    assert structure[0] > 15
    assert np.abs(structure[25:]).max() < 2.5
    assert abs(structure[25:46].mean() - structure[56:300].mean()) < 1


def test_charge_goes_to_the_image_pixels_alone():
    frame = read(charge=np.full((256, 256), 3.3e4, np.float32))
    expected = 2650 + 3.3e4 / TRUTH.gain_e_per_adu
    assert frame[:256, 51:307].mean() == pytest.approx(expected, abs=2)
    assert frame[256:].max() < 2750
    assert frame[:, 307:].max() < 2750
    assert frame[:, :51].max() < 2750


def test_adc_ends_at_65535():
    frame = read(charge=np.full((256, 256), 3e5, np.float32))
    assert (frame[:256, 51:307] == SATURATED).all()
    assert (read(offset=-5000.0) == 0).all()


def test_rounding_keeps_the_mean():
    fraction = [read(offset=1000.0 + f, key=9).mean() for f in (0.0, 0.25, 0.5, 0.75)]
    assert np.diff(fraction) == pytest.approx([0.25] * 3, abs=0.02)


def test_rows_outside_the_window_are_zero():
    frame = read(window=(10, 100))
    assert (frame[:10] == 0).all()
    assert (frame[100:] == 0).all()
    assert frame[10:100].min() > 2600
    assert read(window=(0, 2066)).min() > 2600


def test_offset_of_a_frame_is_level_drift_and_jitter():
    offsets = [frame_offset_adu(TRUTH, obsid, 1.0) for obsid in range(300)]
    assert np.std(offsets) == pytest.approx(TRUTH.offset.jitter_adu, rel=0.15)
    assert np.mean(offsets) == pytest.approx(TRUTH.offset.level_adu + TRUTH.offset.drift_adu(1.0), abs=0.06)
