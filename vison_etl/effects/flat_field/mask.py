"""Mask of the pixels whose response deviates, from a master flat: bits, counts and the product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import FrameGroup, Parameters, Product
from vison_etl.pixels import quality
from vison_etl.pixels.flat_defects import Limits

KIND = "mask"
PARAMETERS: Parameters = {
    "defect_sigma": 5.5,
    "defect_min_response": 0.005,
    "defect_bad_response": 0.2,
    "defect_dead_response": 0.5,
}
COUNTS = ("n_low_response", "n_high_response", "n_dead", "n_masked")
"""What is counted per quadrant, px: too low, too high, dead, and all that the mask takes, noisy pixels and those without data in it."""


def limits_of(parameters: Parameters) -> Limits:
    """Return the limits that the parameters give."""
    return Limits(*(float(parameters[name]) for name in PARAMETERS))


def counts_of(dq: NDArray[np.int16]) -> dict[str, int]:
    """Return ``COUNTS`` of one quadrant; a dead pixel counts as low, too."""
    bits = (quality.LOW_RESPONSE, quality.HIGH_RESPONSE, quality.DEAD, quality.UNUSABLE)
    some = dq[dq != 0]
    return {name: int(np.count_nonzero(some & bit)) for name, bit in zip(COUNTS, bits, strict=True)}


def mask_product(
    dq: NDArray[np.int16],
    group: FrameGroup,
    parameters: Parameters,
    prepared: Mapping[str, Any],
    known: NDArray[Any] | None,
) -> Product:
    """Make the product mask from the bits of a CCD, joined with those of the mask that was given.

    Extensions DQ (bits) and MASK (1 bad, 0 good; last, for readers that take the last one), int16, CCD frame.
    """
    if known is not None:
        np.bitwise_or(dq, known.astype(quality.DQ_TYPE, copy=False), out=dq)
    bad = float(parameters["defect_bad_response"])
    cards: dict[str, str | int | float | bool | None] = {
        "MASKTYPE": "flmask",
        "THRESH": f"{parameters['defect_sigma']:g} sigma, bad 1 -+ {bad:g}",
        "SUBBGD": False,
        "NORMED": True,
        "NFLAT": len(group.obsids),
        "OBSFIRST": group.obsids[0],
        "OBSLAST": group.obsids[-1],
        **prepared,
        "INHERITS": prepared["MASKED"],
        **{f"BIT{value.bit_length() - 1:02d}": name for name, value in quality.BITS.items()},
    }
    return Product(KIND, group.ccd, {"DQ": dq, "MASK": quality.is_bad(dq).astype(np.int16)}, cards)
