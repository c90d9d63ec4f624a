"""Mistakes of a user: one line that names what is at fault and the remedy."""

from __future__ import annotations

import os

import pytest

from tests.cli.command import assert_refused, deny

WITHOUT_LAKE = [
    (["--bogus"], ["--bogus", "vison-etl --help"]),
    (["statsu"], ["statsu", "Did you mean 'status'?"]),
    (["sql"], ["QUERY_OR_FILE", "vison-etl sql --help"]),
    (["sql", "select 1", "--formt", "csv"], ["--formt", "--format"]),
    (["analyse"], ["--test", "vison-etl analyse --help"]),
    (["ingest"], ["DAYFOLDER"]),
    (["forget", "--block", "BORN"], ["--day"]),
    (["adopt", "BORN/BIAS01/17001"], ["--reason"]),
    (["status", "extra"], ["extra"]),
    (["analyse", "--test", "BIAS01", "--jobs", "0"], ["--jobs", "greater than or equal to 1"]),
    (["analyse", "--test", "BIAS01", "--jobs", "two"], ["--jobs", "integer"]),
]

WITH_LAKE = [
    (["analyse", "--test", "BIAS0"], ["BIAS0", "nearest", "BIAS01"]),
    (["check", "--test", "BIAS1"], ["BIAS1", "BIAS01"]),
    (["report", "--test", "BIAS1"], ["BIAS1", "BIAS01"]),
    (["analyse", "--test", "BIAS01", "--block", "BRN"], ["BRN", "nearest", "BORN"]),
    (["status", "--block", "BRN"], ["BRN", "BORN"]),
    (["check", "--block", "BRN"], ["BRN", "BORN"]),
    (["report", "--block", "BRN"], ["BRN", "BORN"]),
    (["status", "--campaign", "Ful"], ["Ful", "nearest: Full"]),
    (["analyse", "--test", "BIAS01", "--scheduler", "nonsense"], ["--scheduler nonsense", "HOST:PORT"]),
    (["analyse", "--test", "BIAS01", "--scheduler", "foo://host:1"], ["--scheduler foo://host:1", "tcp://host:8786"]),
    (["analyse", "--test", "BIAS01", "--obsids", "x"], ["--obsids x", "FIRST:LAST"]),
    (["analyse", "--test", "BIAS01", "--obsids", "5:3"], ["--obsids 5:3", "write 3:5"]),
    (["analyse", "--test", "BIAS01", "--obsids", "0:99999999999"], ["--obsids", "2147483647"]),
    (["analyse", "--test", "BIAS01", "--set", "nokey=1"], ["--set nokey", "known: master.clip_sigma"]),
    (["analyse", "--test", "BIAS01", "--set", "nokey"], ["--set nokey", "KEY=VALUE"]),
    (["analyse", "--test", "BIAS01", "--set", "master.clip_sigma=wide"], ["--set master.clip_sigma=wide", "float"]),
    (["analyse", "--test", "BIAS01", "--set", "gain=nosuch"], ["--set gain=nosuch", "no such run"]),
    (["adopt", "nosuch", "--reason", "x"], ["nosuch", "neither a run nor an acquisition"]),
    (["adopt", "BORN/BIAS01/17009", "--reason", "x"], ["BORN/BIAS01/17009", "nearest: BORN/BIAS01/17001"]),
    (["adopt", "BORN/BIAS01/17001", "--reason", " "], ["--reason", "say why"]),
    (["exclude", "--block", "BORN", "--obsids", "1:2", "--reason", "x"], ["BORN", "from 1 to 2"]),
    (["exclude", "--block", "BRN", "--obsids", "17001", "--reason", "x"], ["BRN", "blocks: BORN"]),
    (["exclude", "--block", "BORN", "--obsids", "17001", "--ccd", "CCD4", "--reason", "x"], ["--ccd CCD4", "CCD1"]),
    (["exclude", "--block", "BORN", "--obsids", "17001", "--quadrant", "Z", "--reason", "x"], ["--quadrant Z", "E, F"]),
    (["forget", "--block", "BRN", "--day", "2019-03-12"], ["BRN", "blocks: BORN"]),
    (["forget", "--block", "BORN", "--day", "2019-03-13"], ["2019-03-13", "days of BORN: 2019-03-12"]),
    (["forget", "--block", "BORN", "--day", "../.."], ["day '../..'"]),
    (["forget", "--block", "../x", "--day", "2019-03-12"], ["--block '../X'"]),
    (["relocate", "/nowhere", "/nowhere/new"], ["/nowhere/new", "move the raw data first"]),
    (["metatest", "gian"], ["gian", "did you mean gain?"]),
    (["fpa", "summary", "--format", "xml"], ["--format xml", "table, csv, json"]),
]


@pytest.mark.parametrize(("words", "told"), WITHOUT_LAKE, ids=" ".join)
def test_misused_command(cli, words, told):
    assert_refused(cli(*words), *told)


@pytest.mark.parametrize(("words", "told"), WITH_LAKE, ids=" ".join)
def test_misused_option(cli, lake, words, told):
    assert_refused(cli(*words, "--lake", lake), *told)


def test_relocate_from_where_nothing_is(cli, lake, tmp_path):
    assert_refused(cli("relocate", "/nowhere", tmp_path, "--lake", lake), "/nowhere", "the day folders are")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--block", "BRN", "--test", "BIAS01"], ["BRN", "did you mean BORN"]),
        (["--block", "BORN", "--test", "BIAS1"], ["BIAS1", "BIAS01"]),
        (["--block", "BORN", "--test", "BIAS01", "--size", "smal"], ["--size smal", "did you mean small?"]),
        (["--block", "BORN", "--test", "BIAS01", "--chamber", "zz"], ["zz", "nearest"]),
        (["--block", "BORN", "--test", "BIAS01", "--seed", "-1"], ["--seed"]),
    ],
    ids=" ".join,
)
def test_misused_simulate(cli, tmp_path, words, told):
    assert_refused(cli("simulate", tmp_path / "new", *words), *told)
    assert not (tmp_path / "new").exists()


READING = ["status", "check", "report", "metatest gain", "fpa summary", "sql from\tgain"]
CHANGING = ["analyse --test all", "publish", "forget --block B --day 2019-03-12", "adopt x --reason x"]


@pytest.mark.parametrize("command", [*READING, *CHANGING])
def test_lake_that_is_none(cli, tmp_path, command):
    assert_refused(cli(*command.split(" "), "--lake", tmp_path / "none"), f"{tmp_path / 'none'}", "no such", "--lake")
    file = tmp_path / "file"
    file.write_text("no lake", encoding="utf-8")
    assert_refused(cli(*command.split(" "), "--lake", file), f"{file} is a file", "--lake")


def test_the_lake_of_the_environment_is_named(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("VISON_ETL_LAKE", str(tmp_path / "none"))
    assert_refused(cli("status"), f"{tmp_path / 'none'}", "$VISON_ETL_LAKE")


@pytest.mark.parametrize("command", CHANGING)
def test_lake_that_cannot_be_written(cli, lake, monkeypatch, command):
    deny(monkeypatch, lake, os.W_OK)
    assert_refused(cli(*command.split(" "), "--lake", lake), f"{lake}: no permission to write")


def test_lake_that_cannot_be_read(cli, lake, monkeypatch):
    deny(monkeypatch, lake, os.R_OK)
    assert_refused(cli("status", "--lake", lake), f"{lake}", "not readable", "--lake")


def test_empty_lake(cli, tmp_path):
    for command in ("status", "check", "analyse --test all"):
        assert_refused(cli(*command.split(), "--lake", tmp_path), f"{tmp_path}", "vison-etl ingest DAYFOLDER")


@pytest.mark.parametrize("command", ["sql from\tgain", "report", "metatest gain"])
def test_nothing_published(cli, tmp_path, command):
    done = cli(*command.split(" "), "--lake", tmp_path)
    assert_refused(done, f"{tmp_path / 'results.duckdb'}", f"vison-etl publish --lake {tmp_path}")


@pytest.mark.parametrize("command", ["sql from\tgain", "status", "check", "doctor"])
def test_answer_that_cannot_be_written(cli, lake, tmp_path, monkeypatch, command):
    def ask(*more):
        return cli(*command.split(" "), "--lake", lake, *more)

    assert_refused(ask("--out", tmp_path), f"--out {tmp_path} is a folder")
    assert_refused(ask("--out", tmp_path / "a" / "b.csv"), f"no folder {tmp_path / 'a'}")
    assert_refused(ask("--format", "yaml"), "--format yaml", "table, csv, json, parquet, xlsx")
    assert_refused(ask("--format", "parquet"), "--format parquet needs --out FILE")
    deny(monkeypatch, tmp_path, os.W_OK)
    assert_refused(ask("--out", tmp_path / "b.csv"), f"--out {tmp_path / 'b.csv'}: no permission")


def test_folder_that_cannot_be_made(cli, lake, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    for words in (["report", "--lake", lake], ["fpa", "summary", "--lake", lake], ["demo"]):
        assert_refused(cli(*words, "--out", file / "new"), f"--out {file / 'new'}", f"{file} is a file")
    simulate = ("simulate", file, "--block", "BORN", "--test", "BIAS01")
    assert_refused(cli(*simulate), f"OUT {file}", "is a file")
    deny(monkeypatch, tmp_path, os.W_OK)
    assert_refused(cli("report", "--lake", lake, "--out", tmp_path / "new"), f"no permission to write in {tmp_path}")
