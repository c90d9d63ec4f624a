"""Deviant pixels of a master frame by significance, their classes, and the clusters they form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from vison_etl.pixels.defect_background import robust_sigma

_EIGHT = np.ones((3, 3), np.int8)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Deviant pixels that touch: bounding box within the image given, pixels, extreme residual, its error, and place of that."""

    x: int
    y: int
    width: int
    height: int
    n_pixels: int
    value: float
    error: float
    significance: float
    peak: tuple[int, int]


def significance_of(residual: NDArray[np.float32], error: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return residual / max(robust scatter of all residuals, own error).

    The scatter holds noise and the pattern that all pixels have; the own error counts where a pixel is noisier than that. NaN where
    either is NaN.
    """
    scatter = np.float32(robust_sigma(residual))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (residual / np.maximum(error, scatter)).astype(np.float32)


def deviant_pixels(
    residual: NDArray[np.float32], significance: NDArray[np.float32], sigma: float, min_value: float
) -> NDArray[np.int8]:
    """Return +1 and -1 where a pixel is too high or too low by both measures, else 0.

    Parameters
    ----------
    residual, significance
        Shape (rows, columns); NaN is never deviant.
    sigma
        Least |significance|.
    min_value
        Least |residual|, in its unit.
    """
    out = np.zeros(residual.shape, np.int8)
    out[(significance >= sigma) & (residual >= min_value)] = 1
    out[(significance <= -sigma) & (residual <= -min_value)] = -1
    return out


def clusters_of(
    is_member: NDArray[np.bool_], residual: NDArray[np.float32], significance: NDArray[np.float32]
) -> list[Cluster]:
    """Return the groups of members that touch, diagonals included, in the order of their first pixel."""
    labels, n = label(is_member, structure=_EIGHT)
    if n == 0:
        return []
    y, x = np.nonzero(labels)
    member, how = labels[y, x], np.nan_to_num(significance[y, x])
    # by label, the most significant pixel of each first
    order = np.lexsort((-np.abs(how), member))
    y, x, member, how = y[order], x[order], member[order], how[order]
    starts = np.searchsorted(member, np.arange(1, n + 1))
    x0, x1 = np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)
    y0, y1 = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    counts = np.diff(np.append(starts, member.size))
    out = []
    for k, at in enumerate(starts):
        value, sigma = float(residual[y[at], x[at]]), float(how[at])
        out.append(
            Cluster(
                x=int(x0[k]),
                y=int(y0[k]),
                width=int(x1[k] - x0[k] + 1),
                height=int(y1[k] - y0[k] + 1),
                n_pixels=int(counts[k]),
                value=value,
                error=abs(value / sigma) if sigma else float("nan"),
                significance=sigma,
                peak=(int(x[at]), int(y[at])),
            )
        )
    return out


def crowded_columns(sign: NDArray[np.int8], fraction: float) -> NDArray[np.int64]:
    """Return the columns of which at least ``fraction`` of the rows are deviant."""
    return np.flatnonzero(np.count_nonzero(sign, axis=0) >= fraction * max(sign.shape[0], 1))


def counts_outside(
    values: NDArray[np.floating], lo: float, hi: float, column_limit: int
) -> Mapping[str, NDArray[np.bool_]]:
    """Return masks by fixed thresholds, as campaigns before used them.

    Parameters
    ----------
    values
        Residual of a dark or relative response of a flat, shape (rows, columns); NaN is inside.
    lo, hi
        Values outside [lo, hi] are defects.
    column_limit
        A column with at least so many defects is marked over all its rows.

    Returns
    -------
    Mapping
        ``pixels``: the mask, shape of ``values``; ``columns``: which columns were marked whole, shape (columns,).
    """
    mask = (values < lo) | (values > hi)
    columns = mask.sum(axis=0) >= column_limit
    return {"pixels": mask | columns[None, :], "columns": columns}
