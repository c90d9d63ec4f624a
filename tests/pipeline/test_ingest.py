"""Ingest: every file once, every row accounted for, the same again changes nothing."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.pipeline.day import (
    LOG,
    Watching,
    frame_name,
    make_day,
    reasons,
    run_ingest,
    snapshot,
)
from tests.reference import reference_file
from vison_etl.elvis.frames import native, open_frame
from vison_etl.instrument.geometry import quadrant_view, region_window
from vison_etl.lake.parts import part_files, read
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.ingest_sources import IngestError


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_day_goes_in(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "12_Mar_19", [17198, 17201])
    report = run_ingest(lake, day)
    assert report.exit_code == 0
    assert [(f.rows, f.added, f.rejected) for f in report.folders] == [(6, 6, 0)]
    exposures = read(lake, "exposures")
    assert exposures.height == 6
    first = exposures.row(0, named=True)
    assert first["block"] == "BORN"
    assert first["block_source"] == "serials"
    assert first["day"] == "2019-03-12"
    assert first["test_in_log"] == "BIAS01"
    assert first["root"] == str(day)
    assert first["path"] == frame_name(17198, "CCD1")
    assert first["log_path"] == LOG
    assert first["log_row"] == 2
    assert (first["image_columns"], first["image_rows"], first["overscan_columns"], first["overscan_rows"]) == (
        256,
        256,
        20,
        20,
    )
    assert first["file_bytes"] == (day / first["path"]).stat().st_size
    assert first["digest"] == open_frame(day / first["path"]).digest
    assert first["hk_path"].startswith("HK_17198_")
    assert first["elvis_version"] == "7.5.X"
    assert read(lake, "quadrant_stats").height == 6 * 16
    assert read(lake, "rejects").is_empty()
    names = [p.name for p in part_files(lake, "exposures")]
    assert names == ["part-017100.parquet", "part-017200.parquet"]
    assert (
        names
        == [p.name for p in part_files(lake, "quadrant_stats")]
        == [p.name for p in part_files(lake, "housekeeping")]
    )


def test_statistics_are_those_of_the_pixels(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [5], vend=100)
    run_ingest(lake, day)
    frame = open_frame(day / frame_name(5, "CCD2"))
    image = native(frame.raw)
    rows = read(lake, "quadrant_stats").filter(ccd="CCD2")
    for row in rows.iter_rows(named=True):
        window = region_window(frame.geometry, row["region"], 0, 100)
        if window is None:
            assert row["region"] == "pov"
            assert row["median_adu"] is None
            continue
        pixels = quadrant_view(image, frame.geometry, row["quadrant"])[window.y0 : window.y1, window.x0 : window.x1]
        assert row["n"] + row["n_clipped"] == pixels.size
        assert row["min_adu"] == pixels.min()
        assert row["std_adu"] == pytest.approx(pixels.std(ddof=1), rel=1e-3)
        assert row["mean_adu_err"] == pytest.approx(row["clipped_std_adu"] / row["n"] ** 0.5)


def test_housekeeping_goes_in(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [5])
    run_ingest(lake, day)
    rows = read(lake, "housekeeping").filter(key="CCD1_OD_T").sort("reading")
    assert rows["value"].to_list() == [26.0, 26.1, 26.2]
    assert rows["unit"].unique().to_list() == ["V"]
    assert rows["read_at"].null_count() == 0
    one = read(lake, "hk_summary").filter(key="CCD1_OD_T").row(0, named=True)
    assert (one["n"], one["first"], one["last"], one["min"], one["max"]) == (3, 26.0, 26.2, 26.0, 26.2)
    assert one["mean"] == pytest.approx(26.1)
    assert one["std"] == pytest.approx(0.1 * (2 / 3) ** 0.5)
    empty = read(lake, "hk_summary").filter(pl.col("n") == 0)
    assert not empty.is_empty()
    assert empty["mean"].null_count() == empty.height


def test_the_block_is_the_option_the_serials_or_unknown(lake: Lake, tmp_path: Path) -> None:
    known = make_day(tmp_path / "known", [1])
    strange = make_day(tmp_path / "strange", [1], block=None)
    report = run_ingest(lake, known, strange)
    assert sorted(read(lake, "exposures")["block"].unique()) == ["BORN", "UNKNOWN"]
    assert any("name it with --block" in warning for warning in report.warnings)
    watching = Watching()
    report = run_ingest(lake, strange, block="niels", run=watching)
    assert read(lake, "exposures", block="UNKNOWN").is_empty()
    assert read(lake, "quadrant_stats", block="UNKNOWN").is_empty()
    assert read(lake, "hk_summary", block="UNKNOWN").is_empty()
    assert read(lake, "exposures", block="NIELS")["block_source"].unique().to_list() == ["option"]
    report = run_ingest(lake, known, block="NIELS")
    assert any("overrules" in warning for warning in report.warnings)
    assert read(lake, "exposures", block="BORN").is_empty()
    assert reasons(lake) == {("log_row", "duplicate"): 3}


def test_the_chamber_gives_wavelengths(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    run_ingest(lake, day, chamber="B_NOSTROMO")
    row = read(lake, "exposures").row(0, named=True)
    assert row["chamber"] == "B_NOSTROMO"
    assert row["filter"] is not None
    run_ingest(lake, day, block="OTHER")
    row = read(lake, "exposures").row(0, named=True)
    assert (row["block"], row["chamber"], row["filter"], row["wavelength_nm"]) == ("OTHER", None, None, None)


def test_several_logs_and_a_folder_of_folders(lake: Lake, tmp_path: Path) -> None:
    make_day(tmp_path / "data" / "one", [1])
    make_day(tmp_path / "data" / "two", [2], log="EXP_LOG_130319.txt")
    make_day(tmp_path / "data" / "two", [3], log="EXP_LOG_140319.txt")
    report = run_ingest(lake, tmp_path / "data")
    assert report.exit_code == 0
    assert len(report.folders) == 2
    found = read(lake, "exposures").select("obsid", "day").unique().sort("obsid").rows()
    assert found == [(1, "2019-03-12"), (2, "2019-03-13"), (3, "2019-03-14")]


def test_what_cannot_be_used_is_said_before_anything_is_done(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    (tmp_path / "empty").mkdir()
    for folders, options, words in (
        ([tmp_path / "nowhere"], {}, "no such folder"),
        ([tmp_path / "empty"], {}, "no exposure log"),
        ([day], {"block": "a/b"}, "--block a/b"),
        ([day], {"chamber": "B_NOSTROM"}, "B_NOSTROMO"),
    ):
        with pytest.raises(IngestError, match=words):
            run_ingest(lake, *folders, **options)
    assert not lake.root.exists()


def test_a_folder_that_is_no_day_does_not_stop_the_others(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    (tmp_path / "empty").mkdir()
    report = run_ingest(lake, tmp_path / "empty", day, tmp_path / "nowhere")
    assert report.exit_code == 1
    assert [line.split(": ")[1] for line in report.unusable] == [
        "no exposure log EXP_LOG*.txt in it or in a folder directly below",
        "no such folder",
    ]
    assert set(report.unusable) <= set(report.lines())
    assert read(lake, "exposures").height == 3


def test_a_dry_run_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    day = make_day(tmp_path / "day", [1])
    report = run_ingest(lake, day, dry_run=True)
    assert report.to_read == 4
    assert report.folders[0].to_read == 3
    assert report.exit_code == 0
    assert not lake.root.exists()
    run_ingest(lake, day)
    report = run_ingest(lake, day, dry_run=True)
    assert (report.to_read, report.folders[0].unchanged) == (0, 3)


def test_the_real_samples_go_in(lake: Lake) -> None:
    folder = reference_file("samples/EXP_LOG_050800.txt").parent
    report = run_ingest(lake, folder)
    assert report.exit_code == 1
    assert reasons(lake) == {("log_row", "missing_file"): 6, ("hk_file", "missing_hk"): 1}
    assert read(lake, "housekeeping").height == 165
    assert read(lake, "exposures").is_empty()
    before = snapshot(lake)
    assert run_ingest(lake, folder).to_read == 0
    assert snapshot(lake) == before
