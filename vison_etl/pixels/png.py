"""The least PNG writer that does: 8-bit grey, standard library."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def grey_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a picture, shape (height, width), top row first, as an 8-bit grey PNG."""
    height, width = image.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter type, 0: none
    lines[:, 1:] = image
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )
