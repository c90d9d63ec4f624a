"""Data quality as planes of one integer per pixel: each bit says one thing, and bits of different sources are joined by OR.

A pixel of 0 is good. Which bits make a pixel useless depends on the use: :data:`UNUSABLE` is what no photometry wants.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.clipping import CODES

SATURATED = 1
LOST = 2
BAD_PIXEL = 4
BAD_COLUMN = 8
HOT = 16
WARM = 32
COSMIC = 64
DEAD = 128
LOW_RESPONSE = 256
HIGH_RESPONSE = 512
NOISY = 1024
COLUMN_TAIL = 2048
COLD = 4096
NO_DATA = 8192
DEVIANT_COLUMN = 16384

BITS: Mapping[str, int] = {
    "SATURATED": SATURATED,
    "LOST": LOST,
    "BAD_PIXEL": BAD_PIXEL,
    "BAD_COLUMN": BAD_COLUMN,
    "HOT": HOT,
    "WARM": WARM,
    "COSMIC": COSMIC,
    "DEAD": DEAD,
    "LOW_RESPONSE": LOW_RESPONSE,
    "HIGH_RESPONSE": HIGH_RESPONSE,
    "NOISY": NOISY,
    "COLUMN_TAIL": COLUMN_TAIL,
    "COLD": COLD,
    "NO_DATA": NO_DATA,
    "DEVIANT_COLUMN": DEVIANT_COLUMN,
}
"""Name and value of every bit. Values are written in files: they never change."""

DQ_TYPE = np.int16
"""Type of a plane: FITS has it without tricks, and 15 bits fit."""

_USABLE = WARM | COSMIC | LOW_RESPONSE | HIGH_RESPONSE | DEVIANT_COLUMN

UNUSABLE = sum(BITS.values()) & ~_USABLE
"""Bits of pixels that a mask of bad pixels contains. Not in it: what a master dark, bias or flat corrects, and cosmics, which are of
one frame."""


def codes_quality(codes: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Return the bits that a raw code alone tells: SATURATED at 65535, LOST at 0; shape as given."""
    out = np.zeros(codes.shape, DQ_TYPE)
    out[codes == CODES - 1] = SATURATED
    out[codes == 0] = LOST
    return out


def joined(*planes: NDArray[np.integer]) -> NDArray[np.int16]:
    """Return the OR of planes of equal shape."""
    out = np.zeros(planes[0].shape, DQ_TYPE)
    for plane in planes:
        np.bitwise_or(out, plane.astype(DQ_TYPE), out=out)
    return out


def is_bad(quality: NDArray[np.integer], bits: int = UNUSABLE) -> NDArray[np.bool_]:
    """Return where any of ``bits`` is set."""
    found: NDArray[np.bool_] = np.not_equal(quality & bits, 0)
    return found


def any_in_column(quality: NDArray[np.integer], bits: int) -> NDArray[np.bool_]:
    """Return which columns have a pixel with any of ``bits``, shape (columns,)."""
    found: NDArray[np.bool_] = np.not_equal(np.bitwise_or.reduce(quality, axis=0) & bits, 0)
    return found


def from_mask(mask: NDArray[np.generic]) -> NDArray[np.int16]:
    """Return the plane of a mask without bits: BAD_PIXEL wherever it is not 0."""
    out = np.zeros(mask.shape, DQ_TYPE)
    out[mask != 0] = BAD_PIXEL
    return out


def names_of(value: int) -> tuple[str, ...]:
    """Return the names of the bits set in a value."""
    return tuple(name for name, bit in BITS.items() if value & bit)
