import numpy as np
import pytest

from vison_etl.instrument.geometry import QUADRANTS, geometry_of, side_of
from vison_etl.pixels.illumination import bin_means, bin_side, fit_illumination

GEOMETRY = geometry_of(654, 552)
W, H = GEOMETRY.image_columns, GEOMETRY.image_rows
LEVELS = {"E": 10000.0, "F": 10300.0, "G": 9600.0, "H": 10100.0}


def light(quadrant):
    """Return light that is smooth over the whole CCD, canonical, shape (H, W)."""
    s, u = side_of(quadrant)
    x = ((np.arange(W) + 0.5) / W - 1.0) * (-1 if s else 1)
    y = ((np.arange(H) + 0.5) / H - 1.0) * (-1 if u else 1)
    return (1 + 0.05 * x[None] - 0.03 * y[:, None]) * (1 - 0.04 * (x[None] ** 2 + y[:, None] ** 2))


def images(rng, noise=0.0):
    return {q: (LEVELS[q] * light(q) * (1 + noise * rng.standard_normal((H, W)))).astype(np.float32) for q in QUADRANTS}


def fitted(lit, mask=None):
    nothing = np.zeros((H, W), np.uint8)
    bins = {q: bin_means(a, a, nothing if mask is None else mask, 1, 0.5, bin_side(GEOMETRY)) for q, a in lit.items()}
    return fit_illumination(bins, GEOMETRY)


def test_light_and_steps_of_the_amplifiers_come_apart():
    found = fitted(images(np.random.default_rng(1), 0.005))
    whole = np.mean([light(q).mean() for q in QUADRANTS])
    for quadrant in QUADRANTS:
        assert found.level_adu[quadrant] == pytest.approx(LEVELS[quadrant] * whole, rel=5e-4)
        np.testing.assert_allclose(found.shape_of(quadrant, 0, H), light(quadrant) / whole, rtol=2e-3)
    np.testing.assert_array_equal(found.shape_of("F", 10, 20), found.shape_of("F", 0, H)[10:20])


def test_scatter_is_that_of_the_bins():
    found = fitted(images(np.random.default_rng(2), 0.01))
    assert found.scatter == pytest.approx(0.01 / bin_side(GEOMETRY), rel=0.05)
    assert found.n_used > 0.99 * found.n_bins


def test_dust_and_dead_columns_do_not_bend_it():
    lit = images(np.random.default_rng(3), 0.005)
    calm = fitted({q: a.copy() for q, a in lit.items()})
    y, x = np.mgrid[:H, :W]
    lit["E"][:, 40] = 0.0
    lit["G"] *= (1 - 0.05 * np.exp(-0.5 * ((np.hypot(x - 120, y - 90) - 40) / 5) ** 2)).astype(np.float32)
    found = fitted(lit)
    for quadrant in QUADRANTS:
        assert found.level_adu[quadrant] == pytest.approx(calm.level_adu[quadrant], rel=3e-4)
    assert found.n_used < calm.n_used - 100
    assert np.nanmin(found.residuals["G"]) < -0.02


def test_masked_pixels_do_not_count():
    lit = images(np.random.default_rng(4))
    mask = np.zeros((H, W), np.uint8)
    mask[:100, :100] = 1
    for image in lit.values():
        image[:100, :100] = np.nan
    found = fitted(lit, mask)
    assert np.isnan(found.residuals["E"][0, 0])
    assert found.level_adu["E"] / found.level_adu["H"] == pytest.approx(10000 / 10100, rel=1e-4)


def test_a_dead_quadrant_has_no_level():
    lit = images(np.random.default_rng(5))
    lit["F"][...] = 0.0
    found = fitted(lit)
    assert set(found.level_adu) == {"E", "G", "H"}
    assert found.level_adu["E"] / found.level_adu["H"] == pytest.approx(10000 / 10100, rel=1e-3)


def test_no_light_no_model():
    assert fitted({q: np.zeros((H, W), np.float32) for q in QUADRANTS}) is None
