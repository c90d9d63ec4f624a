"""Tables on a terminal of 80 columns, the same rows in every form, and what a terminal would obey."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.command import assert_refused

HOSTILE = "'a' || chr(27) || ']0;title' || chr(7) || chr(155) || '2J' || chr(13) || chr(10) || chr(8238)"


def lines_of(done, columns=80):
    lines = done.out.splitlines()
    assert lines
    assert max(map(len, lines)) <= columns, lines
    return lines


@pytest.mark.parametrize("command", ["status", "doctor", "fpa summary", "metatest gain", "sql from\truns"])
def test_tables_fit(cli, lake, terminal, command):
    terminal(80)
    lines_of(cli(*command.split(" "), "--lake", lake))


def test_a_table_that_is_too_wide_becomes_records(cli, lake, terminal):
    everything = "from runs"
    names = list(json.loads(cli("sql", everything, "--lake", lake, "--format", "json").out)[0])
    assert len(cli("sql", everything, "--lake", lake).out.splitlines()) == 2
    terminal(80)
    lines = lines_of(cli("sql", everything, "--lake", lake))
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == names


def test_an_empty_table_that_is_too_wide_shows_its_names(cli, lake, terminal):
    terminal(80)
    lines = lines_of(cli("sql", "from gain", "--lake", lake))
    assert " ".join(lines).split()[:2] == ["run_id", "block"]


def test_a_table_that_is_a_little_too_wide_stays_one(cli, lake, terminal):
    terminal(80)
    query = "select block, test, ccd, quadrant, region, ron_adu, ron_adu_err, ron_white_adu from readout_noise limit 5"
    lines = lines_of(cli("sql", query, "--lake", lake))
    assert lines[-1].split()[:2] == ["BORN", "BIAS01"]
    assert len([line for line in lines if line.startswith("BORN")]) == 5


def test_status(cli, lake, terminal):
    terminal(80)
    lines = lines_of(cli("status", "--lake", lake))
    assert lines[0].split() == ["block", "test", "state", "frames", "outside", "flags", "why"]
    bias = next(line for line in lines if "BIAS01" in line)
    assert bias.split()[:6] == ["BORN", "BIAS01", "analysed", "10", "of", "10"]
    assert "NO_GAIN" in bias


@pytest.mark.parametrize("command", ["status", "check"])
def test_forms_hold_the_same_rows(cli, lake, tmp_path, command):
    def ask(*words):
        return cli(command, "--lake", lake, *words)

    rows = json.loads(ask("--format", "json").out)
    as_csv = ask("--format", "csv").out.splitlines()
    assert len(as_csv) == len(rows) + 1
    if rows:
        assert as_csv[0].split(",") == list(rows[0])
    shown = ask().out.splitlines()
    assert len(shown) == (len(rows) + 1 if rows else 0)
    assert ask("--out", tmp_path / "answer.json").code == 0
    assert json.loads((tmp_path / "answer.json").read_text(encoding="utf-8")) == rows


def test_results_older_than_the_lake(cli, own_lake):
    assert cli("publish", "--lake", own_lake).code == 0
    shutil.rmtree(next((own_lake / "runs").iterdir()))
    for command in ("sql select\t1", "check", "fpa summary"):
        done = cli(*command.split(" "), "--lake", own_lake)
        assert "note: the results are older than the lake (1 runs are gone): run `vison-etl publish`\n" in done.err
        assert "note" not in done.out
    assert cli("publish", "--lake", own_lake).code == 0
    assert cli("sql", "select 1", "--lake", own_lake).err == ""


@pytest.mark.parametrize("columns", [80, 20, None])
def test_escapes_in_data_are_shown(cli, lake, terminal, columns):
    if columns:
        terminal(columns)
    out = cli("sql", f'select {HOSTILE} as "x\x1b[1m"', "--lake", lake).out
    assert all(c.isprintable() or c == "\n" for c in out), out
    assert "\\x1b" in out


def test_escapes_in_names_of_files_and_arguments_are_shown(cli, lake, tmp_path):
    evil = "a\x1b[31m\nb"
    assert_refused(cli("ingest", tmp_path / evil, "--lake", tmp_path / "new"), "a\\x1b[31m")
    assert_refused(cli("sql", f"from '{evil}'", "--lake", lake), "\\x1b[31m")
    assert_refused(cli("status", "--lake", tmp_path / evil), "\\x1b[31m")
    assert_refused(cli("status", "--lake", lake, "--block", evil), "\\x1b[31m")
    assert_refused(cli(f"--{evil}"), "\\x1b[31m")
    assert_refused(cli(evil), "\\x1b[31m")


def test_escapes_in_a_day_folder_are_shown(cli, day, tmp_path):
    folder = tmp_path / "12_Mar_19"
    folder.mkdir()
    log = next(day.glob("EXP_LOG*"))
    (folder / log.name).write_bytes(log.read_bytes().replace(b"BIAS01", b"B\x1b[31m", 6))
    (folder / "EUC_17001_\x1b[31m_ROE1_CCD1.fits").symlink_to(next(day.glob("EUC_*")))
    lake = ("--lake", tmp_path / "new")
    done = cli("ingest", folder, *lake)
    assert done.code == 1
    assert "3 x log row: bad_row" in done.err
    assert cli("publish", *lake).code == 0
    shown = cli("sql", "select path, detail from rejects", *lake)
    assert "EUC_17001_\\x1b[31m_ROE1_CCD1.fits" in shown.out
    for text in (done.err, done.out, shown.out):
        assert all(c.isprintable() or c == "\n" for c in text)
