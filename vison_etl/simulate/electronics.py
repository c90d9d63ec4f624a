"""Amplifier and ADC: charge that reaches the node in, codes of the whole read-out quadrant out."""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry, Window
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.streams import (
    Float32,
    Purpose,
    State,
    generator,
    normal_row,
    normals,
    quantiles,
    stream,
)

SATURATED = 65535
"""Code of a signal at or above the end of the ADC's range."""


@cache
def column_structure(channel: Channel, geometry: Geometry) -> Float32:
    """Return the fixed offset structure along x, ADU, shape (wQ,): settling after the line start, tilt, column pattern."""
    truth = channel.offset
    x = np.arange(geometry.quadrant_columns)
    key = (*channel.key, geometry.quadrant_columns)
    pattern = normals(stream(channel.seed, channel.block, Purpose.COLUMNS, *key), (geometry.quadrant_columns,))
    out = truth.settling_adu * np.exp(-x / truth.settling_px) + truth.tilt_adu * x / geometry.quadrant_columns
    return (out + truth.column_rms_adu * pattern).astype(np.float32)


@cache
def row_structure(channel: Channel, geometry: Geometry) -> Float32:
    """Return the fixed offset structure along y, ADU, shape (hQ,): the settling of the first rows read."""
    truth = channel.offset
    y = np.arange(geometry.quadrant_rows)
    return (truth.first_rows_adu * np.exp(-y / truth.first_rows_px)).astype(np.float32)


def frame_offset_adu(channel: Channel, obsid: int, time_h: float) -> float:
    """Return the offset of one frame without its fixed structure, ADU: level, slow drift and jitter of this exposure."""
    rng = generator(stream(channel.seed, channel.block, Purpose.OFFSET_JITTER, *channel.key, obsid))
    jitter = channel.offset.jitter_adu * float(rng.standard_normal())
    return channel.offset.level_adu + channel.offset.drift_adu(time_h) + jitter


def region_offset_adu(channel: Channel, geometry: Geometry, window: Window) -> float:
    """Return the mean of the fixed structure over a region, ADU: what to add to ``frame_offset_adu``."""
    rows, columns = window.slices
    along_x = column_structure(channel, geometry)[columns].mean(dtype=np.float64)
    along_y = row_structure(channel, geometry)[rows].mean(dtype=np.float64)
    return float(along_x + along_y)


@njit(cache=True)
def _digitise(
    charge: Float32,
    x0: int,
    first: int,
    end: int,
    adu_per_e: np.float32,
    along_x: Float32,
    along_y: Float32,
    white: np.float32,
    row_noise: np.float32,
    state: State,
    table: Float32,
    out: NDArray[np.uint16],
) -> None:
    rows, columns = out.shape
    image_rows, image_columns = charge.shape
    row_z = np.empty(rows, np.float32)
    normal_row(state, table, row_z)
    z = np.empty(columns, np.float32)
    level = np.empty(columns, np.float32)
    lowest, half = np.float32(0), np.float32(0.5)
    highest = np.float32(65535)
    out[:] = np.uint16(0)
    for y in range(first, end):
        normal_row(state, table, z)
        common = along_y[y] + row_noise * row_z[y] + half
        for x in range(columns):
            level[x] = along_x[x] + common + white * z[x]
        if y < image_rows:
            for x in range(image_columns):
                level[x + x0] += adu_per_e * charge[y, x]
        for x in range(columns):
            out[y, x] = np.uint16(min(max(level[x], lowest), highest))


def digitise(
    charge: Float32,
    channel: Channel,
    geometry: Geometry,
    offset_adu: float,
    window: tuple[int, int],
    state: State,
    first_column: int | None = None,
) -> NDArray[np.uint16]:
    """Read a quadrant out: amplify, add offset and noise, convert.

    code = floor(signal + 0.5), clipped to 0 .. 65535: rounding to the nearest code, so that the mean is kept and the variance
    grows by 1/12 ADU^2; 65535 is the code of saturation.

    Parameters
    ----------
    charge
        Electrons of the pixels from ``first_column`` on, canonical; the image pixels, or more.
    offset_adu
        Offset of this frame, ADU, without the fixed structure of the channel.
    window
        (vstart, vend): canonical rows kept, half open, clipped to the frame; other rows hold 0.
    state
        Random state, advanced in place.
    first_column
        Column of the first pixel of ``charge``; None for the first image column.

    Returns
    -------
    NDArray
        Codes, uint16, canonical, shape (hQ, wQ), prescan and overscans included.
    """
    out = np.empty((geometry.quadrant_rows, geometry.quadrant_columns), np.uint16)
    first, end = max(window[0], 0), min(window[1], geometry.quadrant_rows)
    _digitise(
        charge,
        geometry.prescan if first_column is None else first_column,
        first,
        end,
        np.float32(1.0 / channel.gain_e_per_adu),
        column_structure(channel, geometry) + np.float32(offset_adu),
        row_structure(channel, geometry),
        np.float32(channel.ron_white_adu),
        np.float32(channel.row_noise_adu),
        state,
        quantiles(),
        out,
    )
    return out
