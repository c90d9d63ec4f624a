"""Mask of the pixels whose response deviates, from a master flat: bits, counts and the product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import FrameGroup, Parameters, Product
from vison_etl.pixels import quality
from vison_etl.pixels.flat_compare import deviation_sigma
from vison_etl.pixels.flat_stack import NO_DATA, NOISY

KIND = "mask"
PARAMETERS: Parameters = {
    "defect_sigma": 5.5,
    "defect_min_response": 0.005,
    "defect_bad_response": 0.2,
    "defect_dead_response": 0.5,
}
COUNTS = ("n_low_response", "n_high_response", "n_dead", "n_masked")
"""What is counted per quadrant, px: too low, too high, dead, and all that the mask takes, noisy pixels and those without data in it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a pixel deviates: by ``sigma`` of what a good one may, and by ``least``; from ``bad`` on (loss: ``dead``) no flat corrects it."""

    sigma: float
    least: float
    bad: float
    dead: float


def limits_of(parameters: Parameters) -> Limits:
    """Return the limits that the parameters give."""
    return Limits(*(float(parameters[name]) for name in PARAMETERS))


def response_bits(
    response: NDArray[np.float32],
    error: NDArray[np.float32],
    stacked: NDArray[np.uint8],
    prnu: float,
    limits: Limits,
) -> NDArray[np.int16]:
    """Return the quality of the pixels of the image area of one quadrant, shape (H, W).

    Parameters
    ----------
    response, error
        Master flat about 1 and its error; NaN: no data.
    stacked
        Mask of the stack.
    prnu
        Non-uniformity of good pixels, as a fraction.

    Returns
    -------
    NDArray of int16
        LOW_RESPONSE or HIGH_RESPONSE where the response is ``limits.sigma`` off the median of its surroundings and at least ``least``
        of it; BAD_PIXEL and DEAD beyond ``bad`` and ``dead``; NOISY, NO_DATA as the stack has it.
    """
    sigma = deviation_sigma(response, error, prnu)
    where = np.nonzero(np.abs(sigma) >= limits.sigma)
    found = sigma[where]
    size = found * np.hypot(prnu, error[where])
    bits = np.where(found < 0, quality.LOW_RESPONSE, quality.HIGH_RESPONSE)
    bits |= np.where(np.abs(size) >= limits.bad, quality.BAD_PIXEL, 0)
    bits |= np.where(size <= -limits.dead, quality.DEAD, 0)
    dq = np.zeros(response.shape, quality.DQ_TYPE)
    dq[where] = np.where(np.abs(size) >= limits.least, bits, 0)
    dq[(stacked & NOISY) != 0] |= quality.NOISY
    dq[(stacked & NO_DATA) != 0] |= quality.NO_DATA
    return dq


def counts_of(dq: NDArray[np.int16]) -> dict[str, int]:
    """Return ``COUNTS`` of one quadrant; a dead pixel counts as low, too."""
    bits = (quality.LOW_RESPONSE, quality.HIGH_RESPONSE, quality.DEAD, quality.UNUSABLE)
    return {name: int(np.count_nonzero(dq & bit)) for name, bit in zip(COUNTS, bits, strict=True)}


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
