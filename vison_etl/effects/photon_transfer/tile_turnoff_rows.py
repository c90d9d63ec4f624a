"""Rows of the table ``turnoff_tiles``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from vison_etl.effects.photon_transfer.bracket import TurnoffLimits
from vison_etl.effects.photon_transfer.channel import Channel
from vison_etl.effects.photon_transfer.selection import turnoff_data
from vison_etl.effects.photon_transfer.tile_turnoff import tile_turnoffs
from vison_etl.effects.photon_transfer.tiles import Tiles

_PLACE = ("tile", "x", "y", "width_px", "height_px")


def turnoff_rows(
    key: tuple[str, str], tiles: pl.DataFrame, arrays: Tiles, channel: Channel, limits: TurnoffLimits
) -> Iterator[dict[str, Any]]:
    """Yield one row for each tile of a channel.

    Parameters
    ----------
    key
        CCD and quadrant.
    tiles
        Rows of ``pair_tiles`` of all channels; those of this one are in the order of ``arrays``.
    arrays, channel
        Tiles and results of the channel.
    limits
        What counts.
    """
    if not arrays.pair.size:
        return
    mine = tiles.lazy().filter(pl.col("ccd") == key[0], pl.col("quadrant") == key[1]).select(_PLACE).unique("tile")
    selection = channel.selection
    data = turnoff_data(arrays, selection.points, selection.sound)
    fit, top = channel.fits["exponential"], channel.fit_max_adu["exponential"]
    found = tile_turnoffs(data, arrays.tile, fit, top, limits, selection.good)
    places = {row["tile"]: row for row in mine.collect().iter_rows(named=True)}
    for one in found:
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            **places[one.tile],
            "turnoff_adu": one.value_adu,
            "turnoff_adu_err": one.value_adu_err,
            "turnoff_lower_adu": one.lower_adu,
            "turnoff_upper_adu": one.upper_adu,
            "status": one.status,
            "n_points": one.n_points,
        }
