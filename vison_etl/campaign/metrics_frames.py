"""Values of whole frames: offsets, scatter, lost and saturated pixels, channels that are not there."""

from __future__ import annotations

import polars as pl

from vison_etl.campaign.metrics_constants import constants
from vison_etl.campaign.metrics_input import (
    CHANNEL,
    STATE,
    CheckInput,
    as_values,
    of_frames,
    of_image,
    peak_adu,
    signal_adu,
)
from vison_etl.instrument.blocks import offsets_adu


def offsets(data: CheckInput) -> pl.DataFrame:
    """Mean of each region, with the offset of the block's table."""
    table = offsets_adu(str(data.acquisition["block"])) or {}
    rows = [(ccd, quadrant, value) for (ccd, quadrant), value in table.items()]
    schema = {"ccd": pl.String, "quadrant": pl.String, "block_offset_adu": pl.Float64}
    known = pl.DataFrame(rows, schema=schema, orient="row")
    frames = of_frames(data).join(known, on=["ccd", "quadrant"], how="left", maintain_order="left")
    return as_values(frames.with_columns(value=pl.col("mean_adu"), value_err=pl.col("mean_adu_err")), "offset_adu")


def gradients(data: CheckInput) -> pl.DataFrame:
    """Mean of each region above that of the prescan."""
    frames = of_frames(data)
    pre = frames.filter(pl.col("region") == "pre").select(*CHANNEL, pre="mean_adu", pre_err="mean_adu_err")
    both = frames.filter(pl.col("region") != "pre").join(pre, on=CHANNEL, how="left", maintain_order="left")
    error = (pl.col("mean_adu_err") ** 2 + pl.col("pre_err") ** 2).sqrt()
    value = pl.col("mean_adu") - pl.col("pre")
    return as_values(both.with_columns(value=value, value_err=error), "offset_gradient_adu")


def stds(data: CheckInput) -> pl.DataFrame:
    """Clipped scatter within each region of a frame, where the region has pixels enough to tell it from the limits."""
    std = pl.col("clipped_std_adu")
    frames = of_frames(data).filter(_size() >= constants().least_pixels)
    return as_values(frames.with_columns(value=std, value_err=std / (2.0 * pl.col("n")).sqrt()), "std_adu")


def _size() -> pl.Expr:
    """Return the pixels of a region."""
    return pl.sum_horizontal("n", "n_clipped", "n_zero", "n_saturated")


def saturated(data: CheckInput) -> pl.DataFrame:
    """Part of the image pixels with the highest code."""
    img = of_frames(data).filter(pl.col("region") == "img").with_columns(value=pl.col("n_saturated") / _size())
    return as_values(img.with_columns(region=pl.lit(None)), "saturated_fraction")


def ccd_saturated(data: CheckInput) -> pl.DataFrame:
    """Saturated part of the least saturated quadrant of each CCD: high only where all of it is saturated."""
    keys = ["obsid", "ccd", *STATE]
    least = saturated(data).group_by(keys, maintain_order=True).agg(pl.col("value").min())
    return as_values(least, "ccd_saturated_fraction")


def lost(data: CheckInput) -> pl.DataFrame:
    """Pixels of code 0 in all regions of a quadrant."""
    keys = [*CHANNEL, *STATE]
    total = pl.col("n_zero").sum().alias("value")
    return as_values(of_frames(data).group_by(keys, maintain_order=True).agg(total), "lost_pixels")


def _channel_medians(data: CheckInput, name: str, metric: str) -> pl.DataFrame:
    pre = of_frames(data).filter(pl.col("region") == "pre")
    median = pl.col(name).median().alias("value")
    return as_values(pre.group_by("ccd", "quadrant", maintain_order=True).agg(median), metric)


def channel_offsets(data: CheckInput) -> pl.DataFrame:
    """Median over the exposures of the prescan level of a channel."""
    return _channel_medians(data, "mean_adu", "channel_offset_adu")


def channel_stds(data: CheckInput) -> pl.DataFrame:
    """Median over the exposures of the scatter in the prescan of a channel."""
    return _channel_medians(data, "clipped_std_adu", "channel_std_adu")


def channel_signals(data: CheckInput) -> pl.DataFrame:
    """Largest ratio of seen and expected signal of a channel: mean of flats, brightest pixel of spots; no row without light."""
    of_flat = pl.when(light="flat").then(signal_adu() / pl.col("expected_fluence_adu"))
    seen = of_flat.when(light="point").then(peak_adu() / pl.col("expected_peak_adu"))
    lit = of_image(data).with_columns(seen.alias("seen")).filter(pl.col("fluence") > 0)
    best = pl.col("seen").max().alias("value")
    return as_values(lit.group_by("ccd", "quadrant", maintain_order=True).agg(best), "channel_signal")


def usable_channels(data: CheckInput) -> pl.DataFrame:
    """Channels of each exposure whose prescan has pixels at a level that an offset can have."""
    edges = constants()
    level = pl.col("mean_adu").is_between(edges.least_offset_adu, edges.largest_offset_adu).fill_null(value=False)
    pre = of_frames(data).filter(pl.col("region") == "pre")
    usable = (level & (pl.col("n") > 0)).sum().alias("value")
    return as_values(pre.group_by("obsid", "script_column", maintain_order=True).agg(usable), "usable_channels")
