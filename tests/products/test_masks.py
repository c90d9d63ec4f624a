"""Masks of bad pixels in either layout."""

import numpy as np
import pytest
from astropy.io import fits

from vison_etl.pixels import quality
from vison_etl.products.fits import ProductError, read, to_bytes
from vison_etl.products.masks import mask_extensions, read_mask, read_masks


@pytest.fixture
def ours(tmp_path):
    dq = np.zeros((20, 30), np.int16)
    dq[3, 4], dq[5, 6] = quality.HOT | quality.WARM, quality.WARM
    path = tmp_path / "ours_CCD1.fits"
    path.write_bytes(to_bytes(mask_extensions(dq), {"MASKTYPE": "COMBO"}))
    return path


@pytest.fixture
def theirs(tmp_path):
    """A mask as earlier campaigns wrote it: MASK of zeros and ones, and an image behind it."""
    mask = np.zeros((20, 30), np.int32)
    mask[7, 8] = 1
    primary = fits.PrimaryHDU()
    primary.header["EXTNAME"] = "META"
    hdus = [
        primary,
        fits.ImageHDU(mask, name="MASK"),
        fits.ImageHDU(np.full((20, 30), 9.0, np.float32), name="DEFECTS"),
    ]
    path = tmp_path / "EUC_DKMASK_X_CCD1_SN_Y.fits"
    fits.HDUList(hdus).writeto(path)
    return path


def test_bits_come_back(ours):
    found = read_mask(ours)
    assert found[3, 4] == quality.HOT | quality.WARM
    with fits.open(ours) as hdus:
        assert hdus[-1].name == "MASK"
        assert np.argwhere(hdus["MASK"].data).tolist() == [[3, 4]]


def test_a_mask_of_zeros_and_ones_is_read_by_name(theirs):
    found = read_mask(theirs)
    assert np.argwhere(found).tolist() == [[7, 8]]
    assert found[7, 8] == quality.BAD_PIXEL


def test_several_masks_are_joined(ours, theirs):
    found = read_masks([ours, theirs]).extensions
    assert np.argwhere(found["MASK"]).tolist() == [[3, 4], [7, 8]]


def test_what_is_no_mask_is_refused(ours, tmp_path):
    other = tmp_path / "bias.fits"
    other.write_bytes(to_bytes({"STACK": np.zeros((20, 30), np.float32)}, {}))
    with pytest.raises(ProductError, match="no extension DQ or MASK"):
        read_mask(other)
    small = tmp_path / "small.fits"
    small.write_bytes(to_bytes(mask_extensions(np.zeros((4, 4), np.int16)), {}))
    with pytest.raises(ProductError, match="4, 4"):
        read_masks([ours, small])


def test_wanted_extensions_only(ours):
    assert set(read(ours).extensions) == {"DQ", "MASK"}
    assert set(read(ours, ("DQ",)).extensions) == {"DQ"}
    assert read(ours, ()).cards["MASKTYPE"] == "COMBO"
