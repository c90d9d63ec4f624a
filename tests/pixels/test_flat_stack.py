import numpy as np
import pytest

from tests.closure.flat_truth import GEOMETRY, PRE, H, Scene, W, flats
from tests.frames import ArrayGroup, ccd_frame
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels.flat_stack import CLIPPED, NO_DATA, NOISY, stack_flats

CALM = Scene(dust=0, hits=0.0, bad_columns=0, dead_pixels=0, gradient=0.0, vignetting=0.0, prnu=0.0)


def stacked(group, **options):
    bands = group.bands(40)
    return stack_flats(bands, len(group.frames), group.geometry, group.vstart, group.vend, **options)


def image(array, quadrant="E"):
    return quadrant_view(array, GEOMETRY, quadrant)[:H, PRE : PRE + W]


def of_codes(codes, quadrants=QUADRANTS):
    """Return a group of frames whose quadrants all hold the given codes, shape (frames, hQ, wQ)."""
    frames = tuple(ccd_frame(GEOMETRY, dict.fromkeys(quadrants, frame)) for frame in codes)
    return ArrayGroup(frames, GEOMETRY, max_rows=37)


def noisy_codes(rng, n, level=10000.0):
    codes = 2600.0 + rng.normal(0.0, 1.3, (n, GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns))
    codes[:, :H, PRE : PRE + W] += level + np.sqrt(level / 3.5) * rng.standard_normal((n, H, W))
    return np.rint(codes)


def test_mean_is_that_of_numpy_where_nothing_is_clipped():
    codes = noisy_codes(np.random.default_rng(1), 7)
    found = stacked(of_codes(codes), clip_sigma=50.0, smoothing_rows=0.0)
    prescan = codes[:, :H, 25:46]
    prescan.sort(axis=2)
    lit = codes[:, :H, PRE : PRE + W] - prescan[:, :, 2:-2].mean(axis=2)[:, :, None]
    for quadrant in QUADRANTS:
        mean = found.shares[0] * image(found.first, quadrant) + found.shares[1] * image(found.second, quadrant)
        # the levels of the frames weigh them a little: a thousandth of the error of a pixel
        np.testing.assert_allclose(mean, lit.mean(axis=0), atol=0.03)
        # halves are levelled by what the pixels of a lattice say
        np.testing.assert_allclose(image(found.first, quadrant) / lit[0::2].mean(axis=0), 1, atol=1e-3)
    assert np.isnan(found.first[:, :PRE]).all()
    assert (image(found.mask) == 0).all()


def test_error_is_the_scatter_of_the_mean():
    rng = np.random.default_rng(2)
    found = stacked(flats(rng, CALM, 12))
    for quadrant in QUADRANTS:
        first, second = image(found.first, quadrant), image(found.second, quadrant)
        scatter = np.std(0.5 * (first + second), ddof=1)
        assert scatter == pytest.approx(image(found.error, quadrant).mean(), rel=0.02)
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)


def test_a_particle_is_left_out_and_its_pixel_keeps_the_others():
    codes = noisy_codes(np.random.default_rng(3), 10)
    codes[4, 50, PRE + 20] += 3000.0
    codes[:, 60, PRE + 30] += np.random.default_rng(4).normal(0.0, 3000.0, 10)
    found = stacked(of_codes(codes))
    mask, error = image(found.mask), image(found.error)
    assert mask[50, 20] == CLIPPED
    assert image(found.first)[50, 20] == pytest.approx(codes[0::2][:, 50, PRE + 20][[0, 1, 3, 4]].mean() - 2600, abs=5)
    assert error[50, 20] == pytest.approx(np.median(error) * np.sqrt((0.25 / 4 + 0.25 / 5) * 10), rel=0.02)
    assert mask[60, 30] & NOISY
    assert error[60, 30] > 10 * np.median(error)
    assert ((mask & CLIPPED) > 0).mean() < 3e-3


def test_two_frames_cannot_say_which_is_right():
    codes = noisy_codes(np.random.default_rng(5), 2)
    codes[0, 50, PRE + 20] += 3000.0
    found = stacked(of_codes(codes))
    assert image(found.mask)[50, 20] & NOISY


def test_codes_that_say_nothing_do_not_count():
    codes = noisy_codes(np.random.default_rng(6), 6)
    codes[1, 10, PRE + 3] = 0
    codes[2, 11, PRE + 4] = 65535
    codes[:4, 12, PRE + 5] = 0
    found = stacked(of_codes(codes))
    mask = image(found.mask)
    assert mask[10, 3] == CLIPPED
    assert mask[11, 4] == CLIPPED
    assert mask[12, 5] == NO_DATA
    assert np.isnan(image(found.first)[12, 5])


def test_a_frame_without_light_is_left_out_of_the_mean():
    rng = np.random.default_rng(7)
    codes = noisy_codes(rng, 8)
    codes[3] = np.rint(2600.0 + rng.normal(0.0, 1.3, codes[3].shape))
    found = stacked(of_codes(codes))
    assert found.n_left_out["E"] == 1
    assert image(found.second).mean() == pytest.approx(10000.0, rel=1e-3)
    assert found.levels["E"][3] == 0


def test_frames_of_unequal_brightness_are_compared_at_one_level():
    scene = Scene(**{**{f: getattr(CALM, f) for f in CALM.__dataclass_fields__}, "source_rms": 0.05})
    found = stacked(flats(np.random.default_rng(8), scene, 9))
    assert ((image(found.mask) & NOISY) > 0).sum() == 0
    assert ((image(found.mask) & CLIPPED) > 0).mean() < 3e-3
    assert np.std(found.levels["E"], ddof=1) == pytest.approx(0.05, rel=0.6)


def test_rows_that_were_not_read_or_lost_their_prescan_have_no_data():
    codes = noisy_codes(np.random.default_rng(9), 5)
    codes[:, :, :50] = 0
    group = ArrayGroup(of_codes(codes).frames, GEOMETRY, vstart=10, vend=100, max_rows=37)
    assert (image(stacked(group).mask)[10:100] == NO_DATA).all()
    codes = noisy_codes(np.random.default_rng(9), 5)
    group = ArrayGroup(of_codes(codes).frames, GEOMETRY, vstart=10, vend=100, max_rows=37)
    found = stacked(group)
    is_out = (image(found.mask) & NO_DATA) > 0
    assert is_out[:10].all()
    assert is_out[100:].all()
    assert not is_out[10:100].any()


def test_the_bands_do_not_matter():
    group = flats(np.random.default_rng(10), Scene(), 6)
    one = stacked(group)
    other = stacked(ArrayGroup(group.frames, GEOMETRY, max_rows=9))
    difference = (image(one.first) - image(other.first)) / image(one.error)
    assert np.nanmax(np.abs(difference[(image(one.mask) | image(other.mask)) == 0])) < 0.5


def test_a_quadrant_without_light_does_not_break():
    frames = tuple(np.full((GEOMETRY.naxis2, GEOMETRY.naxis1), 2600, np.uint16) for _ in range(3))
    found = stacked(ArrayGroup(frames, GEOMETRY))
    assert np.abs(image(found.first)).max() == 0
