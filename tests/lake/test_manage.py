"""Housework of the lake."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from vison_etl.lake.decisions import append_override
from vison_etl.lake.manage import clean, clean_block, forget, leftovers, rejects_part, relocate
from vison_etl.lake.parts import part_files, read, write_part
from vison_etl.lake.paths import Lake, LakeError


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    for day, root in (("2019-03-12", "/raw/a"), ("2019-03-13", "/raw/ab")):
        key = {"block": "BORN", "day": day}
        row = {"obsid": 1, "ccd": "CCD1", "root": root, "path": "x.fits", "digest": "d"}
        write_part(lake, "exposures", key, "000000", pl.DataFrame([row]))
        write_part(
            lake,
            "quadrant_stats",
            key,
            "000000",
            pl.DataFrame([{"obsid": 1, "ccd": "CCD1", "quadrant": "E", "region": "img"}]),
        )
        reject = {"kind": "log_row", "root": root, "path": "EXP_LOG.txt", "row": 3, "reason": "missing_file"}
        write_part(lake, "rejects", key, rejects_part(root), pl.DataFrame([reject]))
    return lake


def test_a_day_is_forgotten(lake: Lake) -> None:
    removed = forget(lake, "BORN", "2019-03-12")
    assert removed == {"exposures": 1, "quadrant_stats": 1, "rejects": 1}
    for table in removed:
        assert read(lake, table)["day"].to_list() == ["2019-03-13"]
    with pytest.raises(LakeError, match="days of BORN: 2019-03-13"):
        forget(lake, "BORN", "2019-03-12")
    with pytest.raises(LakeError, match="blocks: BORN"):
        forget(lake, "MAX", "2019-03-12")


def test_a_damaged_day_can_be_forgotten(lake: Lake) -> None:
    for path in part_files(lake, "exposures", day="2019-03-12"):
        path.write_bytes(b"junk")
    forget(lake, "BORN", "2019-03-12")
    assert read(lake, "exposures").height == 1


def test_raw_data_have_moved(lake: Lake) -> None:
    assert relocate(lake, "/raw/a/", "/new/place") == {"rejects": 1, "hk_summary": 0, "exposures": 1}
    assert read(lake, "exposures")["root"].to_list() == ["/new/place", "/raw/ab"]
    assert sorted(read(lake, "rejects")["root"].to_list()) == ["/new/place", "/raw/ab"]
    names = {path.name for path in part_files(lake, "rejects", day="2019-03-12")}
    assert names == {f"part-{rejects_part('/new/place')}.parquet"}
    with pytest.raises(LakeError, match="/new/place, /raw/ab"):
        relocate(lake, "/raw/a", "/elsewhere")
    relocate(lake, "/raw", "/moved")
    assert read(lake, "exposures")["root"].to_list() == ["/new/place", "/moved/ab"]


def test_leftovers_are_cleared(lake: Lake) -> None:
    folder = lake.partition_folder("exposures", {"block": "BORN", "day": "2019-03-12"})
    (folder / ".tmp-x").write_bytes(b"x")
    (folder.parent / ".tmp-day=2019-03-01-abc").mkdir()
    assert len(leftovers(lake)) == 2
    assert clean(lake) == []
    assert len(clean_block(lake, "BORN")) == 2
    assert leftovers(lake) == []


def test_decisions_are_appended(lake: Lake) -> None:
    for i in range(3):
        row = append_override(
            lake, {"kind": "exclude", "block": "BORN", "obsid_first": i, "obsid_last": i, "reason": "light leak"}
        )
        assert row["author"]
    frame = read(lake, "overrides")
    assert frame["obsid_first"].to_list() == [0, 1, 2]
    assert frame["made_at"].null_count() == 0
    with pytest.raises(LakeError, match="reason"):
        append_override(lake, {"kind": "exclude"})
    with pytest.raises(LakeError, match="no column why"):
        append_override(lake, {"kind": "exclude", "why": "x"})
