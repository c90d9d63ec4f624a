"""Pair tiles on frames made of known parts. Gains, offsets and noises here are arbitrary truths, in ADU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad

from tests.pulls import assert_pulls
from vison_etl.instrument.geometry import QUADRANTS, geometry_of, place_quadrant, quadrant_view, tiles
from vison_etl.pixels.pair_tiles import measure_pair, truncated_normal

SMALL = geometry_of(654, 552)
GAIN = 3.4
RON = 1.3
OFFSET = 2650.3


@dataclass(frozen=True)
class Scene:
    """What falls on a frame of pairs: signal, gradient and fixed pattern as fractions, noise per row, cosmic-ray hits."""

    signal: float = 8000.0
    gradient: float = 0.0
    prnu: float = 0.0
    row_noise: float = 0.0
    hits: float = 0.0
    hit_adu: tuple[float, float] = (3000.0, 20000.0)


def expose(
    rng: np.random.Generator, scene: Scene, flux: float = 1.0, tilt: float = 0.0, seed_pattern: int = 5
) -> np.ndarray:
    """Return a raw small frame, uint16. ``tilt`` is a gradient of this frame alone."""
    image = np.empty((SMALL.naxis2, SMALL.naxis1))
    pattern = np.random.default_rng(seed_pattern)
    for quadrant in QUADRANTS:
        rows, columns = SMALL.quadrant_rows, SMALL.quadrant_columns
        charge = np.zeros((rows, columns))
        h, w = SMALL.image_rows, SMALL.image_columns
        y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None, :]
        fixed = (1 + scene.gradient * (x - 0.6 * y)) * (1 + scene.prnu * pattern.standard_normal((h, w)))
        light = scene.signal * flux * fixed * (1 + tilt * (y + x))
        charge[:h, 51 : 51 + w] = rng.poisson(light * GAIN) / GAIN
        noise = RON * rng.standard_normal((rows, columns)) + scene.row_noise * rng.standard_normal((rows, 1))
        place_quadrant(image, SMALL, quadrant, OFFSET + charge + noise)
    n_hits = int(scene.hits * image.size)
    if n_hits:
        where = rng.choice(image.size, n_hits, replace=False)
        image.ravel()[where] += rng.uniform(*scene.hit_adu, n_hits)
    return np.clip(np.round(image), 0, 65535).astype(np.uint16)


def expected_variance(signal: float, row_noise: float = 0.0) -> float:
    return signal / GAIN + RON**2 + row_noise**2 + 1.0 / 12.0


def simple_variances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return var(I_1 - I_2) / 2 per tile: no balance, no plane, no clip."""
    difference = first.astype(float) - second.astype(float)
    return np.array(
        [np.var(quadrant_view(difference, SMALL, q)[t.slices]) / 2 for q in QUADRANTS for t in tiles(SMALL)]
    )


def test_recovers_the_variance_where_the_simple_difference_fails() -> None:
    rng = np.random.default_rng(101)
    scene = Scene(signal=20000.0, gradient=0.05, prnu=0.02, row_noise=0.8, hits=2e-4)
    first, second = expose(rng, scene), expose(rng, scene, flux=1.06, tilt=0.004)
    found = measure_pair(first, second, SMALL)
    truth = np.array([expected_variance(mean, scene.row_noise) for mean in found.mean_adu])
    # noise of the measured mean itself in the truth is 300 times below the error of the variance
    assert_pulls(found.variance_adu2, found.variance_adu2_err, truth)
    simple = simple_variances(first, second)
    assert np.median(simple / truth) > 1.05


def test_equals_a_plain_least_squares_computation() -> None:
    rng = np.random.default_rng(102)
    first, second = expose(rng, Scene(gradient=0.03)), expose(rng, Scene(gradient=0.03), flux=0.97, tilt=0.002)
    found = measure_pair(first, second, SMALL, clip_sigma=30.0)
    tile = tiles(SMALL)[7]
    for k, quadrant in enumerate(QUADRANTS):
        row = k * len(tiles(SMALL)) + 7
        i1, i2 = (quadrant_view(image, SMALL, quadrant).astype(float) for image in (first, second))
        offset = [i[tile.y : tile.y + tile.height, 25:46].mean() for i in (i1, i2)]
        m1, m2 = i1[tile.slices].mean() - offset[0], i2[tile.slices].mean() - offset[1]
        w1, w2 = 2 * m1 / (m1 + m2), 2 * m2 / (m1 + m2)
        d = w2 * i1[tile.slices] - w1 * i2[tile.slices]
        y, x = np.mgrid[: tile.height, : tile.width]
        design = np.stack([np.ones(d.size), x.ravel(), y.ravel()], axis=1)
        r = (d.ravel() - design @ np.linalg.lstsq(design, d.ravel())[0]).reshape(d.shape)
        square = np.sum(r**2) / (d.size - 3)
        variance = square / (2 * w1 * w2)
        assert found.n[row] == d.size
        assert found.mean_1_adu[row] == pytest.approx(m1, abs=0.02)
        assert found.mean_2_adu[row] == pytest.approx(m2, abs=0.02)
        # the weights come from a sample of the tile: second order in their error
        assert found.variance_adu2[row] == pytest.approx(variance, rel=2e-4)
        kurtosis = np.mean(r**4) / np.mean(r**2) ** 2 - 3
        assert found.excess_kurtosis[row] == pytest.approx(kurtosis, abs=1e-3)
        assert found.corr_01[row] == pytest.approx(np.mean(r[1:] * r[:-1]) / square + 3 / r.size, abs=2e-5)
        assert found.corr_10[row] == pytest.approx(np.mean(r[:, 1:] * r[:, :-1]) / square + 3 / r.size, abs=2e-5)


def test_errors_are_those_of_the_scatter() -> None:
    rng = np.random.default_rng(103)
    scene = Scene(signal=5000.0)
    results = [measure_pair(expose(rng, scene), expose(rng, scene), SMALL) for _ in range(6)]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(r, name) for r in results])

    truth = expected_variance(scene.signal)
    # an error bar proportional to a value that fluctuates would make low values look far off: that of the truth is taken
    assert_pulls(joined("variance_adu2"), truth * joined("variance_adu2_err") / joined("variance_adu2"), truth)
    assert_pulls(joined("mean_adu"), joined("mean_adu_err"), scene.signal)
    assert_pulls(joined("corr_01"), joined("corr_01_err"), 0.0)
    assert_pulls(joined("corr_10"), joined("corr_10_err"), 0.0)
    kurtosis = joined("excess_kurtosis") / joined("excess_kurtosis_err")
    # the sample kurtosis of 1764 pixels is skew and biased by -6/n: wider limits than the rule
    assert abs(kurtosis.mean()) < 0.25
    assert 0.85 < kurtosis.std() < 1.15


@pytest.mark.parametrize("hits", [1e-4, 1e-2])
def test_cosmic_rays_leave_the_variance_alone(hits: float) -> None:
    rng = np.random.default_rng(104)
    scene = Scene(signal=3000.0, hits=hits)
    found = measure_pair(expose(rng, scene), expose(rng, scene), SMALL)
    assert_pulls(found.variance_adu2, found.variance_adu2_err, expected_variance(3000.0))
    # a pixel hit alike in both frames escapes, once in 200 tiles at 1 %: hence the median
    pulls = (found.mean_adu - 3000.0) / found.mean_adu_err
    assert abs(np.median(pulls)) < 3.3 * 1.2533 / np.sqrt(pulls.size)
    if hits > 1e-3:
        # 2 % of the pixels of a difference are hit, and each takes its eight neighbours with it: 1 - 0.98^9
        assert np.mean(found.n_clipped / (found.n + found.n_clipped)) == pytest.approx(0.166, abs=0.01)


def test_faint_hits_below_the_clip_show_in_the_kurtosis_and_widen_the_error() -> None:
    rng = np.random.default_rng(105)
    faint = Scene(signal=3000.0, hits=5e-3, hit_adu=(120.0, 200.0))
    found = measure_pair(expose(rng, faint), expose(rng, faint), SMALL)
    assert np.median(found.excess_kurtosis / found.excess_kurtosis_err) > 3
    plain = found.variance_adu2 * np.sqrt(2.0 / (found.n - 1))
    assert np.median(found.variance_adu2_err / plain) > 1.05


def test_imbalance_is_exact_for_poisson_noise() -> None:
    rng = np.random.default_rng(106)
    scene = Scene(signal=6000.0, prnu=0.05)
    results = [measure_pair(expose(rng, scene), expose(rng, scene, flux=1.5), SMALL) for _ in range(3)]
    variance = np.concatenate([r.variance_adu2 for r in results])
    mean = np.concatenate([r.mean_adu for r in results])
    imbalance = 0.2  # w = 0.8, 1.2
    read_noise = (RON**2 + 1 / 12) * (1 + imbalance**2) / (1 - imbalance**2)
    assert np.mean(mean) == pytest.approx(7500.0, rel=5e-3)
    # the spread of the illumination over pixels is nil here, so the only scatter is that of the variances
    error = np.sqrt(2 / 1764 / variance.size)
    assert np.mean(variance / (mean / GAIN + read_noise)) == pytest.approx(1.0, abs=4 * error)


def test_no_light_gives_the_read_noise_with_equal_weights() -> None:
    rng = np.random.default_rng(107)
    scene = Scene(signal=0.0, row_noise=0.0)
    found = measure_pair(expose(rng, scene), expose(rng, scene), SMALL)
    assert np.all(np.abs(found.mean_adu) < 6 * found.mean_adu_err)
    truth = RON**2 + 1 / 12
    assert_pulls(found.variance_adu2, truth * np.sqrt(2 / 1764), truth)


def test_noise_is_measured_where_there_is_no_light() -> None:
    rng = np.random.default_rng(113)
    scene = Scene(signal=9000.0, hits=1e-3)
    results = [measure_pair(expose(rng, scene), expose(rng, scene, flux=1.1), SMALL) for _ in range(12)]
    truth = RON**2 + 1 / 12
    values, errors = [], []
    for found in results:
        for quadrant in QUADRANTS:
            here = found.quadrant == quadrant
            for y in np.unique(found.y[here]):
                band = here & (found.y == y)
                assert np.unique(found.noise_variance_adu2[band]).size == 1
                values.append(found.noise_variance_adu2[band][0])
                errors.append(found.noise_variance_adu2_err[band][0])
    assert len(values) == 12 * 4 * 6
    assert_pulls(values, truth * np.array(errors) / values, truth)
    # 21 columns of 42 rows
    assert np.median(np.array(errors) / values) == pytest.approx(np.sqrt(2 / (21 * 42 - 1)), rel=0.02)


def test_noise_equals_a_plain_computation_in_the_prescan() -> None:
    rng = np.random.default_rng(114)
    first, second = expose(rng, Scene()), expose(rng, Scene())
    found = measure_pair(first, second, SMALL)
    tile = tiles(SMALL)[3]
    d = np.subtract(
        *(quadrant_view(i, SMALL, "G")[tile.y : tile.y + tile.height, 25:46].astype(float) for i in (first, second))
    )
    row = np.flatnonzero((found.quadrant == "G") & (found.tile == tile.index))[0]
    assert found.noise_variance_adu2[row] == pytest.approx(np.var(d, ddof=1) / 2, rel=5e-3)


def test_correlations_follow_the_canonical_axes_in_every_quadrant() -> None:
    rng = np.random.default_rng(108)
    image = np.full((2, SMALL.naxis2, SMALL.naxis1), OFFSET)
    for frame in image:
        for quadrant in QUADRANTS:
            white = 20 * rng.standard_normal((SMALL.quadrant_rows + 1, SMALL.quadrant_columns))
            place_quadrant(frame, SMALL, quadrant, OFFSET + white[1:] + 0.5 * white[:-1])
    found = measure_pair(*np.round(image).astype(np.uint16), SMALL)
    for quadrant in QUADRANTS:
        here = found.quadrant == quadrant
        assert np.mean(found.corr_01[here]) == pytest.approx(0.4, abs=0.02)
        assert np.mean(found.corr_10[here]) == pytest.approx(0.0, abs=0.02)


def test_tiles_are_where_the_geometry_says() -> None:
    image = np.full((SMALL.naxis2, SMALL.naxis1), 1000, np.uint16)
    for q, quadrant in enumerate(QUADRANTS):
        view = quadrant_view(image, SMALL, quadrant)
        for tile in tiles(SMALL):
            view[tile.slices] = 1000 + 100 * tile.index + 10 * q
    found = measure_pair(image, image, SMALL)
    order = np.array([QUADRANTS.index(q) for q in found.quadrant])
    np.testing.assert_allclose(found.mean_adu, 100 * found.tile + 10 * order)
    assert [(t.x, t.y) for t in tiles(SMALL)] == list(zip(found.x[:36], found.y[:36], strict=True))


def test_words_of_the_file_give_the_same_to_the_bit() -> None:
    rng = np.random.default_rng(109)
    first, second = expose(rng, Scene(hits=1e-3)), expose(rng, Scene())
    raw = [(image ^ 0x8000).view(np.int16).astype(">i2") for image in (first, second)]
    native, stored = measure_pair(first, second, SMALL), measure_pair(*raw, SMALL)
    for name in native.__slots__:
        np.testing.assert_array_equal(getattr(native, name), getattr(stored, name))


def test_lost_and_saturated_pixels_are_counted_and_left_out() -> None:
    rng = np.random.default_rng(110)
    first, second = expose(rng, Scene()), expose(rng, Scene())
    tile = tiles(SMALL)[10]
    view = quadrant_view(first, SMALL, "F")
    view[tile.y, tile.x : tile.x + 20] = 65535
    quadrant_view(second, SMALL, "F")[tile.y + 2, tile.x : tile.x + 5] = 0
    found = measure_pair(first, second, SMALL)
    row = 36 + 10
    assert found.n_saturated[row] == 20
    assert found.n[row] + found.n_clipped[row] == tile.width * tile.height - 25
    assert abs(found.variance_adu2[row] - expected_variance(8000.0)) < 5 * found.variance_adu2_err[row]
    assert found.n_saturated.sum() == 20


def test_rows_not_read_give_counts_and_nothing_else() -> None:
    rng = np.random.default_rng(111)
    first, second = expose(rng, Scene()), expose(rng, Scene())
    for image in (first, second):
        for quadrant in QUADRANTS:
            quadrant_view(image, SMALL, quadrant)[100:] = 0
    found = measure_pair(first, second, SMALL, vend=100)
    outside = found.y >= 100
    assert outside.any()
    assert np.all(found.n[outside] == 0)
    assert np.all(np.isnan(found.variance_adu2[outside]))
    assert np.all(np.isnan(found.mean_adu[outside]))
    assert np.all(np.isnan(found.noise_variance_adu2[outside]))
    inside = found.y + found.height_px <= 100
    assert np.all(np.isfinite(found.variance_adu2[inside]))
    assert np.all(found.noise_variance_adu2[inside] > 1.0)
    partly = ~outside & ~inside
    assert np.all(found.n[partly] > 0)
    assert np.all(np.isfinite(found.mean_adu[partly]))


def test_a_dead_quadrant_is_no_error() -> None:
    image = np.zeros((SMALL.naxis2, SMALL.naxis1), np.uint16)
    found = measure_pair(image, image, SMALL)
    assert np.all(found.n == 0)
    assert np.all(np.isnan(found.variance_adu2))
    assert np.all(np.isnan(found.noise_variance_adu2))
    unread = measure_pair(image, image, SMALL, vstart=10, vend=10)
    assert np.all(np.isnan(unread.noise_variance_adu2))


@pytest.mark.parametrize("clip", [2.0, 4.0, 5.5])
def test_truncated_normal_moments(clip: float) -> None:
    def moment(power: int) -> float:
        return quad(lambda t: t**power * np.exp(-0.5 * t * t), -clip, clip)[0]

    variance, excess = truncated_normal(clip)
    assert variance == pytest.approx(moment(2) / moment(0), rel=1e-9)
    assert excess == pytest.approx(moment(4) * moment(0) / moment(2) ** 2 - 3, abs=1e-7)
    if clip == 4.0:
        assert variance == pytest.approx(0.99893, abs=1e-5)


def test_a_tight_clip_is_corrected() -> None:
    rng = np.random.default_rng(112)
    results = [measure_pair(expose(rng, Scene()), expose(rng, Scene()), SMALL, clip_sigma=3.5) for _ in range(3)]
    ratio = np.concatenate([r.variance_adu2 for r in results]) / expected_variance(8000.0)
    # neighbours of clipped pixels are left out too, which costs pixels but no bias
    assert np.mean(ratio) == pytest.approx(1.0, abs=5 * np.sqrt(2 / 1700 / ratio.size))


def test_what_is_no_pair_is_refused() -> None:
    image = np.zeros((SMALL.naxis2, SMALL.naxis1), np.uint16)
    with pytest.raises(ValueError, match="float"):
        measure_pair(image.astype(float), image.astype(float), SMALL)
    with pytest.raises(ValueError, match="differ in type"):
        measure_pair(image, image.astype(">i2"), SMALL)
    with pytest.raises(ValueError, match="shape"):
        measure_pair(image, image[:-2], SMALL)
