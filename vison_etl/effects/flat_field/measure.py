"""Master flat of one CCD from equally lit frames: product, non-uniformity over scales and small pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Columns, Extracted, FrameGroup, Given, Parameters, Product
from vison_etl.effects.flat_field import mask
from vison_etl.effects.flat_field.pictures import pictures, preview_row
from vison_etl.effects.flat_field.ratio import REFERENCE, ratio_columns
from vison_etl.effects.flat_field.rows import BAD, KNOWN_BAD, image_area, image_views, response_row, scale_rows
from vison_etl.effects.preparation import BIAS, known_quality, preparation_cards, subtract_bias
from vison_etl.instrument.geometry import QUADRANTS, Geometry, Window, quadrant_view, region_window
from vison_etl.pixels.flat_defects import Limits, mark_deviant
from vison_etl.pixels.flat_stack import NO_DATA, FlatStack, band_rows_of, stack_flats
from vison_etl.pixels.illumination import DEGREE, Illumination, bin_means, bin_side, fit_illumination
from vison_etl.pixels.prnu import NonUniformity, non_uniformity
from vison_etl.pixels.quality import DQ_TYPE, is_bad

KIND = "master_flat"
PARAMETERS: Parameters = {
    "smoothing_rows": 12.0,
    "clip_sigma": 5.0,
    "degree": DEGREE,
    "pixel_clip_sigma": 5.0,
    "min_fluence_adu": 100.0,
    **mask.PARAMETERS,
}

_ROWS = 64


def master(group: FrameGroup, parameters: Parameters, given: Given) -> Extracted:
    """Average equally lit frames, divide by the illumination of the whole CCD and measure how pixels differ.

    Parameters
    ----------
    parameters
        ``smoothing_rows``: standard deviation of the smoothing of the row offsets, rows; ``clip_sigma``: reach of the clip between frames;
        ``defect_*``: see :class:`vison_etl.effects.flat_field.mask.Limits`; ``degree``: highest total degree of the illumination; ``pixel_clip_sigma``: reach of the clip between pixels for the
        non-uniformity; ``min_fluence_adu``: a quadrant whose median is lower counts as unlit.
    given
        ``master_bias`` (extension STACK) is subtracted, pixels bad in ``mask`` (DQ) do not count, and the response is compared with
        that of ``reference_flat``, where there are.

    Returns
    -------
    Extracted
        ``flat_response``: one row per quadrant; ``flat_scales``: one per quadrant and range of scales; ``previews``: kinds master_flat (mean, ADU)
        and flat_residual ((response - 1) times the mean level, ADU); the product mask (see :mod:`vison_etl.effects.flat_field.mask`),
        which the mask that was given is joined with; and the product master_flat, in the CCD frame,

        FLAT
            float32: mean / (level of the quadrant x illumination), about 1 in every quadrant; 1 outside the image area; NaN without
            data or light.
        EFLAT
            float32: one-sigma error of FLAT from the noise of the frames; 0 outside the image area.
        MASK
            uint8: 1 no data, 2 values clipped, 4 noisy, 8 all values in one half of the frames, 16 bad in the mask given.
    """
    geometry = group.geometry
    stack = _stacked(group, parameters)
    states = _apply(stack, given)
    bins = _bins(stack, geometry, float(parameters["min_fluence_adu"]))
    light = fit_illumination(bins, geometry, int(parameters["degree"]))
    _divide(stack, geometry, light)
    rows, scales = [], []
    nonuniform: dict[str, NonUniformity | None] = {}
    for quadrant in QUADRANTS:
        found = _non_uniformity(stack, group, quadrant, float(parameters["pixel_clip_sigma"]))
        nonuniform[quadrant] = found
        place = {"ccd": group.ccd, "quadrant": quadrant}
        row = response_row(stack, group, quadrant, light, found, bins[quadrant])
        rows.append({**place, "n_frames": len(group.obsids), **states, **row})
        scales += [{**place, **row} for row in scale_rows(found)]
    flat = _join(stack)
    # the halves have done their work: their memory goes
    stack = replace(stack, second=flat)
    lit = {q: found for q, found in nonuniform.items() if light and q in light.level_adu}
    dq = _quality(stack, geometry, lit, mask.limits_of(parameters))
    _add_counts(rows, dq, geometry, lit)
    noise = {q: one.total - one.variance.value for q, one in lit.items() if one and one.total and one.variance.value}
    _add_ratios(rows, stack, group, noise, given)
    shown = [preview_row(kind, image, group.ccd, geometry) for kind, image in pictures(flat, geometry, light).items()]
    cards, known = preparation_cards(parameters, **states), known_quality(given, dq.shape)
    products = (
        _product(stack, flat, group, light, noise, cards),
        mask.mask_product(dq, group, parameters, cards, known),
    )
    tables = {"flat_response": _columns(rows), "flat_scales": _columns(scales), "previews": _columns(shown)}
    return Extracted(tables, products)


def _stacked(group: FrameGroup, parameters: Parameters) -> FlatStack:
    n = len(group.obsids)
    return stack_flats(
        group.bands(band_rows_of(n, group.geometry)),
        n,
        group.geometry,
        group.vstart,
        group.vend,
        smoothing_rows=float(parameters["smoothing_rows"]),
        clip_sigma=float(parameters["clip_sigma"]),
    )


def _add_counts(
    rows: list[dict[str, Any]], dq: NDArray[np.int16], geometry: Geometry, lit: Mapping[str, NonUniformity | None]
) -> None:
    """Add the counts of deviant pixels to the rows of the quadrants, in place; None where there is no light."""
    for row in rows:
        view = quadrant_view(dq, geometry, row["quadrant"])[image_area(geometry)]
        row.update(mask.counts_of(view) if row["quadrant"] in lit else dict.fromkeys(mask.COUNTS))


def _add_ratios(
    rows: list[dict[str, Any]], stack: FlatStack, group: FrameGroup, noise: Mapping[str, float], given: Given
) -> None:
    """Add the comparison with the flat of another wavelength to the rows of the quadrants, in place, where there is one."""
    window = region_window(group.geometry, "img", group.vstart, group.vend)
    if window is None or REFERENCE not in given:
        return
    left_out = (stack.mask & BAD) != 0
    ratios = ratio_columns(stack.first, left_out, group.geometry, window, noise, given[REFERENCE])
    for row in rows:
        row.update(ratios.get(row["quadrant"], {}))


def _quality(
    stack: FlatStack, geometry: Geometry, found: Mapping[str, NonUniformity | None], limits: Limits
) -> NDArray[np.int16]:
    """Return the quality of all pixels, CCD frame; 0 outside the image area and in quadrants not in ``found``: no light tells nothing.

    ``stack.first`` holds the mean of both halves.
    """
    dq = np.zeros(stack.mask.shape, DQ_TYPE)
    for quadrant, one in found.items():
        response, _, error, stacked = image_views(stack, geometry, quadrant)
        variance = one.variance.value if one else None
        prnu = math.sqrt(max(variance or 0.0, 0.0))
        bits = quadrant_view(dq, geometry, quadrant)[image_area(geometry)]
        # along the memory of the images, whichever way the quadrant is read
        turn = slice(None, None, -1 if response.strides[1] < 0 else None)
        mark_deviant(response[:, turn], error[:, turn], stacked[:, turn], prnu, limits, bits[:, turn])
    return dq


def _columns(rows: list[dict[str, Any]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _join(stack: FlatStack) -> NDArray[np.float32]:
    """Return the mean of both halves, weighted by their frames, in the memory of the first."""
    first, second = (np.float32(share) for share in stack.shares)
    for y in range(0, len(stack.first), _ROWS):
        rows = slice(y, y + _ROWS)
        stack.first[rows] *= first
        stack.first[rows] += second * stack.second[rows]
    return stack.first


def _apply(stack: FlatStack, given: Given) -> dict[str, bool]:
    """Subtract the bias and join the mask, in place; return which there were."""
    has_data = np.isfinite(stack.first) if BIAS in given else None
    has_bias = subtract_bias((stack.first, stack.second), given)
    if has_data is not None:
        stack.mask[has_data & ~np.isfinite(stack.first)] |= NO_DATA
    known = known_quality(given, stack.mask.shape)
    if known is not None:
        stack.mask[is_bad(known)] |= KNOWN_BAD
    return {"bias_subtracted": has_bias, "mask_applied": known is not None}


def _bins(stack: FlatStack, geometry: Geometry, min_fluence_adu: float) -> dict[str, NDArray[np.float64]]:
    side = bin_side(geometry)
    bins = {}
    for quadrant in QUADRANTS:
        first, second, _, mask = image_views(stack, geometry, quadrant)
        means = bin_means(first, second, mask, BAD, stack.shares[0], side)
        known = means[np.isfinite(means)]
        is_lit = known.size > 0 and float(np.median(known)) >= min_fluence_adu
        bins[quadrant] = means if is_lit else np.full(means.shape, np.nan)
    return bins


def _divide(stack: FlatStack, geometry: Geometry, light: Illumination | None) -> None:
    """Divide halves and error by level and illumination, in place; a quadrant without light loses its data."""
    for quadrant in QUADRANTS:
        first, second, error, mask = image_views(stack, geometry, quadrant)
        level = light.level_adu.get(quadrant) if light else None
        if light is None or level is None:
            for image in (first, second, error):
                image[...] = np.nan
            mask[...] |= NO_DATA
            continue
        light.divide(quadrant, (first, second, error))


def _trimmed(group: FrameGroup) -> Window | None:
    """Return the window of the image region relative to the image area."""
    window = region_window(group.geometry, "img", group.vstart, group.vend)
    if window is None:
        return None
    x0 = group.geometry.prescan
    return Window(window.x0 - x0, window.x1 - x0, window.y0, window.y1)


def _non_uniformity(stack: FlatStack, group: FrameGroup, quadrant: str, clip_sigma: float) -> NonUniformity | None:
    window = _trimmed(group)
    if window is None:
        return None
    first, second, _, mask = (view[window.slices] for view in image_views(stack, group.geometry, quadrant))
    return non_uniformity(first, second, (mask & BAD) != 0, stack.shares[0], clip_sigma)


def _product(
    stack: FlatStack,
    flat: NDArray[np.float32],
    group: FrameGroup,
    light: Illumination | None,
    noise: Mapping[str, float],
    prepared: Mapping[str, Any],
) -> Product:
    """Make the product; what is no image gets response 1 and error 0. ``noise``: variance of the noise, per quadrant."""
    geometry = group.geometry
    for image, outside in ((flat, 1.0), (stack.error, 0.0)):
        for quadrant in QUADRANTS:
            view = quadrant_view(image, geometry, quadrant)
            rows, columns = image_area(geometry)
            view[rows.stop :] = outside
            view[:, : columns.start] = outside
            view[:, columns.stop :] = outside
    cards: dict[str, str | int | float | bool | None] = {
        "NCOMB": len(group.obsids),
        "OBSFIRST": group.obsids[0],
        "OBSLAST": group.obsids[-1],
        **prepared,
        "DEGREE": len(light.coefficients) - 1 if light else None,
        **{f"LEVEL_{q}": light.level_adu.get(q) if light else None for q in QUADRANTS},
        **{f"NOISE_{q}": noise.get(q) for q in QUADRANTS},
    }
    return Product(KIND, group.ccd, {"FLAT": flat, "EFLAT": stack.error, "MASK": stack.mask}, cards)
