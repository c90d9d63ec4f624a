"""One quadrant of a pair of flats, corrected as pixels: what speaks against it, or what was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.covariance.kernel_file import KIND, QuadrantKernel, kernel_of
from vison_etl.effects.declare import Given, Parameters, RawFrame
from vison_etl.instrument.geometry import Window, quadrant_view, region_window
from vison_etl.pixels.corrected_covariances import (
    CorrectedCovariances,
    CorrectedFrame,
    correct_frame,
    measure_corrected,
)
from vison_etl.pixels.pair_sampling import Floats, box_levels
from vison_etl.pixels.pair_tiles import box_of, words_of

State = str


@dataclass(frozen=True, slots=True)
class CorrectedQuadrant:
    """What was found in one quadrant, and what was done to get it."""

    state: State
    n_saturated: int
    gain_e_per_adu: float | None = None
    n_rounds: int | None = None
    max_change_e: float | None = None
    found: CorrectedCovariances | None = None


def corrected_quadrant(
    first: RawFrame, second: RawFrame, quadrant: str, parameters: Parameters, given: Given
) -> CorrectedQuadrant:
    """Correct both frames of a pair in one quadrant and measure their covariances; see `measure.corrected_covariances`."""
    geometry = first.geometry
    rows = max(first.vstart, second.vstart, 0), min(first.vend, second.vend, geometry.image_rows)
    window = Window(geometry.prescan, geometry.prescan + geometry.image_columns, *rows)
    if window.y1 <= window.y0:
        return CorrectedQuadrant("no_data", 0)
    codes = [codes_of(frame, quadrant, window) for frame in (first, second)]
    n_saturated = int(np.count_nonzero((codes[0] == 65535) | (codes[1] == 65535)))
    kernel = kernel_of(given[KIND], quadrant) if KIND in given else None
    if kernel is None:
        return CorrectedQuadrant("no_fit" if KIND in given else "no_kernel", n_saturated)
    offsets = [offset_of(frame, quadrant, window) for frame in (first, second)]
    state = _state(codes, offsets, n_saturated, kernel, parameters)
    if state != "corrected":
        return CorrectedQuadrant(state, n_saturated, kernel.gain_e_per_adu)
    return _corrected(codes, offsets, n_saturated, kernel, parameters)


def _state(
    codes: list[NDArray[np.uint16]],
    offsets: list[Floats],
    n_saturated: int,
    kernel: QuadrantKernel,
    parameters: Parameters,
) -> State:
    """Return ``corrected`` where nothing speaks against it, else what does."""
    means = [
        float(image.mean(dtype=np.float64, where=image > 0)) - offset[0]
        for image, offset in zip(codes, offsets, strict=True)
    ]
    if not np.isfinite(means).all():
        return "no_data"
    if n_saturated > float(parameters["saturated_fraction_max"]) * codes[0].size:
        return "saturated"
    if max(means) > (1.0 + float(parameters["beyond_kernel_max"])) * kernel.max_adu:
        return "beyond_kernel"
    return "corrected"


def _corrected(
    codes: list[NDArray[np.uint16]],
    offsets: list[Floats],
    n_saturated: int,
    kernel: QuadrantKernel,
    parameters: Parameters,
) -> CorrectedQuadrant:
    walls, level_walls, gain = kernel.walls, kernel.level_walls, kernel.gain_e_per_adu
    frames: list[CorrectedFrame] = []
    while codes:
        offset = float(offsets[len(frames)][0])
        tolerance = float(parameters["tolerance_e"])
        frames.append(correct_frame(codes.pop(0), offset, gain, walls, level_walls, tolerance_e=tolerance))
    n_rounds, change = max(frame.n_rounds for frame in frames), max(frame.max_change_e for frame in frames)
    if not all(frame.is_converged for frame in frames):
        return CorrectedQuadrant("not_converged", n_saturated, gain, n_rounds, change)
    errors = float(offsets[0][1]), float(offsets[1][1])
    clip, departure = (float(parameters[name]) for name in ("covariance_clip_sigma", "cell_departure"))
    found = measure_corrected(frames[0], frames[1], errors, clip, departure)
    state = "corrected" if np.isfinite(found.mean_adu) else "no_data"
    return CorrectedQuadrant(state, n_saturated, gain, n_rounds, change, found)


def codes_of(frame: RawFrame, quadrant: str, window: Window) -> NDArray[np.uint16]:
    """Return the codes of the image area of a quadrant, canonical, native uint16, a copy."""
    view = quadrant_view(frame.image, frame.geometry, quadrant)[window.slices]
    if frame.image.dtype == np.dtype(np.uint16):
        return view.astype(np.uint16)
    native = view.astype(np.int16).view(np.uint16)
    native ^= np.uint16(0x8000)
    return native


def offset_of(frame: RawFrame, quadrant: str, window: Window) -> Floats:
    """Return the level of the prescan and its error, ADU, shape (2,); NaN without a prescan."""
    pre = region_window(frame.geometry, "pre", window.y0, window.y1)
    if pre is None:
        return np.full(2, np.nan)
    words, decoding = words_of(frame.image)
    box = box_of(frame.geometry, quadrant, pre.x0, pre.y0, pre.x1 - pre.x0, pre.y1 - pre.y0)
    return np.asarray(box_levels(words, np.array([box], np.int64), decoding)[0])
