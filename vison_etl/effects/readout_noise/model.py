"""Temporal noise between frames: variance components of differences, and averages over chains of pairs.

The difference D of two frames of one region is modelled as a constant, plus a random number common to each row, one common to each
column, and white noise: D(y, x) = d + r(y) + c(x) + w(y, x). With the mean squares of the two-way analysis of variance,

    E[MS_residual] = V_w,    E[MS_rows] = V_w + k_r V_r,    E[MS_columns] = V_w + k_c V_c,

where k_r = (n - sum n_y² / n) / (n_rows - 1) is the number of pixels per row (likewise k_c), the three variances follow
without bias, and may come out negative where there is no such noise. Half of them is that of one frame.

The total is V_w + V_r + V_c. Only the mean difference of the region is removed: a slow drift of the offset along y within the
frame is common to the pixels of a row and counts as row noise, because that is what an exposure suffers whose offset is taken
from its own frame as one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri

QUANTISATION_VARIANCE = 1.0 / 12.0
"""Variance that the ADC's rounding adds to a pixel of one frame, ADU²."""

SHARED_FRAME_CORRELATION = 0.25
"""Correlation of the variances of two differences that share a frame: the square of their correlation -1/2."""

_SCATTER_PROBABILITY = 1e-3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its one-sigma error; None where it cannot be measured."""

    value: float | None
    error: float | None


NOTHING = Estimate(None, None)


@dataclass(frozen=True, slots=True)
class Squares:
    """Sums over the retained pixels of a difference, as in :class:`vison_etl.pixels.differences.DifferenceSums`.

    ``variance`` is the truncation-corrected variance of the whole distribution, from its histogram.
    """

    n: int
    n_rows: int
    n_columns: int
    total: float
    squares: float
    row_squares: float
    column_squares: float
    row_pixels: float
    column_pixels: float
    variance: float


@dataclass(frozen=True, slots=True)
class Components:
    """Noise of one frame, from one difference: variances in ADU², quantisation included in total and white."""

    mean_difference: Estimate
    total: Estimate
    white: Estimate
    row: Estimate
    column: Estimate


@dataclass(frozen=True, slots=True)
class Average:
    """Mean over pairs, its error, and how well the pairs agree."""

    value: float
    error: float
    chi2: float
    dof: int


def components(s: Squares) -> Components:
    """Split the variance of a difference of two frames into its white, row-common and column-common parts.

    Parameters
    ----------
    s
        Sums over at least 2 x 2 pixels; fewer give no estimates.

    Returns
    -------
    Components
        Halved variances with errors for Gaussian noise, rows (columns) independent of each other: the variance of a mean square with ν
        degrees of freedom is 2 MS² / ν. All mean squares are scaled so that the truncation of the clip is undone.
    """
    dof = s.n - s.n_rows - s.n_columns + 1
    if s.n_rows < 2 or s.n_columns < 2 or dof < 1:
        return Components(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)
    level = s.total**2 / s.n
    scale = s.variance / ((s.squares - level) / (s.n - 1)) if s.squares > level else 1.0
    rows, columns = s.row_squares - level, s.column_squares - level
    residual = s.squares - level - rows - columns
    mean_squares = scale * np.array([residual / dof, rows / (s.n_rows - 1), columns / (s.n_columns - 1)])
    variances = 2.0 * mean_squares**2 / np.array([dof, s.n_rows - 1, s.n_columns - 1])
    per_row = (s.n - s.row_pixels / s.n) / (s.n_rows - 1)
    per_column = (s.n - s.column_pixels / s.n) / (s.n_columns - 1)

    def half(*weights: float) -> Estimate:
        w = np.array(weights)
        return Estimate(float(w @ mean_squares) / 2.0, float(np.sqrt(w**2 @ variances)) / 2.0)

    # V_w + k_r V_r + k_c V_c over n, unbiased; the floor only keeps a freak of two or three rows positive
    mean_variance = max(mean_squares[1:].sum() - mean_squares[0], 0.1 * mean_squares[0]) / s.n
    return Components(
        mean_difference=Estimate(s.total / s.n, float(np.sqrt(mean_variance))),
        total=half(1.0 - 1.0 / per_row - 1.0 / per_column, 1.0 / per_row, 1.0 / per_column),
        white=half(1.0, 0.0, 0.0),
        row=half(-1.0 / per_row, 1.0 / per_row, 0.0),
        column=half(-1.0 / per_column, 0.0, 1.0 / per_column),
    )


def chain_mean(values: ArrayLike, errors: ArrayLike, frames: Sequence[tuple[int, int]]) -> Average | None:
    """Average variances over pairs of frames, pairs that share a frame being correlated.

    For a chain of M pairs 1-2, 2-3, ... the variance of the mean is V/M (1 + (M - 1)/(2 M)): half as much again as that of
    independent pairs when M is large. The generalised least-squares mean is used, every pair having the same error (the
    root mean square of those given), so that a low value does not weigh more because its own error is low.

    Parameters
    ----------
    values, errors
        Variances and their errors, shape (pairs,); finite.
    frames
        The two exposures of each pair.

    Returns
    -------
    Average or None
        None without pairs. The error is scaled by sqrt(chi2 / dof) only where the pairs disagree beyond chance (probability below
        0.001): some frames are noisier than others, and the mean is then less certain than the noise says.
    """
    v = np.asarray(values, np.float64)
    if v.size == 0:
        return None
    inverse = np.linalg.inv(_correlation(frames))
    weights = inverse.sum(axis=0) / inverse.sum()
    mean = float(weights @ v)
    single = float(np.sqrt(np.mean(np.asarray(errors, np.float64) ** 2)))
    error = single / float(np.sqrt(inverse.sum()))
    dof = v.size - 1
    chi2 = float((v - mean) @ inverse @ (v - mean)) / single**2 if single > 0 else 0.0
    if dof > 0 and chi2 > chdtri(dof, _SCATTER_PROBABILITY):
        error *= float(np.sqrt(chi2 / dof))
    return Average(mean, error, chi2, dof)


def _correlation(frames: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Return the correlation matrix of the pairs: 1/4 for every frame that two of them share."""
    exposures = np.array(frames)
    shared = exposures[:, None, :, None] == exposures[None, :, None, :]
    matrix: NDArray[np.float64] = SHARED_FRAME_CORRELATION * shared.sum(axis=(2, 3)).astype(np.float64)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def root(variance: float, error: float, quantisation: float = 0.0) -> Estimate:
    """Return the noise sqrt(V - quantisation) with its error, from a variance with its error.

    The error is sqrt(V + e) - sqrt(V): e / (2 sqrt(V)) where V is well measured, and finite where V is hardly more than its error.
    A variance that is not positive has no root: both are None, and the variance itself with its error says how little
    noise there can be.
    """
    noise = variance - quantisation
    if not noise > 0:
        return NOTHING
    return Estimate(float(np.sqrt(noise)), float(np.sqrt(noise + error) - np.sqrt(noise)))


def in_electrons(noise: Estimate, gain: float | None, gain_error: float | None) -> Estimate:
    """Return a noise in e-, from ADU and the gain in e- per ADU; None where either is missing."""
    if noise.value is None or noise.error is None or gain is None:
        return NOTHING
    relative = np.hypot(noise.error / noise.value, (gain_error or 0.0) / gain)
    return Estimate(noise.value * gain, float(noise.value * gain * relative))
