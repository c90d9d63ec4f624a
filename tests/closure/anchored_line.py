"""The usual way: a straight line through anchor levels of each tile, residuals of both sources pooled, one smooth function through them."""

import numpy as np
from scipy.optimize import curve_fit

from tests.closure.nl_truth import FULL_SCALE, SATURATION_S, Frames

LOW, HIGH = 250.0, FULL_SCALE - 10_000.0


def anchored_residuals(frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Return signals and deviations in per cent of all tiles, the source known and the shutter perfect.

    Anchors: 15, 20 and 25 % of full scale, which both sources have. Deviation: 100 (F - q - s t) / (s t).
    """
    lit = frames.time_s > 0.0
    base = np.nanmean(frames.signal[~lit], axis=0)
    signals, deviations = [], []
    for label in np.unique(frames.label[lit]):
        mine = lit & (frames.label == label)
        dose = frames.true_light[mine] / FULL_SCALE * SATURATION_S[label]
        fraction = frames.time_s[mine] / SATURATION_S[label]
        anchors = np.isin(np.round(fraction, 2), (0.15, 0.20, 0.25))
        seen = frames.signal[mine] - base
        for tile in range(seen.shape[1]):
            slope, intercept = np.polyfit(dose[anchors], seen[anchors, tile], 1)
            signals.append(seen[:, tile])
            deviations.append(100.0 * (seen[:, tile] - intercept - slope * dose) / (slope * dose))
    return np.concatenate(signals), np.concatenate(deviations)


def model(x: np.ndarray, a: float, x0: float, w: float, *polynomial: float) -> np.ndarray:
    """Return A exp(-(x - x0) / w) + P4(x), per cent."""
    return a * np.exp(-(x - x0) / w) + np.polyval(polynomial, x)


def anchored_curve(frames: Frames, at_adu: np.ndarray) -> np.ndarray:
    """Return the fitted curve at some signals, per cent."""
    signal, deviation = anchored_residuals(frames)
    used = (signal > LOW) & (signal < HIGH)
    bounds = ([-20, 10 / FULL_SCALE, 1e-5] + [-500] * 5, [20, 30_000 / FULL_SCALE, 1.0] + [500] * 5)
    start = [1.0, 0.01, 0.05] + [0.0] * 5
    x = signal[used] / FULL_SCALE
    found, _ = curve_fit(model, x, deviation[used], p0=start, bounds=bounds, max_nfev=2000)
    return model(at_adu / FULL_SCALE, *found)
