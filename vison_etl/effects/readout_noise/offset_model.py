"""Offset of a channel over the frames of a test: mean, scatter and drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vison_etl.effects.readout_noise.model import NOTHING, Estimate


@dataclass(frozen=True, slots=True)
class Offset:
    """Offset over several frames. ``rms``: standard deviation between frames (n - 1 denominator), None for one frame."""

    mean: Estimate
    rms: float | None
    drift_per_h: Estimate
    n_frames: int


def offset_over_frames(levels: ArrayLike, errors: ArrayLike, hours: ArrayLike) -> Offset:
    """Average the offset of a region over frames.

    The level of frame k is m + s_k + e_k with the known random error e_k of the frame and an unknown scatter s_k between
    frames, whose variance S is taken by the method of moments (DerSimonian-Laird): with w = 1/e²,
    S = max(0, (Q - (N - 1)) / (sum w - sum w² / sum w)), Q = sum w (x - <x>)². The mean is weighted by 1/(e² + S) and its error is
    (sum of these)^(-1/2): in practice scatter / sqrt(N).

    Parameters
    ----------
    levels, errors
        ADU, shape (frames,). Frames with NaN do not count.
    hours
        Time of each frame, h; NaN where unknown (no drift then).

    Returns
    -------
    Offset
        The drift is the slope of an unweighted straight line, its error from the residuals: at least 3 frames at 2 times.
    """
    x, e, t = (np.asarray(values, np.float64) for values in (levels, errors, hours))
    is_known = np.isfinite(x) & np.isfinite(e)
    x, e, t = x[is_known], e[is_known], t[is_known]
    if x.size == 0:
        return Offset(NOTHING, None, NOTHING, 0)
    # a frame without any scatter between its pixels still carries the rounding of the ADC
    w = 1.0 / np.maximum(e, np.finfo(np.float64).tiny ** 0.25) ** 2
    scatter = 0.0
    if x.size > 1:
        q = np.sum(w * (x - np.average(x, weights=w)) ** 2)
        scatter = max(0.0, float((q - (x.size - 1)) / (w.sum() - np.sum(w**2) / w.sum())))
    weights = 1.0 / (1.0 / w + scatter)
    mean = Estimate(float(np.average(x, weights=weights)), float(weights.sum() ** -0.5))
    rms = float(np.std(x, ddof=1)) if x.size > 1 else None
    return Offset(mean, rms, _slope(t, x), x.size)


def _slope(t: np.ndarray, x: np.ndarray) -> Estimate:
    spread = np.sum((t - t.mean()) ** 2) if t.size else 0.0
    if t.size < 3 or not spread > 0:
        return NOTHING
    slope = np.sum((t - t.mean()) * (x - x.mean())) / spread
    residuals = x - x.mean() - slope * (t - t.mean())
    return Estimate(float(slope), float(np.sqrt(np.sum(residuals**2) / (t.size - 2) / spread)))
