"""Opening raw files: regular files only, one open, errors in the words of ``rejects``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vison_etl.elvis.fits import FrameError


def file_stamp(found: os.stat_result) -> str:
    """Return the mark by which an unchanged file is known: ``size:mtime_ns:ctime_ns``."""
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


@contextmanager
def open_file(path: str | Path) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file for reading; yield its descriptor and status.

    Raises
    ------
    FrameError
        ``missing``, or ``unreadable`` for directories, devices and files without permission.
    """
    try:
        # a named pipe must not block the worker
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FrameError("missing", f"no such file: {Path(path).name}") from error
    except (OSError, ValueError) as error:
        raise FrameError("unreadable", f"{Path(path).name}: {getattr(error, 'strerror', None) or error}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FrameError("unreadable", f"{Path(path).name} is {_kind(found.st_mode)}, not a file")
        yield descriptor, found
    finally:
        os.close(descriptor)


def _kind(mode: int) -> str:
    return "a directory" if stat.S_ISDIR(mode) else "a pipe or device"


def read_bytes(path: str | Path) -> tuple[bytes, str]:
    """Return all bytes of a small file, taken at once, and its stamp; errors as ``open_file``."""
    with open_file(path) as (descriptor, found):
        try:
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(), file_stamp(found)
        except OSError as error:
            raise FrameError("unreadable", f"{Path(path).name}: {error.strerror}") from error
