"""Files that are there whole or not at all: written aside in the same folder, flushed, renamed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vison_etl.lake.paths import TEMPORARY_PREFIX


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside ``path``; when the block ends without error it takes the place of ``path``.

    The file is flushed to disk before the rename and the folder after it. If the block removes the temporary file, nothing is replaced.
    On any error ``path`` stays as it was and the temporary file goes.
    """
    make_folder(path.parent)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{path.name}-{uuid.uuid4().hex[:12]}"
    try:
        yield temporary
        if temporary.exists():
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def replace_unless_equal(path: Path, write: Callable[[Path], None]) -> bool:
    """Let ``write`` fill a temporary file and put it in the place of ``path`` unless both hold the same bytes.

    Returns
    -------
    bool
        Whether ``path`` is new or changed.
    """
    with replacing(path) as temporary:
        write(temporary)
        if (
            path.exists()
            and path.stat().st_size == temporary.stat().st_size
            and path.read_bytes() == temporary.read_bytes()
        ):
            temporary.unlink()
            return False
    return True


def write_bytes(path: Path, content: bytes) -> bool:
    """Write a file whole; return whether it is new or changed."""
    return replace_unless_equal(path, lambda temporary: _write(temporary, content))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each entry flushed to disk."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync(made.parent)


def sync(path: Path) -> None:
    """Flush a file or the entries of a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
