"""Every reason for which something is refused, and who gets the place when several want it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
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
from vison_etl.lake.parts import read
from vison_etl.lake.paths import Lake

FRAME = frame_name(1, "CCD2")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return make_day(tmp_path / "day", [1])


def card(key: str, value: str) -> bytes:
    return f"{key:<8}= {value:>20}".ljust(80).encode()


def replace_card(key: str, value: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        found = content.rindex(f"{key:<8}=".encode())
        path.write_bytes(content[:found] + card(key, value) + content[found + 80 :])

    return damage


def cut(n_bytes: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[:n_bytes]) and None


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: list[tuple[str, Callable[[Path], object]]] = [
    ("missing_file", Path.unlink),
    ("truncated", cut(0)),
    ("truncated", cut(1000)),
    ("truncated", cut(400_000)),
    ("not_fits", lambda path: path.write_bytes(b"no frame at all" * 1000)),
    ("not_fits", lambda path: path.write_bytes(path.read_bytes() + b"x" * 2880)),
    ("no_image", lambda path: path.write_bytes(path.read_bytes()[:2880])),
    ("wrong_type", replace_card("BZERO", "0")),
    ("bad_geometry", replace_card("NAXIS1", "653")),
    ("header_mismatch", replace_card("OBSID", "2")),
    ("header_mismatch", replace_card("EXTNAME", "'ROE1_CCD3'")),
    ("unreadable", make_folder),
]


@pytest.mark.parametrize(("reason", "damage"), DAMAGE, ids=[f"{r}-{i}" for i, (r, _) in enumerate(DAMAGE)])
def test_a_damaged_frame_is_one_reject(lake: Lake, day: Path, reason: str, damage: Callable[[Path], object]) -> None:
    damage(day / FRAME)
    report = run_ingest(lake, day)
    assert report.exit_code == 1
    assert read(lake, "exposures").height == 2
    rows = read(lake, "rejects").rows(named=True)
    assert [(row["kind"], row["reason"], row["obsid"], row["ccd"], row["row"]) for row in rows] == [
        ("log_row", reason, 1, "CCD2", 3)
    ]
    assert rows[0]["path"] == LOG
    assert FRAME in rows[0]["detail"]
    before = snapshot(lake)
    watching = Watching()
    run_ingest(lake, day, run=watching)
    assert watching.opened == ([FRAME] if reason == "unreadable" else [])
    assert snapshot(lake) == before
    shutil.rmtree(day)
    make_day(day, [1])
    assert run_ingest(lake, day).exit_code == 0
    assert reasons(lake) == {}


def test_a_frame_of_several_names_is_ambiguous(lake: Lake, day: Path) -> None:
    content = (day / FRAME).read_bytes()
    (day / FRAME).unlink()
    for hour in (11, 12):
        (day / f"EUC_1_120319D{hour}0000T_ROE1_CCD2.fits").write_bytes(content)
    run_ingest(lake, day)
    assert reasons(lake) == {("log_row", "ambiguous"): 1, ("frame_file", "not_in_log"): 2}
    (day / "EUC_1_120319D120000T_ROE1_CCD2.fits").unlink()
    assert run_ingest(lake, day).exit_code == 0
    assert read(lake, "exposures").filter(ccd="CCD2")["path"].to_list() == ["EUC_1_120319D110000T_ROE1_CCD2.fits"]


def test_a_growing_file_is_tried_again(lake: Lake, day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vison_etl.pipeline import worker

    def slow(path: str, begin: object) -> object:
        frame = real(path, begin)
        if str(path).endswith(FRAME):
            os.utime(path, ns=(1, 1))
        return frame

    real = worker.scan_frame
    monkeypatch.setattr(worker, "scan_frame", slow)
    run_ingest(lake, day)
    assert reasons(lake) == {("log_row", "changing"): 1}
    monkeypatch.undo()
    watching = Watching()
    assert run_ingest(lake, day, run=watching).exit_code == 0
    assert watching.opened == [FRAME]


def test_a_file_completed_while_it_was_refused_is_tried_again(
    lake: Lake, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vison_etl.pipeline import worker

    whole = (day / FRAME).read_bytes()
    (day / FRAME).write_bytes(whole[:-100_000])

    def slow(path: str, begin: object) -> object:
        try:
            return real(path, begin)
        except worker.FrameError:
            Path(path).write_bytes(whole)
            raise

    real = worker.scan_frame
    monkeypatch.setattr(worker, "scan_frame", slow)
    run_ingest(lake, day)
    assert reasons(lake) == {("log_row", "truncated"): 1}
    monkeypatch.undo()
    assert run_ingest(lake, day).exit_code == 0


def test_an_unexpected_error_is_a_reject_that_is_tried_again(
    lake: Lake, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vison_etl.pipeline import worker

    def fail(*_: object) -> None:
        raise MemoryError("no memory")

    monkeypatch.setattr(worker, "statistics_of", fail)
    run_ingest(lake, day)
    assert reasons(lake) == {("log_row", "failed"): 3}
    assert "MemoryError: no memory" in read(lake, "rejects")["detail"][0]
    monkeypatch.undo()
    assert run_ingest(lake, day).exit_code == 0


def test_rows_that_cannot_be_used(lake: Lake, day: Path) -> None:
    lines = (day / LOG).read_bytes().split(b"\r\n")
    lines[2] = b"garbage"
    lines[3] = b"\x00\x01" + lines[3]
    lines.insert(3, b"")
    (day / LOG).write_bytes(b"\r\n".join(lines))
    report = run_ingest(lake, day)
    assert report.folders[0].rows == 3
    rows = read(lake, "rejects").filter(kind="log_row").sort("row")
    assert rows["reason"].to_list() == ["bad_row", "bad_row"]
    assert rows["row"].to_list() == [3, 5]
    assert rows["block"].to_list() == ["BORN", "BORN"]
    assert reasons(lake)["frame_file", "not_in_log"] == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"\xff\xfe\x00", "no_header"), (b"ObsID\ttest\r\n1\tX\r\n", "missing_columns")],
)
def test_a_log_that_cannot_be_read(lake: Lake, day: Path, content: bytes, reason: str) -> None:
    (day / "EXP_LOG_130319.txt").write_bytes(content)
    report = run_ingest(lake, day)
    assert report.exit_code == 1
    assert reasons(lake) == {("log_file", reason): 1}
    assert read(lake, "exposures").height == 3
    (day / "EXP_LOG_130319.txt").unlink()
    assert run_ingest(lake, day).exit_code == 0
    assert reasons(lake) == {}


def test_frames_and_housekeeping_without_partner(lake: Lake, day: Path) -> None:
    (day / frame_name(2, "CCD1")).write_bytes(with_obsid(frame_bytes("CCD1"), 2))
    hk = make_hk(day, 1)
    shutil.copy(hk, day / "HK_1_120319D110000T_ROE1.txt")
    assert run_ingest(lake, day).exit_code == 0
    assert reasons(lake) == {("frame_file", "not_in_log"): 1, ("hk_file", "ambiguous_hk"): 1}
    assert read(lake, "exposures")["hk_path"].null_count() == 3


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty_hk"), (b"\x00\x01\x02", "no_header_hk")])
def test_housekeeping_that_cannot_be_read(lake: Lake, day: Path, content: bytes, reason: str) -> None:
    hk = make_hk(day, 1)
    run_ingest(lake, day)
    hk.write_bytes(content)
    assert run_ingest(lake, day).exit_code == 0
    assert reasons(lake) == {("hk_file", reason): 1}
    assert read(lake, "housekeeping").is_empty()
    assert read(lake, "hk_summary").is_empty()
    assert read(lake, "exposures")["hk_path"].null_count() == 3
    before = snapshot(lake)
    assert run_ingest(lake, day).to_read == 0
    assert snapshot(lake) == before


def test_a_copied_folder_is_all_duplicates(lake: Lake, day: Path, tmp_path: Path) -> None:
    run_ingest(lake, day)
    before = contents(lake)
    copy = tmp_path / "copy"
    shutil.copytree(day, copy)
    assert run_ingest(lake, copy).exit_code == 1
    assert reasons(lake) == {("log_row", "duplicate"): 3}
    after = contents(lake)
    for table in ("exposures", "quadrant_stats", "housekeeping", "hk_summary"):
        assert after[table].equals(before[table])
    assert str(day) in read(lake, "rejects")["detail"][0]
    watching = Watching()
    run_ingest(lake, copy, run=watching)
    run_ingest(lake, day, copy, run=watching)
    run_ingest(lake, copy, day, run=watching)
    assert watching.opened == []
    assert_equal(contents(lake), after)


def test_another_frame_for_the_same_place_is_a_conflict(lake: Lake, day: Path, tmp_path: Path) -> None:
    other = make_day(tmp_path / "other", [1], salt=3, log="EXP_LOG_130319.txt")
    run_ingest(lake, day, other)
    assert reasons(lake) == {("log_row", "conflict"): 3}
    assert read(lake, "exposures")["root"].unique().to_list() == [str(day)]
    rejects = read(lake, "rejects")
    assert rejects["digest"].null_count() == 0
    assert rejects["day"].unique().to_list() == ["2019-03-13"]


def test_the_next_one_moves_up_when_the_first_is_gone(lake: Lake, day: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(day, copy)
    run_ingest(lake, day, copy)
    write_rows(day, [log_row(1, "CCD1")])
    run_ingest(lake, day, copy)
    found = read(lake, "exposures").select("ccd", "root").sort("ccd").rows()
    assert found == [("CCD1", str(day)), ("CCD2", str(copy)), ("CCD3", str(copy))]
    assert reasons(lake) == {("log_row", "duplicate"): 1, ("frame_file", "not_in_log"): 2}


def test_a_bad_first_leaves_the_place_to_a_good_second(lake: Lake, day: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(day, copy)
    (day / FRAME).write_bytes(b"")
    run_ingest(lake, day, copy)
    assert reasons(lake) == {("log_row", "truncated"): 1, ("log_row", "duplicate"): 2}
    assert read(lake, "exposures").filter(ccd="CCD2")["root"].to_list() == [str(copy)]
    shutil.copy(copy / FRAME, day / FRAME)
    run_ingest(lake, day)
    assert reasons(lake) == {("log_row", "duplicate"): 3}


def test_a_row_given_twice_is_a_duplicate(lake: Lake, day: Path) -> None:
    rows = [log_row(1, ccd) for ccd in ("CCD1", "CCD2", "CCD3")]
    write_rows(day, [*rows, rows[1]])
    run_ingest(lake, day)
    row = read(lake, "rejects").row(0, named=True)
    assert (row["reason"], row["row"], row["ccd"]) == ("duplicate", 5, "CCD2")
    before = snapshot(lake)
    assert run_ingest(lake, day).to_read == 0
    assert snapshot(lake) == before


def test_rows_and_rejects_add_up_whatever_happens(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", list(range(1, 13)))
    for number, (_, damage) in enumerate(DAMAGE):
        damage(day / frame_name(number + 1, "CCD2"))
    report = run_ingest(lake, day)
    assert report.folders[0].rows == 36
    rejected = read(lake, "rejects").filter(kind="log_row")
    assert read(lake, "exposures").height + rejected.height == 36
    assert rejected.height == len(DAMAGE)
    missing = read(lake, "exposures").join(read(lake, "quadrant_stats"), on=["obsid", "ccd"], how="anti")
    assert missing.is_empty()
    assert read(lake, "quadrant_stats").select(pl.struct("obsid", "ccd").n_unique()).item() == 36 - len(DAMAGE)
