"""From the tiles of pairs to the tables ``ptc_points`` and ``gain``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag, Parameters
from vison_etl.effects.photon_transfer.bracket import Turnoff, TurnoffLimits
from vison_etl.effects.photon_transfer.channel import Channel, Rules, Tiles, analyse_channel
from vison_etl.effects.photon_transfer.goodness import describes, p_value
from vison_etl.effects.photon_transfer.model import Fit, Model, noise_e
from vison_etl.effects.photon_transfer.tile_turnoff_rows import turnoff_rows
from vison_etl.effects.rows import result_frame
from vison_etl.tables import CCDS, QUADRANTS

_Key = tuple[str, str]
_MODELS: tuple[Model, ...] = ("exponential", "quadratic")
_INTEGERS = ("pair", "level", "y", "area_px", "n", "n_saturated")
_FLOATS = tuple(name for name in Tiles.__slots__ if name not in _INTEGERS)


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Fit the photon-transfer curve of each of the twelve channels.

    ``gain`` has the rows ``exponential`` (adopted) and ``quadratic`` of every channel, also where the fit failed or there are no
    data. ``ptc_points`` has every pair, used or not, with the reason why not. ``turnoff_tiles`` has every tile that was measured.

    Flags: BADFIT, channels whose adopted fit failed or does not describe the tiles (chi2) or the levels (level_chi2) at a
    probability below ``badfit_p``; or all, where the sum of the level chi-squares over the channels is less probable than that:
    a shape that is wrong everywhere by less than one channel can tell. NO_PAIRS, channels without data.
    """
    tiles = _tiles_of_used_frames(inputs)
    names = tiles.select("pair", "obsid_1", "obsid_2", "script_column").unique().sort("pair")
    rules = _rules(inputs.parameters)
    arrays = dict(_by_channel(tiles))
    channels = {key: analyse_channel(mine, rules) for key, mine in arrays.items()}
    gain = [row for key, channel in channels.items() for row in _gain_rows(key, channel, inputs.wavelength_nm)]
    pairs = {row["pair"]: row for row in names.iter_rows(named=True)}
    points = [row for key, channel in channels.items() for row in _point_rows(key, channel, pairs)]
    turnoffs = [
        row for key, channel in channels.items() for row in turnoff_rows(key, tiles, arrays[key], channel, rules)
    ]
    tables = {
        "ptc_points": result_frame("ptc_points", points),
        "gain": result_frame("gain", gain),
        "turnoff_tiles": result_frame("turnoff_tiles", turnoffs),
    }
    return Calibrated(tables, tuple(_flags(channels, float(inputs.parameters["badfit_p"]))))


def _rules(parameters: Parameters) -> Rules:
    limits = TurnoffLimits(
        deficit=float(parameters["turnoff_deficit"]),
        kurtosis=float(parameters["turnoff_kurtosis"]),
        correlation=float(parameters["turnoff_correlation"]),
        sigma=float(parameters["turnoff_sigma"]),
        pixel_spread=float(parameters["pixel_spread_fraction"]),
    )
    return Rules(
        flux_mismatch_max=float(parameters["flux_mismatch_max"]),
        saturated_fraction_max=float(parameters["saturated_fraction_max"]),
        min_pixel_fraction=float(parameters["min_pixel_fraction"]),
        min_tiles=int(parameters["min_tiles"]),
        outlier_sigma=float(parameters["outlier_sigma"]),
        noise_prior_fraction=float(parameters["noise_prior_fraction"]),
        quadratic_low_adu=float(parameters["quadratic_low_adu"]),
        quadratic_high_adu=float(parameters["quadratic_high_adu"]),
        turnoff=limits,
    )


def _tiles_of_used_frames(inputs: CalibrationInput) -> pl.DataFrame:
    """Return the tiles both of whose frames are among the statistics, with pair and level numbered over the whole test."""
    tiles = inputs.measured["pair_tiles"]
    used = inputs.statistics.select("obsid", "ccd", "quadrant").unique()
    for obsid in ("obsid_1", "obsid_2"):
        tiles = tiles.join(used, left_on=[obsid, "ccd", "quadrant"], right_on=["obsid", "ccd", "quadrant"], how="semi")
    pairs = tiles.select("obsid_1", "obsid_2").unique().sort("obsid_1", "obsid_2").with_row_index("pair")
    columns = tiles.select("script_column").unique().sort("script_column").with_row_index("level")
    return (
        tiles.join(pairs, on=["obsid_1", "obsid_2"], how="left")
        .join(columns, on="script_column", how="left", nulls_equal=True)
        .with_columns(area_px=pl.col("width_px") * pl.col("height_px"))
        .cast({"pair": pl.Int64, "level": pl.Int64})
        .sort("pair", "ccd", "quadrant", "tile")
    )


def _by_channel(tiles: pl.DataFrame) -> Iterator[tuple[_Key, Tiles]]:
    """Yield the arrays of each of the twelve channels, empty where there are none."""
    arrays: dict[str, Any] = {name: tiles[name].fill_null(0).to_numpy().astype(np.int64) for name in _INTEGERS}
    arrays |= {name: tiles[name].cast(pl.Float64).to_numpy() for name in _FLOATS}
    ccds, quadrants = (tiles[name].cast(pl.String).to_numpy().astype(str) for name in ("ccd", "quadrant"))
    for ccd in CCDS:
        for quadrant in QUADRANTS:
            here = np.flatnonzero((ccds == ccd) & (quadrants == quadrant))
            yield (ccd, quadrant), Tiles(**{name: values[here] for name, values in arrays.items()})


def _gain_rows(key: _Key, channel: Channel, wavelength_nm: float | None) -> Iterator[dict[str, Any]]:
    for model in _MODELS:
        fit = channel.fits[model]
        level, level_dof = channel.level_chi2 if model == "exponential" else (math.nan, 0)
        noise, noise_err = noise_e(fit)
        gain_err, a00_err, n00_err = fit.errors
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            "model": model,
            "wavelength_nm": wavelength_nm,
            "gain_e_per_adu": fit.gain_e_per_adu,
            "gain_e_per_adu_err": gain_err,
            "a00_per_e": fit.a00_per_e,
            "a00_per_e_err": a00_err,
            "noise_e": noise,
            "noise_e_err": noise_err,
            "n00_adu2": fit.n00_adu2,
            "n00_adu2_err": n00_err,
            "chi2": fit.chi2,
            "dof": fit.dof if fit.has_values else None,
            "level_chi2": level,
            "level_dof": level_dof or None,
            **_turnoff_columns(channel.turnoff, fit),
            "is_adopted": model == channel.adopted,
            "n_outliers": fit.n_outliers,
            "fit_max_adu": channel.fit_max_adu[model],
            "status": fit.status,
            "n_points": fit.n_points,
        }


def _turnoff_columns(turnoff: Turnoff, fit: Fit) -> dict[str, float]:
    gain, gain_err = fit.gain_e_per_adu, fit.errors[0]
    return {
        "turnoff_adu": turnoff.value_adu,
        "turnoff_adu_err": turnoff.value_adu_err,
        "turnoff_lower_adu": turnoff.lower_adu,
        "turnoff_upper_adu": turnoff.upper_adu,
        "turnoff_e": gain * turnoff.value_adu,
        "turnoff_e_err": math.hypot(gain * turnoff.value_adu_err, gain_err * turnoff.value_adu),
    }


def _point_rows(key: _Key, channel: Channel, names: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for pair in channel.pairs:
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            **names[pair.pair],
            "mean_adu": pair.mean_adu,
            "mean_adu_err": pair.mean_adu_err,
            "variance_adu2": pair.variance_adu2,
            "variance_adu2_err": pair.variance_adu2_err,
            "used": pair.n_tiles_used > 0,
            "reject_reason": pair.reject_reason,
            "n_tiles": pair.n_tiles,
            "n_tiles_used": pair.n_tiles_used,
        }


def _flags(channels: Mapping[_Key, Channel], p_limit: float) -> Iterator[Flag]:
    missing = [key for key, channel in channels.items() if channel.fits[channel.adopted].status == "no_data"]
    if missing:
        yield Flag("NO_PAIRS", len(missing), ", ".join(f"{ccd} {quadrant}" for ccd, quadrant in missing))
    bad = [(key, channel) for key, channel in channels.items() if key not in missing and _is_bad(channel, p_limit)]
    if bad:
        yield Flag("BADFIT", len(bad), "; ".join(_verdict(key, channel) for key, channel in bad))
        return
    levels = [channel.level_chi2 for channel in channels.values() if channel.level_chi2[1] > 0]
    total, dof = sum(chi2 for chi2, _ in levels), sum(dof for _, dof in levels)
    if not describes([(total, dof)], p_limit):
        p = p_value(total, dof)
        yield Flag("BADFIT", len(levels), f"levels of all channels: chi2 {total:.1f} for {dof} dof, p = {p:.1e}")


def _is_bad(channel: Channel, p_limit: float) -> bool:
    fit = channel.fits[channel.adopted]
    return not fit.has_values or not describes([(fit.chi2, fit.dof), channel.level_chi2], p_limit)


def _verdict(key: _Key, channel: Channel) -> str:
    fit = channel.fits[channel.adopted]
    name = f"{key[0]} {key[1]}"
    if not fit.has_values:
        return f"{name}: {fit.status}"
    level, level_dof = channel.level_chi2
    return f"{name}: chi2 {fit.chi2:.1f} for {fit.dof} dof, of the levels {level:.1f} for {level_dof}"
