"""What is extracted from frames without light and flats of one CCD: its defects and the mask of bad pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Columns, Extracted, FrameGroup, Parameters, Product
from vison_etl.effects.defects.areas import Result, areas, result_of
from vison_etl.effects.defects.masters import Master, image_window, make_master
from vison_etl.effects.preparation import preparation_cards
from vison_etl.effects.previews import previews
from vison_etl.instrument.geometry import QUADRANTS, Geometry, Window, quadrant_view
from vison_etl.pixels import quality
from vison_etl.pixels.defect_classes import Found, Limits, absolute_residual, find_defects, relative_residual

KIND = "mask"
PARAMETERS: Parameters = {
    "smoothing_rows": 12.0,
    "clip_sigma": 5.0,
    "flat_adu": 1000.0,
    "pixel_sigma": 5.5,
    "column_sigma": 4.2,
    "tail_sigma": 4.6,
    "column_fraction": 0.1,
    "hot_adu": 50.0,
    "warm_adu": 1.0,
    "column_min_adu": 0.1,
    "column_bad_adu": 5.0,
    "pixel_min_response": 0.005,
    "pixel_bad_response": 0.2,
    "pixel_dead_response": 0.5,
    "column_min_response": 0.0005,
    "column_bad_response": 0.05,
}
NAMES = (
    "quadrant",
    "frames",
    "number",
    "kind",
    "x",
    "y",
    "width_px",
    "height_px",
    "n_px",
    "value",
    "value_err",
    "significance",
    "is_masked",
)


def defects(groups: Sequence[FrameGroup], parameters: Parameters) -> Extracted:
    """Find the defects of one CCD in its groups of equal frames, with and without light, and mask them.

    Parameters
    ----------
    groups
        Any number of groups of at least two frames. Flats are those whose median level exceeds ``flat_adu``.
    parameters
        ``*_sigma``, ``*_min_*``, ``*_bad_*``, ``pixel_dead_response``, ``column_fraction``: see
        :class:`vison_etl.pixels.defect_classes.Limits`; ``smoothing_rows``: of the row offsets; ``clip_sigma``: of the comparison of frames.

    Returns
    -------
    Extracted
        ``measured_defects``, ``defect_areas``, ``previews`` (kinds defects_dark, defects_flat) and the product mask: residual images
        DARK (ADU) and FLAT (relative response less 1) where there are such frames, DQ (bits) and MASK (1 bad, 0 good), CCD frame;
        prescan and overscans are 0.
    """
    geometry = groups[0].geometry
    shape = (geometry.naxis2, geometry.naxis1)
    dq = np.zeros(shape, quality.DQ_TYPE)
    images: dict[str, NDArray[Any]] = {}
    listed: dict[str, list[Any]] = {name: [] for name in ("ccd", *NAMES)}
    results: dict[str, list[Result]] = {name: [] for name in QUADRANTS}
    n_frames = {"dark": 0, "flat": 0}
    for group in groups:
        master = make_master(group, parameters)
        frames = "flat" if master.has_light else "dark"
        n_frames[frames] = max(n_frames[frames], master.n_frames)
        # the residual takes the place of the mean, quadrant by quadrant: a frame less to hold
        images[frames.upper()] = master.mean
        window = image_window(geometry, group.vend)
        for quadrant in QUADRANTS:
            found = _in_quadrant(master, geometry, quadrant, window, parameters)
            quadrant_view(dq, geometry, quadrant)[window.slices] |= found.quality
            quadrant_view(master.mean, geometry, quadrant)[window.slices] = found.residual
            first = sum(len(one.defects) for one in results[quadrant] if one.frames == frames)
            _list(listed, group.ccd, quadrant, frames, first, window, found)
            results[quadrant].append(result_of(frames, found))
        del master, found
    rows = [
        {"quadrant": quadrant, **row}
        for quadrant in QUADRANTS
        for row in areas(results[quadrant], quadrant_view(dq, geometry, quadrant)[window.slices])
    ]
    tables: dict[str, Columns] = {
        "defect_areas": _area_columns(rows, groups[0].ccd, n_frames),
        "measured_defects": listed,
        "previews": previews({f"defects_{name.lower()}": image for name, image in images.items()}, groups[0]),
    }
    extensions = {**images, "DQ": dq, "MASK": quality.is_bad(dq).astype(np.int16)}
    return Extracted(tables, (Product(KIND, groups[0].ccd, extensions, _cards(parameters, n_frames)),))


def _area_columns(rows: Sequence[Mapping[str, Any]], ccd: str, n_frames: Mapping[str, int]) -> Columns:
    return {
        "ccd": [ccd] * len(rows),
        **{name: [row[name] for row in rows] for name in rows[0]},
        **{f"n_frames_{frames}": [n] * len(rows) for frames, n in n_frames.items()},
    }


def limits_of(parameters: Parameters, *, has_light: bool) -> Limits:
    """Return the limits in ADU, or with light as fractions of it."""
    unit = "response" if has_light else "adu"
    return Limits(
        pixel_sigma=float(parameters["pixel_sigma"]),
        column_sigma=float(parameters["column_sigma"]),
        tail_sigma=float(parameters["tail_sigma"]),
        pixel_min=float(parameters["pixel_min_response" if has_light else "warm_adu"]),
        column_min=float(parameters[f"column_min_{unit}"]),
        pixel_bad=float(parameters["pixel_bad_response" if has_light else "hot_adu"]),
        column_bad=float(parameters[f"column_bad_{unit}"]),
        pixel_dead=float(parameters["pixel_dead_response"]) if has_light else float("inf"),
        column_fraction=float(parameters["column_fraction"]),
    )


def _in_quadrant(master: Master, geometry: Geometry, quadrant: str, window: Window, parameters: Parameters) -> Found:
    mean = quadrant_view(master.mean, geometry, quadrant)[window.slices]
    sem = quadrant_view(master.sem, geometry, quadrant)[window.slices].astype(np.float32)
    is_noisy = quadrant_view(master.is_noisy, geometry, quadrant)[window.slices]
    values, error = relative_residual(mean, sem) if master.has_light else absolute_residual(mean, sem)
    limits = limits_of(parameters, has_light=master.has_light)
    return find_defects(values, error, is_noisy, limits, has_light=master.has_light)


def _list(
    listed: dict[str, list[Any]], ccd: str, quadrant: str, frames: str, first: int, window: Window, found: Found
) -> None:
    for number, defect in enumerate(found.defects, start=first):
        place = (defect.x + window.x0, defect.y + window.y0, defect.width, defect.height, defect.n_pixels)
        how_bad = (defect.value, defect.error, defect.significance, defect.is_masked)
        listed["ccd"].append(ccd)
        for name, value in zip(NAMES, (quadrant, frames, number, defect.kind, *place, *how_bad), strict=True):
            listed[name].append(value)


def _cards(parameters: Parameters, n_frames: Mapping[str, int]) -> dict[str, str | int | float | bool | None]:
    return {
        "MASKTYPE": "COMBO" if all(n_frames.values()) else "flmask" if n_frames["flat"] else "dkmask",
        "THRESH": f"[-1e6, {parameters['hot_adu']:g}] ADU, 1 -+ {parameters['pixel_bad_response']:g}",
        "SUBBGD": True,
        "NORMED": bool(n_frames["flat"]),
        "NDARK": n_frames["dark"],
        "NFLAT": n_frames["flat"],
        **preparation_cards(parameters, bias_subtracted=False, mask_applied=False),
        **{f"BIT{value.bit_length() - 1:02d}": name for name, value in quality.BITS.items()},
    }
