"""Damaged files in a lake: named in one line, with the remedy; the rest of the lake stays usable."""

from __future__ import annotations

import os

import pytest

from tests.cli.command import assert_refused


def spoil(path, keep):
    """Cut a file after ``keep`` bytes and go on with others."""
    data = path.read_bytes()[:keep] + b"garbage"
    path.unlink()
    path.write_bytes(data)
    return path


def part_of(lake, table):
    return next((lake / table).rglob("*.parquet"))


def test_part_of_the_exposures(cli, own_lake, day):
    lake = ("--lake", own_lake)
    part = spoil(part_of(own_lake, "exposures"), 100)
    remedy = "run `vison-etl forget --block BORN --day 2019-03-12`"
    status = cli("status", *lake)
    assert status.code == 0
    assert f"{part}: cannot be read" in status.out
    assert remedy in status.out
    analysed = cli("analyse", "--test", "all", *lake)
    assert analysed.code == 1
    assert remedy in analysed.err
    assert_refused(cli("ingest", day, *lake), f"{part}: cannot be read", remedy)
    assert cli("doctor", *lake).out.count("\nbad ") == 1
    assert cli("forget", "--block", "BORN", "--day", "2019-03-12", *lake).code == 0
    assert cli("ingest", day, *lake).code == 0


def test_part_of_a_large_table(cli, own_lake):
    assert cli("publish", "--lake", own_lake).code == 0
    part = spoil(part_of(own_lake, "profiles"), 100)
    done = cli("sql", "select sum(value_adu) from profiles", "--lake", own_lake)
    assert_refused(done, f"{part}", "vison-etl doctor")


@pytest.mark.parametrize("keep", [0, 100_000])
def test_results(cli, own_lake, keep):
    database = spoil(own_lake / "results.duckdb", keep)
    for command in ("sql from\tgain", "check", "fpa summary", "report"):
        done = cli(*command.split(" "), "--lake", own_lake)
        assert_refused(done, f"{database} cannot be read", "run `vison-etl publish --full`")
    assert cli("status", "--lake", own_lake).code == 0
    assert cli("publish", "--lake", own_lake).code == 0
    assert cli("sql", "select 1", "--lake", own_lake).code == 0


def test_run(cli, own_lake):
    run = next((own_lake / "runs").iterdir()) / "run.json"
    run.write_text("{", encoding="utf-8")
    done = cli("status", "--lake", own_lake)
    assert done.code == 0
    assert f"{run}: cannot be read" in done.out
    assert "move that run folder away" in done.out
    assert cli("analyse", "--test", "all", "--lake", own_lake).code == 1


def test_snapshot_that_cannot_be_replaced(cli, own_lake, monkeypatch):
    def refuse(*names, **more):
        raise PermissionError(13, "Permission denied", str(names[-1]))

    monkeypatch.setattr(os, "replace", refuse)
    assert_refused(cli("publish", "--full", "--lake", own_lake), "ermission denied")


def test_an_error_of_our_own_is_kept_for_a_report(cli, lake, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ZeroDivisionError("no\nway")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("vison_etl.pipeline.status.status_table", fail)
    done = cli("status", "--lake", lake)
    assert done.code == 2
    (details,) = tmp_path.glob("vison-etl-error-*.txt")
    assert (
        done.err == f"vison-etl: internal error, ZeroDivisionError: no way; details in {details}, please report them\n"
    )
    assert "Traceback" in details.read_text(encoding="utf-8")
