"""What the levels below foretell: a curve through their medians, and by how much tiles above fall short of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.exponential import fit_exponential
from vison_etl.effects.photon_transfer.model import Fit, Points, exponential_jacobian, exponential_variance

_BIN_TILES = 12
_BASELINE_BINS = 6
_MEDIAN_ERROR = 1.2533


def in_order(points: Points, tiles: NDArray[np.int64], n_bins: int) -> list[NDArray[np.int64]]:
    """Split tiles into at most ``n_bins`` bins of at least 12 by signal."""
    ordered = tiles[np.argsort(points.mean_adu[tiles], kind="stable")]
    return np.array_split(ordered, _number_of_bins(tiles, n_bins))


def _number_of_bins(tiles: NDArray[np.int64], n_bins: int) -> int:
    return max(1, min(n_bins, tiles.size // _BIN_TILES))


def medians(points: Points, level: NDArray[np.int64]) -> Points:
    """Return medians of equal bins of the tiles of a level, which no outlier moves; the lowest few tiles may be left over."""
    n_bins = _number_of_bins(level, _BASELINE_BINS)
    size = level.size // n_bins
    bins = level[np.argsort(points.mean_adu[level], kind="stable")][-n_bins * size :].reshape(n_bins, size)
    return Points(
        np.median(points.mean_adu[bins], axis=1),
        np.median(points.variance_adu2[bins], axis=1),
        _MEDIAN_ERROR * np.median(points.relative_err[bins], axis=1) / math.sqrt(size),
    )


def baseline(levels: Sequence[Points], near: Fit | None = None) -> Fit | None:
    """Fit the medians of levels. Two of them do not tell n00, which matters little there and is held at zero.

    ``near`` is a fit that should be close, to start from.
    """
    joined = Points(
        np.concatenate([part.mean_adu for part in levels]),
        np.concatenate([part.variance_adu2 for part in levels]),
        np.concatenate([part.relative_err for part in levels]),
    )
    fixed = 0.0 if len(levels) < 3 else None
    fit = fit_exponential(joined, outlier_sigma=math.inf, fixed_n00_adu2=fixed, near=near)
    return fit if fit.has_values else None


def deficit(points: Points, fit: Fit) -> tuple[float, float]:
    """Return the mean of V / fit - 1 and its error: statistics of the tiles and covariance of the fit.

    The scatter of the tiles is no part of it: where only some tiles of a level are above the full well it is the signal.
    """
    curve, jacobian = exponential_jacobian(points.mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    slope = np.mean(jacobian / curve[:, None], axis=0)
    extrapolation = float(slope @ np.nan_to_num(fit.covariance) @ slope)
    statistics = float(np.mean(points.relative_err**2)) / len(points)
    return float(np.mean(points.variance_adu2 / curve - 1.0)), math.sqrt(statistics + extrapolation)


def fraction_left(points: Points, fit: Fit) -> float:
    """Return the median over the tiles of V / fit."""
    curve = exponential_variance(points.mean_adu, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
    return float(np.median(points.variance_adu2 / curve))
