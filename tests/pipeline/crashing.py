"""Functions for workers that crash, fail, or say where they are. They must be importable in worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """One item of work; ``kind`` says what goes wrong. ``marks`` is a folder for traces."""

    number: int
    kind: str = "good"
    marks: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.marks,) if self.marks else ()


def work(item: Item) -> int:
    if item.kind == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    if item.kind == "accident":
        mark = Path(item.marks) / f"{item.number}"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if item.kind == "raises":
        raise ValueError(f"bad item {item.number}")
    if item.kind == "slow":
        (Path(item.marks) / f"{os.getpid()}").touch()
        time.sleep(30)
    return item.number * 2


def environment(_: Item) -> dict[str, object]:
    """Return what a worker looks like: modules loaded, threads, variables."""
    heavy = {"polars", "duckdb", "altair", "astropy", "pyarrow"}
    return {
        "pid": os.getpid(),
        "heavy": sorted(heavy & set(sys.modules)),
        "threads": {
            name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
        },
    }


def die_at_start(_: object) -> None:
    os._exit(3)
