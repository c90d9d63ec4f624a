import io

import numpy as np
import pytest
from astropy.io import fits

from tests.closure.flat_truth import GEOMETRY, PRE, H, Scene, W, flats, illumination
from tests.frames import ArrayGroup
from vison_etl.effects.declare import Product
from vison_etl.effects.flat_field import measure
from vison_etl.effects.flat_field.rows import KNOWN_BAD
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels import quality
from vison_etl.products.fits import to_bytes
from vison_etl.tables import table

SCENE = Scene()


@pytest.fixture(scope="module")
def group():
    return flats(np.random.default_rng(21), SCENE, 12)


@pytest.fixture(scope="module")
def found(group):
    return measure.master(group, measure.PARAMETERS, {})


def area(image, quadrant="E"):
    return quadrant_view(image, GEOMETRY, quadrant)[:H, PRE : PRE + W]


def test_columns_are_those_of_the_tables(found):
    for name, columns in found.tables.items():
        assert set(columns) <= set(table(name).names), name
    assert found.tables["flat_response"]["quadrant"] == list(QUADRANTS)
    assert len(found.tables["flat_scales"]["scale"]) == 16
    assert found.tables["previews"]["kind"] == ["master_flat", "flat_residual"]


def test_flat_is_about_one_in_every_quadrant_and_one_outside(found):
    product = found.products[0]
    assert product.kind == "master_flat"
    assert list(product.extensions) == ["FLAT", "EFLAT", "MASK"]
    flat = product.extensions["FLAT"]
    for quadrant in QUADRANTS:
        assert np.nanmedian(area(flat, quadrant)) == pytest.approx(1.0, abs=2e-3)
        view = quadrant_view(flat, GEOMETRY, quadrant)
        assert (view[:, :PRE] == 1).all()
        assert (view[H:] == 1).all()
    assert product.extensions["EFLAT"].dtype == np.float32
    assert product.cards["NCOMB"] == 12


def test_flat_times_illumination_is_the_light(found, group):
    product = found.products[0]
    whole = np.mean([illumination(SCENE, q).mean() for q in QUADRANTS])
    for quadrant in QUADRANTS:
        level = product.cards[f"LEVEL_{quadrant}"]
        raw = np.median(area(np.stack(group.frames)[0].astype(float), quadrant) - 2600)
        assert level * np.median(illumination(SCENE, quadrant)) / whole == pytest.approx(raw, rel=0.02)


def test_fluence_and_source_are_in_the_row(found, group):
    row = found.tables["flat_response"]
    mean = np.mean(group.frames, axis=0)
    for quadrant, level, error in zip(row["quadrant"], row["fluence_adu"], row["fluence_adu_err"], strict=True):
        assert level == pytest.approx(area(mean, quadrant).mean() - 2600.0, rel=5e-3)
        assert 0 < error < 1
    assert np.mean(row["source_rms_pct"]) == pytest.approx(0.3, rel=0.6)
    assert np.mean(row["total_variance"]) > np.mean(row["variance"])
    noise = np.mean(row["total_variance"]) - np.mean(row["variance"])
    assert noise == pytest.approx(np.mean(row["expected_noise_variance"]), rel=0.1)


def test_product_is_read_by_plain_astropy(found):
    product = found.products[0]
    with fits.open(io.BytesIO(to_bytes(product.extensions, product.cards))) as hdus:
        assert [hdu.name for hdu in hdus] == ["META", "FLAT", "EFLAT", "MASK"]
        np.testing.assert_array_equal(hdus["FLAT"].data, product.extensions["FLAT"])
        assert hdus[0].header["NCOMB"] == 12


def test_a_mask_and_a_bias_are_applied(group, found):
    dq = np.zeros(group.frames[0].shape, np.int16)
    area(dq)[20:40, 30:50] = quality.BAD_PIXEL
    stack = np.full(dq.shape, 40.0, np.float32)
    given = {
        "mask": Product("mask", "CCD1", {"DQ": dq}),
        "master_bias": Product("master_bias", "CCD1", {"STACK": stack}),
    }
    masked = measure.master(group, measure.PARAMETERS, given)
    row, plain = masked.tables["flat_response"], found.tables["flat_response"]
    assert row["mask_applied"] == row["bias_subtracted"] == [True] * 4
    assert plain["mask_applied"] == [False] * 4
    assert row["n_pixels"][0] < plain["n_pixels"][0] - 200
    assert row["fluence_adu"][1] == pytest.approx(plain["fluence_adu"][1] - 40.0, abs=0.1)
    assert (area(masked.products[0].extensions["MASK"])[20:40, 30:50] & KNOWN_BAD).all()


def test_the_mask_has_what_deviates_and_what_the_given_one_had(group, found):
    product = found.products[1]
    assert (product.kind, list(product.extensions)) == ("mask", ["DQ", "MASK"])
    assert product.cards["INHERITS"] is False
    row = found.tables["flat_response"]
    for k, quadrant in enumerate(QUADRANTS):
        dq = area(product.extensions["DQ"], quadrant)
        assert row["n_low_response"][k] == np.count_nonzero(dq & quality.LOW_RESPONSE) > 0
        assert row["n_dead"][k] == np.count_nonzero(dq & quality.DEAD) > 0
        assert row["n_masked"][k] == area(product.extensions["MASK"], quadrant).sum()
        dead = area(found.products[0].extensions["FLAT"], quadrant) < 0.45
        assert (dq[dead] & quality.DEAD).all()
    known = np.zeros(group.frames[0].shape, np.int16)
    area(known)[20:40, 30:50] = quality.HOT
    masked = measure.master(group, measure.PARAMETERS, {"mask": Product("mask", "CCD1", {"DQ": known})})
    assert (area(masked.products[1].extensions["DQ"])[20:40, 30:50] & quality.HOT).all()
    assert masked.products[1].cards["INHERITS"] is True
    assert masked.tables["flat_response"]["n_low_response"] == row["n_low_response"]


def test_a_product_of_other_frames_is_refused(group):
    given = {"mask": Product("mask", "CCD1", {"DQ": np.zeros((10, 10), np.int16)})}
    with pytest.raises(ValueError, match="mask of 10 x 10 px"):
        measure.master(group, measure.PARAMETERS, given)


def test_frames_without_light_give_no_response():
    rng = np.random.default_rng(3)
    shape = (GEOMETRY.naxis2, GEOMETRY.naxis1)
    frames = tuple(rng.integers(2598, 2603, shape).astype(np.uint16) for _ in range(3))
    lost = tuple(np.zeros(shape, np.uint16) for _ in range(3))
    for dark in (frames, lost):
        nothing = measure.master(ArrayGroup(dark, GEOMETRY), measure.PARAMETERS, {})
        assert nothing.tables["flat_response"]["variance"] == [None] * 4
        assert np.isnan(area(nothing.products[0].extensions["FLAT"])).all()
        # no light tells nothing of a pixel: whoever takes the mask must not lose the quadrant
        assert nothing.tables["flat_response"]["n_masked"] == [None] * 4
        assert (nothing.products[1].extensions["DQ"] == 0).all()
