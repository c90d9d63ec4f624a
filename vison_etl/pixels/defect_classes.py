"""Defects of one quadrant from its master frames: columns first, then pixels, each with its class and bits.

In a frame without light a deviation counts in ADU; in a flat it counts as a fraction of the local light. Listed is what is significant;
put into the mask is what is also large: the rest is corrected by master bias, dark and flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels import quality
from vison_etl.pixels.defect_background import background
from vison_etl.pixels.defect_columns import ColumnDefect, find_columns
from vison_etl.pixels.defect_pixels import Cluster, clusters_of, crowded_columns, deviant_pixels, significance_of

_Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is a defect and what is masked, in ADU for frames without light, in fractions of the light for flats.

    Parameters
    ----------
    pixel_sigma, column_sigma, tail_sigma
        Least significance of a pixel, a whole column, and a column that is bad from some row on.
    pixel_min, column_min
        Least deviation to be listed.
    pixel_bad, column_bad
        Deviation from which on a pixel (hot; low or high response) and a column are masked.
    pixel_dead
        Loss of response from which on a pixel counts as dead; infinite for frames without light.
    column_fraction
        Part of the rows of a column that makes it bad as a whole when so many of its pixels are deviant one by one.
    """

    pixel_sigma: float
    column_sigma: float
    tail_sigma: float
    pixel_min: float
    column_min: float
    pixel_bad: float
    column_bad: float
    pixel_dead: float
    column_fraction: float


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect: class, box within the image given, value and error in the unit of its class, and whether it is masked."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    n_pixels: int
    value: float
    error: float
    significance: float
    is_masked: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Defects of one image: list, bits per pixel, and the residual they were judged by, all of the shape of the image."""

    defects: tuple[Defect, ...]
    quality: NDArray[np.int16]
    residual: NDArray[np.float32]


def relative_residual(values: NDArray[np.float32], error: NDArray[np.float32]) -> _Pair:
    """Return value / background - 1 and its error, of a flat; NaN where the background is not positive."""
    level = background(values)
    level[~(level > 0)] = np.nan
    return values / level - np.float32(1.0), error / level


def absolute_residual(values: NDArray[np.float32], error: NDArray[np.float32]) -> _Pair:
    """Return value - background and its error, of a frame without light."""
    return values - background(values), error


def find_defects(
    residual: NDArray[np.float32],
    error: NDArray[np.float32],
    is_noisy: NDArray[np.bool_],
    limits: Limits,
    *,
    has_light: bool,
) -> Found:
    """Find the defects of the image area of one quadrant.

    Parameters
    ----------
    residual, error
        Of :func:`absolute_residual` or :func:`relative_residual`, shape (rows, columns), canonical; NaN: no data.
    is_noisy
        Pixels whose scatter between frames is beyond doubt larger than that of the others.
    limits
        In the unit of ``residual``.
    has_light
        Chooses the classes: hot, warm, cold, or dead, low_response, high_response.
    """
    dq = np.where(np.isfinite(residual), 0, quality.NO_DATA).astype(quality.DQ_TYPE)
    flat = residual.copy()
    columns = find_columns(residual, limits.column_sigma, limits.tail_sigma, limits.column_min)
    for column in columns:
        flat[column.y :, column.x] -= np.float32(column.value)
    how = significance_of(flat, error)
    sign = deviant_pixels(flat, how, limits.pixel_sigma, limits.pixel_min)
    known = {column.x for column in columns}
    for x in crowded_columns(sign, limits.column_fraction):
        if int(x) not in known:
            columns.append(_crowded(int(x), residual, sign))
    for column in columns:
        bad = abs(column.value) >= limits.column_bad or column.significance == np.inf
        bit = quality.BAD_COLUMN if bad else quality.DEVIANT_COLUMN
        bit |= quality.COLUMN_TAIL if bad and column.y > 0 else 0
        dq[column.y :, column.x] |= bit
        if bad:
            sign[column.y :, column.x] = 0
    defects = [_column(column, limits) for column in sorted(columns, key=lambda c: c.x)]
    defects += [_pixels(group, limits, has_light=has_light) for group in clusters_of(sign != 0, flat, how)]
    dq |= _pixel_bits(sign, flat, limits, has_light=has_light)
    lonely = is_noisy & (sign == 0) & ((dq & quality.BAD_COLUMN) == 0)
    defects += [_named("noisy", group, is_masked=True) for group in clusters_of(lonely, flat, how)]
    dq[is_noisy] |= quality.NOISY
    return Found(tuple(defects), dq, residual)


def _crowded(x: int, residual: NDArray[np.float32], sign: NDArray[np.int8]) -> ColumnDefect:
    value = float(np.nanmean(residual[sign[:, x] != 0, x]))
    return ColumnDefect(x, 0, residual.shape[0], value, float("nan"), float("inf"))


def _column(column: ColumnDefect, limits: Limits) -> Defect:
    bad = abs(column.value) >= limits.column_bad or column.significance == np.inf
    kind = "column_tail" if column.y > 0 else "bright_column" if column.value > 0 else "dark_column"
    return Defect(
        kind,
        column.x,
        column.y,
        1,
        column.height,
        column.height,
        column.value,
        column.error,
        column.significance,
        bad,
    )


def _pixels(group: Cluster, limits: Limits, *, has_light: bool) -> Defect:
    value = group.value
    is_bad = abs(value) >= limits.pixel_bad
    if has_light:
        kind = "dead" if value <= -limits.pixel_dead else "low_response" if value < 0 else "high_response"
        return _named(kind, group, is_masked=is_bad)
    kind = "cold" if value < 0 else "hot" if is_bad else "warm"
    return _named(kind, group, is_masked=kind != "warm")


def _named(kind: str, group: Cluster, *, is_masked: bool) -> Defect:
    box = (group.x, group.y, group.width, group.height)
    return Defect(kind, *box, group.n_pixels, group.value, group.error, group.significance, is_masked)


def _pixel_bits(
    sign: NDArray[np.int8], residual: NDArray[np.float32], limits: Limits, *, has_light: bool
) -> NDArray[np.int16]:
    out = np.zeros(sign.shape, quality.DQ_TYPE)
    is_bad = (sign != 0) & (np.abs(residual) >= limits.pixel_bad)
    if has_light:
        out[sign < 0] |= quality.LOW_RESPONSE
        out[sign > 0] |= quality.HIGH_RESPONSE
        out[is_bad] |= quality.BAD_PIXEL
        out[(sign < 0) & (residual <= -limits.pixel_dead)] |= quality.DEAD
        return out
    out[sign < 0] |= quality.COLD
    out[sign > 0] |= quality.WARM
    out[is_bad & (sign > 0)] |= quality.HOT
    return out
