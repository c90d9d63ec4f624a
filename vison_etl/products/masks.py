"""Masks of bad pixels as files: written so that readers of 0/1 masks understand them, read in either layout.

A mask of this house has the extensions DQ (bits, see :mod:`vison_etl.pixels.quality`) and, last, MASK (integers, 1 bad, 0 good): readers
that take the extension MASK, or the last one, get what they expect. In a file without DQ every pixel of MASK that is not 0 is
BAD_PIXEL.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.quality import from_mask, is_bad, joined
from vison_etl.products.fits import ProductError, ProductFile, read


def mask_extensions(quality: NDArray[np.integer]) -> dict[str, NDArray[np.integer]]:
    """Return the extensions of a mask file from a plane of bits in the CCD frame: DQ and MASK, in this order."""
    return {"DQ": quality.astype(np.int16), "MASK": is_bad(quality).astype(np.int16)}


def read_mask(path: Path) -> NDArray[np.int16]:
    """Return the plane of bits of a mask file, CCD frame.

    Raises
    ------
    ProductError
        If the file cannot be read or has neither DQ nor MASK.
    """
    extensions = read(path, ("DQ", "MASK")).extensions
    if "DQ" in extensions:
        return extensions["DQ"].astype(np.int16)
    if "MASK" in extensions:
        return from_mask(extensions["MASK"])
    raise ProductError(
        f"{path}: no extension DQ or MASK; a mask is a FITS file with an extension MASK, 1 bad and 0 good"
    )


def read_masks(paths: Sequence[Path]) -> ProductFile:
    """Return several masks of one CCD joined: extensions DQ and MASK.

    Raises
    ------
    ProductError
        If one cannot be read, or they differ in shape.
    """
    planes = [read_mask(path) for path in paths]
    for path, plane in zip(paths, planes, strict=True):
        if plane.shape != planes[0].shape:
            raise ProductError(f"{path}: mask of {plane.shape[::-1]} px, {paths[0]} of {planes[0].shape[::-1]} px")
    return ProductFile({}, mask_extensions(joined(*planes)))
