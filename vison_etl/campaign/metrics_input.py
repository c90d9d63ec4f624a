"""What a check may look at, and what was commanded in each exposure.

Every metric is a frame with ``VALUES``: keys (NULL where they do not apply), ``metric``, ``value``, ``value_err``, ``region``, the
state that was commanded, by which limits choose, and the references of ``limits.Reference`` it knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from vison_etl.campaign.columns import Column
from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.metrics_constants import constants
from vison_etl.instrument.chambers import actual_exptime_s

FULL_SCALE_ADU = 65536.0
SATURATED_CODE = 65535.0

CHANNEL = ("obsid", "ccd", "quadrant")

STATE = {
    "script_column": pl.String,
    "light": pl.String,
    "fluence": pl.Float64,
    "injected": pl.Boolean,
    "rdmode": pl.String,
}
"""What was commanded in an exposure.

``light``: ``none``, or the source that shone, ``flat`` or ``point``; NULL where it is not known. ``fluence``: commanded fraction of full
well of that source; NULL without light. ``injected``: whether charge was injected.
"""

VALUES = {
    "obsid": pl.Int64,
    "ccd": pl.String,
    "quadrant": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "value_err": pl.Float64,
    "region": pl.String,
    **STATE,
    "n_expected": pl.Float64,
    "block_offset_adu": pl.Float64,
    "expected_fluence_adu": pl.Float64,
    "expected_peak_adu": pl.Float64,
    "expected_injection_adu": pl.Float64,
    "full_well_s": pl.Float64,
    "ccd_temperature_degc": pl.Float64,
}

_COMMANDED = {
    "script_column": pl.String,
    "source": pl.String,
    "is_open": pl.Boolean,
    "full_well_s": pl.Float64,
    "share": pl.Float64,
    "injected": pl.Boolean,
    "rdmode": pl.String,
}


@dataclass(frozen=True, slots=True)
class CheckInput:
    """All that a check may look at.

    ``exposures`` are those of one acquisition with ``script_column``; ``statistics`` and ``hk_summary`` theirs; ``columns`` the
    commanded ones of the variant that was matched; ``results`` result tables by name; ``extra`` the exposures of the
    acquisition that were not commanded.
    """

    definition: TestDefinition
    columns: Sequence[Column]
    exposures: pl.DataFrame
    statistics: pl.DataFrame
    hk_summary: pl.DataFrame
    acquisition: Mapping[str, Any]
    results: Mapping[str, pl.DataFrame]
    extra: pl.DataFrame


def as_values(frame: pl.DataFrame, metric: str | None = None) -> pl.DataFrame:
    """Return a frame with exactly the columns of ``VALUES``, missing ones NULL, NaN made NULL."""
    named = frame if metric is None else frame.with_columns(pl.lit(metric).alias("metric"))
    return named.select(
        (pl.col(name) if name in named.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in VALUES.items()
    ).with_columns(pl.col("value", "value_err").fill_nan(None))


def no_values() -> pl.DataFrame:
    """Return an empty frame of values: there is nothing to check."""
    return pl.DataFrame(schema=VALUES)


def _open_s(exposures: pl.DataFrame) -> pl.DataFrame:
    """Return obsid, ccd and the time the shutter was open, s: the commanded one where the chamber has no shutter table."""
    pairs = exposures.select("chamber", "exptime_s").unique()
    actual = [actual_exptime_s(*pair) for pair in pairs.iter_rows()]
    times = pairs.with_columns(pl.Series("open_s", actual, pl.Float64))
    return exposures.join(times, on=["chamber", "exptime_s"], how="left", nulls_equal=True).select(
        "obsid", "ccd", "exptime_s", pl.coalesce("open_s", "exptime_s").alias("open_s")
    )


def _commanded(columns: Sequence[Column]) -> pl.DataFrame:
    least_us = constants().injection_least_width_us
    rows = [
        {
            "script_column": column.label,
            "source": column.values["source"],
            "is_open": column.values["shuttr"] != 0,
            "full_well_s": column.full_well_s,
            "share": None
            if column.percent is None or column.full_well != column.values["source"]
            else column.percent / 100,
            "injected": bool(column.values["chinj"]) and float(column.values["id_wid"] or 0) >= least_us,
            "rdmode": column.values["rdmode"],
        }
        for column in columns
    ]
    return pl.DataFrame(rows, schema=_COMMANDED)


def context(data: CheckInput) -> pl.DataFrame:
    """Return ``obsid, ccd``, ``STATE``, ``expected_fluence_adu``, ``expected_peak_adu`` of each exposure and CCD.

    The fraction of full well is open time / time to full well, or the commanded percentage where the chamber is unknown. Flats
    are expected to have min(fraction, 1) x 65536 ADU, the brightest pixels of spots min(fraction, 1) x the effective saturation.
    An exposure without a commanded column is dark if it took no time; else its light is unknown.
    """
    is_dark = (~pl.col("is_open")).fill_null(value=False) | (pl.col("exptime_s") == 0.0).fill_null(value=False)
    share, is_lit = pl.min_horizontal("fluence", pl.lit(1.0)), pl.col("fluence").is_not_null()
    return (
        data.exposures.select("obsid", "ccd", "script_column")
        .join(_open_s(data.exposures), on=["obsid", "ccd"], how="left", maintain_order="left")
        .join(_commanded(data.columns), on="script_column", how="left", maintain_order="left")
        .with_columns(light=pl.when(is_dark).then(pl.lit("none")).otherwise("source"))
        .with_columns(
            fluence=pl.when(pl.col("light") != "none").then(
                pl.coalesce(pl.col("open_s") / pl.col("full_well_s"), "share")
            )
        )
        .with_columns(
            expected_fluence_adu=pl.when(is_lit, light="flat").then(FULL_SCALE_ADU * share),
            expected_peak_adu=pl.when(is_lit, light="point").then(constants().effective_saturation_adu * share),
        )
        .select("obsid", "ccd", *STATE, "expected_fluence_adu", "expected_peak_adu")
    )


def of_frames(data: CheckInput) -> pl.DataFrame:
    """Return the statistics of the exposures with their ``context``."""
    statistics = data.statistics.with_columns(pl.col("ccd", "quadrant", "region").cast(pl.String))
    return statistics.join(context(data), on=["obsid", "ccd"], how="inner", maintain_order="left")


def of_image(data: CheckInput) -> pl.DataFrame:
    """Return the statistics of the image areas with ``ove_adu, ove_err`` of the same rows; ``region`` is NULL: it is the quadrant."""
    frames = of_frames(data)
    ove = frames.filter(pl.col("region") == "ove").select(*CHANNEL, ove_adu="mean_adu", ove_err="mean_adu_err")
    img = frames.filter(pl.col("region") == "img").join(ove, on=CHANNEL, how="left", maintain_order="left")
    return img.with_columns(region=pl.lit(None, pl.String))


def signal_adu() -> pl.Expr:
    """Return the mean of the image above the serial overscan, saturated pixels counted with their code."""
    n_below = pl.col("n") + pl.col("n_clipped")
    below = pl.when(n_below > 0).then(n_below * pl.col("mean_adu")).otherwise(0.0)
    mean = (below + pl.col("n_saturated") * SATURATED_CODE) / (n_below + pl.col("n_saturated"))
    return mean - pl.col("ove_adu")


def peak_adu() -> pl.Expr:
    """Return the brightest pixel of the image above the serial overscan; the code of saturation where a pixel has it."""
    top = pl.when(pl.col("n_saturated") > 0).then(SATURATED_CODE).otherwise("max_adu")
    return top - pl.col("ove_adu")
