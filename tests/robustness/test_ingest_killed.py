"""An ingest that is killed at any moment: the next one completes, and what it leaves is what an undisturbed one leaves."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipeline.day import (
    contents,
    frame_bytes,
    frame_name,
    log_row,
    make_day,
    run_ingest,
    snapshot,
    with_obsid,
    write_rows,
)
from vison_etl.lake.parts import read
from vison_etl.lake.paths import Lake

SEED = 20261123

SCRIPT = """
import os, signal, sys
from pathlib import Path
from tests.pipeline.day import no_refresh
from vison_etl.lake import atomic, parts
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.executors import make_runner
from vison_etl.pipeline.ingest import ingest

left = int(sys.argv[3])

def sync(path):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path)

real = atomic.sync
atomic.sync = parts.sync = sync
if __name__ == "__main__":
    with make_runner(int(sys.argv[4])) as run:
        report = ingest(Lake(Path(sys.argv[1])), [sys.argv[2]], run=run, refresh=no_refresh)
    print(1000000 - left, flush=True)
    sys.exit(report.exit_code)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "ingest_until.py"
    path.write_text(SCRIPT)
    return path


def start(script: Path, lake: Lake, day: Path, syncs: int = 1_000_000, jobs: int = 0) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, str(script), str(lake.root), str(day), str(syncs), str(jobs)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def day_with_faults(folder: Path) -> Path:
    day = make_day(folder, [98, 99, 100, 101, 250])
    (day / frame_name(100, "CCD2")).write_bytes(b"")
    (day / frame_name(250, "CCD1")).unlink()
    return day


def undisturbed(tmp_path: Path, day: Path) -> Lake:
    lake = Lake(tmp_path / "undisturbed")
    run_ingest(lake, day)
    return lake


def assert_readable(lake: Lake) -> None:
    """Check what a reader may see in between: no half file, no exposure without its statistics."""
    tables = contents(lake)
    missing = tables["exposures"].join(tables["quadrant_stats"], on=["obsid", "ccd"], how="anti")
    assert missing.is_empty()


@pytest.mark.slow
def test_killed_before_any_flush_to_disk(script: Path, tmp_path: Path) -> None:
    day = day_with_faults(tmp_path / "day")
    wanted = undisturbed(tmp_path, day)
    whole = start(script, Lake(tmp_path / "counted"), day)
    n_syncs = int(whole.communicate()[0])
    rng = random.Random(SEED)
    for moment in sorted(rng.sample(range(1, n_syncs + 1), 12)):
        lake = Lake(tmp_path / f"lake{moment}")
        process = start(script, lake, day, moment)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert_readable(lake)
        run_ingest(lake, day)
        assert snapshot(lake) == snapshot(wanted), f"killed at flush {moment} of {n_syncs}"


@pytest.mark.slow
def test_killed_while_a_changed_folder_goes_in(script: Path, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    for moment in rng.sample(range(1, 12), 5):
        day = make_day(tmp_path / f"day{moment}", [98, 99, 100])
        lake = Lake(tmp_path / f"lake{moment}")
        run_ingest(lake, day)
        (day / frame_name(98, "CCD2")).write_bytes(with_obsid(frame_bytes("CCD2"), 98, salt=5))
        make_day(day, [101])
        write_rows(day, [log_row(obsid, ccd) for obsid in (98, 100, 101) for ccd in ("CCD1", "CCD2", "CCD3")])
        start(script, lake, day, moment).communicate()
        run_ingest(lake, day)
        fresh = Lake(tmp_path / f"fresh{moment}")
        run_ingest(fresh, day)
        assert snapshot(lake) == snapshot(fresh), f"killed at flush {moment}"


@pytest.mark.slow
def test_killed_at_random_moments_with_workers(script: Path, tmp_path: Path) -> None:
    day = day_with_faults(tmp_path / "day")
    wanted = undisturbed(tmp_path, day)
    lake = Lake(tmp_path / "lake")
    rng = random.Random(SEED)
    started = time.monotonic()
    assert start(script, Lake(tmp_path / "timed"), day, jobs=2).wait() == 1
    seconds = time.monotonic() - started
    for _ in range(5):
        process = start(script, lake, day, jobs=2)
        time.sleep(rng.uniform(0.3, 1.0) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert_readable(lake)
    last = start(script, lake, day, jobs=2)
    _, errors = last.communicate()
    assert last.returncode == 1, errors
    assert snapshot(lake) == snapshot(wanted)
    assert read(lake, "exposures").height == 13
