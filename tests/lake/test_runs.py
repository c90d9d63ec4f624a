"""Runs: a folder each, there whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from vison_etl.lake.locks import hold
from vison_etl.lake.parts import schema
from vison_etl.lake.paths import Lake, LakeError
from vison_etl.lake.runs import (
    clean_runs,
    list_runs,
    new_run_id,
    read_run,
    read_run_table,
    read_run_tables,
    run_files,
    run_ids,
    write_run,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def offsets(run_id: str) -> pl.DataFrame:
    row = dict.fromkeys(schema("offsets")) | {
        "run_id": run_id, "block": "BORN", "test": "BIAS01", "acquisition": "BORN/BIAS01/1",
        "ccd": "CCD1", "quadrant": "E", "region": "img", "offset_adu": 2300.0, "rms_adu": float("nan"),
    }  # fmt: skip
    return pl.DataFrame([row], schema=schema("offsets"))


def store(lake: Lake, **more: object) -> str:
    run_id = new_run_id()
    write_run(lake, {"run_id": run_id, "status": "ok", **more}, {"offsets": offsets(run_id)})
    return run_id


def test_a_run_comes_back(lake: Lake) -> None:
    assert list_runs(lake) == []
    ids = [store(lake, n=i) for i in range(3)]
    assert ids == sorted(ids) == run_ids(lake)
    assert [run["n"] for run in list_runs(lake)] == [0, 1, 2]
    frame = read_run_table(lake, ids[1], "offsets")
    assert frame.schema == schema("offsets")
    assert frame["run_id"].to_list() == [ids[1]]
    assert frame["rms_adu"].to_list() == [None]
    assert read_run_tables(lake, "offsets")["run_id"].to_list() == ids
    assert read_run_tables(lake, "offsets", ids[:2])["run_id"].to_list() == ids[:2]
    assert read_run_table(lake, ids[0], "gain").schema == schema("gain")
    assert len(run_files(lake, "offsets")) == 3
    assert not list(lake.locks.glob("run-*"))


def test_further_files_come_along(lake: Lake) -> None:
    run_id = new_run_id()
    folder = write_run(lake, {"run_id": run_id}, {}, lambda f: (f / "note.txt").write_text("x") and None)
    assert sorted(p.name for p in folder.iterdir()) == ["note.txt", "run.json"]


def test_all_or_nothing(lake: Lake) -> None:
    run_id = new_run_id()

    def fail(_: Path) -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        write_run(lake, {"run_id": run_id}, {"offsets": offsets(run_id)}, fail)
    with pytest.raises(LakeError, match="columns missing"):
        write_run(lake, {"run_id": run_id}, {"offsets": offsets(run_id).drop("ccd")})
    assert list(lake.runs.iterdir()) == []
    write_run(lake, {"run_id": run_id}, {})
    with pytest.raises(LakeError, match="stored already"):
        write_run(lake, {"run_id": run_id}, {})


def test_unreadable_records_are_named(lake: Lake) -> None:
    run_id = store(lake)
    (lake.runs / run_id / "run.json").write_text("{half")
    with pytest.raises(LakeError, match=run_id):
        list_runs(lake)
    with pytest.raises(LakeError, match="no run nothing"):
        read_run(lake, "nothing")


def test_only_dead_runs_are_cleaned(lake: Lake) -> None:
    code = (
        "import os, sys, signal, pathlib; from vison_etl.lake.runs import write_run; from vison_etl.lake.paths import Lake\n"
        "write_run(Lake(pathlib.Path(sys.argv[1])), {'run_id': 'dead'}, {}, lambda f: os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(lake.root)], check=False).returncode == -9
    (lake.runs / ".tmp-alive").mkdir()
    with hold(lake, "run-alive"):
        assert [p.name for p in clean_runs(lake)] == [".tmp-dead"]
    assert list_runs(lake) == []
    assert [p.name for p in clean_runs(lake)] == [".tmp-alive"]
