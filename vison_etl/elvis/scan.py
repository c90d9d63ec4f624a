"""One frame read in one pass, by rows, for what needs no whole frame in memory: what a worker touches stays in its cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from vison_etl.elvis.files import file_stamp, open_file
from vison_etl.elvis.fits import PIXEL_BYTES, CardValue, FrameError, find_image
from vison_etl.elvis.frames import MAX_FRAME_BYTES
from vison_etl.instrument.geometry import Geometry

CHUNK_BYTES = 256 * 1024
"""Bytes read at once: a part of the cache of a core."""

TakeRows = Callable[[NDArray[np.int16], int], None]
"""``take(rows, first_row)``: stored pixels, big-endian signed, shape (n, NAXIS1), CCD rows from ``first_row`` on. Not to be kept."""

Begin = Callable[[Geometry], TakeRows]
"""Called once the size of the frame is known; what it returns gets the rows."""


@dataclass(frozen=True, slots=True)
class FrameScan:
    """What is known of a frame after its pixels went by; the fields are those of ``FrameFile``."""

    header: dict[str, CardValue]
    geometry: Geometry
    digest: str
    size: int
    stamp: str


def scan_frame(path: str | Path, begin: Begin) -> FrameScan:
    """Read one frame with one open, digest all its bytes and hand out its pixels by rows, an even number at a time.

    Raises
    ------
    FrameError
        As ``open_frame``. Rows may have been handed out by then: they count for nothing.
    """
    with open_file(path) as (descriptor, found):
        size = found.st_size
        if size > MAX_FRAME_BYTES:
            raise FrameError("wrong_type", f"{size} bytes; no frame has more than {MAX_FRAME_BYTES}")
        layout = find_image(lambda offset, length: os.pread(descriptor, length, offset), size)
        take = begin(layout.geometry)
        digest = xxhash.xxh3_128()
        width, height = layout.geometry.naxis1, layout.geometry.naxis2
        row_bytes = width * PIXEL_BYTES
        n_rows = max(2, CHUNK_BYTES // row_bytes // 2 * 2)
        buffer = memoryview(bytearray(n_rows * row_bytes))
        _digest(descriptor, 0, layout.offset, buffer, digest)
        for first in range(0, height, n_rows):
            n = min(n_rows, height - first)
            part = buffer[: n * row_bytes]
            _read(descriptor, layout.offset + first * row_bytes, part)
            digest.update(part)
            take(np.frombuffer(part, ">i2").reshape(n, width), first)
        _digest(descriptor, layout.offset + height * row_bytes, size, buffer, digest)
        if os.fstat(descriptor).st_size != size:
            raise FrameError("truncated", "the file grew while it was read")
        return FrameScan(layout.header, layout.geometry, digest.hexdigest(), size, file_stamp(found))


def _digest(descriptor: int, start: int, end: int, buffer: memoryview, digest: xxhash.xxh3_128) -> None:
    """Digest the bytes from ``start`` to ``end``: headers and padding."""
    while start < end:
        part = buffer[: min(len(buffer), end - start)]
        _read(descriptor, start, part)
        digest.update(part)
        start += len(part)


def _read(descriptor: int, offset: int, target: memoryview) -> None:
    done = 0
    while done < len(target):
        try:
            got = os.preadv(descriptor, [target[done:]], offset + done)
        except OSError as error:
            raise FrameError("unreadable", f"byte {offset + done}: {error.strerror}") from error
        if got == 0:
            raise FrameError("truncated", "the file shrank while it was read")
        done += got
