"""Frames: FITS files of one CCD and exposure. Found, read whole with one open, checked against the log, written.

A file holds an empty primary HDU and one image extension ``ROE1_CCD<n>`` of unsigned 16-bit pixels; every acquisition card is
in the extension. Readers take the last HDU. ``open_group`` reads many frames by bands.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from vison_etl.elvis.bands import FrameBands, open_group
from vison_etl.elvis.files import file_stamp, open_file
from vison_etl.elvis.fits import CardValue, FrameError, Header, find_image
from vison_etl.elvis.stamps import format_stamp
from vison_etl.instrument.elvis_keys import frame_cards
from vison_etl.instrument.geometry import Geometry

__all__ = [
    "FrameBands",
    "FrameError",
    "FrameFile",
    "FrameListing",
    "cards_of",
    "find_frame",
    "frame_name",
    "header_mismatch",
    "header_value",
    "list_frames",
    "native",
    "open_frame",
    "open_group",
    "write_frame",
]

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""Larger files are refused unread: a full frame has 35.4 MB, and a worker's memory is bounded."""

_NAME = re.compile(r"EUC_(\d+)_.*_ROE1_(CCD\d)\.fits", re.ASCII)


@dataclass(frozen=True, slots=True)
class FrameFile:
    """One frame as read.

    Parameters
    ----------
    header
        Cards of the image extension; None for undefined values and NaN.
    raw
        Stored pixels, big-endian signed, shape (NAXIS2, NAXIS1): a view of the buffer. ``native`` turns it into ADU.
    digest
        XXH3-128 of all bytes, hexadecimal.
    size
        Bytes.
    stamp
        ``size:mtime_ns:ctime_ns`` of the file that was read.
    """

    header: dict[str, CardValue]
    geometry: Geometry
    raw: NDArray[np.int16]
    digest: str
    size: int
    stamp: str


def _room(buffer: bytearray | None, size: int) -> bytearray:
    """Return memory for ``size`` bytes: the buffer, grown if need be, or a new one if a frame still uses it."""
    if buffer is None:
        return bytearray(size)
    if len(buffer) < size:
        try:
            buffer.extend(bytes(size - len(buffer)))
        except BufferError:
            return bytearray(size)
    return buffer


def _read_all(path: str | Path, buffer: bytearray | None) -> tuple[memoryview, str]:
    """Read a file with one open; return its bytes and its stamp."""
    with open_file(path) as (descriptor, found):
        size = found.st_size
        if size > MAX_FRAME_BYTES:
            raise FrameError("wrong_type", f"{size} bytes; no frame has more than {MAX_FRAME_BYTES}")
        view = memoryview(_room(buffer, size))[:size]
        done = 0
        while done < size:
            try:
                got = os.readv(descriptor, [view[done:]])
            except OSError as error:
                raise FrameError("unreadable", f"byte {done}: {error.strerror}") from error
            if got == 0:
                raise FrameError("truncated", f"{done} bytes of {size}: the file shrank while it was read")
            done += got
        if os.fstat(descriptor).st_size != size:
            raise FrameError("truncated", "the file grew while it was read")
        return view, file_stamp(found)


def open_frame(path: str | Path, buffer: bytearray | None = None) -> FrameFile:
    """Read one frame: one open, one pass.

    Parameters
    ----------
    path
        FITS file.
    buffer
        Memory to read into, grown where it is too small; the frame is a view of it and lasts until the buffer's next use.
        None, or one that has to grow while an earlier frame of it is still referenced: new memory.

    Raises
    ------
    FrameError
        Reasons: see ``FrameError`` and ``find_image``.
    """
    view, stamp = _read_all(path, buffer)
    layout = find_image(lambda offset, length: bytes(view[offset : offset + length]), len(view))
    geometry = layout.geometry
    pixels = np.frombuffer(view, ">i2", count=geometry.naxis1 * geometry.naxis2, offset=layout.offset)
    return FrameFile(
        header=layout.header,
        geometry=geometry,
        raw=pixels.reshape(geometry.naxis2, geometry.naxis1),
        digest=xxhash.xxh3_128_hexdigest(view),
        size=len(view),
        stamp=stamp,
    )


def native(raw: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Turn stored pixels into ADU in place and return them as native uint16, same shape.

    Adding BZERO = 32768 modulo 65536 flips the highest bit. The argument's memory is reused: it must not be read afterwards.
    """
    pixels = raw.view(np.uint16)
    if sys.byteorder == "little":
        pixels.byteswap(inplace=True)
    pixels ^= np.uint16(0x8000)
    return pixels


@dataclass(frozen=True, slots=True)
class FrameListing:
    """The frames of a folder by name and by (obsid, ccd), listed once."""

    names: frozenset[str]
    by_exposure: Mapping[tuple[int, str], tuple[str, ...]]


def list_frames(folder: str | Path) -> FrameListing:
    """List the files of a folder; a folder that cannot be read is a ``FrameError``."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names only, of thousands of files
    except OSError as error:
        raise FrameError("missing", f"{folder}: {error.strerror}") from error
    found: dict[tuple[int, str], tuple[str, ...]] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            key = int(match.group(1)), match.group(2)
            found[key] = (*found.get(key, ()), name)
    return FrameListing(frozenset(names), found)


def find_frame(
    folder: str | Path, file_name: str | None, obsid: int, ccd: str, listing: FrameListing | None = None
) -> Path:
    """Find the file of a log row: ``<File_name>.fits``, else the only ``EUC_<obsid>_*_ROE1_<ccd>.fits``.

    Parameters
    ----------
    listing
        What ``list_frames`` gave for this folder; None lists it now.

    Raises
    ------
    FrameError
        ``missing`` or ``ambiguous``.
    """
    listing = list_frames(folder) if listing is None else listing
    name = f"{(file_name or '').removesuffix('.fits')}.fits"
    if name in listing.names:
        return Path(folder) / name
    found = listing.by_exposure.get((obsid, ccd), ())
    if len(found) == 1:
        return Path(folder) / found[0]
    if found:
        raise FrameError("ambiguous", f"no {name}, but {len(found)} of this exposure: {', '.join(found)}")
    packed = [f"{name}{ending}" for ending in (".gz", ".fz") if f"{name}{ending}" in listing.names]
    raise FrameError("missing", f"no {name}" + (f"; {packed[0]} is compressed and not read" if packed else ""))


def header_value(header: Header, key: str) -> CardValue:
    """Return a card by its ELVIS name, or by the second spelling that some files have; None if it is missing."""
    if key in header:
        return header[key]
    alias = next((card.alias for card in frame_cards() if card.key == key), None)
    return header.get(alias) if alias else None


def header_mismatch(header: Header, obsid: int, ccd: str) -> str | None:
    """Tell what in a header contradicts the log; None if nothing does. A missing card contradicts nothing."""
    found = header_value(header, "OBSID")
    if found is not None and found != obsid:
        return f"OBSID is {found} in the header, {obsid} in the log"
    name = header.get("EXTNAME") or header.get("CCD")
    if isinstance(name, str) and not name.endswith(ccd):
        return f"EXTNAME is {name} in the header, {ccd} in the log"
    return None


def cards_of(values: Mapping[str, object], ccd: str) -> dict[str, CardValue]:
    """Return the acquisition cards of a frame in ELVIS order from normalised log values; missing values are left out."""
    cards: dict[str, CardValue] = {}
    for card in frame_cards():
        value = f"ROE1_{ccd}" if card.key == "EXTNAME" else values.get(card.exposures_column or "")
        if isinstance(value, datetime):
            value = format_stamp(value)
        elif isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str | int | float):
            cards[card.key] = float(value) if card.kind == "float" else value
    return cards


def frame_name(obsid: int, started_at: datetime, ccd: str) -> str:
    """Return the root name of a frame, as the log has it: without folder and ``.fits``."""
    return f"EUC_{obsid}_{format_stamp(started_at)}_ROE1_{ccd}"


def write_frame(path: str | Path, image: NDArray[np.uint16], cards: Mapping[str, CardValue]) -> None:
    """Write a frame as ELVIS does: an empty primary HDU and one image extension with these cards, in their order.

    Parameters
    ----------
    image
        ADU, uint16, shape (NAXIS2, NAXIS1).
    """
    from astropy.io import fits  # noqa: PLC0415 - slow to import, and readers do without it

    if image.dtype != np.uint16:
        raise TypeError(f"a frame holds uint16, not {image.dtype}")
    extension = fits.ImageHDU(image)
    for key, value in cards.items():
        extension.header[key] = value
    fits.HDUList([fits.PrimaryHDU(), extension]).writeto(path, overwrite=True)
