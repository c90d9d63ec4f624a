"""From tables to the arrays of the model: exposures in order of time, tiles of each channel, which of them count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from vison_etl.effects.declare import CalibrationInput, Parameters
from vison_etl.effects.nonlinearity.data import Exposures, Floats, Mask, Tiles
from vison_etl.instrument.chambers import actual_exptime_s, chamber, chambers

Key = tuple[str, str]
_SATURATED = 65535


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A non-linearity test as arrays.

    ``table``: the lit exposures, one row each, with ``obsid, script_column, label, exptime_s``; ``shutter``: name of the shutter's table;
    ``channels``: tiles of the channels that have data; ``fit_max_adu``: limit of the signals that count, NaN where nothing limits them;
    ``reasons``: why a channel has no data.
    """

    table: pl.DataFrame
    labels: tuple[str, ...]
    shutter: str | None
    exposures: Exposures
    channels: Mapping[Key, Tiles]
    reasons: Mapping[Key, str]


class NoRunError(ValueError):
    """The exposures make no non-linearity test; the message says what is missing."""


def _shutter(exposures: pl.DataFrame) -> str | None:
    names = exposures["chamber"].drop_nulls().unique().to_list() if "chamber" in exposures.columns else []
    if len(names) != 1 or names[0] not in chambers():
        return None
    return chamber(names[0]).shutter


def _all_exposures(inputs: CalibrationInput) -> pl.DataFrame:
    """Return one row per exposure with ``label`` (filter, or slot of the wheel) and ``hours``, in order of time."""
    slot = pl.format("slot {}", pl.col("wave")) if "wave" in inputs.exposures.columns else pl.lit(None, pl.String)
    frame = inputs.exposures.with_columns(label=pl.coalesce(pl.col("filter").cast(pl.String), slot))
    rows = frame.drop_nulls(["exptime_s", "started_at"]).unique("obsid", keep="first", maintain_order=True)
    rows = rows.sort("started_at", "obsid")
    start = pl.col("started_at").filter(pl.col("exptime_s") > 0).min()
    hours = (pl.col("started_at") - start).dt.total_seconds(fractional=True) / 3600.0
    return rows.with_columns(hours=hours)


def _exposures(lit: pl.DataFrame, labels: tuple[str, ...], shutter: str | None) -> Exposures:
    times = lit["exptime_s"].to_numpy()
    name = lit["chamber"][0] if shutter is not None else None
    opened = [actual_exptime_s(name, time) if shutter is not None else time for time in times.tolist()]
    light = np.array([labels.index(label) for label in lit["label"]])
    _, level = np.unique(np.column_stack([light, times]), axis=0, return_inverse=True)
    return Exposures(np.array(opened, np.float64), lit["hours"].to_numpy(), light, level.ravel())


def arrange(inputs: CalibrationInput) -> Run:
    """Return the test as arrays.

    Raises
    ------
    NoRunError
        Without lit exposures, without frames of zero seconds (the background is not known), without known filters.
    """
    every = _all_exposures(inputs)
    lit = every.filter(pl.col("exptime_s") > 0).drop_nulls("label")
    dark = every.filter(pl.col("exptime_s") == 0)
    if lit.is_empty() or dark.is_empty():
        raise NoRunError("no lit exposures of a known filter" if lit.is_empty() else "no exposures of zero seconds")
    labels = tuple(sorted(lit["label"].unique().to_list()))
    shutter = _shutter(every)
    exposures = _exposures(lit, labels, shutter)
    channels: dict[Key, Tiles] = {}
    reasons: dict[Key, str] = {}
    used = inputs.statistics.select("obsid", "ccd", "quadrant").unique()
    tiles = inputs.measured["tile_levels"].join(used, on=["obsid", "ccd", "quadrant"], how="semi")
    for (ccd, quadrant), mine in tiles.group_by("ccd", "quadrant", maintain_order=True):
        key = (str(ccd), str(quadrant))
        found = _tiles(mine, lit["obsid"].to_list(), dark["obsid"].to_list(), exposures, inputs.parameters)
        if isinstance(found, str):
            reasons[key] = found
        else:
            channels[key] = found
    return Run(lit, labels, shutter, exposures, channels, reasons)


def _cube(mine: pl.DataFrame, obsids: list[int], size: int) -> dict[str, Floats]:
    """Return the columns as arrays of shape (exposures, tiles), NaN where there is no row."""
    place = {obsid: i for i, obsid in enumerate(obsids)}
    mine = mine.filter(pl.col("obsid").is_in(obsids))
    rows = np.array([place[obsid] for obsid in mine["obsid"].to_list()], np.int64)
    at = mine["tile"].to_numpy().astype(np.int64)
    found = {}
    for name in ("mean_adu", "offset_adu_err", "variance_adu2", "n", "n_clipped", "n_saturated"):
        found[name] = np.full((len(obsids), size), np.nan)
        found[name][rows, at] = mine[name].cast(pl.Float64).to_numpy()
    return found


def _tiles(
    mine: pl.DataFrame, lit: list[int], dark: list[int], exposures: Exposures, parameters: Parameters
) -> Tiles | str:
    """Return the tiles of one channel, or why there are none."""
    size = int(mine["tile"].max()) + 1  # type: ignore[arg-type]
    corners = mine.unique("tile", maintain_order=True).sort("tile")
    if corners.height < size:
        return "tiles are missing"
    base, light = _cube(mine, dark, size), _cube(mine, lit, size)
    seen = np.isfinite(base["mean_adu"])
    if not seen.any(axis=0).all():
        return "no frame of zero seconds"
    frames = seen.sum(axis=0)
    background = np.nansum(base["mean_adu"], axis=0) / frames
    noise = float(np.nanmedian(base["variance_adu2"]))
    signal = light["mean_adu"] - background
    pixels = light["n"] + light["n_clipped"] + light["n_saturated"]
    with np.errstate(invalid="ignore"):
        good = light["n_saturated"] <= float(parameters["saturated_fraction_max"]) * pixels
        good &= (
            light["n"]
            >= float(parameters["min_pixel_fraction"]) * (corners["width_px"] * corners["height_px"]).to_numpy()
        )
    signal = np.where(good, signal, np.nan)
    signal[_is_spilling(signal, light["variance_adu2"], exposures, float(parameters["variance_fall"]))] = np.nan
    same = np.bincount(exposures.level)[exposures.level].astype(np.float64)
    area = float(np.nanmedian(base["n"]))
    # the error of the background is common to the frames of a level: it must not average out over them
    base_variance = np.broadcast_to((noise / area / frames) * same[:, None], signal.shape)
    bands = corners["y"].n_unique()
    known = good & np.isfinite(light["offset_adu_err"])
    total = np.sum(light["offset_adu_err"] ** 2, axis=1, where=known)
    offset = total / np.maximum(known.sum(axis=1), 1) / bands
    return Tiles(
        signal_adu=signal,
        n=np.where(np.isfinite(light["n"]), np.maximum(light["n"], 1.0), 1.0),
        base_variance=base_variance,
        noise_variance=noise,
        offset_variance=offset * (1.0 + same / float(frames.mean())),
        place=_place(corners),
        background_adu=float(np.mean(background)),
    )


def _place(corners: pl.DataFrame) -> Floats:
    place = corners.select(pl.col("x", "y").cast(pl.Float64)).to_numpy()
    place = place - place.mean(axis=0)
    return np.asarray(place / np.sqrt(np.mean(place**2, axis=0)))


def _is_spilling(signal: Floats, variance: Floats, exposures: Exposures, fall: float) -> Mask:
    """Tell which tiles are at or above the level where charge begins to spill: the variance of pixels falls instead of rising."""
    levels = []
    for level in np.unique(exposures.level):
        here = np.isfinite(signal) & (exposures.level == level)[:, None]
        if here.any():
            levels.append((float(np.mean(signal[here])), float(np.median(variance[here]))))
    highest, limit = 0.0, np.inf
    for mean, value in sorted(levels):
        if value < (1.0 - fall) * highest:
            limit = mean
            break
        highest = max(highest, value)
        last = mean
    if not np.isfinite(limit):
        return np.zeros(signal.shape, np.bool_)
    # tiles of the level that spills, and what lies more than halfway to it
    with np.errstate(invalid="ignore"):
        return np.asarray(signal > 0.5 * (last + limit))
