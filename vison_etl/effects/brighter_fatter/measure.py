"""What is extracted from a pair of flats once both frames are corrected as pixels: covariances and variance against mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.columns import or_none, values_of
from vison_etl.effects.covariance.kernel_file import KIND, QuadrantKernel, kernel_of
from vison_etl.effects.declare import Extracted, Given, Parameters, RawFrame
from vison_etl.instrument.geometry import QUADRANTS, Window, quadrant_view, region_window
from vison_etl.pixels.corrected_covariances import (
    CorrectedCovariances,
    CorrectedFrame,
    correct_frame,
    measure_corrected,
)
from vison_etl.pixels.lag_covariances import LAGS
from vison_etl.pixels.pair_sampling import Floats, box_levels
from vison_etl.pixels.pair_tiles import box_of, words_of

PARAMETERS: Parameters = {
    "pairs_per_column": 1,
    "covariance_clip_sigma": 5.5,
    "saturated_fraction_max": 1e-4,
    "beyond_kernel_max": 0.05,
    "tolerance_e": 0.2,
}
"""``pairs_per_column``: pairs of each script column that are corrected, from the first on. ``covariance_clip_sigma``: clip of the
pixels of a difference, in standard deviations. ``saturated_fraction_max``: of the pixels of a pair that is corrected.
``beyond_kernel_max``: by which fraction a mean may exceed the highest signal that the kernel was measured at. ``tolerance_e``: largest change of
a pixel in the last round of the correction; what is left is less than a hundredth of it.
"""

State = str
_NAMES = ("mean_1_adu", "mean_2_adu", "mean_adu", "mean_adu_err", "n_clipped", "n_unknown")


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was found in one quadrant, and what was done to get it."""

    state: State
    n_saturated: int
    gain_e_per_adu: float | None = None
    n_rounds: int | None = None
    max_change_e: float | None = None
    found: CorrectedCovariances | None = None


def corrected_covariances(first: RawFrame, second: RawFrame, parameters: Parameters, given: Given) -> Extracted:
    """Correct both frames of a pair with the kernel of their CCD, and measure their covariances at all lags up to 8 px.

    The offset of a frame is the level of its prescan, as for `photon_transfer.covariances`; the gain is that of the kernel. Pixels within
    the reach of a saturated or lost one are left out, see `pixels.corrected_covariances.correct_frame`.

    Returns
    -------
    Extracted
        145 rows of ``corrected_covariances`` per quadrant. ``state``: ``corrected``; ``no_kernel``: there is no product;
        ``no_fit``: it has no kernel for this quadrant; ``no_data``: no offset, or too few pixels; ``saturated``; ``beyond_kernel``; ``not_converged``.
        All but the first have counts and NULL else.

    Raises
    ------
    ValueError
        If the frames are of different CCDs or sizes.
    """
    if first.ccd != second.ccd or first.geometry != second.geometry:
        raise ValueError(f"exposures {first.obsid} and {second.obsid} make no pair: CCD or frame size differ")
    measured = [_quadrant(first, second, quadrant, parameters, given) for quadrant in QUADRANTS]
    n = len(LAGS)
    columns: dict[str, list[Any]] = {
        "obsid_1": [first.obsid] * n * len(measured),
        "obsid_2": [second.obsid] * n * len(measured),
        "ccd": [first.ccd] * n * len(measured),
        "quadrant": [quadrant for quadrant in QUADRANTS for _ in LAGS],
        "lag_x": [x for _ in measured for x, _ in LAGS],
        "lag_y": [y for _ in measured for _, y in LAGS],
    }
    for name in ("state", "n_saturated", "gain_e_per_adu", "n_rounds", "max_change_e"):
        columns[name] = [getattr(one, name) for one in measured for _ in LAGS]
    for name in _NAMES:
        columns[name] = [
            None if one.found is None else or_none(getattr(one.found, name)) for one in measured for _ in LAGS
        ]
    for name in ("covariance_adu2", "covariance_adu2_err", "n"):
        columns[name] = [
            value
            for one in measured
            for value in ([None] * n if one.found is None else values_of(getattr(one.found, name)))
        ]
    return Extracted({"corrected_covariances": columns})


def _quadrant(first: RawFrame, second: RawFrame, quadrant: str, parameters: Parameters, given: Given) -> _Measured:
    geometry = first.geometry
    rows = max(first.vstart, second.vstart, 0), min(first.vend, second.vend, geometry.image_rows)
    window = Window(geometry.prescan, geometry.prescan + geometry.image_columns, *rows)
    if window.y1 <= window.y0:
        return _Measured("no_data", 0)
    codes = [_codes(frame, quadrant, window) for frame in (first, second)]
    n_saturated = int(np.count_nonzero((codes[0] == 65535) | (codes[1] == 65535)))
    kernel = kernel_of(given[KIND], quadrant) if KIND in given else None
    if kernel is None:
        return _Measured("no_fit" if KIND in given else "no_kernel", n_saturated)
    offsets = [_offset(frame, quadrant, window) for frame in (first, second)]
    state = _state(codes, offsets, n_saturated, kernel, parameters)
    if state != "corrected":
        return _Measured(state, n_saturated, kernel.gain_e_per_adu)
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
) -> _Measured:
    walls, level_walls, gain = kernel.walls, kernel.level_walls, kernel.gain_e_per_adu
    frames: list[CorrectedFrame] = []
    while codes:
        offset = float(offsets[len(frames)][0])
        tolerance = float(parameters["tolerance_e"])
        frames.append(correct_frame(codes.pop(0), offset, gain, walls, level_walls, tolerance_e=tolerance))
    n_rounds, change = max(frame.n_rounds for frame in frames), max(frame.max_change_e for frame in frames)
    if not all(frame.is_converged for frame in frames):
        return _Measured("not_converged", n_saturated, gain, n_rounds, change)
    errors = float(offsets[0][1]), float(offsets[1][1])
    found = measure_corrected(frames[0], frames[1], errors, float(parameters["covariance_clip_sigma"]))
    state = "corrected" if np.isfinite(found.mean_adu) else "no_data"
    return _Measured(state, n_saturated, gain, n_rounds, change, found)


def _codes(frame: RawFrame, quadrant: str, window: Window) -> NDArray[np.uint16]:
    """Return the codes of the image area of a quadrant, canonical, native uint16, a copy."""
    view = quadrant_view(frame.image, frame.geometry, quadrant)[window.slices]
    if frame.image.dtype == np.dtype(np.uint16):
        return view.astype(np.uint16)
    native = view.astype(np.int16).view(np.uint16)
    native ^= np.uint16(0x8000)
    return native


def _offset(frame: RawFrame, quadrant: str, window: Window) -> Floats:
    """Return the level of the prescan and its error, ADU, shape (2,); NaN without a prescan."""
    pre = region_window(frame.geometry, "pre", window.y0, window.y1)
    if pre is None:
        return np.full(2, np.nan)
    words, decoding = words_of(frame.image)
    box = box_of(frame.geometry, quadrant, pre.x0, pre.y0, pre.x1 - pre.x0, pre.y1 - pre.y0)
    return np.asarray(box_levels(words, np.array([box], np.int64), decoding)[0])
