"""Products as FITS: an empty primary named META with the provenance, then one named image extension each.

The layout is that of the campaign's master bias files (META, STACK, ..., MASK), in the CCD frame as displayed, so that other
people's readers, which take extensions by name, go on working.
"""

from __future__ import annotations

import io
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

Cards = Mapping[str, str | int | float | bool | None]


class ProductError(Exception):
    """A product file that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class ProductFile:
    """A product read back: cards of its META header and images by extension name."""

    cards: Mapping[str, Any]
    extensions: Mapping[str, NDArray[Any]]


def consumed(extensions: dict[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield images and let go of each when the next is asked for: a file and its images need not be in memory together."""
    while extensions:
        name = next(iter(extensions))
        yield name, extensions.pop(name)


def to_bytes(extensions: Mapping[str, NDArray[Any]] | Iterator[tuple[str, NDArray[Any]]], cards: Cards) -> bytes:
    """Return a FITS file with the given images, shape (NAXIS2, NAXIS1), and provenance cards.

    Images are floats, stored as float32, or masks of uint8 or signed integers, stored as given. ``None`` cards become undefined values.
    The bytes depend on the arguments alone, so that the same product always has the same digest. No other copy of an image is made.
    """
    meta = fits.PrimaryHDU()
    meta.header["EXTNAME"] = "META"
    for key, value in cards.items():
        meta.header[key] = value
    buffer = io.BytesIO()
    buffer.write(meta.header.tostring().encode("ascii"))
    for name, image in extensions.items() if isinstance(extensions, Mapping) else extensions:
        stored = _stored(image)
        buffer.write(_image_header(name, image.shape, stored))
        for y in range(0, len(image), _ROWS):
            buffer.write(np.ascontiguousarray(image[y : y + _ROWS], stored).view(np.uint8).data)
        buffer.write(bytes(-buffer.tell() % _BLOCK))
    return buffer.getvalue()


_BLOCK = 2880
_ROWS = 64


def _stored(image: NDArray[Any]) -> np.dtype[Any]:
    """Return the type of an image in a file, big-endian."""
    if image.dtype.kind == "f":
        return np.dtype(">f4")
    if image.dtype.kind != "i" and image.dtype != np.uint8:
        raise TypeError(f"{image.dtype} has no plain counterpart in FITS")
    return image.dtype.newbyteorder(">")


@cache
def _image_header(name: str, shape: tuple[int, ...], stored: np.dtype[Any]) -> bytes:
    """Return the header of an image extension: that of one pixel, with the size put in."""
    header = fits.ImageHDU(data=np.zeros((1, 1), stored.newbyteorder("=")), name=name).header
    header["NAXIS1"], header["NAXIS2"] = shape[1], shape[0]
    return bytes(header.tostring().encode("ascii"))


def read(path: Path, names: Container[str] | None = None) -> ProductFile:
    """Read a product file: all its images, or those whose extension names are in ``names``.

    Raises
    ------
    ProductError
        If the file is missing, truncated or no FITS.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            wanted = (hdu for hdu in hdus[1:] if names is None or hdu.name in names)
            extensions = {hdu.name: np.asarray(hdu.data) for hdu in wanted if hdu.data is not None}
            return ProductFile(dict(hdus[0].header), extensions)
    except (OSError, TypeError, ValueError) as error:
        raise ProductError(f"{path}: not a readable product ({error}); analyse its test again with --force") from error
