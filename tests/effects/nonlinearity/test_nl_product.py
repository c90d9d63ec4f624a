"""The response as a product: written, read back by this house and by plain astropy, and frames linearised with it."""

import numpy as np
import pytest
from astropy.io import fits

from tests.closure.nl_truth import FULL_SCALE, RESPONSES, Bench, response_adu, true_nl_pct
from tests.effects.nonlinearity.nl_tables import CHANNELS, inputs
from vison_etl.effects.nonlinearity.effect import EFFECT
from vison_etl.instrument.geometry import Geometry, quadrant_view
from vison_etl.pixels.linearise import linear_codes, linearise
from vison_etl.products.fits import ProductError, to_bytes
from vison_etl.products.linearity import linearise_frame, read_linearity

BENCH = Bench(RESPONSES["original"])
QUADRANTS = "EFGH"


@pytest.fixture(scope="module")
def result():
    return EFFECT.calibrate(inputs(BENCH, channels=CHANNELS[:6]))


@pytest.fixture(scope="module")
def path(result, tmp_path_factory):
    file = tmp_path_factory.mktemp("product") / "linearity.fits"
    product = result.products[0]
    file.write_bytes(to_bytes(product.extensions, {"BLOCKID": "CURIE", **product.cards}))
    return file


def test_one_product_per_ccd_with_the_quadrants_that_were_fitted(result):
    assert [(p.kind, p.ccd) for p in result.products] == [("linearity", "CCD1"), ("linearity", "CCD2")]
    assert set(result.products[0].extensions) == {q + part for q in QUADRANTS for part in ("", "RESP", "COV")}
    assert set(result.products[1].extensions) == {q + part for q in "EF" for part in ("", "RESP", "COV")}


def test_the_curve_read_back_is_that_of_the_result_table(result, path):
    curves = read_linearity(path)
    assert list(curves) == list(QUADRANTS)
    table = result.tables["nonlinearity_curve"].filter(ccd="CCD1", quadrant="E")
    at, nl, error = (table[name].to_numpy() for name in ("fluence_adu", "nl_pct", "nl_pct_err"))
    np.testing.assert_allclose(np.interp(at, curves["E"].measured_adu, curves["E"].nl_pct), nl, atol=2e-3)
    np.testing.assert_allclose(np.interp(at, curves["E"].measured_adu, curves["E"].nl_pct_err), error, rtol=0.05)
    np.testing.assert_allclose(np.sqrt(np.diag(curves["E"].covariance_pct2)), curves["E"].nl_pct_err, rtol=1e-5)


def test_plain_astropy_reads_both_directions(path):
    with fits.open(path) as hdus:
        assert hdus["META"].header["BLOCKID"] == "CURIE"
        assert hdus["META"].header["REFADU"] == 0.2 * FULL_SCALE
        assert hdus["META"].header["FMAX_E"] == hdus["E"].data[0, -1]
        inverse, response = hdus["E"].data.astype(float), hdus["ERESP"].data.astype(float)
    there = np.interp(response[1], inverse[0], inverse[3])
    np.testing.assert_allclose(there, response[0], atol=0.3)


def frame(seed=0):
    """Return a frame of light of 0 to 90 % of full scale and its linear signals on the line of slope 1 at 20 %."""
    geometry = Geometry(2 * 327, 2 * 276, 51, 20, 20, 256, 256)
    rng = np.random.default_rng(seed)
    linear = FULL_SCALE * rng.uniform(0.0, 0.9, (geometry.naxis2, geometry.naxis1))
    offsets = dict(zip(QUADRANTS, (2300.25, 2400.5, 2250.0, 2700.75), strict=True))
    image = np.zeros(linear.shape, np.uint16)
    truth = np.zeros(linear.shape)
    for quadrant, offset in offsets.items():
        y = quadrant_view(linear, geometry, quadrant)
        seen = response_adu(BENCH.response, y)
        code = np.minimum(np.floor(seen + offset + rng.random(y.shape)), 65535)
        quadrant_view(image, geometry, quadrant)[...] = code
        # what the chain showed for each code, not for each light: rounding is no non-linearity
        shown = code - offset
        with np.errstate(divide="ignore", invalid="ignore"):
            curve = np.linspace(10.0, 62_000.0, 20_000)
            quadrant_view(truth, geometry, quadrant)[...] = shown / (
                1.0 + np.interp(shown, curve, true_nl_pct(BENCH.response, curve)) / 100.0
            )
    return geometry, image, truth, offsets


def test_linearised_frames_are_linear_to_a_tenth_of_a_per_cent(path):
    geometry, image, truth, offsets = frame()
    curves = read_linearity(path)
    found = linearise_frame(image, geometry, curves, offsets)
    assert found.dtype == np.float32
    used = np.isfinite(found)
    bright = used & (truth > 0.05 * FULL_SCALE) & (truth < 0.85 * FULL_SCALE)
    assert bright.sum() > 0.8 * 0.85 * image.size
    assert np.abs(found[bright] / truth[bright] - 1.0).max() < 1e-3
    faint = used & (truth > 0.01 * FULL_SCALE) & (truth < 0.05 * FULL_SCALE)
    assert np.abs(found[faint] / truth[faint] - 1.0).max() < 5e-3


def test_what_is_not_known_is_nan(path):
    geometry, image, _, offsets = frame()
    curves = read_linearity(path)
    image[10, 10] = 65535
    del curves["E"]
    found = linearise_frame(image, geometry, curves, offsets)
    assert np.isnan(quadrant_view(found, geometry, "E")).all()
    assert np.isnan(found[10, 10])
    assert np.isfinite(quadrant_view(found, geometry, "F")).mean() > 0.9
    limit = curves["F"].measured_adu[-1] + offsets["F"]
    above = quadrant_view(image, geometry, "F") > limit
    np.testing.assert_array_equal(np.isnan(quadrant_view(found, geometry, "F")), above)


def test_below_the_offset_the_ratio_at_zero_is_kept():
    measured = np.array([0.0, 100.0, 200.0])
    table = linear_codes(measured, measured * np.array([1.1, 1.1, 1.1]), 1000.0)
    np.testing.assert_allclose(table[[990, 1000, 1010, 1200]], [-11.0, 0.0, 11.0, 220.0], rtol=1e-6)
    assert np.isnan(table[[1201, 65535]]).all()


def test_codes_of_another_type_are_refused():
    with pytest.raises(TypeError, match="not uint16"):
        linearise(np.zeros((2, 2), np.int16), np.zeros(65536, np.float32), np.zeros((2, 2), np.float32))


def test_a_file_without_curves_is_named(tmp_path):
    file = tmp_path / "other.fits"
    file.write_bytes(to_bytes({"E": np.ones((2, 3))}, {}))
    with pytest.raises(ProductError, match=r"other\.fits: extension E is no table"):
        read_linearity(file)
    file.write_bytes(to_bytes({"MASK": np.ones((2, 3))}, {}))
    with pytest.raises(ProductError, match="no quadrant"):
        read_linearity(file)
