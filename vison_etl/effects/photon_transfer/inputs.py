"""From the tables of a test to the arrays of its twelve channels, and from parameters to rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from vison_etl.effects.covariance.frames import measured_pairs
from vison_etl.effects.declare import CalibrationInput, Parameters
from vison_etl.effects.photon_transfer.bracket import TurnoffLimits
from vison_etl.effects.photon_transfer.channel import MeasuredChannel, Rules
from vison_etl.effects.photon_transfer.covariances import CovarianceRules
from vison_etl.effects.photon_transfer.selection import TileRules
from vison_etl.effects.photon_transfer.tiles import Tiles
from vison_etl.tables import CCDS, QUADRANTS, table

Key = tuple[str, str]

_PAIR = ("obsid_1", "obsid_2")
_INTEGERS = ("pair", "level", "tile", "y", "area_px", "n", "n_saturated")
_FLOATS = tuple(name for name in Tiles.__slots__ if name not in _INTEGERS)


def rules_of(parameters: Parameters) -> Rules:
    """Return the parameters of the effect as rules."""
    limits = TurnoffLimits(
        deficit=float(parameters["turnoff_deficit"]),
        kurtosis=float(parameters["turnoff_kurtosis"]),
        correlation=float(parameters["turnoff_correlation"]),
        sigma=float(parameters["turnoff_sigma"]),
        pixel_spread=float(parameters["pixel_spread_fraction"]),
    )
    return Rules(
        tiles=TileRules(
            flux_mismatch_max=float(parameters["flux_mismatch_max"]),
            saturated_fraction_max=float(parameters["saturated_fraction_max"]),
            min_pixel_fraction=float(parameters["min_pixel_fraction"]),
            min_tiles=int(parameters["min_tiles"]),
            turnoff=limits,
        ),
        outlier_sigma=float(parameters["outlier_sigma"]),
        noise_prior_fraction=float(parameters["noise_prior_fraction"]),
        quadratic_low_adu=float(parameters["quadratic_low_adu"]),
        quadratic_high_adu=float(parameters["quadratic_high_adu"]),
        badfit_p=float(parameters["badfit_p"]),
        covariance=CovarianceRules(
            outlier_sigma=float(parameters["outlier_sigma"]),
            saturated_fraction_max=float(parameters["saturated_fraction_max"]),
            c_is_free=bool(parameters["covariance_c_is_free"]),
        ),
    )


def tiles_of_used_frames(inputs: CalibrationInput) -> pl.DataFrame:
    """Return the tiles both of whose frames are among the statistics, with pair and level numbered over the whole test."""
    tiles = of_used_frames(inputs, inputs.measured["pair_tiles"])
    pairs = tiles.select(_PAIR).unique().sort(_PAIR).with_row_index("pair")
    columns = tiles.select("script_column").unique().sort("script_column").with_row_index("level")
    return (
        tiles.join(pairs, on=_PAIR, how="left")
        .join(columns, on="script_column", how="left", nulls_equal=True)
        .with_columns(area_px=pl.col("width_px") * pl.col("height_px"))
        .cast({"pair": pl.Int64, "level": pl.Int64})
        .sort("pair", "ccd", "quadrant", "tile")
    )


def channels_of(inputs: CalibrationInput, tiles: pl.DataFrame) -> Iterator[tuple[Key, MeasuredChannel]]:
    """Yield the arrays of each of the twelve channels, empty where there are none.

    A test whose covariances were not measured has no table ``pair_covariances``, or one without rows.
    """
    covariances = inputs.measured.get("pair_covariances")
    covariances = empty_table("pair_covariances") if covariances is None else of_used_frames(inputs, covariances)
    labels = tiles.select(*_PAIR, "pair").unique()
    reach = int(inputs.parameters["covariance_lags"])
    for key, arrays in _tiles_by_channel(tiles):
        found = measured_pairs(covariances.filter(pl.col("ccd") == key[0], pl.col("quadrant") == key[1]), reach)
        pair = found.frame.join(labels, on=_PAIR, how="left", maintain_order="left")["pair"].fill_null(-1)
        yield key, MeasuredChannel(arrays, found, pair.to_numpy().astype(np.int64))


def of_used_frames(inputs: CalibrationInput, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of pairs both of whose frames are among the statistics."""
    used = inputs.statistics.select("obsid", "ccd", "quadrant").unique()
    for obsid in _PAIR:
        rows = rows.join(used, left_on=[obsid, "ccd", "quadrant"], right_on=["obsid", "ccd", "quadrant"], how="semi")
    return rows


def empty_table(name: str) -> pl.DataFrame:
    """Return a table of measurements without rows."""
    kinds = {"text": pl.String, "int": pl.Int64, "float": pl.Float64}
    return pl.DataFrame(schema={column.name: kinds[column.kind] for column in table(name).columns})


def _tiles_by_channel(tiles: pl.DataFrame) -> Iterator[tuple[Key, Tiles]]:
    arrays: dict[str, Any] = {name: tiles[name].fill_null(0).to_numpy().astype(np.int64) for name in _INTEGERS}
    arrays |= {name: tiles[name].cast(pl.Float64).to_numpy() for name in _FLOATS}
    ccds, quadrants = (tiles[name].cast(pl.String).to_numpy().astype(str) for name in ("ccd", "quadrant"))
    for ccd in CCDS:
        for quadrant in QUADRANTS:
            here = np.flatnonzero((ccds == ccd) & (quadrants == quadrant))
            yield (ccd, quadrant), Tiles(**{name: values[here] for name, values in arrays.items()})
