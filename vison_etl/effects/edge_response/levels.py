"""From profiles of single frames to means per script column of one channel and direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.pixels.edge_window import IMAGE_PX

Float = NDArray[np.float64]

FULL_SCALE_ADU = 65536.0
BASE_PIXELS = (13, 14, 15)
"""Overscan pixels that earlier campaigns took the base from."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Means over the frames of each script column, in the order of the script columns.

    Parameters
    ----------
    columns
        Script columns, J of them.
    is_dark
        Whether they were exposed for no time, shape (J,).
    pixel
        Place of the pixels, shape (P,): image up to 0, overscan from 1 on (trailing edge).
    signal, error
        ADU above the base, shape (J, P).
    level, level_error
        Median of the image pixels, ADU, and its scatter over the frames over sqrt(frames), shape (J,); level 0 without light.
    spread
        Relative rms of the signal over the lines, shape (J,).
    fraction
        Part of the lines that is neither saturated nor lost, shape (J,).
    n_frames
        Frames, shape (J,).
    """

    columns: tuple[str, ...]
    is_dark: NDArray[np.bool_]
    pixel: NDArray[np.int64]
    signal: Float
    error: Float
    level: Float
    level_error: Float
    spread: Float
    fraction: Float
    n_frames: NDArray[np.int64]

    @property
    def overscan(self) -> NDArray[np.bool_]:
        """Tell which pixels lie after the edge."""
        return self.pixel > 0


def edges_of(profiles: pl.DataFrame, exposures: pl.DataFrame) -> Edges | None:
    """Average the profiles of one channel, direction and edge over the frames of each script column.

    Parameters
    ----------
    profiles
        Rows of ``edge_profiles``. Pixels that most of the frames with any value do not have are left out, then frames that lack one
        of the others: no pixel may stand in the place of another.
    exposures
        ``obsid, ccd, exptime_s`` of them.

    Returns
    -------
    Edges or None
        None without a pixel on either side of the edge.
    """
    rows = profiles.select(
        "script_column", "obsid", "pixel", "mean_adu", "mean_adu_err", "n", "n_lines_out"
    ).drop_nulls("mean_adu")
    rows = rows.filter(2 * pl.len().over("pixel") > rows["obsid"].n_unique())
    rows = rows.filter(pl.len().over("obsid") == rows["pixel"].n_unique()).sort("script_column", "obsid", "pixel")
    pixel = rows["pixel"].unique().sort().to_numpy()
    if not (pixel > 0).any() or not (pixel <= 0).any():
        return None
    shape = (rows.height // pixel.size, pixel.size)
    frames = rows.select("script_column", "obsid").gather_every(pixel.size)
    signal, error, n, lines_out = (
        rows[name].to_numpy().astype(np.float64).reshape(shape)
        for name in ("mean_adu", "mean_adu_err", "n", "n_lines_out")
    )
    lines_out = lines_out[:, 0]
    inside = pixel <= 0
    level = np.median(signal[:, inside], axis=1)
    spread = np.median(error[:, inside] * np.sqrt(n[:, inside]), axis=1)
    times = dict(exposures.select("obsid", "exptime_s").unique("obsid").iter_rows())
    dark = np.array([times.get(obsid) == 0.0 for obsid in frames["obsid"]])
    names, start = np.unique(frames["script_column"].to_numpy(), return_index=True)
    groups = np.split(np.arange(frames.height), start[1:])

    def mean(values: Float) -> Float:
        return np.array([values[group].mean(axis=0) for group in groups])

    count = np.array([len(group) for group in groups])
    is_dark = np.array([bool(dark[group].all()) for group in groups])
    return Edges(
        columns=tuple(str(name) for name in names),
        is_dark=is_dark,
        pixel=pixel,
        signal=mean(signal),
        error=np.sqrt(mean(error**2) / count[:, None]),
        level=np.where(is_dark, 0.0, mean(level)),
        level_error=np.array([level[g].std(ddof=1) / np.sqrt(len(g)) if len(g) > 1 else np.nan for g in groups]),
        spread=mean(spread) / np.maximum(mean(level), 1.0),
        fraction=mean(n.max(axis=1) / (n.max(axis=1) + lines_out)),
        n_frames=count,
    )


def single_frame_response(profiles: pl.DataFrame) -> tuple[float | None, int | None]:
    """Return the first overscan pixel as earlier campaigns had it, and the frame: the one whose level is nearest half of full scale.

    (S_1 - b) / (L - b), L the mean of the last ten image pixels, b that of overscan pixels 13 to 15.
    """
    inside = pl.col("pixel").is_between(1 - IMAGE_PX, 0)
    per_frame = (
        profiles.sort("obsid", "pixel")
        .group_by("obsid", maintain_order=True)
        .agg(
            level=pl.col("mean_adu").filter(inside).mean(),
            base=pl.col("mean_adu").filter(pl.col("pixel").is_in(BASE_PIXELS)).mean(),
            first=pl.col("mean_adu").filter(pl.col("pixel") == 1).first(),
        )
        .drop_nulls()
        .filter(pl.col("level") > FULL_SCALE_ADU / 4)
    )
    if per_frame.is_empty():
        return None, None
    nearest = per_frame.sort((pl.col("level") - FULL_SCALE_ADU / 2).abs(), maintain_order=True).row(0, named=True)
    return (nearest["first"] - nearest["base"]) / (nearest["level"] - nearest["base"]), nearest["obsid"]
