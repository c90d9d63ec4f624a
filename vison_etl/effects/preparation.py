"""What is done to frames before anything is measured, shared by the measurements that do it, and the cards that say what was done.

Order: row offsets from the prescan, smoothed along y (:mod:`vison_etl.pixels.offsets`); master bias; mask of bad pixels. A step whose product
there is not is left out, and said to be: card False, column false, and the flag NO_BIAS or NO_MASK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Given, Parameters, Product

BIAS, MASK = "master_bias", "mask"
"""Kinds of products wanted."""


def image_of(product: Product, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an extension of a product.

    Raises
    ------
    ValueError
        If it is not of the shape of the frames.
    """
    image = product.extensions[name]
    if image.shape != shape:
        sizes = f"{image.shape[1]} x {image.shape[0]} px, frames of {shape[1]} x {shape[0]} px"
        raise ValueError(f"product {product.kind} of {sizes}")
    return image


def subtract_bias(images: tuple[NDArray[np.float32], ...], given: Given) -> bool:
    """Subtract the master bias, extension STACK, from images in place; return whether there is one. NaN where it has no value."""
    bias = given.get(BIAS)
    if bias is None:
        return False
    structure = image_of(bias, "STACK", images[0].shape)
    for image in images:
        np.subtract(image, structure, out=image)
    return True


def known_quality(given: Given, shape: tuple[int, ...]) -> NDArray[np.int16] | None:
    """Return the bits of the mask that was given, extension DQ; None without one."""
    mask = given.get(MASK)
    return None if mask is None else image_of(mask, "DQ", shape)


def preparation_cards(
    parameters: Parameters, *, bias_subtracted: bool, mask_applied: bool
) -> Mapping[str, str | int | float | bool | None]:
    """Return the cards of a product that say how its frames were prepared."""
    return {
        "OFFMODEL": "prescan per row, Gaussian along y",
        "OFFROWS": float(parameters["smoothing_rows"]),
        "BIASSUB": bias_subtracted,
        "MASKED": mask_applied,
    }
