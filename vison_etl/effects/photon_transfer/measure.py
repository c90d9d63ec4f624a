"""What is extracted from a pair of equal flats: mean and variance of each tile."""

from __future__ import annotations

from typing import Any

from vison_etl.effects.columns import values_of
from vison_etl.effects.declare import Extracted, Parameters, RawFrame

PARAMETERS: Parameters = {"clip_sigma": 5.5}
"""``clip_sigma``: clip of the pixels of a difference, in standard deviations."""


def tiles(first: RawFrame, second: RawFrame, parameters: Parameters) -> Extracted:
    """Measure mean, variance, kurtosis and neighbour correlations of every tile of every quadrant of a pair.

    See :func:`vison_etl.pixels.pair_tiles.measure_pair` for what each is.

    Returns
    -------
    Extracted
        One row of ``pair_tiles`` per quadrant and tile; a tile with too few usable pixels has its counts and NULL else.

    Raises
    ------
    ValueError
        If the frames are of different CCDs or sizes.
    """
    from vison_etl.pixels.pair_tiles import PairTiles, measure_pair  # noqa: PLC0415 - calibrations need no kernels

    require_pair(first, second)
    found = measure_pair(
        first.image,
        second.image,
        first.geometry,
        vstart=max(first.vstart, second.vstart),
        vend=min(first.vend, second.vend),
        clip_sigma=float(parameters["clip_sigma"]),
    )
    n = found.tile.size
    columns: dict[str, list[Any]] = {
        "obsid_1": [first.obsid] * n,
        "obsid_2": [second.obsid] * n,
        "ccd": [first.ccd] * n,
    }
    columns |= {name: values_of(getattr(found, name)) for name in PairTiles.__slots__}
    return Extracted({"pair_tiles": columns})


def require_pair(first: RawFrame, second: RawFrame) -> None:
    """Raise ``ValueError`` if two frames are of different CCDs or sizes."""
    if first.ccd != second.ccd or first.geometry != second.geometry:
        raise ValueError(f"exposures {first.obsid} and {second.obsid} make no pair: CCD or frame size differ")
