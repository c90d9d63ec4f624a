"""Small pictures and their PNG."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from vison_etl.pixels.pictures import binned, picture
from vison_etl.pixels.png import grey_png


def _decode(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, i = {}, 8
    while i < len(data):
        (length,) = struct.unpack(">I", data[i : i + 4])
        name, body = data[i + 4 : i + 8], data[i + 8 : i + 8 + length]
        (crc,) = struct.unpack(">I", data[i + 8 + length : i + 12 + length])
        assert crc == zlib.crc32(name + body)
        chunks[name] = body
        i += 12 + length
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour) == (8, 0)
    return np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)[:, 1:]


def test_png_holds_the_picture():
    image = np.random.default_rng(1).integers(0, 256, (13, 29), dtype=np.uint8)
    np.testing.assert_array_equal(_decode(grey_png(image)), image)


def test_full_size_frames_fit():
    assert binned(np.zeros((4172, 4238), np.float32)).shape == (522, 530)
    assert binned(np.zeros((552, 654), np.float32)).shape == (276, 327)
    assert binned(np.zeros((100, 90), np.float32)).shape == (100, 90)


def test_blocks_are_means_without_nan():
    image = np.arange(24, dtype=np.float32).reshape(4, 6)
    image[0, 0] = np.nan
    image[2:, 4:] = np.nan
    small = binned(image, 3)
    np.testing.assert_allclose(small[0], [np.mean([1, 6, 7]), np.mean([2, 3, 8, 9]), np.mean([4, 5, 10, 11])])
    assert np.isnan(small[1, 2])


def test_stretch_and_orientation():
    image = np.tile(np.linspace(0.0, 100.0, 200, dtype=np.float32)[:, None], (1, 50))
    found = picture(image)
    assert 0.5 < found.lo < 1.5
    assert 98.5 < found.hi < 99.5
    assert found.image[0, 0] == 255  # the last row of the frame is the top of the picture
    assert found.image[-1, 0] == 0


def test_empty_and_constant_frames():
    empty = picture(np.full((10, 10), np.nan, np.float32))
    assert (empty.lo, empty.hi, empty.image.max()) == (None, None, 0)
    assert picture(np.full((10, 10), 7.0, np.float32)).lo == 7.0
