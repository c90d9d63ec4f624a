"""What a command did, and the promise about errors: one line on stderr, exit code 2."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = (sys.executable, "-c", "from vison_etl.cli.app import main; main()")
"""The command line as a process of its own."""


@dataclass(frozen=True, slots=True)
class Done:
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str


def assert_refused(done: Done, *words: str) -> None:
    """Fail unless a command ended with 2 and one line on stderr that holds ``words``."""
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("vison-etl: "), done.err
    assert done.err.endswith("\n")
    assert done.err.count("\n") == 1, done.err
    assert done.err.removesuffix("\n").isprintable()
    for name in ("Traceback", "internal error"):
        assert name not in done.err
    for word in words:
        assert word in done.err


def deny(monkeypatch, path: Path, mode: int) -> None:
    """Take a permission away from a path, also from root, whom the file system denies nothing."""
    real = os.access

    def access(name, wanted, **more):
        return not (Path(name) == path and wanted & mode) and real(name, wanted, **more)

    monkeypatch.setattr(os, "access", access)
