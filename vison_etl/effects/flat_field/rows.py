"""Rows of the measured tables, and the parts of a stack that belong to one quadrant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import FrameGroup
from vison_etl.effects.flat_field.mask import COUNTS
from vison_etl.effects.flat_field.ratio import COLUMNS as RATIO_COLUMNS
from vison_etl.instrument.geometry import Geometry, quadrant_view
from vison_etl.pixels.flat_stack import UNUSABLE, FlatStack
from vison_etl.pixels.illumination import Illumination
from vison_etl.pixels.prnu import SCALES, NonUniformity

KNOWN_BAD = 16
"""Bit of the product's mask, beside those of the stack: bad in the mask that was given."""

BAD = UNUSABLE | KNOWN_BAD
_SAMPLED_ROWS = 4


def image_area(geometry: Geometry) -> tuple[slice, slice]:
    """Return the image area of a canonical quadrant."""
    return slice(0, geometry.image_rows), slice(geometry.prescan, geometry.prescan + geometry.image_columns)


def image_views(stack: FlatStack, geometry: Geometry, quadrant: str) -> tuple[NDArray[Any], ...]:
    """Return the image areas of both halves, of the error and of the mask, canonical, shape (H, W)."""
    images = (stack.first, stack.second, stack.error, stack.mask)
    return tuple(quadrant_view(image, geometry, quadrant)[image_area(geometry)] for image in images)


def response_row(
    stack: FlatStack,
    group: FrameGroup,
    quadrant: str,
    light: Illumination | None,
    found: NonUniformity | None,
    bins: NDArray[np.float64],
) -> dict[str, Any]:
    """Return the row of ``flat_response`` of one quadrant; variances are of the response, which is about 1."""
    row: dict[str, Any] = dict.fromkeys(RESPONSE_COLUMNS)
    row |= {"n_pixels": 0, "n_left_out": stack.n_left_out[quadrant]}
    level = light.level_adu.get(quadrant) if light else None
    if light is None or level is None or found is None:
        return row
    *_, error, mask = image_views(stack, group.geometry, quadrant)
    some = error[::_SAMPLED_ROWS][(mask[::_SAMPLED_ROWS] & BAD) == 0]
    noise = float(np.mean(np.square(some), dtype=np.float64)) if some.size else None
    return row | {
        "fluence_adu": float(np.nanmean(bins)),
        "fluence_adu_err": level * (noise / (some.size * _SAMPLED_ROWS)) ** 0.5 if noise is not None else None,
        "source_rms_pct": 100.0 * float(np.std(stack.levels[quadrant], ddof=1)),
        "step": level / float(np.mean(list(light.level_adu.values()))),
        "illumination_rms_pct": 100.0 * light.scatter,
        "variance": found.variance.value,
        "variance_err": found.variance.error,
        "total_variance": found.total,
        "expected_noise_variance": noise,
        "n_pixels": found.n_pixels,
        "n_blocks": found.n_blocks,
        "n_blocks_left_out": found.n_blocks_left_out,
        "n_clipped": found.n_clipped,
        "n_columns": found.n_columns,
    }


RESPONSE_COLUMNS = (
    "fluence_adu",
    "fluence_adu_err",
    "source_rms_pct",
    "step",
    "illumination_rms_pct",
    "variance",
    "variance_err",
    "total_variance",
    "expected_noise_variance",
    "n_pixels",
    "n_blocks",
    "n_blocks_left_out",
    "n_clipped",
    "n_columns",
    "n_left_out",
    *COUNTS,
    *RATIO_COLUMNS,
)
"""Columns of ``flat_response`` beyond place, number of frames and what was applied."""


def scale_rows(found: NonUniformity | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``flat_scales`` of one quadrant."""
    for i, (low, high) in enumerate(SCALES):
        variance = found.scales[i] if found else None
        yield {
            "scale": i,
            "scale_lo_px": low,
            "scale_hi_px": high,
            "variance": variance.value if variance else None,
            "variance_err": variance.error if variance else None,
        }
