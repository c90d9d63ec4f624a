"""Locks between processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vison_etl.lake.locks import LockTimeoutError, held_locks, hold, hold_all, ingest_lock, try_hold
from vison_etl.lake.paths import Lake

HOLDER = (
    "import sys, time, pathlib; from vison_etl.lake.locks import hold; from vison_etl.lake.paths import Lake\n"
    "with hold(Lake(pathlib.Path(sys.argv[1])), 'ingest-BORN'):\n    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_dead_process_holds_nothing(lake: Lake) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lake.root)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        told: list[str] = []
        with (
            pytest.raises(LockTimeoutError, match=f"process {other.pid} on"),
            hold(lake, ingest_lock("BORN"), timeout_s=0.3, on_wait=told.append),
        ):
            pass
        assert len(told) == 1
        assert str(other.pid) in told[0]
        with try_hold(lake, ingest_lock("BORN")) as free:
            assert not free
        assert [row["pid"] for row in held_locks(lake)] == [other.pid]
        other.send_signal(signal.SIGKILL)
        other.wait()
        with hold(lake, ingest_lock("BORN"), timeout_s=5):
            pass
    assert held_locks(lake) == []


def test_waiting_ends_when_the_lock_is_free(lake: Lake) -> None:
    order: list[str] = []

    def other() -> None:
        with hold(lake, "x"):
            order.append("second")

    with hold(lake, "x"):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_several_locks_are_taken_in_one_order(lake: Lake) -> None:
    with hold_all(lake, ["b", "a", "b"]):
        assert [row["lock"] for row in held_locks(lake)] == ["a", "b"]
    assert held_locks(lake) == []
