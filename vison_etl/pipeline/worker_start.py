"""How a worker process starts: one thread, no interrupt from the keyboard, dead when its parent is, and ready to say what it is."""

from __future__ import annotations

import os
import platform
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import xxhash

_CODE = (".py", ".toml", ".csv")


@dataclass(frozen=True, slots=True)
class Software:
    """What runs somewhere: version of the package, digest of its code and data files, Python."""

    version: str
    code: str
    python: str


def serve(pipe: Connection) -> None:
    """Work until the pipe is closed: say that it started, then answer each (function, item) with (result, error)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        pipe.send(None)
        while True:
            pipe.send_bytes(_answer(*pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _answer(function: Callable[[Any], Any], item: Any) -> bytes:
    try:
        return bytes(ForkingPickler.dumps((function(item), None)))
    except Exception as error:  # noqa: BLE001 - handed back with its item
        return bytes(ForkingPickler.dumps((None, _portable(error))))


def _portable(error: Exception) -> Exception:
    """Return the error, or one with the same words if it does not survive the way to another process."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # noqa: BLE001 - errors of others may do anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@cache
def software() -> Software:
    """Return what runs in this process."""
    try:
        installed = version("vison-etl")
    except PackageNotFoundError:
        installed = "unknown"
    return Software(installed, _code_digest(), platform.python_version())


def _code_digest() -> str:
    package = Path(__file__).resolve().parents[1]
    digest = xxhash.xxh3_64()
    for path in sorted(p for p in package.rglob("*") if p.suffix in _CODE):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def look_at(path: str) -> int | None:
    """Return the size of a file as this process sees it, in bytes; None if it does not see it."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return None
