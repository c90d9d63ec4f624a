"""Tiles that spill charge, or are otherwise wrong, at a level at which most of their quadrant is sound."""

from __future__ import annotations

import numpy as np

from vison_etl.effects.photon_transfer.model import Mask, Points
from vison_etl.effects.photon_transfer.tiles import Tiles
from vison_etl.pixels.departing import departing


def weak_points(tiles: Tiles, points: Points, good: Mask, *, least: float, sigma: float) -> Mask:
    """Mark the points of tiles that depart from the others of their level, from the first such level on.

    Of each level the means over its pairs are compared (see ``departing``). A tile that departs at one level and not at the next one
    above is not weak.

    Parameters
    ----------
    tiles, points
        Tiles of one channel, n of them.
    good
        Those that count, shape (n,).
    least, sigma
        Least departure of the variance, as a fraction, and its significance.

    Returns
    -------
    mask
        Shape (n,); also points that are not good.
    """
    names, tile = np.unique(tiles.tile, return_inverse=True)
    labels = np.unique(tiles.level[good])
    means = [float(np.mean(tiles.mean_adu[good & (tiles.level == label)])) for label in labels]
    labels = labels[np.argsort(means)]
    departs, measured = np.zeros((2, labels.size, names.size), bool)
    for row, label in enumerate(labels):
        here = good & (tiles.level == label)
        n = np.bincount(tile[here], minlength=names.size)
        with np.errstate(invalid="ignore"):
            mean, variance, square = (
                np.bincount(tile[here], values[here], names.size) / n
                for values in (tiles.mean_adu, tiles.variance_adu2, points.relative_err**2)
            )
            departs[row] = departing(mean, variance, np.sqrt(square / n), least, sigma)
        measured[row] = n > 0
    lasting = departs.copy()
    lasting[:-1] &= departs[1:] | ~measured[1:]
    weak_from = np.full(names.size, np.inf)
    for row in range(labels.size - 1, -1, -1):
        level = float(np.sort(means)[row])
        weak_from[lasting[row]] = level
    level_mean = np.full(tiles.level.size, -np.inf)
    for label, level in zip(labels, np.sort(means), strict=True):
        level_mean[tiles.level == label] = level
    return np.asarray(level_mean >= weak_from[tile], bool)
