"""Many equal frames of one CCD read by bands of rows, so that memory does not grow with their number."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vison_etl.elvis.files import file_stamp, open_file
from vison_etl.elvis.fits import PIXEL_BYTES, FrameError, ImageLayout, find_image
from vison_etl.instrument.geometry import Geometry

MAX_BAND_BYTES = 16 * 1024 * 1024
"""Largest band held, all frames together; bands get fewer rows where more frames share it."""

_HALVES = (("H", "G", False), ("E", "F", True))
"""Left and right quadrant of a half of the frame, and whether it is the upper one."""


@dataclass(frozen=True, slots=True)
class _OpenFrame:
    descriptor: int
    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class FrameBands:
    """Frames open for reading by bands: a ``FrameGroup``. ``stamps`` are the marks of the files as opened."""

    ccd: str
    obsids: tuple[int, ...]
    geometry: Geometry
    vstart: int
    vend: int
    stamps: tuple[str, ...]
    _frames: tuple[_OpenFrame, ...]

    def bands(self, rows: int) -> Iterator[tuple[str, int, NDArray[np.uint16]]]:
        """Yield (quadrant, y0, band) over all rows of all quadrants, every row once.

        A band is a canonical view, native uint16, shape (n_frames, <= rows, wQ), in the order of ``obsids``; its first row is
        ``y0``. Rows that were not read out hold 0. The two quadrants of a half share the memory, which lasts until the
        next two: a band must not be kept.

        Raises
        ------
        FrameError
            ``truncated`` or ``unreadable`` if a file changes underneath.
        """
        width, height = self.geometry.naxis1, self.geometry.quadrant_rows
        fitting = MAX_BAND_BYTES // (PIXEL_BYTES * width * len(self._frames))
        rows = max(1, min(rows, fitting, height))
        memory = np.empty((len(self._frames), rows, width), np.uint16)
        for left, right, upper in _HALVES:
            for y0 in range(0, height, rows):
                y1 = min(y0 + rows, height)
                band = memory[:, : y1 - y0]
                self._read(self.geometry.naxis2 - y1 if upper else y0, band)
                canonical = band[:, ::-1] if upper else band
                yield left, y0, canonical[:, :, : width // 2]
                yield right, y0, canonical[:, :, : width // 2 - 1 : -1]

    def _read(self, first_row: int, band: NDArray[np.uint16]) -> None:
        """Fill a band (n_frames, rows, NAXIS1) with CCD rows from ``first_row`` on."""
        from vison_etl.elvis.byte_order import decode  # noqa: PLC0415 - who reads no pixels needs no compiler

        start = first_row * self.geometry.naxis1 * PIXEL_BYTES
        for frame, part in zip(self._frames, band, strict=True):
            _read_exactly(frame, frame.offset + start, memoryview(part).cast("B"))
            decode(part)


def _read_exactly(frame: _OpenFrame, offset: int, target: memoryview) -> None:
    done = 0
    while done < len(target):
        try:
            got = os.preadv(frame.descriptor, [target[done:]], offset + done)
        except OSError as error:
            raise FrameError("unreadable", f"{frame.name}, byte {offset + done}: {error.strerror}") from error
        if got == 0:
            raise FrameError("truncated", f"{frame.name}: the file shrank while it was read")
        done += got


@contextmanager
def open_group(
    paths: Sequence[str | Path], obsids: Sequence[int], ccd: str, vstart: int, vend: int
) -> Iterator[FrameBands]:
    """Open equal frames of one CCD, each once, for reading by bands.

    Parameters
    ----------
    paths, obsids
        Files and exposures, in order of acquisition.
    vstart, vend
        Canonical rows kept, half open.

    Raises
    ------
    FrameError
        If a file cannot be used, or (``bad_geometry``) differs in size from the first.
    """
    if not paths or len(paths) != len(obsids):
        raise ValueError(f"{len(paths)} files for {len(obsids)} exposures")
    with ExitStack() as stack:
        frames, stamps, layouts = [], [], []
        for path in paths:
            descriptor, found = stack.enter_context(open_file(path))
            layout = _layout(descriptor, found.st_size, Path(path).name)
            frames.append(_OpenFrame(descriptor, Path(path).name, layout.offset))
            stamps.append(file_stamp(found))
            layouts.append(layout)
            if layout.geometry != layouts[0].geometry:
                raise FrameError("bad_geometry", f"{Path(path).name} differs in size from {frames[0].name}")
        yield FrameBands(ccd, tuple(obsids), layouts[0].geometry, vstart, vend, tuple(stamps), tuple(frames))


def _layout(descriptor: int, size: int, name: str) -> ImageLayout:
    try:
        return find_image(lambda offset, length: os.pread(descriptor, length, offset), size)
    except FrameError as error:
        raise FrameError(error.reason, f"{name}: {error.detail}") from error
