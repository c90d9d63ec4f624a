"""The bounce on the leading edge, pixel by pixel: there it has the opposite sign, and charge has made few transfers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.edge_response.hypotheses import FREE_PX
from vison_etl.effects.edge_response.tail import Leading

Float = NDArray[np.float64]

_LEAST_FOLLOWING = 5


def leading_bounce(level: Float, signal: Float, error: Float, share: float) -> Leading | None:
    """Return the bounce of a leading edge: what the first image pixels are below the straight line through those that follow.

    Parameters
    ----------
    level
        Level per fluence, ADU, 0 for frames without light, shape (J,).
    signal, error
        Image pixels above the base and their errors, ADU, the first of the image first, shape (J, P).
    share
        Transfers of the first pixel over those of the last one of the image.

    Returns
    -------
    Leading or None
        None for less than two levels, or less than five pixels to follow. Per pixel the slope against level, so that the structure of the
        offset does not count. Columns respond unequally: that scatter, measured on the pixels that follow, is most of the error; measured on
        few, its variance is greater by dof / (dof - 2), as that of Student's distribution.
    """
    following = signal.shape[1] - FREE_PX
    if level.size < 2 or following < _LEAST_FOLLOWING or not np.ptp(level) > 0:
        return None
    place = np.arange(1.0, signal.shape[1] + 1.0)
    design = np.stack([np.ones_like(place), place], axis=1)
    to_line = np.linalg.pinv(design[FREE_PX:])
    slope, variance = _slopes(level, signal, error)
    line = to_line @ slope[FREE_PX:]
    rest = slope[FREE_PX:] - design[FREE_PX:] @ line
    mean = float(np.mean(design @ line))
    if not mean > 0:
        return None
    dof = following - 2
    scatter2 = float(rest @ rest) / (dof - 2)
    expected = design[:FREE_PX] @ to_line
    covariance = np.diag(scatter2 + variance[:FREE_PX]) + scatter2 * (expected @ expected.T)
    return Leading((design[:FREE_PX] @ line - slope[:FREE_PX]) / mean, covariance / mean**2, share)


def _slopes(level: Float, signal: Float, error: Float) -> tuple[Float, Float]:
    """Return the slope of each pixel against level, and its variance, shapes (P,)."""
    weight = error**-2.0
    total = weight.sum(axis=0)
    about = level[:, None] - (weight * level[:, None]).sum(axis=0) / total
    square = (weight * about**2).sum(axis=0)
    return (weight * about * signal).sum(axis=0) / square, 1.0 / square
