"""Covariances between pixels, on frames made of known parts. Filters, fluxes and noises here are arbitrary truths, in ADU."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frames import SMALL, TINY, raw
from tests.pixels.covariance_frames import OFFSET, Scene, expose, pair, plain_covariances
from tests.pulls import assert_pulls
from vison_etl.instrument.geometry import QUADRANTS, Geometry, geometry_of, quadrant_view
from vison_etl.pixels.covariances import QuadrantCovariances, measure_covariances
from vison_etl.pixels.lag_covariances import LAGS, bartlett_errors
from vison_etl.pixels.pair_tiles import measure_pair

ODD = geometry_of(2 * (51 + 20 + 301), 2 * (20 + 411))
FILTER = {(0, 0): 1.0, (1, 0): 0.03, (-1, 0): 0.03, (0, 1): 0.05, (0, -1): 0.05, (1, 1): 0.04, (-2, 3): -0.03}
"""Not the same under a mirror image."""


def gather(found: list[list[QuadrantCovariances]], name: str) -> np.ndarray:
    """Return values of several pairs, shape (pairs, quadrants, lags)."""
    return np.array([[getattr(one, name) for one in quadrants] for quadrants in found])


def image_of(frame: np.ndarray, geometry: Geometry, quadrant: str) -> np.ndarray:
    w = geometry.prescan + geometry.image_columns
    return quadrant_view(frame, geometry, quadrant)[: geometry.image_rows, geometry.prescan : w]


def offset_of(frame: np.ndarray, geometry: Geometry, quadrant: str) -> float:
    return float(quadrant_view(frame, geometry, quadrant)[: geometry.image_rows, 25:46].mean())


def assert_equals_plain(
    first: np.ndarray, second: np.ndarray, geometry: Geometry, tolerance: float = 0.02
) -> list[QuadrantCovariances]:
    """Assert equality to ``tolerance`` sigma: the balance is from a sample of the pixels, the difference rounded to 1/1023 of the clip,
    and the mean of the pixels that have a partner at a lag is not quite that of all, which matters in tiny quadrants."""
    found = measure_covariances(first, second, geometry)
    for one in found:
        images = [image_of(frame, geometry, one.quadrant) for frame in (first, second)]
        offsets = tuple(offset_of(frame, geometry, one.quadrant) for frame in (first, second))
        covariance, n = plain_covariances(*images, offsets)
        np.testing.assert_array_equal(one.n, n)
        assert np.max(np.abs(one.covariance_adu2 - covariance) / one.covariance_adu2_err) < tolerance
    return found


@pytest.mark.parametrize(
    ("geometry", "tolerance"), [(SMALL, 0.02), (TINY, 0.05), (geometry_of(2 * (51 + 20 + 97), 2 * (20 + 131)), 0.05)]
)
def test_equals_a_plain_computation(geometry: Geometry, tolerance: float) -> None:
    first, second = pair(1, Scene(taps=FILTER, gradient=0.02), geometry, flux=1.02)
    assert_equals_plain(first, second, geometry, tolerance)


def test_equals_a_plain_computation_with_masks() -> None:
    first, second = pair(2, Scene(taps=FILTER), flux=0.99)
    rng = np.random.default_rng(3)
    for quadrant in QUADRANTS:
        view = image_of(first, SMALL, quadrant)
        view.flat[rng.choice(view.size, 300, replace=False)] += 3000
        view[:, 100] = 65535
        view[40:60, 5:9] = 0
        other = image_of(second, SMALL, quadrant)
        other[0, 0] = other[-1, -1] = other[0, -1] = 30000
        other[200:203, 30:200] = 65535
    found = assert_equals_plain(first, second, SMALL)
    for one in found:
        assert one.n_saturated == 256 + 3 * 170 - 3
        assert 290 * 5 < one.n_clipped < 303 * 9
        assert one.n[0] + one.n_clipped + one.n_saturated == 256 * 256 - 20 * 4


@pytest.mark.parametrize("geometry", [SMALL, ODD])
def test_a_known_filter_is_recovered_in_every_quadrant(geometry: Geometry) -> None:
    scene = Scene(taps=FILTER)
    found = [measure_covariances(*pair(10 + k, scene, geometry), geometry) for k in range(6)]
    values, errors = gather(found, "covariance_adu2"), gather(found, "covariance_adu2_err")
    truth = np.broadcast_to(scene.truth(), values.shape)
    assert_pulls(values, errors, truth)
    for q in range(4):
        # each quadrant has its mirror images right: a lag that they exchange would be off by 14 sigma
        assert_pulls(values[:, q], errors[:, q], truth[:, q])
    for lag in ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1), (2, -3), (2, 3)):
        k = LAGS.index(lag)
        assert_pulls(values[..., k], errors[..., k], truth[..., k])
    mirrored = truth[..., LAGS.index((1, 1))] - truth[..., LAGS.index((1, -1))]
    assert np.all(mirrored > 8 * errors[..., LAGS.index((1, 1))])


def test_errors_of_strongly_correlated_pixels() -> None:
    scene = Scene(taps={(0, 0): 1.0, (0, 1): 0.6, (1, 0): 0.4})
    found = [measure_covariances(*pair(30 + k, scene), SMALL) for k in range(30)]
    values, errors = gather(found, "covariance_adu2"), gather(found, "covariance_adu2_err")
    n = gather(found, "n")
    near = [LAGS.index(lag) for lag in ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1), (2, 0), (0, 2), (0, 3), (5, 5))]
    for k in near:
        assert_pulls(values[..., k], errors[..., k], scene.truth()[k])
    too_small = values[..., 0] / np.sqrt(n[..., 0] / 2)
    assert np.mean(((values[..., 0] - scene.truth()[0]) / too_small) ** 2) > 1.3


def test_errors_of_white_noise_are_the_simple_ones() -> None:
    covariance, n = np.zeros(len(LAGS)), np.full(len(LAGS), 10_000)
    covariance[0] = 7.0
    errors = bartlett_errors(covariance, n)
    assert errors[0] == pytest.approx(7.0 * np.sqrt(2) / 100)
    np.testing.assert_allclose(errors[1:], 0.07)


def test_the_variance_is_that_of_the_tiles() -> None:
    scene = Scene(gradient=0.03, prnu=0.01)
    for seed in (40, 41):
        first, second = pair(seed, scene, flux=1.01)
        tiles = measure_pair(first, second, SMALL)
        for one in measure_covariances(first, second, SMALL):
            here = tiles.quadrant == one.quadrant
            # nearly the same pixels: tiles leave out the last rows and columns, 3 % of all
            differ = np.mean(tiles.variance_adu2[here]) - one.covariance_adu2[0]
            assert abs(differ) < 0.6 * one.covariance_adu2_err[0]
            assert one.mean_adu == pytest.approx(np.mean(tiles.mean_adu[here]), rel=2e-3)


def test_imbalance_and_fixed_pattern_where_the_plain_difference_fails() -> None:
    scene = Scene(signal=20000.0, gradient=0.05, prnu=0.01)
    flux = 1.04
    found, plain = [], []
    for seed in range(50, 54):
        first, second = pair(seed, scene, flux=flux, tilt=0.002)
        found.append(measure_covariances(first, second, SMALL))
        for quadrant in QUADRANTS:
            d = np.subtract(*(image_of(frame, SMALL, quadrant).astype(float) for frame in (first, second)))
            d -= d.mean()
            plain.append([np.mean(d * d) / 2, np.mean(d[:, :-8] * d[:, 8:]) / 2])
    values, errors = gather(found, "covariance_adu2"), gather(found, "covariance_adu2_err")
    mean = gather(found, "mean_adu")
    truth = scene.truth() * np.ones(values.shape)
    # the noise of the light goes as the mean flux of the pair
    truth[..., 0] += scene.sigma**2 * (0.5 * (1 + flux) - 1)
    assert_pulls(values, errors, truth)
    assert_pulls(values[..., 0], errors[..., 0], truth[..., 0])
    np.testing.assert_allclose(mean, 0.5 * (1 + flux) * scene.signal, rtol=1e-3)
    bias = np.mean(plain, axis=0) / scene.sigma**2
    assert bias[0] > 1.5
    # 100 of the errors found above
    assert bias[1] > 0.4


def test_cosmic_rays_are_left_out_with_their_tails() -> None:
    scene = Scene()
    found, unclipped = [], []
    for seed in range(60, 66):
        first, second = pair(seed, scene)
        rng = np.random.default_rng(seed)
        for frame in (first, second):
            for quadrant in QUADRANTS:
                view = image_of(frame, SMALL, quadrant)
                for _ in range(25):
                    y, x = rng.integers(20, 230, 2)
                    length = rng.integers(2, 15)
                    for s in range(length):
                        view[y + s // 2, x + s] += 2500
                        view[y + s // 2 + 1, x + s] += 150
                        view[y + s // 2 - 1, x + s] += 150
        found.append(measure_covariances(first, second, SMALL))
        unclipped.append(measure_covariances(first, second, SMALL, clip_sigma=1e3))
    values, errors = gather(found, "covariance_adu2"), gather(found, "covariance_adu2_err")
    assert_pulls(values, errors, np.broadcast_to(scene.truth(), values.shape))
    for lag in ((0, 0), (1, 0), (0, 1), (2, 1)):
        k = LAGS.index(lag)
        assert_pulls(values[..., k], errors[..., k], scene.truth()[k])
        assert np.mean(gather(unclipped, "covariance_adu2")[..., k] - scene.truth()[k]) > 0.05 * scene.sigma**2


def test_a_tight_clip_is_corrected() -> None:
    scene = Scene(taps={(0, 0): 1.0, (0, 1): 0.15})
    found = [measure_covariances(*pair(70 + k, scene), SMALL, clip_sigma=3.0) for k in range(40)]
    ratio = gather(found, "covariance_adu2")[..., [0, 1]] / scene.truth()[[0, 1]]
    error = ratio.std(axis=(0, 1)) / np.sqrt(ratio[..., 0].size)
    assert LAGS[1] == (0, 1)
    # neighbours of clipped pixels go too, which is a second-order loss where pixels are correlated
    assert np.all(np.abs(ratio.mean(axis=(0, 1)) - 1) < 3.3 * error + 0.002)
    clipped = 0.97334**2
    assert abs(ratio.mean(axis=(0, 1))[1] * clipped - 1) > 6 * error[1]


def test_the_part_that_planes_take_is_given_back() -> None:
    scene = Scene(sigma=60.0)
    found = [measure_covariances(*pair(100 + k, scene, TINY), TINY) for k in range(120)]
    values = gather(found, "covariance_adu2")
    rho = np.mean(values[..., 1:], axis=-1).ravel() / scene.truth()[0]
    n = TINY.image_columns * TINY.image_rows
    error = rho.std() / np.sqrt(rho.size)
    assert abs(rho.mean()) < 3.3 * error
    assert 3.0 / n > 5 * error


def test_row_noise_adds_to_serial_lags_alone() -> None:
    scene = Scene(signal=1000.0, sigma=5.0, row_noise=2.0)
    found = [measure_covariances(*pair(300 + k, scene), SMALL) for k in range(12)]
    values = gather(found, "covariance_adu2").mean(axis=(0, 1))
    of_rows = np.array([y == 0 for _, y in LAGS])
    # 256 rows: the row noise itself is known to 2 sqrt(2 / 256 / 48) of its variance
    np.testing.assert_allclose(values[of_rows][1:], 4.0, atol=4.0 * 3.3 * np.sqrt(2 / 256 / 48))
    assert np.all(np.abs(values[~of_rows]) < 0.5)


def test_spread_of_the_illumination() -> None:
    scene = Scene(signal=20000.0, gradient=0.04, prnu=0.01)
    x = np.linspace(-1, 1, 256)
    wanted = 20000.0 * 0.04 * np.std(x[None, :] - 0.6 * x[:, None])
    for one in measure_covariances(*pair(80, scene), SMALL):
        assert one.spread_adu == pytest.approx(wanted, rel=0.03)
    for one in measure_covariances(*pair(81, Scene()), SMALL):
        assert one.spread_adu < 1.5


def test_a_saturated_quadrant_has_counts_and_nothing_else() -> None:
    first, second = pair(90, Scene())
    image_of(first, SMALL, "F")[:] = 65535
    quadrant_view(first, SMALL, "G")[:] = 0
    by_name = {one.quadrant: one for one in measure_covariances(first, second, SMALL)}
    assert by_name["F"].n_saturated == 256 * 256
    assert by_name["G"].n_saturated == 0
    for quadrant in "FG":
        one = by_name[quadrant]
        assert np.all(one.n == 0)
        assert one.n_clipped == 0
        assert np.isnan(one.covariance_adu2).all()
        assert np.isnan(one.covariance_adu2_err).all()
        assert np.isnan([one.mean_1_adu, one.mean_2_adu, one.mean_adu, one.mean_adu_err, one.spread_adu]).all()
    for quadrant in "EH":
        assert np.isfinite(by_name[quadrant].covariance_adu2).all()


def test_a_quadrant_without_noise_is_not_measured() -> None:
    image = np.full((SMALL.naxis2, SMALL.naxis1), 3000, np.uint16)
    for one in measure_covariances(image, image, SMALL):
        assert np.isnan(one.covariance_adu2).all()


def test_rows_not_read_do_not_count() -> None:
    first, second = pair(91, Scene(taps=FILTER))
    for frame in (first, second):
        for quadrant in QUADRANTS:
            quadrant_view(frame, SMALL, quadrant)[120:] = 0
    cut = measure_covariances(first, second, SMALL, vend=120)
    whole = measure_covariances(first, second, SMALL)
    for one, other in zip(cut, whole, strict=True):
        assert one.n[0] == other.n[0] == 120 * 256
        assert np.max(np.abs(one.covariance_adu2 - other.covariance_adu2) / one.covariance_adu2_err) < 0.05
    nothing = measure_covariances(first, second, SMALL, vstart=200)
    unread = measure_covariances(first, second, SMALL, vstart=10, vend=10)
    for one in (*nothing, *unread):
        assert np.isnan(one.covariance_adu2).all()
        assert np.all(one.n == 0)


def test_words_of_the_file_give_the_same_to_the_bit() -> None:
    first, second = pair(92, Scene(taps=FILTER), flux=1.01)
    native, stored = measure_covariances(first, second, SMALL), measure_covariances(raw(first), raw(second), SMALL)
    for one, other in zip(native, stored, strict=True):
        for name in one.__slots__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_offsets_are_removed_from_means() -> None:
    frame = expose(np.random.default_rng(93), Scene(signal=500.0, sigma=12.0))
    other = expose(np.random.default_rng(94), Scene(signal=500.0, sigma=12.0))
    for one in measure_covariances(frame, other, SMALL):
        assert one.mean_1_adu == pytest.approx(500.0, abs=5 * one.mean_adu_err * np.sqrt(2))
        assert OFFSET > 1000


def test_what_is_no_pair_is_refused() -> None:
    image = np.zeros((SMALL.naxis2, SMALL.naxis1), np.uint16)
    with pytest.raises(ValueError, match="float"):
        measure_covariances(image.astype(float), image.astype(float), SMALL)
    with pytest.raises(ValueError, match="differ in type"):
        measure_covariances(image, image.astype(">i2"), SMALL)
    with pytest.raises(ValueError, match="shape"):
        measure_covariances(image, image[:-2], SMALL)


def test_a_cell_that_spills_is_left_out() -> None:
    """One cell of nine with 10 % less variance: as if its pixels were lost. The other quadrants are as they were."""
    geometry = geometry_of(2 * (51 + 20 + 768), 2 * (20 + 768))
    first, second = pair(21, Scene(taps=FILTER), geometry)
    clean = measure_covariances(first, second, geometry)
    assert [one.n_cells_out for one in clean] == [0] * 4
    lost = [frame.copy() for frame in (first, second)]
    for frame, same in zip((first, second), lost, strict=True):
        cell = image_of(frame, geometry, "F")[256:512, 512:768]
        cell[:] = np.rint(cell.mean() + 0.95 * (cell - cell.mean()))
        image_of(same, geometry, "F")[256:512, 512:768] = 0
    found, expected = measure_covariances(first, second, geometry), measure_covariances(*lost, geometry)
    for one, before, wanted in zip(found, clean, expected, strict=True):
        if one.quadrant != "F":
            np.testing.assert_array_equal(one.covariance_adu2, before.covariance_adu2)
            continue
        assert one.n_cells_out == 1
        assert one.n_clipped == wanted.n_clipped
        np.testing.assert_array_equal(one.n, wanted.n)
        assert np.max(np.abs(one.covariance_adu2 - wanted.covariance_adu2) / one.covariance_adu2_err) < 0.02
        assert one.mean_adu == pytest.approx(wanted.mean_adu, abs=1e-3)
        assert one.spread_adu == pytest.approx(wanted.spread_adu, rel=0.05, abs=0.05)
        # with it, the variance would be wrong by 1 %
        assert one.covariance_adu2[0] == pytest.approx(before.covariance_adu2[0], rel=0.004)


def test_more_than_a_quarter_of_the_cells_is_no_exception() -> None:
    geometry = geometry_of(2 * (51 + 20 + 768), 2 * (20 + 768))
    first, second = pair(22, Scene(taps=FILTER), geometry)
    for frame in (first, second):
        half = image_of(frame, geometry, "E")[:512]
        half[:] = np.rint(half.mean() + 0.95 * (half - half.mean()))
    assert measure_covariances(first, second, geometry)[QUADRANTS.index("E")].n_cells_out == 0
