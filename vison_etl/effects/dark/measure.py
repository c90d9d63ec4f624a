"""What is extracted from equal dark frames: cells, counts, a histogram, the master dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Columns, Extracted, FrameGroup, Given, Parameters, Product
from vison_etl.effects.preparation import known_quality, preparation_cards, subtract_bias
from vison_etl.effects.previews import previews
from vison_etl.instrument.geometry import QUADRANTS, Geometry, Window, quadrant_view
from vison_etl.pixels import quality
from vison_etl.pixels.cosmics import count_tracks, find_hits, grown, stack_without
from vison_etl.pixels.dark_cells import measure_cells
from vison_etl.pixels.defect_classes import Found, Limits, absolute_residual, find_defects
from vison_etl.pixels.defect_pixels import counts_outside
from vison_etl.pixels.differences import band_rows
from vison_etl.pixels.offsets import bands_with_offsets
from vison_etl.pixels.stacks import NO_DATA, NOISY, clipped_stack, frame_noise

KIND = "master_dark"
PARAMETERS: Parameters = {
    "smoothing_rows": 12.0,
    "clip_sigma": 5.0,
    "pixel_sigma": 5.5,
    "hot_adu": 50.0,
    "warm_adu": 1.0,
    "column_sigma": 4.2,
    "tail_sigma": 4.6,
    "column_min_adu": 0.1,
    "column_bad_adu": 5.0,
    "column_fraction": 0.1,
}
REFERENCE_ADU = (-1000.0, 50.0)
REFERENCE_COLUMN = 200
"""Fixed thresholds of earlier campaigns: residual inside these, and defects that make a column bad."""

BAND_BYTES = 8_000_000
"""Codes held at a time: the masters themselves take what memory there is."""

_BIN_ADU = 0.25
_BINS = 320
_FIRST_BIN_ADU = -16.0


@dataclass(slots=True)
class _Counts:
    noise: float | None = None
    n_hits: int = 0
    n_tracks: int = 0


def dark(group: FrameGroup, parameters: Parameters, given: Given) -> Extracted:
    """Average equal dark frames without their cosmic rays, and measure what is left.

    Parameters
    ----------
    parameters
        ``smoothing_rows``: standard deviation of the smoothing of the row offsets, rows; ``clip_sigma``: reach of the comparison of frames;
        ``pixel_sigma, warm_adu``: a pixel is warm from these on, and hot from ``hot_adu`` on; ``column_*``, ``tail_sigma``: see
        :class:`vison_etl.pixels.defect_classes.Limits`.
    given
        ``master_bias`` (extension STACK) is subtracted, ``mask`` (DQ) left out of the cells, where there are.

    Returns
    -------
    Extracted
        ``dark_cells``, ``dark_counts``, ``dark_histogram``, ``previews`` (kind master_dark), and the product master_dark: DARK and its
        error EDARK (ADU per exposure, float32, NaN where there is no data), MASK (bits, :mod:`vison_etl.pixels.quality`).
    """
    geometry = group.geometry
    shape = (geometry.naxis2, geometry.naxis1)
    images: dict[str, NDArray[Any]] = {name: np.full(shape, np.nan, np.float32) for name in ("DARK", "EDARK")}
    images["MASK"] = np.full(shape, quality.NO_DATA, quality.DQ_TYPE)
    counts = _stack(images, group, parameters)
    has_bias, has_mask = _apply(images, given)
    tables: dict[str, dict[str, list[Any]]] = {
        name: {"ccd": []} for name in ("dark_counts", "dark_cells", "dark_histogram")
    }
    common = {"ccd": group.ccd, "n_frames": len(group.obsids)}
    states = {"bias_subtracted": has_bias, "mask_applied": has_mask}
    for name in QUADRANTS:
        views = {key: quadrant_view(image, geometry, name) for key, image in images.items()}
        window = _image_window(geometry, group.vend)
        found = _defects(views, window, parameters)
        views["MASK"][window.slices] |= found.quality
        place = {**common, "quadrant": name}
        for row in _cell_rows(views, geometry, group):
            _append(tables["dark_cells"], {**place, **states, **row})
        _append(tables["dark_counts"], {**place, **_count_row(found, counts[name])})
        for row in _histogram(found.residual):
            _append(tables["dark_histogram"], {"ccd": group.ccd, "quadrant": name, **row})
    cards: dict[str, str | int | float | bool | None] = {
        "NCOMB": len(group.obsids),
        "OBSFIRST": group.obsids[0],
        "OBSLAST": group.obsids[-1],
        "BUNIT": "ADU",
        **preparation_cards(parameters, bias_subtracted=has_bias, mask_applied=has_mask),
    }
    extracted: dict[str, Columns] = {**tables, "previews": previews({KIND: images["DARK"]}, group)}
    return Extracted(extracted, (Product(KIND, group.ccd, images, cards),))


def limits_of(parameters: Parameters) -> Limits:
    """Return the limits of frames without light, ADU."""
    return Limits(
        pixel_sigma=float(parameters["pixel_sigma"]),
        column_sigma=float(parameters["column_sigma"]),
        tail_sigma=float(parameters["tail_sigma"]),
        pixel_min=float(parameters["warm_adu"]),
        column_min=float(parameters["column_min_adu"]),
        pixel_bad=float(parameters["hot_adu"]),
        column_bad=float(parameters["column_bad_adu"]),
        pixel_dead=float("inf"),
        column_fraction=float(parameters["column_fraction"]),
    )


def _image_window(geometry: Geometry, vend: int) -> Window:
    """Return the whole image area that was read, without trims."""
    x0 = geometry.prescan
    return Window(x0, x0 + geometry.image_columns, 0, min(vend, geometry.image_rows))


def _stack(images: Mapping[str, NDArray[Any]], group: FrameGroup, parameters: Parameters) -> dict[str, _Counts]:
    """Fill DARK, EDARK and MASK band by band; return noise and hits per quadrant."""
    geometry = group.geometry
    counts = {name: _Counts() for name in QUADRANTS}
    columns = slice(geometry.prescan, geometry.prescan + geometry.image_columns)
    sigma = float(parameters["clip_sigma"])
    bands = group.bands(band_rows(len(group.obsids), geometry, BAND_BYTES))
    smoothing = float(parameters["smoothing_rows"])
    for name, y0, codes, offsets in bands_with_offsets(bands, geometry, group.vstart, group.vend, smoothing):
        mine = counts[name]
        if mine.noise is None:
            mine.noise = frame_noise(codes)
        stack = clipped_stack(codes, offsets, mine.noise, sigma)
        if mine.noise is not None:
            is_hit = find_hits(codes, offsets, mine.noise, sigma)
            is_out = grown(is_hit)
            stack = stack_without(stack, codes, offsets, is_out, mine.noise)
            mine.n_hits += int(np.count_nonzero(is_out[:, :, columns]))
            mine.n_tracks += count_tracks(is_hit[:, :, columns])
        rows = slice(y0, y0 + codes.shape[1])
        bits = np.where(stack.mask & NO_DATA, quality.NO_DATA, 0) | np.where(stack.mask & NOISY, quality.NOISY, 0)
        for key, part in zip(images, (stack.mean, stack.sem, bits), strict=True):
            quadrant_view(images[key], geometry, name)[rows] = part
    return counts


def _apply(images: Mapping[str, NDArray[Any]], given: Given) -> tuple[bool, bool]:
    """Subtract the bias and join the mask, in place; return which there were."""
    has_bias = subtract_bias((images["DARK"],), given)
    known = known_quality(given, images["MASK"].shape)
    if known is not None:
        images["MASK"] |= known.astype(quality.DQ_TYPE)
    return has_bias, known is not None


def _defects(views: Mapping[str, NDArray[Any]], window: Window, parameters: Parameters) -> Found:
    values, error = views["DARK"][window.slices], views["EDARK"][window.slices]
    is_noisy = (views["MASK"][window.slices] & quality.NOISY) != 0
    return find_defects(*absolute_residual(values, error), is_noisy, limits_of(parameters), has_light=False)


def _cell_rows(views: Mapping[str, NDArray[Any]], geometry: Geometry, group: FrameGroup) -> list[dict[str, Any]]:
    """Return the cells of pixels that are good by every bit: warm ones are above the dark current by definition."""
    clean = np.where(views["MASK"] == 0, views["DARK"], np.nan)
    cells = measure_cells(clean, geometry, group.vstart, group.vend)
    return [
        {
            "cell": number,
            "region": cell.region,
            "row_block": cell.row_block,
            "x": cell.x,
            "y": cell.y,
            "width_px": cell.width,
            "height_px": cell.height,
            "n": cell.n,
            "signal_adu": cell.level,
            "signal_adu_err": cell.level_error,
            "base_adu": cell.base,
            "base_adu_err": cell.base_error,
        }
        for number, cell in enumerate(cells)
    ]


def _count_row(found: Found, counts: _Counts) -> dict[str, Any]:
    bits = found.quality
    reference = counts_outside(found.residual, *REFERENCE_ADU, REFERENCE_COLUMN)
    is_hot = quality.is_bad(bits, quality.HOT | quality.BAD_COLUMN)
    return {
        "noise_adu": counts.noise,
        "n_hot": int(np.count_nonzero(is_hot)),
        "n_warm": int(np.count_nonzero(quality.is_bad(bits, quality.WARM) & ~is_hot)),
        "n_bad_columns": int(np.count_nonzero(quality.any_in_column(bits, quality.BAD_COLUMN))),
        "n_hot_reference": int(np.count_nonzero(reference["pixels"])),
        "n_hit_px": counts.n_hits,
        "n_tracks": counts.n_tracks,
    }


def _histogram(residual: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Count the residuals in bins; the first and last hold what is beyond. Empty bins have no row."""
    known = residual[np.isfinite(residual)]
    number = np.clip(np.floor((known - _FIRST_BIN_ADU) / _BIN_ADU), 0, _BINS - 1).astype(np.int64)
    n = np.bincount(number, minlength=_BINS)
    return [
        {"bin": int(i), "signal_adu": _FIRST_BIN_ADU + (i + 0.5) * _BIN_ADU, "n": int(n[i])} for i in np.flatnonzero(n)
    ]


def _append(columns: dict[str, list[Any]], row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        columns.setdefault(key, []).append(value)
