from dataclasses import replace

import polars as pl
import pytest

from vison_etl.effects.declare import Extracted, Measurement
from vison_etl.pipeline.units import build_units, unit_key


def measurement(unit, version=1):
    return Measurement("m", ("pair_tiles",), unit, version, {"k": 1}, lambda *_: Extracted({}))


@pytest.fixture
def exposures():
    rows = [
        {
            "obsid": obsid,
            "ccd": ccd,
            "script_column": "col001" if obsid < 104 else "col002",
            "root": "/raw",
            "path": f"{obsid}_{ccd}.fits",
            "digest": f"{obsid}{ccd}",
            "file_stamp": "s",
            "vstart": 0,
            "vend": 2086 if obsid > 100 else None,
            "image_rows": 256,
            "overscan_rows": 20,
            "sn_ccd1": "A",
            "sn_ccd2": None,
        }
        for obsid in range(100, 107)
        for ccd in ("CCD1", "CCD2")
    ]
    return pl.DataFrame(rows)


def spans(units):
    return [(u.ccd, u.script_column, tuple(f.obsid for f in u.frames)) for u in units]


def test_pairs_are_one_two_three_four_and_the_odd_frame_is_left(exposures):
    units = build_units("e", measurement("pair"), {"k": 1}, exposures.sample(fraction=1, shuffle=True, seed=1), {})
    assert spans(units) == [
        (ccd, column, pair)
        for column, pair in (("col001", (100, 101)), ("col001", (102, 103)), ("col002", (104, 105)))
        for ccd in ("CCD1", "CCD2")
    ]
    assert [frame.vend for frame in units[0].frames] == [276, 2086]
    assert units[0].cards["CCD_SN"] == "A"
    assert units[1].cards["CCD_SN"] is None


def test_a_sample_of_the_pairs_of_each_column(exposures):
    first = replace(measurement("pair"), pairs_per_column="n_pairs")
    units = build_units("e", first, {"n_pairs": 1}, exposures.sample(fraction=1, shuffle=True, seed=1), {})
    assert spans(units)[::2] == [("CCD1", "col001", (100, 101)), ("CCD1", "col002", (104, 105))]
    assert len(build_units("e", first, {"n_pairs": 9}, exposures, {})) == 6
    assert units[0].key != build_units("e", first, {"n_pairs": 9}, exposures, {})[0].key


def test_groups_and_frames(exposures):
    groups = build_units("e", measurement("group"), {"k": 1}, exposures, {})
    assert spans(groups)[0] == ("CCD1", "col001", (100, 101, 102, 103))
    assert len(groups) == 4
    assert len(build_units("e", measurement("frame"), {"k": 1}, exposures, {})) == 14
    alone = exposures.filter(pl.col("obsid") == 100)
    assert build_units("e", measurement("group"), {"k": 1}, alone, {}) == []


def test_the_key_follows_inputs_parameters_and_version_only(exposures):
    unit = build_units("e", measurement("pair"), {"k": 1}, exposures, {"A": 1})[0]
    moved = build_units("e", measurement("pair"), {"k": 1}, exposures.with_columns(root=pl.lit("/elsewhere")), {})[0]
    assert unit.key == moved.key
    assert unit.key != unit_key("e", measurement("pair"), {"k": 2}, unit.frames)
    assert unit.key != unit_key("e", measurement("pair", version=2), {"k": 1}, unit.frames)
    assert unit.key != unit_key("e", measurement("pair"), {"k": 1}, unit.frames[::-1])
