"""From the tiles and covariances of pairs to gain, noise, turn-off and the coefficients of the brighter-fatter effect."""

from __future__ import annotations

from typing import Any

import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput
from vison_etl.effects.photon_transfer.channel import Channel, analyse_channel
from vison_etl.effects.photon_transfer.covariance_rows import (
    coefficient_rows,
    covariance_rows,
    fit_rows,
    levels_of,
)
from vison_etl.effects.photon_transfer.curve_rows import gain_rows, point_rows
from vison_etl.effects.photon_transfer.flags import flags
from vison_etl.effects.photon_transfer.fluence import fluence_rows, variance_levels
from vison_etl.effects.photon_transfer.inputs import Key, channels_of, rules_of, tiles_of_used_frames
from vison_etl.effects.photon_transfer.kernel_product import kernel_products
from vison_etl.effects.photon_transfer.tile_turnoff_rows import turnoff_rows
from vison_etl.effects.rows import result_frame

TABLES = (
    "ptc_points",
    "gain",
    "covariances",
    "bfe_coefficients",
    "covariance_fits",
    "gain_vs_fluence",
    "turnoff_tiles",
)


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Fit the photon-transfer curve of each of the twelve channels.

    ``gain`` has the rows ``covariance``, ``exponential`` and ``quadratic`` of every channel, also where the fit failed or there
    are no data: no covariances were measured, no tiles. The covariance fit is adopted where its status is ``ok`` and it
    describes pairs and levels (chi2, level_chi2, each not less probable than ``badfit_p``), else the exponential.
    ``ptc_points`` has every pair, used or not, with the reason why not; ``covariances`` means over the pairs of each script column;
    ``bfe_coefficients`` every lag of every channel with covariances; ``covariance_fits`` the fits with c free and c = 0,
    sum rule and symmetry; ``gain_vs_fluence`` the levels against the adopted fit; ``turnoff_tiles`` every tile that was measured.

    Products: ``bfe_kernel``, one per CCD with covariances, see ``covariance.kernel_file``.

    Flags: BADFIT and NO_PAIRS, see ``flags``.
    """
    tiles = tiles_of_used_frames(inputs)
    rules = rules_of(inputs.parameters)
    pairs = {
        row["pair"]: row
        for row in tiles.select("pair", "obsid_1", "obsid_2", "script_column")
        .unique()
        .sort("pair")
        .iter_rows(named=True)
    }
    labels = dict(tiles.select("level", "script_column").unique().iter_rows())
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    channels: dict[Key, Channel] = {}
    for key, given in channels_of(inputs, tiles):
        channel = channels[key] = analyse_channel(given, rules)
        rows["gain"] += gain_rows(key, channel, inputs.wavelength_nm)
        rows["ptc_points"] += point_rows(key, channel, pairs)
        rows["turnoff_tiles"] += turnoff_rows(key, tiles, given.tiles, channel, rules.tiles.turnoff)
        levels = levels_of(channel.covariances)
        rows["covariances"] += covariance_rows(key, levels)
        if levels:
            rows["bfe_coefficients"] += coefficient_rows(key, channel.covariances.chosen)
        rows["covariance_fits"] += fit_rows(key, channel.covariances)
        rows["gain_vs_fluence"] += fluence_rows(key, channel, variance_levels(channel, given.tiles, labels, levels))
    tables: dict[str, pl.DataFrame] = {name: result_frame(name, records) for name, records in rows.items()}
    covariances = {key: channel.covariances for key, channel in channels.items()}
    products = kernel_products(covariances, int(inputs.parameters["covariance_lags"]))
    return Calibrated(tables, tuple(flags(channels, rules.badfit_p)), products)
