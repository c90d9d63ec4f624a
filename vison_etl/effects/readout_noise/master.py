"""Master bias of one CCD from equal zero-second frames: product, mean profiles and a small picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Columns, Extracted, FrameGroup, Parameters, Product
from vison_etl.effects.preparation import preparation_cards
from vison_etl.effects.previews import previews
from vison_etl.instrument.geometry import QUADRANTS, Geometry, Window, quadrant_view, region_window
from vison_etl.pixels.differences import band_rows
from vison_etl.pixels.offsets import bands_with_offsets
from vison_etl.pixels.stacks import NO_DATA, NOISY, clipped_stack, frame_noise

KIND = "master_bias"
PARAMETERS: Parameters = {"smoothing_rows": 12.0, "clip_sigma": 4.0}
_UNUSABLE = NO_DATA | NOISY

_Profile = tuple[str, NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def master(group: FrameGroup, parameters: Parameters) -> Extracted:
    """Average a group of equal frames, offsets removed row by row, and profile the result.

    Parameters
    ----------
    parameters
        ``smoothing_rows``: standard deviation of the smoothing of the row offsets, rows, 0 for none; ``clip_sigma``: reach of the clip in units of
        the noise of a frame.

    Returns
    -------
    Extracted
        ``profiles`` (kind master_bias): mean over the image rows for each column (serial) and over the image columns for each row
        read (parallel), with errors from the scatter, pixels without data or beyond doubt noisier left out; ``previews``: the STACK
        binned to at most 530 px; and the product master_bias with the extensions, in the CCD frame,

        STACK, STD, SEM
            ADU, float32, NaN where there is no data: see :func:`vison_etl.pixels.stacks.clipped_stack`.
        MASK
            uint8, bits 1 no data, 2 values clipped, 4 noisy.
    """
    geometry = group.geometry
    shape = (geometry.naxis2, geometry.naxis1)
    images: dict[str, NDArray[Any]] = {name: np.full(shape, np.nan, np.float32) for name in ("STACK", "STD", "SEM")}
    images["MASK"] = np.full(shape, NO_DATA, np.uint8)
    noises = _fill(images, group, float(parameters["smoothing_rows"]), float(parameters["clip_sigma"]))
    cards: dict[str, str | int | float | bool | None] = {
        "NCOMB": len(group.obsids),
        "OBSFIRST": group.obsids[0],
        "OBSLAST": group.obsids[-1],
        "BUNIT": "ADU",
        **preparation_cards(parameters, bias_subtracted=False, mask_applied=False),
        **{f"NOISE_{quadrant}": noises.get(quadrant) for quadrant in QUADRANTS},
    }
    tables: dict[str, Columns] = {
        "profiles": _profiles(images, group),
        "previews": previews({KIND: images["STACK"]}, group),
    }
    return Extracted(tables, (Product(KIND, group.ccd, images, cards),))


def _fill(
    images: Mapping[str, NDArray[Any]], group: FrameGroup, smoothing_rows: float, clip_sigma: float
) -> dict[str, float | None]:
    """Fill the extensions band by band; return the noise of one frame in ADU, per quadrant."""
    geometry = group.geometry
    bands = group.bands(band_rows(len(group.obsids), geometry))
    noises: dict[str, float | None] = {}
    for quadrant, y0, codes, offsets in bands_with_offsets(bands, geometry, group.vstart, group.vend, smoothing_rows):
        if noises.get(quadrant) is None:
            noises[quadrant] = frame_noise(codes)
        stack = clipped_stack(codes, offsets, noises[quadrant], clip_sigma)
        for name, part in zip(images, (stack.mean, stack.std, stack.sem, stack.mask), strict=True):
            quadrant_view(images[name], geometry, quadrant)[y0 : y0 + codes.shape[1]] = part
    return noises


def _profile(
    values: NDArray[np.float32], is_used: NDArray[np.bool_], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return mean, error of the mean and number of the used values along an axis; NaN where there are too few."""
    n = is_used.sum(axis=axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.sum(values, axis=axis, where=is_used, dtype=np.float64) / n
        deviation = values - np.expand_dims(mean, axis).astype(np.float32)
        squares = np.sum(np.square(deviation, out=deviation), axis=axis, where=is_used, dtype=np.float64)
        return mean, np.sqrt(squares / (n - 1) / n), n


def _quadrant_profiles(
    images: Mapping[str, NDArray[Any]], geometry: Geometry, quadrant: str, image: Window, end: int
) -> Iterator[_Profile]:
    values = quadrant_view(images["STACK"], geometry, quadrant)
    is_used = (quadrant_view(images["MASK"], geometry, quadrant) & _UNUSABLE) == 0
    rows = slice(image.y0, image.y1)
    yield "serial", np.arange(values.shape[1]), *_profile(values[rows], is_used[rows], 0)
    rows, columns = slice(image.y0, end), slice(image.x0, image.x1)
    yield "parallel", np.arange(image.y0, end), *_profile(values[rows, columns], is_used[rows, columns], 1)


def _profiles(images: Mapping[str, NDArray[Any]], group: FrameGroup) -> Columns:
    geometry = group.geometry
    window = region_window(geometry, "img", group.vstart, group.vend)
    end = min(group.vend, geometry.quadrant_rows)
    found = [
        (quadrant, *profile)
        for quadrant in QUADRANTS
        if window is not None
        for profile in _quadrant_profiles(images, geometry, quadrant, window, end)
    ]
    lengths = [len(position) for _, _, position, *_ in found]
    total = sum(lengths)
    columns: list[NDArray[Any]] = [np.concatenate([f[i] for f in found]) if found else np.zeros(0) for i in range(2, 6)]
    return {
        "kind": [KIND] * total,
        "ccd": [group.ccd] * total,
        "quadrant": [f[0] for f, n in zip(found, lengths, strict=True) for _ in range(n)],
        "direction": [f[1] for f, n in zip(found, lengths, strict=True) for _ in range(n)],
        "position": columns[0],
        "value_adu": columns[1],
        "value_adu_err": columns[2],
        "n": columns[3],
    }
