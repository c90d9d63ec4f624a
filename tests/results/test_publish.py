"""Publishing: what is in a snapshot, what is done when, and what it survives."""

from __future__ import annotations

import os
import shutil
import stat
import time
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.results.fake_lake import ask, dump, fill, small_lake, store_exposures, store_override, store_run
from vison_etl.lake.manage import forget
from vison_etl.lake.parts import write_part
from vison_etl.lake.paths import Lake
from vison_etl.results import layout
from vison_etl.results.connect import behind
from vison_etl.results.publish import PublishError, publish


def n_runs(lake: Lake) -> int:
    return ask(lake.root, "select count(*) from runs")[0][0]


def test_first_snapshot_is_complete_and_read_only(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake")
    done = publish(lake)
    assert (done.n_runs_added, done.rebuilt, done.changed, done.problems) == (2, True, True, ())
    assert stat.S_IMODE(lake.database.stat().st_mode) == 0o444
    names = sorted(path.name for path in lake.root.iterdir() if path.is_file())
    assert names == [".results.duckdb.lock", "results.duckdb"]
    assert ask(lake.root, "select count(*) from gain where block = 'NIELS'") == [(24,)]
    assert ask(lake.root, "select count(*), min(mean_adu) from quadrant_stats where block = 'BORN'") == [
        (13 * 48, 1100.0)
    ]
    when = datetime(2026, 1, 1, 0, 2)  # noqa: DTZ001 - runs carry UTC without zone
    assert ask(lake.root, "select started_at, seconds from runs where block = 'NIELS'") == [(when, 1.5)]


def test_nothing_new_nothing_done(lake: Lake) -> None:
    before = lake.database.stat()
    done = publish(lake)
    after = lake.database.stat()
    assert (done.n_runs_added, done.changed, done.rebuilt) == (0, False, False)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_bit_by_bit_equals_all_at_once(lake: Lake, tmp_path: Path) -> None:
    for minute in range(3, 7):
        store_run(lake, "BORN/BIAS01/100", minute)
        store_exposures(lake, "BORN", "2019-03-01", range(100 + 100 * minute, 102 + 100 * minute))
        done = publish(lake)
        assert (done.n_runs_added, done.rebuilt) == (1, False)
    other = tmp_path / "other.duckdb"
    assert publish(lake, database=other).rebuilt
    assert dump(lake.root) == dump(lake.root, other)


def test_changed_and_removed_partitions_are_followed(lake: Lake) -> None:
    store_exposures(lake, "BORN", "2019-03-02", range(200, 203), mean_adu=5000.0)
    assert publish(lake).changed
    means = "select day, count(*), min(mean_adu) from quadrant_stats where block = 'BORN' group by day order by day"
    assert ask(lake.root, means) == [("2019-03-01", 480, 1100.0), ("2019-03-02", 144, 5200.0)]
    forget(lake, "BORN", "2019-03-02")
    assert not publish(lake).rebuilt
    assert ask(lake.root, means) == [("2019-03-01", 480, 1100.0)]
    assert ask(lake.root, "select count(*) from exposures where day = '2019-03-02'") == [(0,)]
    assert not publish(lake).changed


def test_decisions_are_published_at_once(lake: Lake) -> None:
    trial = store_run(lake, "BORN/BIAS01/100", 9, is_trial=True)
    publish(lake)
    store_override(lake, 10, kind="adopt", block="BORN", test="BIAS01", run_id=trial)
    assert publish(lake).n_runs_added == 0
    assert ask(lake.root, "select run_id from runs where is_current and block = 'BORN'") == [(trial,)]


def test_vanished_run_makes_it_new(lake: Lake) -> None:
    extra = store_run(lake, "BORN/BIAS01/100", 3)
    publish(lake)
    shutil.rmtree(lake.runs / extra)
    done = publish(lake)
    assert (done.rebuilt, done.n_runs_added, n_runs(lake)) == (True, 2, 2)


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000])
def test_unreadable_snapshot_is_made_new(lake: Lake, content: bytes) -> None:
    lake.database.chmod(0o644)
    lake.database.write_bytes(content)
    assert publish(lake).rebuilt
    assert n_runs(lake) == 2


def test_truncated_snapshot_is_made_new(lake: Lake) -> None:
    lake.database.chmod(0o644)
    with lake.database.open("r+b") as file:
        file.truncate(lake.database.stat().st_size // 2)
    assert publish(lake).rebuilt
    assert n_runs(lake) == 2


def test_what_a_client_wrote_does_not_stay(lake: Lake) -> None:
    lake.database.chmod(0o644)
    with duckdb.connect(str(lake.database)) as client:
        client.execute("delete from history.runs")
        client.execute("create table scratch as select 1 as x")
    done = publish(lake)
    assert (done.rebuilt, n_runs(lake)) == (True, 2)
    assert ask(lake.root, "select count(*) from duckdb_tables() where table_name = 'scratch'") == [(0,)]
    assert stat.S_IMODE(lake.database.stat().st_mode) == 0o444


def test_another_layout_makes_it_new(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "mark", lambda: "that of another version")
    assert publish(lake).rebuilt
    assert not publish(lake).changed


def test_full_makes_it_new(lake: Lake) -> None:
    assert publish(lake, full=True).rebuilt


def test_leftovers_of_a_killed_publisher_go(lake: Lake) -> None:
    for name in ("results.duckdb.draft", "results.duckdb.draft.wal", "results.duckdb.wal"):
        (lake.root / name).write_bytes(b"left behind")
    assert not publish(lake).changed
    assert sorted(p.name for p in lake.root.glob("*duckdb*")) == [".results.duckdb.lock", "results.duckdb"]


def test_run_being_written_is_not_seen(lake: Lake) -> None:
    shutil.copytree(next(lake.runs.iterdir()), lake.runs / ".tmp-20260101T000000-00000000")
    (lake.runs / "20260101T000001-00000000").mkdir()
    done = publish(lake)
    assert (done.n_runs_added, done.changed) == (0, False)


def test_broken_run_is_named_and_the_rest_is_in(lake: Lake) -> None:
    bad = store_run(lake, "BORN/BIAS01/100", 5)
    odd = store_run(lake, "BORN/BIAS01/100", 6)
    file = lake.runs / bad / "offsets.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    (lake.runs / odd / "run.json").write_text("[1, 2]")
    done = publish(lake)
    assert done.n_runs_added == 0
    assert [problem.split(":")[0] for problem in done.problems] == [f"run {bad}", f"run {odd}"]
    assert "offsets.parquet" in done.problems[0]
    assert ask(lake.root, f"select count(*) from history.readout_noise where run_id = '{bad}'") == [(0,)]
    again = publish(lake)
    assert (again.changed, again.problems) == (False, done.problems)
    file.write_bytes(whole)
    assert publish(lake, full=True).n_runs_added == 3


def test_broken_part_is_named_and_read_again_when_it_changes(lake: Lake) -> None:
    file = next((lake.root / "quadrant_stats/block=BORN/day=2019-03-02").glob("part-*"))
    whole = file.read_bytes()
    file.write_bytes(b"PAR1 no more")
    done = publish(lake)
    assert len(done.problems) == 1
    assert "quadrant_stats/block=BORN/day=2019-03-02" in done.problems[0]
    assert ask(lake.root, "select count(*) from quadrant_stats where block = 'BORN'") == [(480,)]
    assert not publish(lake).changed
    file.write_bytes(whole)
    assert publish(lake).problems == ()
    assert ask(lake.root, "select count(*) from quadrant_stats where block = 'BORN'") == [(624,)]


def test_files_of_other_versions_are_read(lake: Lake) -> None:
    run_id = store_run(lake, "BORN/BIAS01/100", 7)
    file = lake.runs / run_id / "offsets.parquet"
    old = pl.read_parquet(file).drop("drift_adu_per_h").with_columns(pl.col("n_frames").cast(pl.Int16), later=pl.lit(1))
    old.write_parquet(file)
    assert publish(lake).problems == ()
    query = (
        f"select any_value(n_frames), count(drift_adu_per_h), count(*) from history.offsets where run_id = '{run_id}'"
    )
    assert ask(lake.root, query) == [(10, 0, 48)]


def test_large_tables_are_views_that_follow_the_lake(lake: Lake, tmp_path: Path) -> None:
    assert ask(lake.root, "select count(*), max(mean_adu) from pair_tiles") == [(0, None)]
    tiles = fill("pair_tiles", [{"tile": i, "mean_adu": float(i)} for i in range(4)], block="BORN", test="PTC01",
                 acquisition="BORN/PTC01/1", obsid_1=1, obsid_2=2, ccd="CCD1", quadrant="E")  # fmt: skip
    write_part(lake, "pair_tiles", {"block": "BORN", "test": "PTC01"}, "000000", tiles)
    assert publish(lake).changed
    query = "select count(*), max(mean_adu), any_value(test) from pair_tiles where block = 'BORN'"
    assert ask(lake.root, query) == [(4, 3.0, "PTC01")]
    write_part(lake, "pair_tiles", {"block": "BORN", "test": "PTC01"}, "000100", tiles.with_columns(obsid_1=pl.lit(3)))
    assert ask(lake.root, "select count(*) from pair_tiles") == [(8,)]
    assert not publish(lake).changed
    moved = tmp_path / "with=sign" / "lake"
    moved.parent.mkdir()
    lake.root.rename(moved)
    done = publish(moved)
    assert (done.changed, done.rebuilt) == (True, False)
    assert ask(moved, query) == [(8, 3.0, "PTC01")]


def test_snapshot_knows_when_it_is_behind(lake: Lake) -> None:
    assert behind(lake) is None
    store_run(lake, "BORN/BIAS01/100", 4)
    store_override(lake, 5, kind="exclude", block="BORN", obsid_first=100, obsid_last=100)
    note = behind(lake)
    assert note is not None
    assert "1 runs are not in; overrides changed" in note
    publish(lake)
    assert behind(lake) is None


def test_no_lake_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="is no lake"):
        publish(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_time_of_change_is_a_whole_second(lake: Lake) -> None:
    mtime_ns = lake.database.stat().st_mtime_ns
    assert mtime_ns % 10**9 == 0
    assert abs(time.time() - mtime_ns / 1e9) < 60
    os.utime(lake.database)
    assert publish(lake).rebuilt
