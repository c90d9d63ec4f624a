"""Frames corrected as pixels: without an effect they are as measured, and unknown charge reaches nothing that is measured."""

import numpy as np
import pytest

from tests.frames import SMALL
from tests.pixels.covariance_frames import OFFSET, Scene, pair
from vison_etl.instrument.geometry import quadrant_view
from vison_etl.pixels.brighter_fatter import correct
from vison_etl.pixels.corrected_covariances import CorrectedFrame, correct_frame, measure_corrected
from vison_etl.pixels.covariances import measure_covariances
from vison_etl.pixels.lag_covariances import LAGS
from vison_etl.pixels.walls import walls_of

GAIN = 3.3
REACH = 8
FELT = (2 * REACH + 3) ** 2
TAPS = {(0, 0): 1.0, (1, 0): 0.05, (0, 1): 0.08}


def walls(strength):
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    return walls_of(-strength * np.exp(-0.7 * np.hypot(x, y)))


def areas(frames, quadrant):
    """Return the codes of the image area of a quadrant of both frames, canonical."""
    inner = slice(SMALL.image_rows), slice(SMALL.prescan, SMALL.prescan + SMALL.image_columns)
    return [quadrant_view(frame, SMALL, quadrant)[inner].copy() for frame in frames]


def corrected(codes, strength):
    return correct_frame(codes, OFFSET, GAIN, walls(strength), None, tolerance_e=0.01)


@pytest.mark.parametrize("quadrant", ["E", "G"])
def test_walls_at_rest_leave_the_covariances_as_they_are(quadrant):
    frames = pair(3, Scene(taps=TAPS, gradient=0.05, prnu=0.01), flux=1.03, tilt=0.002)
    for frame in frames:
        cosmic = quadrant_view(frame, SMALL, quadrant)
        cosmic[40:43, 120:123] = 30_000
    known = {one.quadrant: one for one in measure_covariances(*frames, SMALL)}[quadrant]
    one, two = (corrected(codes, 0.0) for codes in areas(frames, quadrant))
    found = measure_corrected(one, two, (0.01, 0.01), 5.5, 0.02)
    # Offsets differ by their errors, and weights by those of another lattice: 1e-4 of the variance.
    scale = known.covariance_adu2[0]
    np.testing.assert_allclose(found.covariance_adu2, known.covariance_adu2, atol=3e-4 * scale)
    np.testing.assert_allclose(found.covariance_adu2_err, known.covariance_adu2_err, rtol=2e-2)
    np.testing.assert_array_equal(found.n, known.n)
    assert found.n_clipped == known.n_clipped
    assert found.n_unknown == 0
    assert found.mean_adu == pytest.approx(known.mean_adu, abs=0.1)


def flat(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(40_000.0, 110.0, (60, 70))


def test_unknown_charge_reaches_no_pixel_that_counts():
    """A full pixel that spilled nothing, and one that was not read: where they are felt, the frame is marked."""
    charge = flat(1)
    charge[30, 20] = 110_000.0
    charge[12, 50] = 70_000.0
    codes = np.rint(charge + OFFSET).clip(0, 65535).astype(np.uint16)
    codes[12, 50] = 0
    truth = correct(((charge) * GAIN).astype(np.float32), walls(2e-7), tolerance_e=0.01).image / GAIN
    found = corrected(codes, 2e-7)
    wrong = np.abs(found.signal_adu - truth)
    assert np.count_nonzero(~found.is_known) == 2 * FELT
    assert not found.is_known[30 - REACH - 1, 20 + REACH + 1]
    assert found.is_known[30 - REACH - 2, 20]
    rounding = 0.6
    assert wrong[found.is_known].max() < rounding
    assert wrong[~found.is_known & (wrong < 1e4)].max() > 10.0


def test_pixels_near_unknown_charge_are_left_out():
    codes = [np.rint(flat(seed) + OFFSET).astype(np.uint16) for seed in (1, 2)]
    whole = measure_corrected(*(corrected(image, 1e-7) for image in codes), (0.0, 0.0), 5.5, 0.02)
    codes[1][30, 35] = 65535
    found = measure_corrected(*(corrected(image, 1e-7) for image in codes), (0.0, 0.0), 5.5, 0.02)
    assert (whole.n_unknown, found.n_unknown) == (0, FELT)
    assert found.n[0] == whole.n[0] - FELT
    assert found.mean_adu == pytest.approx(whole.mean_adu, abs=8.0)


def test_too_few_pixels_give_no_covariances():
    shape = (40, 40)
    known = np.zeros(shape, bool)
    known[:20, :20] = True
    frames = [CorrectedFrame(np.full(shape, 1e4, np.float32), known, 1, 0.0, True) for _ in range(2)]
    found = measure_corrected(*frames, (0.0, 0.0), 5.5, 0.02)
    assert np.isnan(found.covariance_adu2).all()
    assert found.covariance_adu2.size == len(LAGS)
    assert found.n_unknown == 1200
    assert np.isnan(found.mean_adu)


def test_a_frame_without_known_pixels_is_no_error():
    found = corrected(np.full((20, 20), 65535, np.uint16), 1e-7)
    assert not found.is_known.any()
