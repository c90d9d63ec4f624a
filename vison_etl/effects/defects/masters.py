"""Mean of equal frames for the search of defects, with and without light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import FrameGroup, Parameters
from vison_etl.instrument.geometry import Geometry, Window, quadrant_view
from vison_etl.pixels.cosmics import find_hits, grown, noisy_pixels, stack_without
from vison_etl.pixels.differences import band_rows
from vison_etl.pixels.offsets import bands_with_offsets
from vison_etl.pixels.stacks import NO_DATA, Stack, clipped_stack, frame_noise

BAND_BYTES = 8_000_000
"""Codes held at a time: the masters themselves take what memory there is."""


@dataclass(frozen=True, slots=True)
class Master:
    """Mean of a group with its errors, ADU, CCD frame, NaN outside the image; ``has_light`` tells flats from frames without light.

    Half precision is enough for an error.
    """

    mean: NDArray[np.float32]
    sem: NDArray[np.float16]
    is_noisy: NDArray[np.bool_]
    has_light: bool
    n_frames: int


def image_window(geometry: Geometry, vend: int) -> Window:
    """Return the whole image area that was read, without trims."""
    x0 = geometry.prescan
    return Window(x0, x0 + geometry.image_columns, 0, min(vend, geometry.image_rows))


def make_master(group: FrameGroup, parameters: Parameters) -> Master:
    """Average a group band by band.

    Frames of flats are first brought to one level, band by band, because the source drifts: the scatter of a pixel is then its own.

    Parameters
    ----------
    parameters
        ``flat_adu``: frames are flats where the median of the image exceeds it in the first rows read; ``smoothing_rows``,
        ``clip_sigma``.
    """
    geometry = group.geometry
    shape = (geometry.naxis2, geometry.naxis1)
    mean, sem = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float16)
    is_noisy = np.zeros(shape, np.bool_)
    columns = slice(geometry.prescan, geometry.prescan + geometry.image_columns)
    noises: dict[str, float | None] = {}
    has_light: bool | None = None
    bands = group.bands(band_rows(len(group.obsids), geometry, BAND_BYTES))
    smoothing = float(parameters["smoothing_rows"])
    for name, y0, codes, offsets in bands_with_offsets(bands, geometry, group.vstart, group.vend, smoothing):
        image = codes[:, :, columns]
        levels = _levels(image, offsets)
        if has_light is None and np.isfinite(levels).any():
            has_light = bool(np.nanmedian(levels) > float(parameters["flat_adu"]))
        if has_light:
            np.add(offsets, np.nan_to_num(levels - np.nanmean(levels))[:, None], out=offsets)
        if noises.get(name) is None:
            noises[name] = frame_noise(image)
        sigma = float(parameters["clip_sigma"])
        stack, noisy = _stack(image, offsets, noises[name], sigma, has_light=bool(has_light))
        parts = (np.where(stack.mask & NO_DATA, np.nan, stack.mean), stack.sem, noisy)
        wholes: tuple[NDArray[Any], ...] = (mean, sem, is_noisy)
        for whole, part in zip(wholes, parts, strict=True):
            quadrant_view(whole, geometry, name)[y0 : y0 + codes.shape[1], columns] = part
    return Master(mean, sem, is_noisy, bool(has_light), len(group.obsids))


def _levels(image: NDArray[np.uint16], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median signal of each frame of a band, ADU; NaN where nothing was read."""
    known = np.isfinite(offsets)
    base = np.sum(offsets, axis=1, where=known) / np.maximum(known.sum(axis=1), 1)
    medians = np.array([np.median(frame[frame > 0]) if frame.any() else np.nan for frame in image])
    return np.where(known.any(axis=1), medians - base, np.nan)


def _stack(
    image: NDArray[np.uint16], offsets: NDArray[np.float64], noise: float | None, sigma: float, *, has_light: bool
) -> tuple[Stack, NDArray[np.bool_]]:
    """Return the stack and which pixels are noisy; of flats none, where the noise is mostly that of the light."""
    stack = clipped_stack(image, offsets, noise, sigma)
    if noise is None or has_light:
        return stack, np.zeros(stack.mean.shape, np.bool_)
    is_noisy = noisy_pixels(stack, image, offsets, noise, sigma)
    is_left_out = grown(find_hits(image, offsets, noise, sigma))
    return stack_without(stack, image, offsets, is_left_out, noise), is_noisy
