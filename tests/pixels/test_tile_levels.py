"""Levels of tiles on frames made of known parts."""

import numpy as np
import pytest

from tests.frames import SMALL, raw
from tests.pulls import assert_pulls
from vison_etl.instrument.geometry import QUADRANTS, place_quadrant, tiles
from vison_etl.pixels.tile_levels import measure_levels

OFFSET, RON, GAIN = 2650.3, 1.3, 3.4


def frame(rng, signal, hits=0, drift=0.0, memory=0.0):
    """Return a frame; ``memory`` is the part of the signal that the overscan holds."""
    image = np.empty((SMALL.naxis2, SMALL.naxis1))
    h, w = SMALL.image_rows, SMALL.image_columns
    for quadrant in QUADRANTS:
        values = OFFSET + drift * np.arange(SMALL.quadrant_rows)[:, None] / SMALL.quadrant_rows
        values = values + RON * rng.standard_normal((SMALL.quadrant_rows, SMALL.quadrant_columns))
        values[:h, 51 : 51 + w] += rng.poisson(signal * GAIN, (h, w)) / GAIN
        values[:h, 51 + w :] += memory * signal
        ys, xs = rng.integers(0, h, hits), rng.integers(51, 51 + w, hits)
        values[ys, xs] += rng.uniform(3000.0, 20000.0, hits)
        place_quadrant(image, SMALL, quadrant, values)
    return np.rint(image).clip(0, 65535).astype(np.uint16)


@pytest.mark.parametrize("signal", [5.0, 300.0, 20_000.0])
def test_mean_variance_and_error(signal):
    rng = np.random.default_rng(1)
    found = [measure_levels(frame(rng, signal), SMALL) for _ in range(6)]
    means = np.concatenate([f.mean_adu for f in found])
    errors = np.concatenate([f.mean_adu_err for f in found])
    assert_pulls(means, errors, signal)
    variance = signal / GAIN + RON**2 + 1 / 12
    values = np.concatenate([f.variance_adu2 for f in found])
    assert abs(values.mean() / variance - 1) < 3.3 * values.std() / values.mean() / np.sqrt(values.size)
    assert {tuple(f.n + f.n_clipped) for f in found} == {(42 * 42,) * (4 * len(tiles(SMALL)))}


def test_a_file_and_an_array_are_the_same_to_the_bit():
    image = frame(np.random.default_rng(2), 1000.0, hits=50)
    first, second = measure_levels(image, SMALL), measure_levels(raw(image), SMALL)
    for name in first.__slots__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_particles_are_clipped():
    rng = np.random.default_rng(3)
    found = [measure_levels(frame(rng, 5000.0, hits=300), SMALL) for _ in range(4)]
    means, errors = (np.concatenate([getattr(f, name) for f in found]) for name in ("mean_adu", "mean_adu_err"))
    assert_pulls(means, errors, 5000.0)
    assert sum(f.n_clipped.sum() for f in found) > 0.9 * 4 * 4 * 300 * (252 / 256) ** 2


def test_charge_in_the_overscan_does_not_matter():
    rng = np.random.default_rng(4)
    found = measure_levels(frame(rng, 30_000.0, memory=0.01), SMALL)
    assert_pulls(found.mean_adu, found.mean_adu_err, 30_000.0)


def test_a_drift_of_the_offset_is_followed_by_the_rows_of_the_tile():
    found = [measure_levels(frame(np.random.default_rng(k), 100.0, drift=5.0), SMALL) for k in range(4)]
    means, errors = (np.concatenate([getattr(f, name) for f in found]) for name in ("mean_adu", "mean_adu_err"))
    assert_pulls(means, errors, 100.0)


def test_saturated_and_unread_pixels_never_count():
    image = frame(np.random.default_rng(5), 1000.0)
    image[: SMALL.naxis2 // 2] = 65535
    image[:, SMALL.naxis1 // 2 :][image[:, SMALL.naxis1 // 2 :] < 65535] = 0
    found = measure_levels(image, SMALL)
    by = {q: found.quadrant == q for q in QUADRANTS}
    assert (found.n_saturated[by["H"] | by["G"]] == 42 * 42).all()
    assert np.isnan(found.mean_adu[~by["E"]]).all()
    assert (found.n[~by["E"]] == 0).all()
    assert np.isfinite(found.mean_adu[by["E"]]).all()


def test_rows_without_prescan_have_no_level():
    found = measure_levels(frame(np.random.default_rng(6), 1000.0), SMALL, vstart=0, vend=100)
    is_read = found.y < 100
    assert np.isfinite(found.mean_adu[is_read]).all()
    assert np.isnan(found.mean_adu[~is_read]).all()


def test_frames_of_another_type_or_size_are_refused():
    with pytest.raises(ValueError, match="float64"):
        measure_levels(np.zeros((SMALL.naxis2, SMALL.naxis1)), SMALL)
    with pytest.raises(ValueError, match="geometry"):
        measure_levels(np.zeros((4, 4), np.uint16), SMALL)
