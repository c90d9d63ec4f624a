"""From frames to defects, counts and a mask that others can read."""

import io

import numpy as np
import polars as pl
import pytest
from astropy.io import fits

from tests.closure.defect_truth import GEOMETRY, group_of, truth_of
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.defects.effect import EFFECT
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels import quality
from vison_etl.products.fits import to_bytes
from vison_etl.products.masks import mask_extensions, read_masks
from vison_etl.tables import table

MEASUREMENT = EFFECT.measurements[0]
ENGINE = {"block", "test", "acquisition", "script_column", "unit_key"}
ADDED = {"run_id", "block", "test", "acquisition"}
KINDS = {"text": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean}


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(5)
    groups, truths = [], []
    for light in (False, True):
        truth = {q: truth_of(rng, 5, 6, 2, light=light, least=(12.0, 12.0)) for q in QUADRANTS}
        truths.append(truth)
        groups.append(group_of(rng, truth, 5, light=light))
    return truths, MEASUREMENT.function(groups, MEASUREMENT.parameters)


def _inputs(extracted) -> CalibrationInput:
    tables = {}
    for name in ("measured_defects", "defect_areas"):
        schema = {c.name: KINDS[c.kind] for c in table(name).columns if c.name not in ENGINE}
        tables[name] = pl.DataFrame({key: extracted.tables[name][key] for key in schema}, schema=schema)
    empty = pl.DataFrame()
    return CalibrationInput("COSMETICS00", 800.0, {}, empty, empty, tables, None)


def test_tables(measured):
    _, extracted = measured
    for name, columns in extracted.tables.items():
        assert set(columns) == set(table(name).names) - ENGINE, name
        assert len({len(values) for values in columns.values()}) == 1
    found = EFFECT.calibrate(_inputs(extracted))
    assert found.flags == ()
    listed, counts = found.tables["defects"], found.tables["defect_counts"]
    for name, frame in found.tables.items():
        assert set(frame.columns) == set(table(name).names) - ADDED
    assert listed["defect_id"].to_list() == list(range(listed.height))
    assert set(listed["frames"]) == {"dark", "flat"}
    merged = counts.filter(kind="merged")
    assert merged.height == 4
    np.testing.assert_allclose(merged["lost_pct"], 100 * merged["n_pixels"] / 256**2)
    assert {"reference_dark", "reference_flat", "reference_merged"} <= set(counts["kind"])
    per_kind = counts.drop_nulls("n_defects").group_by("kind").agg(pl.col("n_defects").sum())
    assert dict(per_kind.rows()) == dict(listed.group_by("kind").len().rows())


def test_defects_are_where_they_were_put(measured):
    truths, extracted = measured
    listed = EFFECT.calibrate(_inputs(extracted)).tables["defects"]
    for frames, truth in zip(("dark", "flat"), truths, strict=True):
        for quadrant in QUADRANTS:
            mine = listed.filter(frames=frames, quadrant=quadrant)
            columns = mine.filter(pl.col("kind").str.contains("column"))
            assert sorted(columns["x"] - 51) == sorted(truth[quadrant].columns[:, 0])


def test_one_kind_of_frames_is_flagged():
    rng = np.random.default_rng(6)
    truth = {q: truth_of(rng, 5, 0, 0, light=False, least=(12.0, 12.0)) for q in QUADRANTS}
    extracted = MEASUREMENT.function([group_of(rng, truth, 5, light=False)], MEASUREMENT.parameters)
    found = EFFECT.calibrate(_inputs(extracted))
    assert [(flag.name, flag.n) for flag in found.flags] == [("NO_FLATS", 1)]
    assert found.tables["defects"].height == 0
    assert found.tables["defect_counts"].filter(kind="merged")["lost_pct"].to_list() == [0.0] * 4
    assert extracted.products[0].cards["MASKTYPE"] == "dkmask"


def test_mask_as_a_file(measured, tmp_path):
    _, extracted = measured
    product = extracted.products[0]
    content = to_bytes(product.extensions, product.cards)
    with fits.open(io.BytesIO(content)) as hdus:
        assert [hdu.name for hdu in hdus] == ["META", "DARK", "FLAT", "DQ", "MASK"]
        assert hdus[0].header["MASKTYPE"] == "COMBO"
        assert hdus[0].header["BIT03"] == "BAD_COLUMN"
        # a reader that takes the last extension gets the mask of zeros and ones too
        mask, dq = hdus[-1].data, hdus["DQ"].data
        assert mask.dtype.kind == "i"
        assert hdus["MASK"].header["BITPIX"] == 16
        assert set(np.unique(mask)) == {0, 1}
        assert np.array_equal(mask == 1, quality.is_bad(dq))
        assert mask.shape == (GEOMETRY.naxis2, GEOMETRY.naxis1)
        for quadrant in QUADRANTS:
            view = quadrant_view(mask, GEOMETRY, quadrant)
            assert not view[:, :51].any()
            assert not view[:, 51 + 256 :].any()
            assert not view[256:].any()
    path = tmp_path / "mask_CCD1.fits"
    path.write_bytes(content)
    back = read_masks([path])
    assert np.array_equal(back.extensions["DQ"], product.extensions["DQ"])
    assert np.array_equal(mask_extensions(back.extensions["DQ"])["MASK"], product.extensions["MASK"])
