"""Ingest, run again: what is new, changed, gone, moved or half done."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.pipeline.day import (
    LOG,
    Watching,
    assert_equal,
    contents,
    frame_bytes,
    frame_name,
    log_row,
    make_day,
    make_hk,
    reasons,
    run_ingest,
    snapshot,
    with_obsid,
    write_rows,
)
from vison_etl.lake.locks import hold, ingest_lock
from vison_etl.lake.manage import forget, relocate
from vison_etl.lake.parts import part_files, read
from vison_etl.lake.paths import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_second_run_changes_nothing_and_opens_nothing(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    (day / frame_name(2, "CCD1")).write_bytes(b"SIMPLE  = nonsense")
    (day / frame_name(2, "CCD2")).unlink()
    assert run_ingest(lake, day).exit_code == 1
    before = snapshot(lake)
    watching = Watching()
    report = run_ingest(lake, day, run=watching)
    assert watching.opened == []
    assert report.to_read == 0
    assert [(f.added, f.replaced, f.unchanged, f.rejected) for f in report.folders] == [(0, 0, 4, 2)]
    assert snapshot(lake) == before


def test_a_grown_folder_adds_what_is_new(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    run_ingest(lake, day)
    make_day(day, [3])
    write_rows(day, [log_row(o, c) for o in (1, 2, 3) for c in ("CCD1", "CCD2", "CCD3")])
    watching = Watching()
    report = run_ingest(lake, day, run=watching)
    assert sorted(watching.opened) == [frame_name(3, c) for c in ("CCD1", "CCD2", "CCD3")]
    assert report.folders[0].added == 3
    other = Lake(tmp_path / "other")
    run_ingest(other, day)
    assert_equal(contents(lake), contents(other))
    assert snapshot(lake) == snapshot(other)


def test_a_changed_file_is_read_again(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    run_ingest(lake, day)
    before = contents(lake)
    (day / frame_name(1, "CCD2")).write_bytes(with_obsid(frame_bytes("CCD2"), 1, salt=7))
    watching = Watching()
    report = run_ingest(lake, day, run=watching)
    assert watching.opened == [frame_name(1, "CCD2")]
    assert report.folders[0].replaced == 1
    after = contents(lake)
    changed = before["exposures"].join(after["exposures"], on=["obsid", "ccd", "digest"], how="anti")
    assert changed.select("obsid", "ccd").rows() == [(1, "CCD2")]
    assert after["exposures"].height == 6
    assert after["quadrant_stats"].height == 6 * 16


def test_a_touched_file_keeps_its_numbers(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    run_ingest(lake, day)
    before = contents(lake, without_stamps=True)
    os.utime(day / frame_name(1, "CCD1"))
    assert run_ingest(lake, day).folders[0].replaced == 1
    assert_equal(contents(lake, without_stamps=True), before)


def test_a_half_copied_file_is_completed_later(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    whole = (day / frame_name(1, "CCD3")).read_bytes()
    (day / frame_name(1, "CCD3")).write_bytes(whole[: len(whole) // 2])
    report = run_ingest(lake, day)
    assert report.exit_code == 1
    assert reasons(lake) == {("log_row", "truncated"): 1}
    (day / frame_name(1, "CCD3")).write_bytes(whole)
    assert run_ingest(lake, day).exit_code == 0
    assert reasons(lake) == {}
    other = Lake(tmp_path / "other")
    run_ingest(other, day)
    assert_equal(contents(lake), contents(other))


def test_a_good_file_that_became_bad_leaves_the_lake(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    run_ingest(lake, day)
    (day / frame_name(1, "CCD1")).write_bytes(b"")
    assert run_ingest(lake, day).exit_code == 1
    assert read(lake, "exposures").height == 2
    assert read(lake, "quadrant_stats")["ccd"].unique().sort().to_list() == ["CCD2", "CCD3"]
    row = read(lake, "rejects").row(0, named=True)
    assert (row["reason"], row["obsid"], row["ccd"], row["row"]) == ("truncated", 1, "CCD1", 2)
    assert frame_name(1, "CCD1") in row["detail"]


def test_a_corrected_log_needs_no_frame(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    run_ingest(lake, day)
    rows = [log_row(o, c, test_in_log="PTC01") for o in (1, 2) for c in ("CCD1", "CCD2", "CCD3")]
    write_rows(day, rows)
    watching = Watching()
    report = run_ingest(lake, day, run=watching)
    assert watching.opened == []
    assert report.folders[0].replaced == 6
    assert read(lake, "exposures")["test_in_log"].unique().to_list() == ["PTC01"]
    write_rows(day, [{**row, "vend": 2066} for row in rows])
    run_ingest(lake, day, run=watching)
    assert len(watching.opened) == 6


def test_a_row_that_left_the_log_leaves_the_lake(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 250])
    run_ingest(lake, day)
    write_rows(day, [log_row(1, c) for c in ("CCD1", "CCD2", "CCD3")])
    run_ingest(lake, day)
    assert read(lake, "exposures")["obsid"].unique().to_list() == [1]
    assert read(lake, "quadrant_stats")["obsid"].unique().to_list() == [1]
    assert read(lake, "hk_summary")["obsid"].unique().to_list() == [1]
    assert reasons(lake) == {("frame_file", "not_in_log"): 3}


def test_an_unreadable_log_takes_nothing_away(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    (day / frame_name(1, "CCD1")).write_bytes(b"")
    run_ingest(lake, day)
    before = contents(lake)
    (day / LOG).write_bytes(b"\x00\x01\x02")
    report = run_ingest(lake, day)
    assert report.exit_code == 2
    after = contents(lake)
    for table in ("exposures", "quadrant_stats", "hk_summary", "housekeeping"):
        assert after[table].equals(before[table])
    kinds = after["rejects"]["kind"].value_counts().sort("kind").rows()
    assert kinds == [("frame_file", 3), ("log_file", 1), ("log_row", 1)]


def test_a_day_that_was_forgotten_goes_in_again(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    run_ingest(lake, day)
    before = contents(lake)
    forget(lake, "BORN", "2019-03-12")
    assert read(lake, "exposures").is_empty()
    run_ingest(lake, day)
    assert_equal(contents(lake), before)


def test_data_that_moved_are_not_read_again(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    (day / frame_name(2, "CCD1")).write_bytes(b"")
    run_ingest(lake, day)
    day.rename(tmp_path / "moved")
    relocate(lake, str(day), str(tmp_path / "moved"))
    watching = Watching()
    report = run_ingest(lake, tmp_path / "moved", run=watching)
    assert watching.opened == []
    assert (report.folders[0].unchanged, report.folders[0].rejected) == (5, 1)
    assert read(lake, "exposures")["root"].unique().to_list() == [str(tmp_path / "moved")]


@pytest.mark.parametrize("table", ["quadrant_stats", "housekeeping", "hk_summary"])
def test_a_part_file_that_was_deleted_is_made_again(lake: Lake, tmp_path: Path, table: str) -> None:
    day = make_day(tmp_path / "day", [1, 2])
    run_ingest(lake, day)
    before = snapshot(lake)
    for path in part_files(lake, table):
        path.unlink()
    run_ingest(lake, day)
    assert snapshot(lake) == before


def test_leftovers_of_a_killed_run_are_cleared(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    run_ingest(lake, day)
    before = snapshot(lake)
    (part_files(lake, "exposures")[0].parent / ".tmp-part-000000.parquet-abc").write_bytes(b"half")
    run_ingest(lake, day)
    assert snapshot(lake) == before


def test_two_ingests_of_one_block_wait_for_each_other(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from threading import Thread

    day = make_day(tmp_path / "day", [1])
    thread = Thread(target=run_ingest, args=(lake, day))
    with hold(lake, ingest_lock("BORN")):
        thread.start()
        time.sleep(1.5)
        assert read(lake, "exposures").is_empty()
    thread.join()
    assert read(lake, "exposures").height == 3
    assert "waiting for ingest-BORN" in caplog.text


def test_housekeeping_that_comes_later_or_changes(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1], hk=False)
    assert run_ingest(lake, day).exit_code == 0
    assert reasons(lake) == {("hk_file", "missing_hk"): 1}
    make_hk(day, 1)
    watching = Watching()
    run_ingest(lake, day, run=watching)
    assert watching.opened == []
    assert reasons(lake) == {}
    assert read(lake, "exposures")["hk_path"].null_count() == 0
    make_hk(day, 1, n=5)
    run_ingest(lake, day)
    assert read(lake, "hk_summary").filter(key="CCD1_OD_T")["n"].to_list() == [5]
    assert read(lake, "housekeeping").filter(key="CCD1_OD_T").height == 5
    other = Lake(tmp_path / "other")
    run_ingest(other, day)
    assert snapshot(lake) == snapshot(other)
