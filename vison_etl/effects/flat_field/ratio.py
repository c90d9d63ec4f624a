"""A master flat beside one of another wavelength: what of the pixels' response is the same, and how much their ratio varies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Product
from vison_etl.instrument.geometry import QUADRANTS, Geometry, Window, quadrant_view
from vison_etl.pixels.flat_compare import shared_response

REFERENCE = "reference_flat"
"""Kind wanted: a master flat of another wavelength."""

COLUMNS = (
    "reference_wavelength_nm",
    "reference_fluence_adu",
    "correlation",
    "correlation_err",
    "ratio_variance",
    "ratio_variance_err",
    "n_shared",
)
"""Columns of ``flat_response`` that the reference gives; NULL without one."""


def ratio_columns(
    flat: NDArray[np.float32],
    bad: NDArray[np.bool_],
    geometry: Geometry,
    window: Window,
    noise: Mapping[str, float],
    reference: Product | None,
) -> dict[str, dict[str, Any]]:
    """Compare a flat with its reference, quadrant by quadrant.

    Parameters
    ----------
    flat, bad
        Response and pixels that do not count, CCD frame.
    window
        Image region, canonical.
    noise
        Variance of the noise of ``flat``, per quadrant that has it.
    reference
        Master flat of another wavelength, of the same shape; the cards NOISE_q have the variance of its noise.

    Returns
    -------
    dict
        Per quadrant the values of ``COLUMNS``.
    """
    found: dict[str, dict[str, Any]] = {quadrant: dict.fromkeys(COLUMNS) for quadrant in QUADRANTS}
    if reference is None:
        return found
    theirs = reference.extensions["FLAT"]
    if theirs.shape != flat.shape:
        shapes = f"{theirs.shape[1]} x {theirs.shape[0]} px, frames of {flat.shape[1]} x {flat.shape[0]} px"
        raise ValueError(f"product {reference.kind} of {shapes}")
    for quadrant, own_noise in noise.items():
        their_noise, level = (reference.cards.get(f"{name}_{quadrant}") for name in ("NOISE", "LEVEL"))
        if not isinstance(their_noise, float):
            continue
        first, second, out = (quadrant_view(image, geometry, quadrant)[window.slices] for image in (flat, theirs, bad))
        shared = shared_response(first, second, (own_noise, their_noise), out)
        values = (shared.correlation, shared.correlation_err, shared.ratio_variance, shared.ratio_variance_err)
        place = (reference.cards.get("WAVEL"), level)
        found[quadrant] = dict(zip(COLUMNS, (*place, *values, shared.n_pixels), strict=True))
    return found
