"""Processes that are killed at any moment: the next run completes, and what it leaves equals what an undisturbed one leaves."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.end_to_end.campaign import assert_same, take
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs
from vison_etl.results.connect import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SEED = 20261123


def command(lake, *words):
    return subprocess.Popen(
        [sys.executable, "-c", "from vison_etl.cli.app import main; main()", *words, "--lake", str(lake.root)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after(process, seconds):
    time.sleep(seconds)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_analyse_killed_at_random_moments(analysed, day, tmp_path):
    lake = Lake(tmp_path)
    take(lake, day.folder)
    rng = random.Random(SEED)
    for _ in range(5):
        kill_after(command(lake, "analyse", "--test", "all", "--jobs", "2"), rng.uniform(1.0, 6.0))
    last = command(lake, "analyse", "--test", "all", "--jobs", "2")
    _, errors = last.communicate()
    assert last.returncode == 0, errors
    assert_same(analysed, lake)
    with connect(lake.root) as connection:
        stored = {row[0] for row in connection.sql("select run_id from runs").fetchall()}
    assert stored == {run["run_id"] for run in list_runs(lake)}


def test_publish_killed_at_random_moments(lake):
    rng = random.Random(SEED)
    before = {run["run_id"] for run in list_runs(lake)}
    for _ in range(6):
        kill_after(command(lake, "publish", "--full"), rng.uniform(0.3, 1.5))
        with connect(lake.root) as connection:
            assert {r[0] for r in connection.sql("select run_id from runs").fetchall()} == before
    last = command(lake, "publish", "--full")
    _, errors = last.communicate()
    assert last.returncode == 0, errors
    assert not list(lake.root.glob("*.wal"))
    assert oct(lake.database.stat().st_mode & 0o777) == "0o444"


def test_four_analyses_at_once_while_clients_read(lake):
    reader = connect(lake.root)
    writer_code = (
        "import duckdb, os, time; os.chmod({0!r}, 0o644); c = duckdb.connect({0!r}); c.execute('create table scratch(x int)');"
        " print('open', flush=True); time.sleep(60)"
    ).format(str(lake.database))
    writer = subprocess.Popen(
        [sys.executable, "-c", writer_code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    reader.close()
    writer.stdout.readline()
    before = {run["run_id"] for run in list_runs(lake)}
    tests = ["BIAS01", "PTC02_730", "FLATFLUX00_800", "FLATFLUX00_800"]
    jobs = [command(lake, "analyse", "--test", test, "--force", "--jobs", "1") for test in tests]
    time.sleep(4)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    for job in jobs:
        _, errors = job.communicate()
        assert job.returncode == 0, errors
    after = {run["run_id"] for run in list_runs(lake)}
    assert len(after - before) == len(jobs)
    with connect(lake.root) as connection:
        assert {r[0] for r in connection.sql("select run_id from runs").fetchall()} == after
        assert connection.sql(
            "select count(*) from information_schema.tables where table_name = 'scratch'"
        ).fetchall() == [(0,)]
