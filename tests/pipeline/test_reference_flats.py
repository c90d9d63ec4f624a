"""Which master flat another one is compared with, and which file of several a unit gets."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
import xxhash

from tests.pipeline import test_products as products
from vison_etl.effects.flat_field.ratio import REFERENCE
from vison_etl.lake.parts import schema
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.block import BlockView
from vison_etl.pipeline.products import choose_products
from vison_etl.pipeline.unit_worker import _given
from vison_etl.pipeline.units import FrameRef, ProductRef, UnitTask
from vison_etl.products.fits import to_bytes

START = datetime(2019, 3, 12, 8)  # noqa: DTZ001 - the bench writes no zone
FLATS = {"FLAT01": 800.0, "FLAT02_590": 590.0, "FLAT02_730": 730.0, "FLAT02_880": 880.0}


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


@pytest.fixture
def view(monkeypatch):
    exposures, acquisitions = [], []
    for k, (test, wavelength_nm) in enumerate(FLATS.items()):
        first = 100 + 10 * k
        monkeypatch.setitem(products.TESTS, test, (first, "fwd_bas", k))
        name = f"B/{test}/{first}"
        exposures += [
            {
                "acquisition": name,
                "obsid": first + i,
                "rdmode": "fwd_bas",
                "wavelength_nm": wavelength_nm,
                "started_at": START + timedelta(hours=k),
            }
            for i in range(2)
        ]
        acquisitions.append(
            {
                "acquisition": name,
                "block": "B",
                "test": test,
                "is_adopted": True,
                "obsid_first": first,
                "obsid_last": first + 1,
            }
        )
    overrides = pl.DataFrame(schema=schema("overrides"))
    return BlockView("B", pl.DataFrame(exposures), pl.DataFrame(acquisitions), overrides)


def runs_of(lake, view, test):
    mine = view.exposures.filter(pl.col("acquisition") == f"B/{test}/{products.TESTS[test][0]}")
    found = choose_products(lake, view, test, (REFERENCE,), {}, mine)
    assert {p.kind for p in found} <= {REFERENCE}
    return [p.run_id for p in found]


def test_the_reference_is_of_another_wavelength_nearest_to_800_nm_and_comes_earlier(lake, view):
    assert runs_of(lake, view, "FLAT02_880") == []
    products.store(lake, "FLAT02_590", 1, kind="master_flat")
    assert runs_of(lake, view, "FLAT02_880") == ["r1"]
    products.store(lake, "FLAT02_730", 2, kind="master_flat")
    assert runs_of(lake, view, "FLAT02_880") == ["r2"]
    products.store(lake, "FLAT01", 3, kind="master_flat")
    assert runs_of(lake, view, "FLAT02_880") == runs_of(lake, view, "FLAT02_590") == ["r3"]
    # nothing waits for what waits for it
    assert runs_of(lake, view, "FLAT01") == []


def test_one_of_unknown_wavelength_is_no_reference(lake, view):
    products.store(lake, "FLAT01", 1, kind="master_flat")
    dim = pl.when(pl.col("obsid") == 100).then(None).otherwise(pl.col("wavelength_nm"))
    unknown = BlockView("B", view.exposures.with_columns(dim.alias("wavelength_nm")), view.acquisitions, view.overrides)
    assert runs_of(lake, unknown, "FLAT02_590") == []


def test_of_several_files_the_one_of_the_nearest_exposures(tmp_path):
    refs = []
    for first, last, frames in ((10, 89, 80), (90, 149, 60), (150, 179, 30)):
        content = to_bytes(
            {"STACK": np.full((3, 4), first, np.float32)}, {"NCOMB": frames, "OBSFIRST": first, "OBSLAST": last}
        )
        path = tmp_path / f"{first}.fits"
        path.write_bytes(content)
        refs.append(ProductRef("master_bias", "CCD1", str(path), xxhash.xxh3_128_hexdigest(content), "r1"))
    for obsid, wanted in ((5, 10), (95, 90), (120, 90), (400, 150)):
        frame = FrameRef("p", obsid, "CCD1", "d", "s", 0, 10, "col001")
        task = UnitTask("dark", "dark_frames", "k", "CCD1", "col001", (frame,), {}, {}, tuple(refs))
        assert _given(task)["master_bias"].extensions["STACK"][0, 0] == wanted
