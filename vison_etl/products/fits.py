"""Products as FITS: an empty primary named META with the provenance, then one named image extension each.

The layout is that of the campaign's master bias files (META, STACK, ..., MASK), in the CCD frame as displayed, so that other
people's readers, which take extensions by name, go on working.
"""

from __future__ import annotations

import io
from collections.abc import Container, Mapping
from dataclasses import dataclass
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


def to_bytes(extensions: Mapping[str, NDArray[Any]], cards: Cards) -> bytes:
    """Return a FITS file with the given images, shape (NAXIS2, NAXIS1), and provenance cards.

    Float images are stored as float32, masks as given. ``None`` cards become undefined values. The bytes depend on the
    arguments alone, so that the same product always has the same digest.
    """
    meta = fits.PrimaryHDU()
    meta.header["EXTNAME"] = "META"
    for key, value in cards.items():
        meta.header[key] = value
    images = [
        fits.ImageHDU(data=image.astype(np.float32) if image.dtype == np.float64 else image, name=name)
        for name, image in extensions.items()
    ]
    buffer = io.BytesIO()
    fits.HDUList([meta, *images]).writeto(buffer)
    return buffer.getvalue()


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
