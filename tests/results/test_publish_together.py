"""Publishers and clients at the same time, and publishers killed at any moment."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.results.fake_lake import ask, dump, store_exposures, store_run
from vison_etl.lake.paths import Lake
from vison_etl.results.connect import connect
from vison_etl.results.db import rows
from vison_etl.results.publish import publish

PROGRAMS = Path(__file__).with_name("publishers.py")


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAMS), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def stop(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.communicate()


def check_equal_to_undisturbed(lake: Lake, tmp_path: Path) -> None:
    other = tmp_path / "undisturbed.duckdb"
    publish(lake, database=other)
    assert dump(lake.root) == dump(lake.root, other)


@pytest.mark.slow
def test_four_publishers_and_two_clients(lake: Lake, tmp_path: Path) -> None:
    reader = start("holds", lake.database, "read")
    until_ready(reader)
    publishers = [start("runs_and_publishes", lake.root, 100 * k, 3) for k in range(1, 5)]
    while not ask(lake.root, "select count(*) > 2 from runs")[0][0]:
        time.sleep(0.05)
    writer = start("holds", lake.database, "write")
    until_ready(writer)
    for process in publishers:
        assert process.wait(timeout=120) == 0
        process.communicate()
    assert reader.poll() is None
    stop(reader, writer)
    publish(lake)
    assert ask(lake.root, "select count(*) from history.runs") == [(2 + 12,)]
    assert ask(lake.root, "select count(*) from duckdb_tables() where table_name = 'scratch'") == [(0,)]
    check_equal_to_undisturbed(lake, tmp_path)


def test_client_of_the_old_file_may_write_after_the_swap(lake: Lake) -> None:
    writer = start("holds", lake.database, "write")
    until_ready(writer)
    store_run(lake, "BORN/BIAS01/100", 5)
    publish(lake)
    time.sleep(0.2)
    stop(writer)
    assert ask(lake.root, "select count(*) from history.runs") == [(3,)]


def test_open_connection_keeps_its_snapshot_and_a_new_one_sees_the_new(lake: Lake) -> None:
    with connect(lake) as old:
        store_run(lake, "BORN/BIAS01/100", 5)
        publish(lake)
        with connect(lake) as new:
            assert rows(new, "select count(*) from history.runs") == [(3,)]
        assert rows(old, "select count(*) from history.runs") == [(2,)]


@pytest.mark.slow
def test_killed_at_any_moment(lake: Lake, tmp_path: Path) -> None:
    chance = random.Random(20261123)
    began = time.perf_counter()
    store_run(lake, "BORN/BIAS01/100", 10)
    publish(lake)
    usual_s = time.perf_counter() - began
    seen = {3}
    for k in range(12):
        store_run(lake, "BORN/BIAS01/100", 100 + k)
        store_exposures(lake, "BORN", "2019-03-02", range(200, 204 + k))
        process = start("publishes", lake.root)
        until_ready(process)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(chance.uniform(0.0, usual_s))
        stop(process)
        count = ask(lake.root, "select count(*) from runs")[0][0]
        assert count in {max(seen), 4 + k}
        assert ask(lake.root, "select count(distinct run_id) from history.offsets") == [(count,)]
        seen.add(count)
    publish(lake)
    assert sorted(path.name for path in lake.root.glob("*duckdb*")) == [".results.duckdb.lock", "results.duckdb"]
    check_equal_to_undisturbed(lake, tmp_path)
