import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.pixels import quality
from vison_etl.pixels.block_kernels import SIDE
from vison_etl.pixels.flat_compare import shared_response
from vison_etl.pixels.flat_defects import Limits, mark_deviant
from vison_etl.pixels.flat_kernels import NO_DATA, NOISY
from vison_etl.pixels.prnu import SCALES, non_uniformity
from vison_etl.pixels.surface_kernels import N_TERMS, TERMS, abscissae, common_about_surface

LIMITS = Limits(5.5, 0.005, 0.2, 0.5)


def halves(rng, shape=(150, 150), prnu=0.005, noise=0.001):
    response = 1 + prnu * rng.standard_normal(shape)
    return tuple((response + noise * rng.standard_normal(shape)).astype(np.float32) for _ in range(2))


def measured(a, b, bad=None):
    return non_uniformity(a, b, np.zeros(a.shape, np.bool_) if bad is None else bad)


def test_common_part_is_that_of_least_squares():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, SIDE, SIDE)).astype(np.float32)
    used = (rng.random((SIDE, SIDE)) > 0.2).astype(np.float32)
    x = abscissae(SIDE)
    found = np.empty(3)
    dof = common_about_surface(a * used, b * used, used, x, found)
    at = used > 0
    grid = np.meshgrid(x, x)
    design = np.stack([grid[0][at] ** p * grid[1][at] ** q for p, q in TERMS], axis=1).astype(float)
    rest = [v[at] - design @ np.linalg.lstsq(design, v[at].astype(float), rcond=None)[0] for v in (a, b)]
    assert dof == at.sum() - N_TERMS
    wanted = [rest[i] @ rest[j] / dof for i, j in ((0, 0), (0, 1), (1, 1))]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.lengthy
def test_variance_is_unbiased_with_honest_errors():
    rng = np.random.default_rng(2)
    found = [measured(*halves(rng, noise=0.003)) for _ in range(400)]
    assert_pulls([f.variance.value for f in found], [f.variance.error for f in found], 0.005**2)
    assert np.mean([f.total for f in found]) == pytest.approx(0.005**2 + 0.003**2 / 2, rel=0.005)


def test_few_blocks_have_the_error_of_white_structure():
    rng = np.random.default_rng(3)
    found = [measured(*halves(rng, (75, 100), noise=0.003)) for _ in range(400)]
    assert found[0].n_blocks == 12
    assert_pulls([f.variance.value for f in found], [f.variance.error for f in found], 0.005**2)


def test_structure_shows_on_its_own_scale():
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:800, :800]
    for period, index in ((2.0, 0), (7.0, None), (14.0, 2), (90.0, 3)):
        wave = 1 + 0.01 * np.cos(2 * np.pi * x / period + 1) * np.cos(2 * np.pi * y / period + 2)
        a, b = ((wave + 0.002 * rng.standard_normal(x.shape)).astype(np.float32) for _ in range(2))
        power = np.array([s.value for s in measured(a, b).scales])
        if index is not None:
            assert power.argmax() == index
            assert power[index] > 0.65 * power.sum()
    assert SCALES == ((1, 2), (2, 5), (5, 25), (25, 200))


def test_smooth_light_is_no_structure():
    a, b = halves(np.random.default_rng(5), (200, 200), prnu=0.0)
    y, x = np.mgrid[:200, :200] / 200.0
    light = (1 + 0.2 * x - 0.1 * y**2 + 0.1 * x * y).astype(np.float32)
    found = measured(a * light, b * light)
    assert abs(found.variance.value) < 5 * found.variance.error


def test_defects_do_not_count():
    rng = np.random.default_rng(6)
    a, b = halves(rng, (300, 300))
    clean = measured(a, b)
    sick = [half.copy() for half in (a, b)]
    for half in sick:
        half[:, 33] *= 0.97
        half[100:, 200] *= 1.01
        half[10:14, 60:66] = 0.1
        half[250, 250] = np.nan
    found = measured(*sick)
    assert found.variance.value == pytest.approx(clean.variance.value, abs=0.7 * clean.variance.error)
    assert found.n_columns >= 12 + 8
    assert found.n_clipped > 300 + 200 + 24


def test_the_edge_of_a_grain_leaves_its_blocks_out():
    a, b = halves(np.random.default_rng(7), (300, 300))
    y, x = np.mgrid[:300, :300]
    grain = np.where(np.hypot(x - 150, y - 150) < 40, 0.97, 1.0).astype(np.float32)
    found = measured(a * grain, b * grain)
    assert found.n_blocks_left_out > 8
    assert found.variance.value == pytest.approx(0.005**2, abs=4 * found.variance.error)


def test_nothing_usable_gives_nothing():
    a, b = halves(np.random.default_rng(8))
    found = measured(a, b, np.ones(a.shape, np.bool_))
    assert found.variance.value is None
    assert found.n_blocks == 0
    assert measured(a[:20, :20], b[:20, :20]).variance.value is None


def test_deviant_pixels_are_those_beyond_what_any_pixel_may_do():
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:300, :310] / 300.0
    surface = 1 + 0.05 * x + 0.03 * y**2
    flat = (surface * (1 + 0.005 * rng.standard_normal(x.shape))).astype(np.float32)
    changed = {(50, 60): 0.45, (70, 80): np.nan, (9, 9): 0.75, (299, 309): 1.04, (0, 0): 0.96, (120, 130): 1.004}
    for at, factor in changed.items():
        flat[at] = surface[at] * factor
    stacked = np.zeros(flat.shape, np.uint8)
    stacked[70, 80], stacked[33, 44] = NO_DATA, NOISY
    error = np.full(flat.shape, 0.001, np.float32)
    for turn in (1, -1):
        dq = np.full(flat.shape, -1, np.int16)
        mark_deviant(*(image[:, ::turn] for image in (flat, error, stacked)), 0.005, LIMITS, dq[:, ::turn])
        assert {tuple(at): quality.names_of(int(dq[tuple(at)])) for at in np.argwhere(dq).tolist()} == {
            (50, 60): ("BAD_PIXEL", "DEAD", "LOW_RESPONSE"),
            (70, 80): ("NO_DATA",),
            (9, 9): ("BAD_PIXEL", "LOW_RESPONSE"),
            (299, 309): ("HIGH_RESPONSE",),
            (0, 0): ("LOW_RESPONSE",),
            (33, 44): ("NOISY",),
        }


def test_what_is_significant_but_small_is_no_defect():
    flat = np.ones((60, 60), np.float32)
    flat[30, 30], flat[31, 40] = 0.997, 0.99
    dq = np.empty(flat.shape, np.int16)
    mark_deviant(flat, np.full(flat.shape, 1e-5, np.float32), np.zeros(flat.shape, np.uint8), 0.0, LIMITS, dq)
    assert np.argwhere(dq).tolist() == [[31, 40]]


def test_what_two_colours_share():
    rng = np.random.default_rng(10)
    common, red = 0.004 * rng.standard_normal((2, 400, 400))
    blue_flat = (1 + common + 0.001 * rng.standard_normal(common.shape)).astype(np.float32)
    red_flat = (1 + common + 0.5 * red + 0.001 * rng.standard_normal(common.shape)).astype(np.float32)
    found = shared_response(blue_flat, red_flat, (1e-6, 1e-6))
    assert found.correlation == pytest.approx(1 / np.sqrt(1.25), abs=0.02)
    assert found.ratio_variance == pytest.approx((0.5 * 0.004) ** 2, rel=0.05)


def test_errors_of_what_two_colours_share_are_honest():
    rng = np.random.default_rng(11)
    found = []
    for _ in range(400):
        common, own = rng.standard_normal((2, 100, 125))
        truth = 1 + 0.004 * common, 1 + 0.004 * common + 0.002 * own
        flats = [(t + 0.001 * rng.standard_normal(t.shape)).astype(np.float32) for t in truth]
        # what halves of half as many frames would say of the noise
        noise = [np.var(0.001 * rng.standard_normal(common.size)) for _ in flats]
        found.append(shared_response(flats[0], flats[1], (noise[0], noise[1])))
    assert_pulls([f.ratio_variance for f in found], [f.ratio_variance_err for f in found], 0.002**2)
    assert_pulls([f.correlation for f in found], [f.correlation_err for f in found], 1 / np.sqrt(1.25))


def test_nothing_to_share():
    image = np.ones((30, 30), np.float32)
    assert shared_response(image, image, (0.0, 0.0)).correlation is None
