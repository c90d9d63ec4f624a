"""A minimal FITS parser for frames of the bench: where the image of the last HDU is, and what its cards say.

Only what ELVIS frames need is understood: fixed and free format cards with text, integer, float and logical values. It works
on any source of bytes, so that a frame read in one piece is parsed without a second open.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vison_etl.instrument.geometry import Geometry, GeometryError, geometry_of

BLOCK_BYTES = 2880
CARD_BYTES = 80
PIXEL_BYTES = 2
BZERO = 32768
"""Offset by which FITS stores unsigned 16-bit numbers as signed ones."""

_MAX_HEADER_BLOCKS = 100
_MAX_HDUS = 1000

CardValue = str | int | float | bool | None
Header = Mapping[str, CardValue]
ReadAt = Callable[[int, int], bytes]
"""``read_at(offset, length)`` returns the bytes there; fewer at the end of the file."""

_TEXT = re.compile(r" *'((?:[^']|'')*)'")
_INT = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?", re.ASCII)


class FrameError(Exception):
    """A frame cannot be used.

    Parameters
    ----------
    reason
        One of ``missing, ambiguous, unreadable, truncated, not_fits, no_image, wrong_type, bad_geometry``.
    detail
        What was found, in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[FrameError], tuple[str, str]]:
        """Travel between processes with both parts."""
        return FrameError, (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """The image of the last HDU: its cards, its geometry and the offset of its first byte in the file."""

    header: dict[str, CardValue]
    geometry: Geometry
    offset: int


def parse_value(field: str) -> CardValue:
    """Return the value of a card from what follows ``KEYWORD = ``.

    Trailing blanks of texts are dropped and doubled quotes are undone, as the standard says. None for an undefined value and
    for anything that is no value at all, NaN and infinities included.
    """
    match = _TEXT.match(field)
    if match:
        return match.group(1).replace("''", "'").rstrip()
    word = field.partition("/")[0].strip()
    if word in {"T", "F"}:
        return word == "T"
    if _INT.fullmatch(word):
        return int(word)
    if _FLOAT.fullmatch(word):
        value = float(word.upper().replace("D", "E"))
        return value if math.isfinite(value) else None
    return None


def _read_header(read_at: ReadAt, offset: int) -> tuple[dict[str, CardValue], int]:
    """Return the cards of the header at ``offset`` and the offset of its data. The first of repeated keywords counts."""
    cards: dict[str, CardValue] = {}
    for number in range(_MAX_HEADER_BLOCKS):
        start = offset + number * BLOCK_BYTES
        block = read_at(start, BLOCK_BYTES).decode("ascii", errors="replace")
        for first in range(0, len(block) - CARD_BYTES + 1, CARD_BYTES):
            card = block[first : first + CARD_BYTES]
            key = card[:8].rstrip()
            if key == "END":
                return cards, start + BLOCK_BYTES
            if card[8:10] == "= ":
                cards.setdefault(key, parse_value(card[10:]))
        if len(block) < BLOCK_BYTES:
            raise FrameError("truncated", f"file ends within the header that starts at byte {offset}")
    raise FrameError("not_fits", f"no END card within {_MAX_HEADER_BLOCKS} blocks after byte {offset}")


def _count(header: Header, key: str, default: int | None = None) -> int:
    """Return a structural keyword, a whole number >= 0."""
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise FrameError("not_fits", f"{key} must be a whole number, found {value!r}")
    return value


def _data_bytes(header: Header) -> int:
    """Return the size of the data unit of an HDU, padding not included."""
    axes = _count(header, "NAXIS")
    if axes == 0:
        return 0
    bitpix = header.get("BITPIX")
    if isinstance(bitpix, bool) or not isinstance(bitpix, int):
        raise FrameError("not_fits", f"BITPIX must be a whole number, found {bitpix!r}")
    elements = math.prod(_count(header, f"NAXIS{axis}") for axis in range(1, min(axes, 999) + 1))
    return abs(bitpix) // 8 * _count(header, "GCOUNT", 1) * (_count(header, "PCOUNT", 0) + elements)


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _last_hdu(read_at: ReadAt, size: int) -> tuple[dict[str, CardValue], int]:
    """Walk to the last HDU; return its cards and the offset of its data, all of which the file holds."""
    start = 0
    for number in range(_MAX_HDUS):
        header, data = _read_header(read_at, start)
        end = data + _data_bytes(header)
        if size < end:
            raise FrameError("truncated", f"{size} bytes of at least {end}; HDU {number} is not complete")
        start = data + _padded(end - data)
        if size <= start:
            return header, data
        if not read_at(start, 8).startswith(b"XTENSION"):
            raise FrameError("not_fits", f"{size - start} bytes after the last HDU")
    raise FrameError("not_fits", f"more than {_MAX_HDUS} HDUs")


def _check_start(start: bytes, size: int) -> None:
    if size == 0:
        raise FrameError("truncated", "empty file")
    if start.startswith(b"\x1f\x8b"):
        raise FrameError("not_fits", "gzip compressed; frames are read uncompressed only")
    if not start.startswith(b"SIMPLE  =") and not b"SIMPLE  =".startswith(start):
        raise FrameError("not_fits", f"starts with {start[:8]!r}, not with SIMPLE")


def find_image(read_at: ReadAt, size: int) -> ImageLayout:
    """Find the image of the last HDU and check that it is a raw frame.

    Parameters
    ----------
    read_at
        Source of the bytes.
    size
        Bytes in the file.

    Raises
    ------
    FrameError
        ``truncated`` if header or data are not complete (missing padding alone is accepted), ``not_fits`` if the structure
        is broken or bytes follow the last HDU, ``no_image`` if the last HDU has none, ``wrong_type`` if its pixels are not unsigned
        16-bit integers (BITPIX 16, BZERO 32768, BSCALE 1), ``bad_geometry`` if no CCD has that size.
    """
    _check_start(read_at(0, 9), size)
    header, offset = _last_hdu(read_at, size)
    if header.get("ZIMAGE") is True:
        raise FrameError("wrong_type", "tile-compressed image; frames are read uncompressed only")
    if header.get("XTENSION", "IMAGE") != "IMAGE":
        raise FrameError("no_image", f"the last HDU is a {header['XTENSION']}")
    if header["NAXIS"] != 2:
        raise FrameError("no_image", f"the last HDU has {header['NAXIS']} axes, not 2")
    _check_type(header)
    try:
        geometry = geometry_of(_count(header, "NAXIS1"), _count(header, "NAXIS2"))
    except GeometryError as error:
        raise FrameError("bad_geometry", str(error)) from error
    return ImageLayout(header, geometry, offset)


def _check_type(header: Header) -> None:
    if header["BITPIX"] != 16:
        raise FrameError("wrong_type", f"BITPIX is {header['BITPIX']}, not 16")
    if header.get("BZERO") != BZERO:
        raise FrameError(
            "wrong_type", f"BZERO is {header.get('BZERO', 'missing')}, not {BZERO}: pixels are not unsigned"
        )
    if header.get("BSCALE", 1) != 1:
        raise FrameError("wrong_type", f"BSCALE is {header['BSCALE']}, not 1")
