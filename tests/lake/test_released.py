"""What any released version wrote stays readable: its sample lake is read, published and asked with today's code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.lake.write_released import RELEASED
from vison_etl import tables
from vison_etl.lake.parts import part_files, read, schema
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs, read_run_table
from vison_etl.pipeline.status import status_table
from vison_etl.results.connect import connect
from vison_etl.results.publish import publish

VERSIONS = sorted(path.name for path in RELEASED.iterdir() if path.is_dir())

pytestmark = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def lake(version: str, tmp_path: Path) -> Lake:
    """Return a copy of the sample: publishing writes beside it."""
    shutil.copytree(RELEASED / version, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def assert_read_as_written(table: str, found: pl.DataFrame, files: list[Path]) -> None:
    written = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files])
    assert found.schema == schema(table)
    assert found.height == written.height > 0
    shared = [name for name in written.columns if name in found.columns]
    assert found.select(shared).equals(written.select(shared).cast({name: found.schema[name] for name in shared}))


def test_the_version_is_in_every_file(version: str, lake: Lake) -> None:
    files = list(lake.root.rglob("*.parquet"))
    assert files
    assert {pl.read_parquet_metadata(path)["schema_version"] for path in files} == {version}


def test_every_lake_table_is_read(version: str, lake: Lake) -> None:
    found = {table.name for table in tables.tables_of("lake") if part_files(lake, table.name)}
    for name in found:
        assert_read_as_written(name, read(lake, name), part_files(lake, name))
    if version == str(tables.SCHEMA_VERSION):
        assert found == {table.name for table in tables.tables_of("lake")}


def test_every_table_of_every_run_is_read(version: str, lake: Lake) -> None:
    runs = list_runs(lake)
    assert {run["status"] for run in runs} <= set(tables.RUN_STATUS)
    assert len(runs) > 1
    for run in runs:
        for path in (lake.runs / run["run_id"]).glob("*.parquet"):
            if pl.read_parquet(path).height:
                assert_read_as_written(path.stem, read_run_table(lake, run["run_id"], path.stem), [path])


def test_it_is_published_and_gives_the_same_answers(version: str, lake: Lake) -> None:
    assert publish(lake).problems == ()
    wanted = json.loads((RELEASED / version / "answers.json").read_text(encoding="utf-8"))
    with connect(lake.root) as connection:
        for query, answer in wanted.items():
            found = connection.sql(query).fetchall()[0]
            assert list(found) == [pytest.approx(x, rel=1e-12) if isinstance(x, float) else x for x in answer], query


def test_the_engine_knows_what_was_done(version: str, lake: Lake) -> None:
    rows = status_table(lake, ["BORN"])
    assert {"BIAS01", "PTC02_730"} & set(rows["test"])
