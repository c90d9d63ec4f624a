"""What is extracted from one flat or dark frame: the level of every tile."""

from __future__ import annotations

from typing import Any

from vison_etl.effects.columns import values_of
from vison_etl.effects.declare import Extracted, Parameters, RawFrame
from vison_etl.pixels.tile_levels import TileLevels, measure_levels

PARAMETERS: Parameters = {"clip_sigma": 5.0}
"""``clip_sigma``: clip of the pixels of a tile, in standard deviations."""


def levels(frame: RawFrame, parameters: Parameters) -> Extracted:
    """Measure the level of every tile of every quadrant of a frame.

    See :func:`vison_etl.pixels.tile_levels.measure_levels` for what each is.

    Returns
    -------
    Extracted
        One row of ``tile_levels`` per quadrant and tile; a tile with too few usable pixels, or without prescan, has its counts and NULL
        else.
    """
    found = measure_levels(
        frame.image,
        frame.geometry,
        vstart=frame.vstart,
        vend=frame.vend,
        clip_sigma=float(parameters["clip_sigma"]),
    )
    n = found.tile.size
    columns: dict[str, list[Any]] = {"obsid": [frame.obsid] * n, "ccd": [frame.ccd] * n}
    columns |= {name: values_of(getattr(found, name)) for name in TileLevels.__slots__}
    return Extracted({"tile_levels": columns})
