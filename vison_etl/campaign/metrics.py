"""Values that are checked, as frames: one row per value, with the reference values that limits may be relative to.

Every frame has ``VALUES``: keys (NULL where they do not apply), ``metric``, ``value``, ``value_err``, ``region``, ``fluence``
(commanded fraction of full well of the exposure; NULL without light) and the references of ``limits.Reference`` it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from vison_etl.campaign.columns import Column
from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.logged import compared_names, differences, logged_values
from vison_etl.instrument.blocks import offsets_adu
from vison_etl.instrument.chambers import actual_exptime_s, chamber, chambers

FULL_SCALE_ADU = 65536.0
SATURATED_CODE = 65535.0

VALUES = {
    "obsid": pl.Int64,
    "ccd": pl.String,
    "quadrant": pl.String,
    "script_column": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "value_err": pl.Float64,
    "region": pl.String,
    "fluence": pl.Float64,
    "n_expected": pl.Float64,
    "block_offset_adu": pl.Float64,
    "expected_fluence_adu": pl.Float64,
    "full_well_s": pl.Float64,
    "ccd_temperature_degc": pl.Float64,
}

_CHANNEL = ("obsid", "ccd", "quadrant")


@dataclass(frozen=True, slots=True)
class CheckInput:
    """All that a check may look at.

    ``exposures`` are those of one acquisition with ``script_column``; ``statistics`` and ``hk_summary`` theirs; ``columns`` the
    commanded ones of the variant that was matched; ``results`` result tables by name.
    """

    definition: TestDefinition
    columns: Sequence[Column]
    exposures: pl.DataFrame
    statistics: pl.DataFrame
    hk_summary: pl.DataFrame
    acquisition: Mapping[str, Any]
    results: Mapping[str, pl.DataFrame]


def as_values(frame: pl.DataFrame, metric: str | None = None) -> pl.DataFrame:
    """Return a frame with exactly the columns of ``VALUES``, missing ones NULL, NaN made NULL."""
    named = frame if metric is None else frame.with_columns(pl.lit(metric).alias("metric"))
    return named.select(
        (pl.col(name) if name in named.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in VALUES.items()
    ).with_columns(pl.col("value", "value_err").fill_nan(None))


def _open_s(exposures: pl.DataFrame) -> pl.DataFrame:
    """Return obsid, ccd and the time the shutter was open, s: the commanded one where the chamber has no shutter table."""
    pairs = exposures.select("chamber", "exptime_s").unique()
    actual = [actual_exptime_s(*pair) for pair in pairs.iter_rows()]
    times = pairs.with_columns(pl.Series("open_s", actual, pl.Float64))
    return exposures.join(times, on=["chamber", "exptime_s"], how="left", nulls_equal=True).select(
        "obsid", "ccd", pl.coalesce("open_s", "exptime_s").alias("open_s")
    )


def context(data: CheckInput) -> pl.DataFrame:
    """Return ``obsid, ccd, script_column, fluence, expected_fluence_adu`` of each exposure and CCD.

    The fraction of full well is open time / time to full well, or the commanded percentage where the chamber is unknown.
    """
    lit = [
        {
            "script_column": column.label,
            "full_well_s": column.full_well_s,
            "share": None
            if column.percent is None or column.full_well != column.values["source"]
            else column.percent / 100,
        }
        for column in data.columns
        if column.values["shuttr"] != 0
    ]
    schema = {"script_column": pl.String, "full_well_s": pl.Float64, "share": pl.Float64}
    return (
        data.exposures.select("obsid", "ccd", "script_column")
        .join(_open_s(data.exposures), on=["obsid", "ccd"], how="left")
        .join(pl.DataFrame(lit, schema=schema), on="script_column", how="left")
        .with_columns(fluence=pl.coalesce(pl.col("open_s") / pl.col("full_well_s"), "share"))
        .with_columns(expected_fluence_adu=FULL_SCALE_ADU * pl.min_horizontal("fluence", pl.lit(1.0)))
        .with_columns(expected_fluence_adu=pl.when(pl.col("fluence").is_not_null()).then("expected_fluence_adu"))
        .select("obsid", "ccd", "script_column", "fluence", "expected_fluence_adu")
    )


def _of_frames(data: CheckInput) -> pl.DataFrame:
    keys = context(data)
    statistics = data.statistics.with_columns(pl.col("ccd", "quadrant", "region").cast(pl.String))
    return statistics.join(keys, on=["obsid", "ccd"], how="inner", maintain_order="left")


def _offsets(data: CheckInput) -> pl.DataFrame:
    table = offsets_adu(str(data.acquisition["block"])) or {}
    rows = [(ccd, quadrant, value) for (ccd, quadrant), value in table.items()]
    schema = {"ccd": pl.String, "quadrant": pl.String, "block_offset_adu": pl.Float64}
    known = pl.DataFrame(rows, schema=schema, orient="row")
    frames = _of_frames(data).join(known, on=["ccd", "quadrant"], how="left", maintain_order="left")
    return as_values(frames.with_columns(value=pl.col("mean_adu"), value_err=pl.col("mean_adu_err")), "offset_adu")


def _gradients(data: CheckInput) -> pl.DataFrame:
    frames = _of_frames(data)
    pre = frames.filter(pl.col("region") == "pre").select(*_CHANNEL, pre="mean_adu", pre_err="mean_adu_err")
    both = frames.filter(pl.col("region") != "pre").join(pre, on=_CHANNEL, how="left", maintain_order="left")
    error = (pl.col("mean_adu_err") ** 2 + pl.col("pre_err") ** 2).sqrt()
    return as_values(
        both.with_columns(value=pl.col("mean_adu") - pl.col("pre"), value_err=error), "offset_gradient_adu"
    )


def _stds(data: CheckInput) -> pl.DataFrame:
    std = pl.col("clipped_std_adu")
    frames = _of_frames(data).with_columns(value=std, value_err=std / (2.0 * pl.col("n")).sqrt())
    return as_values(frames, "std_adu")


def _fluences(data: CheckInput) -> pl.DataFrame:
    """Mean of the image above the serial overscan, saturated pixels counted with their code."""
    frames = _of_frames(data)
    ove = frames.filter(pl.col("region") == "ove").select(*_CHANNEL, ove="mean_adu", ove_err="mean_adu_err")
    img = frames.filter(pl.col("region") == "img").join(ove, on=_CHANNEL, how="left", maintain_order="left")
    n_below = pl.col("n") + pl.col("n_clipped")
    below = pl.when(n_below > 0).then(n_below * pl.col("mean_adu")).otherwise(0.0)
    mean = (below + pl.col("n_saturated") * SATURATED_CODE) / (n_below + pl.col("n_saturated"))
    error = (pl.col("mean_adu_err").fill_null(0.0) ** 2 + pl.col("ove_err") ** 2).sqrt()
    return as_values(img.with_columns(value=mean - pl.col("ove"), value_err=error, region=pl.lit(None)), "fluence_adu")


def _saturated(data: CheckInput) -> pl.DataFrame:
    size = pl.sum_horizontal("n", "n_clipped", "n_zero", "n_saturated")
    img = _of_frames(data).filter(pl.col("region") == "img").with_columns(value=pl.col("n_saturated") / size)
    return as_values(img.with_columns(region=pl.lit(None)), "saturated_fraction")


def _lost(data: CheckInput) -> pl.DataFrame:
    keys = [*_CHANNEL, "script_column", "fluence"]
    return as_values(
        _of_frames(data).group_by(keys, maintain_order=True).agg(pl.col("n_zero").sum().alias("value")), "lost_pixels"
    )


def _channel_medians(data: CheckInput, name: str, metric: str) -> pl.DataFrame:
    pre = _of_frames(data).filter(pl.col("region") == "pre")
    return as_values(
        pre.group_by("ccd", "quadrant", maintain_order=True).agg(pl.col(name).median().alias("value")), metric
    )


def _channel_signals(data: CheckInput) -> pl.DataFrame:
    """Largest ratio of measured and expected fluence of a channel; no row for channels without lit exposures."""
    lit = _fluences(data).filter(pl.col("expected_fluence_adu") > 0)
    ratio = (pl.col("value") / pl.col("expected_fluence_adu")).max().alias("value")
    return as_values(lit.group_by("ccd", "quadrant", maintain_order=True).agg(ratio), "channel_signal")


def _result(data: CheckInput, name: str) -> pl.DataFrame | None:
    """Return a result table without the rows that had no data; None if it was not made."""
    frame = data.results.get(name)
    return None if frame is None else frame.filter(pl.col("status") != "no_data")


def _rons(data: CheckInput) -> pl.DataFrame:
    noise = _result(data, "readout_noise")
    if noise is None:
        return as_values(pl.DataFrame(schema=VALUES))
    return as_values(noise.with_columns(value=pl.col("ron_adu"), value_err=pl.col("ron_adu_err")), "ron_adu")


def _saturation_times(data: CheckInput) -> pl.DataFrame:
    fits = _result(data, "light_source")
    if fits is None:
        return as_values(pl.DataFrame(schema=VALUES))
    name = data.acquisition["chamber"]
    full = chamber(name).flat_s if name in chambers() else {}
    known = pl.DataFrame(
        {"wavelength_nm": [float(label) for label in full], "full_well_s": list(full.values())},
        schema={"wavelength_nm": pl.Float64, "full_well_s": pl.Float64},
    )
    rows = fits.join(known, on="wavelength_nm", how="left", maintain_order="left")
    return as_values(
        rows.with_columns(value=pl.col("saturation_s"), value_err=pl.col("saturation_s_err")), "saturation_s"
    )


def _exposures_found(data: CheckInput) -> pl.DataFrame:
    row = {"value": float(data.acquisition["n_found"]), "n_expected": float(data.acquisition["n_expected"])}
    return as_values(pl.DataFrame([row]), "exposures_found")


def _exposures_extra(data: CheckInput) -> pl.DataFrame:
    n_extra = data.acquisition.get("n_extra")
    rows = [] if n_extra is None else [{"value": float(n_extra)}]
    return as_values(pl.DataFrame(rows, schema={"value": pl.Float64}), "exposures_extra")


def _commands(data: CheckInput) -> pl.DataFrame:
    """Per key that the log has: how many exposures contradict the command, and the first of them."""
    wanted = [logged_values(column) for column in data.columns]
    names = [
        name
        for name in compared_names(data.definition.waived)
        if name in data.exposures.columns
        and data.exposures[name].null_count() < data.exposures.height
        and any(row[name] is not None for row in wanted)
    ]
    wrong = differences(data.exposures, data.columns, data.definition.waived)
    counted = wrong.group_by("key").agg(
        pl.col("obsid").n_unique().alias("value"), pl.col("obsid", "script_column").sort_by("obsid").first()
    )
    rows = pl.DataFrame({"key": names}, schema={"key": pl.String}).join(
        counted, on="key", how="left", maintain_order="left"
    )
    return as_values(rows.with_columns(pl.col("value").fill_null(0), metric=pl.format("command_{}", "key")))


METRICS: Mapping[str, Callable[[CheckInput], pl.DataFrame]] = {
    "exposures_found": _exposures_found,
    "exposures_extra": _exposures_extra,
    "command": _commands,
    "offset_adu": _offsets,
    "offset_gradient_adu": _gradients,
    "std_adu": _stds,
    "channel_offset_adu": lambda data: _channel_medians(data, "mean_adu", "channel_offset_adu"),
    "channel_std_adu": lambda data: _channel_medians(data, "clipped_std_adu", "channel_std_adu"),
    "channel_signal": _channel_signals,
    "ron_adu": _rons,
    "fluence_adu": _fluences,
    "saturation_s": _saturation_times,
    "saturated_fraction": _saturated,
    "lost_pixels": _lost,
}
"""Metrics by name; those of housekeeping are in ``hk_metrics``."""
