"""Ad-hoc SQL: what may be asked, what is refused, and the forms of the answer."""

from __future__ import annotations

import csv
import io
import json

import polars as pl
import pytest
from openpyxl import load_workbook

from tests.cli.command import assert_refused

VALUES = (
    "select * from (values (1, 'Ωé, \"q\"', 0.1::double, true), (null, null, null, null), (-9007199254740993, '', 1e-300, false))"
    " v(whole, word, part, yes)"
)
ROWS = [(1, 'Ωé, "q"', 0.1, True), (None, None, None, None), (-9007199254740993, "", 1e-300, False)]


@pytest.fixture
def ask(cli, lake):
    """Return a function that asks the lake."""
    return lambda *words: cli("sql", "--lake", lake, *words)


def test_json(ask):
    done = ask(VALUES, "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert [tuple(row.values()) for row in json.loads(done.out)] == ROWS


def test_csv(ask):
    done = ask(VALUES, "--format", "csv")
    assert (done.code, done.err) == (0, "")
    header, *rows = csv.reader(io.StringIO(done.out))
    assert header == ["whole", "word", "part", "yes"]
    assert rows[0] == ["1", 'Ωé, "q"', "0.1", "true"]
    assert rows[1] == ["", "", "", ""]
    assert int(rows[2][0]) == ROWS[2][0]
    assert float(rows[2][2]) == ROWS[2][2]


def test_csv_tells_null_from_empty(ask):
    lines = ask(VALUES, "--format", "csv").out.splitlines()
    assert lines[2] == ",,,"
    assert lines[3].split(",")[1] == '""'


def test_parquet(ask, tmp_path):
    done = ask(VALUES, "--out", tmp_path / "a.parquet")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"3 rows written to {tmp_path / 'a.parquet'}\n"
    assert pl.read_parquet(tmp_path / "a.parquet").rows() == ROWS


def test_xlsx(ask, tmp_path):
    assert ask(VALUES, "--out", tmp_path / "a.xlsx").code == 0
    rows = list(load_workbook(tmp_path / "a.xlsx").active.iter_rows(values_only=True))
    assert rows[0] == ("whole", "word", "part", "yes")
    assert rows[1] == ROWS[0]
    assert rows[2] == ROWS[1]


def test_table(ask):
    done = ask(VALUES)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["whole", "word", "part", "yes"]
    assert lines[1].split() == ["1", "Ωé,", '"q"', "0.1", "True"]
    assert lines[2] == ""
    assert lines[3].split() == ["-9007199254740993", "1e-300", "False"]


@pytest.mark.parametrize("form", ["CSV", "Json", "TABLE"])
def test_forms_in_capitals(ask, form):
    assert ask("select 1 as a", "--format", form).out == ask("select 1 as a", "--format", form.lower()).out


def test_file_and_stdin(ask, tmp_path, monkeypatch):
    file = tmp_path / "ask.sql"
    file.write_text("-- A question.\nselect 41 + 1 as answer;\n", encoding="utf-8")
    assert ask(file, "--format", "csv").out == "answer\n42\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("select 7 as answer"))
    assert ask("-", "--format", "csv").out == "answer\n7\n"


def test_text_that_begins_with_a_comment(cli, ask, lake):
    text = "-- How many?\nselect 42 as answer"
    assert ask(text, "--format", "csv").out == "answer\n42\n"
    assert cli("sql", text, "--format", "csv", "--lake", lake).out == "answer\n42\n"
    assert ask("--format", "csv", "--", text).out == "answer\n42\n"
    assert_refused(ask("-- x"), "0 SQL statements: give one")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("selec 1", ["SQL line 1", 'syntax error at or near "selec"', "dictionary"]),
        ("select 1 +\n\nfrom (", ["SQL line 3", "syntax error"]),
        ("from gian", ["no table gian", "nearest: gain"]),
        ("select gian from gain", ['"gian"', "gain_e_per_adu"]),
        ("select 1; select 2", ["2 SQL statements", "give one"]),
        ("/* nothing */", ["0 SQL statements"]),
        (" ", ["the query is empty"]),
        ("drop table gain", ["read-only", "use select"]),
        ("none.sql", ["none.sql: no such file"]),
        ("from read_csv('/none.csv')", ["/none.csv"]),
        ("select 1 / 'x'::int", ["x"]),
    ],
)
def test_questions_refused(ask, text, told):
    assert_refused(ask(text), *told)


def test_files_refused(ask, tmp_path):
    assert_refused(ask(tmp_path), f"{tmp_path} is a folder")
    file = tmp_path / "bad.sql"
    file.write_text("select 1,\n  2 from\nwhere", encoding="utf-8")
    assert_refused(ask(file), f"{file} line 3", "syntax error")
    file.write_bytes(b"\xff\xfe\x00")
    assert_refused(ask(file), f"{file}: no text in UTF-8")


def test_nobody_can_change_results(ask):
    for text in (
        "insert into history.runs select * from history.runs",
        "copy (select 1) to '/tmp/x.csv'",
        "detach results",
    ):
        assert_refused(ask(text), "read-only")
