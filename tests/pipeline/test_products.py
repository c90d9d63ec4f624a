"""Which products of other runs a measurement gets, and how they reach it."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
import xxhash

from tests.closure.dark_truth import GEOMETRY, Sky, detector, group_of
from vison_etl.effects.dark.effect import EFFECT
from vison_etl.elvis.files import file_stamp
from vison_etl.elvis.frames import write_frame
from vison_etl.instrument.geometry import QUADRANTS
from vison_etl.lake.parts import schema
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import write_run
from vison_etl.pipeline.block import BlockView
from vison_etl.pipeline.inputs import InputError
from vison_etl.pipeline.products import choose_products, input_rows, source_names, wanted_kinds
from vison_etl.pipeline.unit_worker import ChangedProductError, run_unit
from vison_etl.pipeline.units import FrameRef, ProductRef, UnitTask, build_units, unit_key
from vison_etl.products.fits import to_bytes
from vison_etl.products.masks import mask_extensions

START = datetime(2019, 3, 12, 8)  # noqa: DTZ001 - the bench writes no zone
TESTS = {"BIAS01": (10, "fwd_bas", 0), "BIAS02": (30, "rwd_bas_v", 1), "PTC01": (50, "fwd_bas", 2)}
"""First obsid, read mode and hour of the start."""


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


@pytest.fixture
def view():
    exposures = [
        {
            "acquisition": f"B/{test}/{first}",
            "obsid": first + k,
            "rdmode": mode,
            "started_at": START + timedelta(hours=hour),
        }
        for test, (first, mode, hour) in TESTS.items()
        for k in range(2)
    ]
    acquisitions = [
        {
            "acquisition": f"B/{test}/{first}",
            "block": "B",
            "test": test,
            "is_adopted": True,
            "obsid_first": first,
            "obsid_last": first + 1,
        }
        for test, (first, *_) in TESTS.items()
    ]
    overrides = pl.DataFrame(schema=schema("overrides"))
    return BlockView("B", pl.DataFrame(exposures), pl.DataFrame(acquisitions), overrides)


def frames_of(view, test):
    return view.exposures.filter(pl.col("acquisition") == f"B/{test}/{TESTS[test][0]}")


def store(lake, test, number, kind="master_bias", ccds=("CCD1",), **more):
    first = TESTS[test][0]
    run_id, rows = f"r{number}", []
    for ccd in ccds:
        path = lake.root / "products" / f"{run_id}_{kind}_{ccd}.fits"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{run_id}{ccd}".encode())
        digest = xxhash.xxh3_128_hexdigest(path.read_bytes())
        row = {"kind": kind, "ccd": ccd, "path": str(path.relative_to(lake.root)), "digest": digest}
        rows.append(dict.fromkeys(schema("products")) | {"run_id": run_id, "block": "B", "test": test} | row)
    record = {
        "run_id": run_id,
        "block": "B",
        "test": test,
        "acquisition": f"B/{test}/{first}",
        "obsid_first": first,
        "obsid_last": first + 1,
        "status": "ok",
        "is_trial": False,
        "started_at": f"2020-01-01T00:00:{number:02d}",
    }
    write_run(lake, record | more, {"products": pl.DataFrame(rows, schema=schema("products"))})
    return run_id


def choose(lake, view, test, chosen=None, kind="master_bias"):
    return choose_products(lake, view, test, (kind,), chosen or {}, frames_of(view, test))


def test_the_current_product_of_the_same_read_mode(lake, view):
    store(lake, "BIAS01", 1, ccds=("CCD1", "CCD2"))
    newest = store(lake, "BIAS01", 2, ccds=("CCD1", "CCD2"))
    store(lake, "BIAS02", 3)
    store(lake, "BIAS01", 4, is_trial=True)
    found = choose(lake, view, "PTC01")
    assert [(p.ccd, p.run_id) for p in found] == [("CCD1", newest), ("CCD2", newest)]
    assert source_names(("master_bias", "mask"), found) == {"master_bias": (newest,), "mask": ()}
    rows = input_rows(("master_bias", "mask"), found)
    assert [(row["kind"], row["source_run_id"], row["digest"]) for row in rows] == [
        *(("master_bias", newest, p.digest) for p in found),
        ("mask", None, None),
    ]
    assert len({row["name"] for row in rows}) == 3


def test_nothing_else_is_put_in_its_place(lake, view):
    store(lake, "BIAS02", 1)
    assert choose(lake, view, "PTC01") == ()
    store(lake, "BIAS01", 2)
    assert choose(lake, view, "PTC01", kind="mask") == ()
    (lake.root / "products" / "r2_master_bias_CCD1.fits").unlink()
    assert choose(lake, view, "PTC01") == ()


def test_tests_of_the_same_rank_do_not_wait_for_each_other(lake, view):
    store(lake, "PTC01", 1)
    assert choose(lake, view, "PTC01") == ()
    assert choose(lake, view, "BIAS01") == ()


def test_a_kernel_may_be_of_the_frames_themselves(lake, view):
    store(lake, "PTC01", 1, kind="mask")
    assert not choose(lake, view, "PTC01", kind="mask")
    own = store(lake, "PTC01", 2, kind="bfe_kernel")
    assert [p.run_id for p in choose(lake, view, "PTC01", kind="bfe_kernel")] == [own]


def test_what_the_user_names(lake, view, tmp_path):
    store(lake, "BIAS02", 1)
    assert [p.run_id for p in choose(lake, view, "PTC01", {"master_bias": "r1"})] == ["r1"]
    for ccd in ("CCD1", "CCD3"):
        (tmp_path / f"bias_{ccd}.fits").write_bytes(ccd.encode())
    one = choose(lake, view, "PTC01", {"master_bias": str(tmp_path / "bias_CCD3.fits")})
    assert [(p.ccd, p.run_id) for p in one] == [("CCD3", None)]
    every = choose(lake, view, "PTC01", {"master_bias": str(tmp_path / "bias_{ccd}.fits")})
    assert [p.ccd for p in every] == ["CCD1", "CCD3"]
    assert source_names(("master_bias",), every)["master_bias"] == tuple(sorted(p.digest for p in every))


@pytest.mark.parametrize("value", ["r9", "bias.fits", "nowhere_CCD1.fits"])
def test_what_cannot_be_found_is_said(lake, view, value):
    with pytest.raises(InputError, match="neither a run"):
        choose(lake, view, "PTC01", {"master_bias": value})
    run_id = store(lake, "BIAS01", 1)
    with pytest.raises(InputError, match="has no product mask"):
        choose(lake, view, "PTC01", {"mask": run_id}, kind="mask")


def test_wanted_kinds():
    assert wanted_kinds(EFFECT.measurements) == ("mask", "master_bias")


def test_products_are_part_of_the_key():
    measurement, frames = EFFECT.measurements[0], (FrameRef("p", 1, "CCD1", "d", "s", 0, 10, "col001"),)
    bias = ProductRef("master_bias", "CCD1", "x", "d1", "r1")
    keys = {
        unit_key("dark", measurement, {}, frames, given)
        for given in ((), (bias,), (ProductRef("master_bias", "CCD1", "x", "d2", "r1"),))
    }
    assert len(keys) == 3
    moved = ProductRef("master_bias", "CCD1", "elsewhere", "d1", "r2")
    assert unit_key("dark", measurement, {}, frames, (bias,)) == unit_key("dark", measurement, {}, frames, (moved,))


def exposures_of(folder, groups):
    rows = []
    for column, group in groups.items():
        for obsid, frame in zip(group.obsids, group.frames, strict=True):
            path = folder / f"{obsid}.fits"
            write_frame(path, frame, {"OBSID": obsid})
            rows.append(
                {
                    "obsid": obsid,
                    "ccd": "CCD1",
                    "script_column": column,
                    "root": str(folder),
                    "path": path.name,
                    "digest": str(obsid),
                    "file_stamp": file_stamp(path.stat()),
                    "vstart": 0,
                    "vend": GEOMETRY.quadrant_rows,
                    "image_rows": GEOMETRY.image_rows,
                    "overscan_rows": 20,
                    "sn_ccd1": "A",
                }
            )
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def group():
    rng = np.random.default_rng(1)
    return group_of(rng, {name: detector(rng, Sky(0.0)) for name in QUADRANTS}, Sky(0.0), 3, 565.0, 100)


def test_products_reach_the_measurement(tmp_path, group):
    shape = (GEOMETRY.naxis2, GEOMETRY.naxis1)
    files = {
        "master_bias": to_bytes({"STACK": np.full(shape, 5.0, np.float32), "MASK": np.zeros(shape, np.uint8)}, {}),
        "mask": to_bytes(mask_extensions(np.zeros(shape, np.int16)), {}),
    }
    products = []
    for kind, content in files.items():
        for ccd in ("CCD1", "CCD2"):
            path = tmp_path / f"{kind}_{ccd}.fits"
            path.write_bytes(content)
            products.append(ProductRef(kind, ccd, str(path), xxhash.xxh3_128_hexdigest(content), "r1"))
    exposures = exposures_of(tmp_path, {"col001": group})
    measurement = EFFECT.measurements[0]
    tasks = build_units("dark", measurement, measurement.parameters, exposures, {}, products)
    assert [{p.ccd for p in task.given} for task in tasks] == [{"CCD1"}]
    assert len(tasks[0].paths) == 5
    cells = run_unit(tasks[0]).tables["dark_cells"]
    assert all(cells["bias_subtracted"])
    assert all(cells["mask_applied"])
    bare = run_unit(build_units("dark", measurement, measurement.parameters, exposures, {})[0]).tables["dark_cells"]
    assert not any(bare["bias_subtracted"])
    np.testing.assert_allclose(np.array(bare["base_adu"]) - 5.0, cells["base_adu"], atol=1e-3)
    (tmp_path / "mask_CCD1.fits").write_bytes(b"other")
    with pytest.raises(ChangedProductError, match="mask_CCD1"):
        run_unit(tasks[0])


def test_columns_of_a_ccd_come_together(tmp_path, group):
    other = group_of(
        np.random.default_rng(2),
        {q: detector(np.random.default_rng(3), Sky(0.0)) for q in QUADRANTS},
        Sky(0.0),
        2,
        0.0,
        50,
    )
    lone = group_of(
        np.random.default_rng(2),
        {q: detector(np.random.default_rng(3), Sky(0.0)) for q in QUADRANTS},
        Sky(0.0),
        1,
        0.0,
        10,
    )
    exposures = exposures_of(tmp_path, {"col002": group, "col001": other, "col003": lone})
    from vison_etl.effects.defects.effect import EFFECT as DEFECTS

    measurement = DEFECTS.measurements[0]
    (task,) = build_units("defects", measurement, measurement.parameters, exposures, {})
    assert task.script_column == "col001"
    assert [frame.obsid for frame in task.frames] == [50, 51, 100, 101, 102]
    result = run_unit(task)
    assert set(result.tables["defect_areas"]["n_frames_dark"]) == {3}
    assert set(result.products) == {("mask", "CCD1")}
    assert isinstance(task, UnitTask)
