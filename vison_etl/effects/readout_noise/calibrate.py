"""From frame statistics and pair differences to the tables ``offsets`` and ``readout_noise``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag
from vison_etl.effects.readout_noise.model import (
    NOTHING,
    QUANTISATION_VARIANCE,
    Average,
    Estimate,
    chain_mean,
    in_electrons,
    root,
)
from vison_etl.effects.readout_noise.offset_model import offset_over_frames
from vison_etl.effects.rows import result_frame
from vison_etl.tables import REGIONS

_CHANNEL = ("ccd", "quadrant", "region")
_Key = tuple[Any, ...]


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Average offsets over frames and noise over pairs.

    ``readout_noise``: every quantity is the mean over all adjacent pairs of its variance (pairs that share a frame being correlated),
    less 1/12 ADU² for the ADC's rounding where it contains it (total, white), then the root. A row or column variance that comes out
    negative is reported as such in ``row_variance_adu2`` and has no ``row_noise_adu``. Status: ``ok``; ``failed`` where the variance does
    not exceed that of rounding or is too wide to be measured; ``no_data`` without pairs or valid pixels.

    Flags: DEADQUAD (no pixel of an image region is valid, they hold 0), NO_PAIRS (channels without two frames), NO_GAIN (channels whose
    noise could not be given in electrons), POORQUALDATA (channels whose noise could not be measured).
    """
    read = _regions_read(inputs.statistics)
    offsets = list(_offset_rows(inputs, read))
    noise = list(_noise_rows(inputs, read))
    tables = {"offsets": result_frame("offsets", offsets), "readout_noise": result_frame("readout_noise", noise)}
    return Calibrated(tables, tuple(_flags(inputs.statistics, noise)))


def _regions_read(statistics: pl.DataFrame) -> list[_Key]:
    """Return the (ccd, quadrant, region) that were read in any frame, sorted."""
    pixels = pl.sum_horizontal("n", "n_clipped", "n_zero", "n_saturated")
    found = statistics.filter(pixels > 0).select(_CHANNEL).unique().rows()
    return sorted(found, key=lambda key: (key[0], key[1], REGIONS.index(key[2])))


def _by_channel(frame: pl.DataFrame) -> Mapping[_Key, pl.DataFrame]:
    return frame.partition_by(*_CHANNEL, as_dict=True, maintain_order=True) if frame.height else {}


def _offset_rows(inputs: CalibrationInput, read: list[_Key]) -> Iterator[dict[str, Any]]:
    since = (pl.col("started_at") - pl.col("started_at").min()).dt.total_seconds(fractional=True)
    hours = inputs.exposures.select("obsid", "ccd", hours=since / 3600.0)
    timed = inputs.statistics.join(hours, on=["obsid", "ccd"], how="left", maintain_order="left").sort("obsid")
    channels = _by_channel(timed)
    for key in read:
        frames = channels[key].select(pl.col("mean_adu", "mean_adu_err", "hours").cast(pl.Float64))
        found = offset_over_frames(*(column.to_numpy() for column in frames.get_columns()))
        yield {
            **dict(zip(_CHANNEL, key, strict=True)),
            **_named("offset_adu", found.mean),
            "rms_adu": found.rms,
            **_named("drift_adu_per_h", found.drift_per_h),
            "n_frames": found.n_frames,
        }


def _noise_rows(inputs: CalibrationInput, read: list[_Key]) -> Iterator[dict[str, Any]]:
    gains = {} if inputs.gain is None else {row[:2]: row[2:] for row in _gain_rows(inputs.gain)}
    channels = _by_channel(_pairs_of_used_frames(inputs))
    for key in read:
        pairs = channels.get(key)
        means = {part: _mean(pairs, f"{part}_adu2") for part in _PARTS}
        total, white, row, column = (
            _root(means[part], quantisation) for part, quantisation in zip(_PARTS, _QUANTISATION, strict=True)
        )
        average = means["variance"]
        n_pairs = average.dof + 1 if average else 0
        has_pixels = pairs is not None and pairs["n"].sum() > 0
        yield {
            **dict(zip(_CHANNEL, key, strict=True)),
            **_named("ron_adu", total),
            **_named("ron_white_adu", white),
            **_named("row_noise_adu", row),
            **_named("column_noise_adu", column),
            **_named("ron_e", in_electrons(total, *gains.get(key[:2], (None, None)))),
            **_named("row_variance_adu2", _estimate(means["row_variance"])),
            **_named("column_variance_adu2", _estimate(means["column_variance"])),
            "chi2": average.chi2 if average else None,
            "dof": average.dof if average else None,
            "status": "ok" if total.value is not None else "failed" if has_pixels else "no_data",
            "n_pairs": n_pairs,
            "n_points": n_pairs,
        }


_PARTS = ("variance", "white_variance", "row_variance", "column_variance")
_QUANTISATION = (QUANTISATION_VARIANCE, QUANTISATION_VARIANCE, 0.0, 0.0)


def _gain_rows(gain: pl.DataFrame) -> list[tuple[Any, ...]]:
    return gain.select("ccd", "quadrant", "gain_e_per_adu", "gain_e_per_adu_err").rows()


def _pairs_of_used_frames(inputs: CalibrationInput) -> pl.DataFrame:
    """Return the pairs both of whose frames are among the exposures and whose channel is not excluded."""
    pairs = inputs.measured["noise_pairs"].sort("obsid_1")
    used = inputs.statistics.select("obsid", "ccd", "quadrant").unique()
    for obsid in ("obsid_1", "obsid_2"):
        pairs = pairs.join(used, left_on=[obsid, "ccd", "quadrant"], right_on=["obsid", "ccd", "quadrant"], how="semi")
    return pairs.sort("obsid_1")


def _mean(pairs: pl.DataFrame | None, name: str) -> Average | None:
    if pairs is None:
        return None
    known = pairs.drop_nulls([name, f"{name}_err"])
    return chain_mean(
        known[name].to_numpy(), known[f"{name}_err"].to_numpy(), known.select("obsid_1", "obsid_2").rows()
    )


def _estimate(average: Average | None) -> Estimate:
    return NOTHING if average is None else Estimate(average.value, average.error)


def _root(average: Average | None, quantisation: float) -> Estimate:
    return NOTHING if average is None else root(average.value, average.error, quantisation)


def _named(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_err": estimate.error}


def _channels(rows: list[dict[str, Any]], concerns: Callable[[dict[str, Any]], bool]) -> list[_Key]:
    return sorted({(row["ccd"], row["quadrant"]) for row in rows if concerns(row)})


def _flags(statistics: pl.DataFrame, noise: list[dict[str, Any]]) -> Iterator[Flag]:
    image = statistics.filter(region="img").group_by("ccd", "quadrant").agg(pl.col("n", "n_zero").sum())
    dead = image.filter((pl.col("n") == 0) & (pl.col("n_zero") > 0))
    found = {
        "DEADQUAD": sorted(dead.select("ccd", "quadrant").rows()),
        "NO_PAIRS": _channels(noise, lambda row: row["n_pairs"] == 0 and row["region"] == "img"),
        "POORQUALDATA": _channels(noise, lambda row: row["status"] == "failed"),
        "NO_GAIN": _channels(noise, lambda row: row["ron_adu"] is not None and row["ron_e"] is None),
    }
    found["NO_PAIRS"] = [channel for channel in found["NO_PAIRS"] if channel not in found["DEADQUAD"]]
    for name, channels in found.items():
        if channels:
            yield Flag(name, len(channels), ", ".join(f"{ccd} {quadrant}" for ccd, quadrant in channels))
