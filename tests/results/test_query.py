"""Ad-hoc questions: answers in plain types, mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.results.fake_lake import fill
from vison_etl.lake.parts import write_part
from vison_etl.lake.paths import Lake
from vison_etl.results.connect import ResultsError
from vison_etl.results.publish import publish
from vison_etl.results.query import QueryError, run_sql


def test_answer_in_the_types_of_the_lake(template: Lake) -> None:
    query = (
        "select count(*) as n, sum(obsid_first) as total, 1.5 as part, 'nan'::double as nothing, 170141183460469231731::hugeint as big,"
        " max(started_at) as last, 'x'::enum('x', 'y') as word from runs"
    )
    frame = run_sql(template, query)
    assert frame.schema == {
        "n": pl.Int64, "total": pl.Int64, "part": pl.Float64, "nothing": pl.Float64, "big": pl.Float64,
        "last": pl.Datetime("us"), "word": pl.String,
    }  # fmt: skip
    assert frame.row(0)[:4] == (2, 600, 1.5, None)


def test_parameters(template: Lake) -> None:
    query = "select test from runs where block = $block"
    assert run_sql(template, query, params={"block": "NIELS"}).rows() == [("PTC01",)]
    with pytest.raises(QueryError, match="block"):
        run_sql(template, query)


@pytest.mark.parametrize(
    "statement",
    [
        "from gain",
        "explain from gain",
        "describe gain",
        "show tables",
        "pragma table_info('gain')",
        "pivot gain on model using count(*)",
    ],
)
def test_reading_statements(template: Lake, statement: str) -> None:
    assert run_sql(template, statement).height > 0


@pytest.mark.parametrize(
    "statement",
    [
        "drop table history.gain",
        "copy gain to 'x.csv'",
        "attach 'x.db'",
        "set threads = 1",
        "create table memory.x (i int)",
        "delete from history.runs",
    ],
)
def test_anything_else_is_refused(template: Lake, statement: str) -> None:
    with pytest.raises(QueryError, match="read-only"):
        run_sql(template, statement)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from gian", "no table gian; nearest: gain"),
        ("from every.gan", "nearest: gain"),
        ("from zzzzzz", "see dictionary"),
        ("select ron from readout_noise", "ron"),
        ("selec 1", "syntax error"),
        ("select 1; select 2", "2 SQL statements"),
        ("-- nothing", "0 SQL statements"),
        ("copy (select 1) to 'x.csv'", "read-only"),
        ("attach 'x.duckdb'", "read-only"),
    ],
)
def test_mistakes_in_one_line(template: Lake, text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        run_sql(template, text)
    assert "\n" not in str(caught.value)


def test_other_files_can_be_joined(template: Lake, tmp_path: Path) -> None:
    pl.DataFrame({"block": ["BORN"], "mine": [1.5]}).write_parquet(tmp_path / "mine.parquet")
    found = run_sql(template, f"select distinct mine from runs join '{tmp_path}/mine.parquet' using (block)")
    assert found["mine"].to_list() == [1.5]


def test_no_results_yet(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="vison-etl publish"):
        run_sql(tmp_path, "select 1")


def test_lake_tables_are_visible(lake: Lake) -> None:
    readings = [{"obsid": 100, "key": "R1C1_TT", "reading": i, "value": float(i)} for i in range(3)]
    day = {"block": "BORN", "day": "2019-03-01"}
    write_part(lake, "housekeeping", day, "000100", fill("housekeeping", readings, **day))
    publish(lake)
    assert run_sql(lake, "select sum(value) from housekeeping where block = 'BORN'").rows() == [(3.0,)]
