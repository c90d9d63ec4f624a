"""What a script that calls the commands can rely on: 0 done, 1 something rejected or found, 2 nothing usable."""

from __future__ import annotations

import shutil

import duckdb
import pytest

from tests.cli.command import assert_refused


@pytest.fixture
def own_day(day, tmp_path):
    """Return a copy of the day folder, to damage."""
    return shutil.copytree(day, tmp_path / day.name)


def ingest(cli, *words):
    return cli("ingest", *words)


def test_ingest(cli, own_day, tmp_path):
    lake = ("--lake", tmp_path / "new")
    planned = ingest(cli, own_day, *lake, "--dry-run")
    assert (planned.code, planned.out) == (0, "")
    assert "nothing was written" in planned.err
    assert not (tmp_path / "new").exists()
    victim = min(own_day.glob("EUC_*CCD1.fits"))
    frame = victim.read_bytes()
    victim.unlink()
    assert ingest(cli, own_day, *lake).code == 1
    assert "1 x log row: missing" in ingest(cli, own_day, *lake).err
    victim.write_bytes(frame)
    assert ingest(cli, own_day, *lake).code == 0
    assert "30 unchanged, 0 rejected" in ingest(cli, own_day, *lake).err


def test_ingest_of_nothing(cli, day, tmp_path):
    lake = ("--lake", tmp_path / "new")
    empty = tmp_path / "12_Mar_19"
    empty.mkdir()
    assert_refused(ingest(cli, empty, *lake), f"{empty}: no exposure log")
    shutil.copy(next(day.glob("EUC_*")), empty)
    assert_refused(ingest(cli, empty, *lake), f"{empty}: no exposure log")
    assert_refused(ingest(cli, tmp_path / "none", *lake), f"{tmp_path / 'none'}: no such folder")
    log = next(day.glob("EXP_LOG*"))
    assert_refused(ingest(cli, log, *lake), f"{log} is a file; name the day folder")
    assert_refused(ingest(cli, day, *lake, "--block", "../x"), "--block ../x")
    assert_refused(ingest(cli, day, *lake, "--chamber", "zz"), "--chamber zz", "nearest")
    assert_refused(ingest(cli, day, *lake, "--scheduler", "host"), "--scheduler host", "HOST:PORT")
    assert_refused(ingest(cli, day, "--lake", day / "lake"), "inside the day folder", "--lake")
    assert not (tmp_path / "new").exists()


def test_ingest_of_a_log_that_is_none(cli, tmp_path):
    (tmp_path / "EXP_LOG_120319.txt").write_bytes(b"\x00\x1b[31m\xff" * 100)
    done = ingest(cli, tmp_path, "--lake", tmp_path.parent / f"{tmp_path.name}-lake")
    assert done.code == 2
    assert "log file" in done.err
    assert "\x1b" not in done.err


def test_analyse(cli, own_lake):
    def analyse(*words):
        return cli("analyse", "--test", "BIAS01", "--lake", own_lake, *words)

    assert analyse().err == "BORN BIAS01: up to date\n"
    assert analyse().code == 0
    assert analyse("--obsids", "1:2").code == 1
    assert "--force" in analyse("--force", "--dry-run").err
    forced = analyse("--force")
    assert (forced.code, forced.out) == (0, "")
    assert "stored as" in forced.err


def test_a_test_that_nobody_acquired_is_skipped(cli, lake):
    done = cli("analyse", "--test", "BIAS02", "--dry-run", "--lake", lake)
    assert (done.code, done.out) == (1, "")
    assert "BIAS02: skipped; no block of the lake" in done.err


def test_check(cli, lake, tmp_path):
    found = cli("check", "--lake", lake)
    assert (found.code, found.out) == (0, "")
    assert found.err.startswith("0 of ")
    copy = tmp_path / "worse.duckdb"
    shutil.copy(lake / "results.duckdb", copy)
    copy.chmod(0o644)
    with duckdb.connect(copy) as connection:
        connection.execute("update history.compliance set pass = false, value = 2 * hi where ccd = 'CCD2' and lo < hi")
    worse = cli("check", "--lake", lake, "--db", copy)
    assert worse.code == 1
    assert worse.out.splitlines()[0].split()[:3] == ["block", "test", "rule"]
    assert f"{len(worse.out.splitlines()) - 1} of " in worse.err
    assert cli("check", "--lake", lake, "--db", copy, "--test", "PTC01").code == 0


def test_decisions(cli, own_lake):
    lake = ("--lake", own_lake)
    assert cli("adopt", "born/bias01/17001", "--reason", "the good one", *lake).code == 0
    assert (
        cli("exclude", "--block", "born", "--obsids", "17001:17002", "--ccd", "ccd1", "--reason", "x", *lake).code == 0
    )
    assert "stale" in cli("status", *lake).out
    assert cli("publish", *lake).code == 0
    assert cli("forget", "--block", "BORN", "--day", "2019-03-12", *lake).code == 0
    assert_refused(cli("forget", "--block", "BORN", "--day", "2019-03-12", *lake), "nothing of block BORN")


@pytest.mark.parametrize("command", ["status", "doctor", "publish", "metatest", "fpa", "metatest gain", "fpa summary"])
def test_others_end_well(cli, own_lake, command):
    words = command.split()
    lake = [] if words in (["metatest"], ["fpa"]) else ["--lake", own_lake]
    assert cli(*words, *lake).code == 0


def test_report(cli, lake, tmp_path):
    done = cli("report", "--lake", lake, "--out", tmp_path / "pages")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "pages" / "index.html").is_file()
