"""Opening the results from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import vison_etl
from tests.results.fake_lake import ask
from vison_etl.lake.paths import Lake
from vison_etl.results.connect import ResultsError
from vison_etl.results.location import database_path, lake_root


def test_importing_the_package_is_light() -> None:
    program = "import sys, vison_etl; print([m for m in ('numpy', 'polars', 'duckdb', 'pyarrow', 'scipy') if m in sys.modules], vison_etl.__version__)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.startswith("[] ")
    with pytest.raises(AttributeError, match="no attribute"):
        _ = vison_etl.nothing_of_the_kind


def test_connection_is_read_only(template: Lake) -> None:
    with vison_etl.connect(template.root) as connection:
        assert connection.sql("select count(*) from gain").fetchall() == [(24,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("create table mine (x int)")
        connection.execute("create table memory.mine as select 1 as x")
        assert connection.sql("select x from memory.mine").fetchall() == [(1,)]


def test_table(template: Lake) -> None:
    frame = vison_etl.table("gain", template.root)
    assert frame.height == 24
    assert frame.columns[:4] == ["run_id", "block", "test", "acquisition"]
    assert vison_etl.table("history.runs", str(template.root)).height == 2
    with pytest.raises(ResultsError, match="nearest: gain"):
        vison_etl.table("gian", template.root)


def test_no_results_yet(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="run `vison-etl publish"):
        vison_etl.connect(tmp_path)


def test_no_database(tmp_path: Path) -> None:
    (tmp_path / "results.duckdb").write_text("nothing of the kind")
    with pytest.raises(ResultsError, match="cannot be read"):
        vison_etl.connect(tmp_path)


def test_where_a_lake_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISON_ETL_LAKE", raising=False)
    assert lake_root() == tmp_path / "lake"
    monkeypatch.setenv("VISON_ETL_LAKE", str(tmp_path / "other"))
    assert lake_root() == tmp_path / "other"
    assert lake_root(Lake(tmp_path)) == lake_root(tmp_path) == lake_root(str(tmp_path)) == tmp_path
    assert database_path(tmp_path) == tmp_path / "results.duckdb"
    assert database_path(tmp_path, "x.duckdb") == tmp_path / "x.duckdb"


def test_any_client_can_attach_it(template: Lake) -> None:
    with duckdb.connect() as client:
        client.execute(
            "create schema history; create schema every; create table current_runs as select 'other' as run_id"
        )
        client.execute(f"attach '{template.database}' as r (read_only)")
        for name in ("gain", "every.gain", "history.gain", "measurements", "adopted_gain", "runs", "pair_tiles"):
            mine = client.sql(f"select count(*) from r.{name}").fetchall()
            assert mine == ask(template.root, f"select count(*) from {name}")
        assert client.sql("select r.ds9_x('E', 51, 4238)").fetchall() == [(52,)]
