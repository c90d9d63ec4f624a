"""Locks between processes: the kernel's own, on files under ``locks/``, so that a dead process never holds one."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vison_etl.lake.atomic import make_folder
from vison_etl.lake.paths import Lake, LakeError, safe_value

_LOG = logging.getLogger(__name__)
_POLL_S = 0.1
_PATIENCE_S = 1.0
DEFAULT_TIMEOUT_S = 6 * 3600.0


class LockTimeoutError(LakeError):
    """Another process held the lock for too long."""


@contextmanager
def hold(
    lake: Lake, name: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, on_wait: Callable[[str], None] = _LOG.warning
) -> Iterator[None]:
    """Hold the lock ``name`` of a lake, waiting for whoever holds it.

    Parameters
    ----------
    timeout_s
        Seconds to wait at most.
    on_wait
        Told once, after a second of waiting, who holds the lock and since when.

    Raises
    ------
    LockTimeoutError
        When the time is over.
    """
    path = _file(lake, name)
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, path, timeout_s, on_wait)
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold_all(
    lake: Lake,
    names: Iterable[str],
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    on_wait: Callable[[str], None] = _LOG.warning,
) -> Iterator[None]:
    """Hold several locks, always taken in the same order so that two processes cannot wait for each other."""
    with ExitStack() as stack:
        for name in sorted(set(names)):
            stack.enter_context(hold(lake, name, timeout_s=timeout_s, on_wait=on_wait))
        yield


@contextmanager
def try_hold(lake: Lake, name: str) -> Iterator[bool]:
    """Hold the lock if it is free; give whether it is held."""
    path = _file(lake, name)
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _try(descriptor)
    finally:
        os.close(descriptor)


def ingest_lock(block: str) -> str:
    """Return the name of the lock under which the ingested tables of a block are written."""
    return f"ingest-{block}"


def held_locks(lake: Lake) -> list[dict[str, Any]]:
    """Return who holds which lock now: ``lock, pid, host, since``."""
    found = []
    for path in sorted(lake.locks.glob("*.lock")):
        with try_hold(lake, path.stem) as free:
            if not free:
                found.append({"lock": path.stem, **_holder(path)})
    return found


def _file(lake: Lake, name: str) -> Path:
    return lake.locks / f"{safe_value('lock', name)}.lock"


def _acquire(descriptor: int, path: Path, timeout_s: float, on_wait: Callable[[str], None]) -> None:
    started, told = time.monotonic(), False
    while not _try(descriptor):
        waited = time.monotonic() - started
        if waited > timeout_s:
            raise LockTimeoutError(
                f"{path}: still held by {_describe(path)} after {timeout_s:.0f} s; wait for it or stop it"
            )
        if not told and waited > min(_PATIENCE_S, timeout_s / 2):
            on_wait(f"waiting for {path.stem}: held by {_describe(path)}")
            told = True
        time.sleep(_POLL_S)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LakeError(f"this file system cannot lock files ({error}); keep the lake on a local disk") from error
    return True


def _sign(descriptor: int) -> None:
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(who).encode(), 0)


def _holder(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe(path: Path) -> str:
    who = _holder(path)
    return f"process {who.get('pid', '?')} on {who.get('host', '?')} since {who.get('since', '?')}"
