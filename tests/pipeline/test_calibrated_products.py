"""Files that calibrations make: one per content, written before the run that names them."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash

from vison_etl.effects.declare import Product
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.calibrated_products import write_products
from vison_etl.products.fits import read

CARDS = {"BLOCKID": "EINSTEIN", "TEST": "PTC01", "WAVEL": None}


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def made(lake, value, **cards):
    product = Product("bfe_kernel", "CCD2", {"E": np.full((2, 3), value, np.float32)}, cards)
    return list(write_products(lake, "EINSTEIN", "PTC01", "PTC01/1", [product], CARDS))


def test_the_row_tells_where_the_file_lies_and_what_is_in_it(lake):
    [row] = made(lake, 1.5, GAINE=3.5)
    path = lake.root / row["path"]
    assert (row["kind"], row["ccd"]) == ("bfe_kernel", "CCD2")
    assert row["digest"] == xxhash.xxh3_128_hexdigest(path.read_bytes())
    assert path.name == f"PTC01_1_bfe_kernel_CCD2_{row['digest'][:12]}.fits"
    file = read(path)
    assert (file.cards["BLOCKID"], file.cards["GAINE"]) == ("EINSTEIN", 3.5)
    np.testing.assert_array_equal(file.extensions["E"], np.full((2, 3), 1.5))


def test_equal_content_has_one_file(lake):
    first, second, other = made(lake, 1.5), made(lake, 1.5), made(lake, 2.5)
    assert first == second
    assert first != other
    assert len(list((lake.root / "products").rglob("*.fits"))) == 2


def test_no_product_makes_no_folder(lake):
    assert list(write_products(lake, "EINSTEIN", "PTC01", "PTC01/1", [], CARDS)) == []
    assert not (lake.root / "products").exists()
