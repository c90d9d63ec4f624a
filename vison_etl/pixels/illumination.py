"""One smooth illumination for a whole CCD, whose four amplifiers differ by a factor.

With u, v from -1 to 1 over the light-sensitive area of the CCD the mean flat is

    m(u, v) = L_q S(u, v),      ln S = sum_{0 < i + j <= degree} c_ij P_i(u) P_j(v),      mean of S = 1,

P Legendre polynomials, L_q the level of quadrant q, ADU. Fitted by least squares to the logarithm of means over square bins of all
four quadrants at once: light does not stop where another amplifier begins, so that the steps there are the amplifiers' own. Bins
that deviate by more than 4 robust sigma (a dead column, a dust ring) are left out, again until no other one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from vison_etl.instrument.geometry import QUADRANTS, Geometry, side_of
from vison_etl.pixels.compiled import compiled

DEGREE = 6
BINS_PER_SIDE = 64
_CLIP_SIGMA = 4.0
_MAX_PASSES = 25
_MIN_FRACTION = 0.5
_BINS_PER_PARAMETER = 2
_ROWS = 64


@dataclass(frozen=True, slots=True)
class Illumination:
    """Illumination of one CCD.

    Parameters
    ----------
    coefficients
        Shape (degree + 1, degree + 1): of P_i(u) P_j(v), index [i, j]; [0, 0] makes the mean of S over the area one.
    level_adu
        L_q per quadrant that had enough bins.
    scatter
        Robust standard deviation of ln(bin) about the model, bins used and not used.
    n_used, n_bins
        Bins that the fit used, and that had data.
    residuals
        Per quadrant: ln(bin) - ln(model), shape (bins along y, bins along x), canonical, NaN without data.
    side
        Side of a bin, px.
    """

    geometry: Geometry
    coefficients: NDArray[np.float64]
    level_adu: Mapping[str, float]
    scatter: float
    n_used: int
    n_bins: int
    residuals: Mapping[str, NDArray[np.float64]]
    side: int

    def shape_of(self, quadrant: str, y0: int, y1: int) -> NDArray[np.float32]:
        """Return S over the canonical image rows [y0, y1) of a quadrant and all its image columns, shape (y1 - y0, W)."""
        x = np.arange(self.geometry.image_columns) + 0.5
        return self.shape_at(quadrant, x, np.arange(y0, y1) + 0.5)

    def shape_at(
        self, quadrant: str, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
    ) -> NDArray[np.float32]:
        """Return S at canonical positions from the first image pixel, px, shape (len(y), len(x))."""
        degree = len(self.coefficients) - 1
        u, v = _across(self.geometry, quadrant, x), _along(self.geometry, quadrant, y)
        rows = (legvander(v, degree) @ self.coefficients.T).astype(np.float32)
        logarithm = rows @ legvander(u, degree).T.astype(np.float32)
        return np.asarray(np.exp(logarithm, out=logarithm), np.float32)

    def divide(self, quadrant: str, images: Sequence[NDArray[np.float32]]) -> None:
        """Divide image areas of a quadrant, canonical, shape (H, W), in place by its level and S."""
        degree = len(self.coefficients) - 1
        width, height = self.geometry.image_columns, self.geometry.image_rows
        u, v = (
            _across(self.geometry, quadrant, np.arange(width) + 0.5),
            _along(self.geometry, quadrant, np.arange(height) + 0.5),
        )
        rows = (legvander(v, degree) @ self.coefficients.T).astype(np.float32)
        rows[:, 0] += np.float32(np.log(self.level_adu[quadrant]))
        # along the memory of the images, whichever way the quadrant is read
        turn = slice(None, None, -1 if images[0].strides[1] < 0 else None)
        columns = np.ascontiguousarray(legvander(u[turn], degree).T.astype(np.float32))
        memory = np.empty((_ROWS, width), np.float32)
        for y in range(0, height, _ROWS):
            model = memory[: min(_ROWS, height - y)]
            np.matmul(rows[y : y + _ROWS], columns, out=model)
            np.exp(np.negative(model, out=model), out=model)
            for image in images:
                part = image[y : y + _ROWS, turn]
                np.multiply(part, model, out=part)


def bin_side(geometry: Geometry) -> int:
    """Return the side of a bin, px: 64 along the shorter side of a quadrant."""
    return max(1, min(geometry.image_columns, geometry.image_rows) // BINS_PER_SIDE)


@compiled
def _bin_means(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    mask: NDArray[np.uint8],
    unusable: int,
    share: float,
    side: int,
    out: NDArray[np.float64],
) -> None:
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            n, total = 0, 0.0
            for y in range(j * side, (j + 1) * side):
                for x in range(i * side, (i + 1) * side):
                    if not mask[y, x] & unusable:
                        total += share * first[y, x] + (1.0 - share) * second[y, x]
                        n += 1
            out[j, i] = total / n if n >= _MIN_FRACTION * side * side else np.nan


def bin_means(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    mask: NDArray[np.uint8],
    unusable: int,
    share: float,
    side: int,
) -> NDArray[np.float64]:
    """Return the means of ``share`` first + (1 - share) second over squares of ``side`` px.

    Parameters
    ----------
    first, second, mask
        Image area of one quadrant, canonical, shape (H, W). Pixels with a bit of ``unusable`` do not count.

    Returns
    -------
    NDArray
        Shape (H // side, W // side); NaN where fewer than half of the pixels count.
    """
    out = np.empty((first.shape[0] // side, first.shape[1] // side))
    _bin_means(first, second, mask, unusable, share, side, out)
    return out


def _across(geometry: Geometry, quadrant: str, x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return u of canonical positions from the first image column, px; -1 and 1 are the outer edges of the CCD."""
    position = x / geometry.image_columns - 1.0
    return -position if side_of(quadrant)[0] else position


def _along(geometry: Geometry, quadrant: str, y: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    position = y / geometry.image_rows - 1.0
    return -position if side_of(quadrant)[1] else position


def fit_illumination(
    bins: Mapping[str, NDArray[np.float64]], geometry: Geometry, degree: int = DEGREE
) -> Illumination | None:
    """Fit the illumination of a CCD.

    Parameters
    ----------
    bins
        Per quadrant the means over squares, ADU above offset, from :func:`bin_means`; NaN and values that are not positive have
        no weight.
    degree
        Highest total degree of the polynomial.

    Returns
    -------
    Illumination or None
        None where there are not twice as many bins as parameters: no light.
    """
    side = bin_side(geometry)
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i) if i + j > 0]
    design, values, owner, where = _design(bins, geometry, side, powers, degree)
    present = np.unique(owner)
    levels = (owner[:, None] == present).astype(np.float64)
    matrix = np.hstack([levels, design])
    if len(values) < _BINS_PER_PARAMETER * matrix.shape[1]:
        return None
    solution, used, scatter = _robust_fit(matrix, values)
    coefficients = np.zeros((degree + 1, degree + 1))
    for (i, j), value in zip(powers, solution[len(present) :], strict=True):
        coefficients[i, j] = value
    mean = _mean_of(coefficients)
    coefficients[0, 0] = -np.log(mean)
    level_adu = {QUADRANTS[q]: float(np.exp(s) * mean) for q, s in zip(present, solution, strict=False)}
    residuals = {q: np.full(image.shape, np.nan) for q, image in bins.items()}
    difference = values - matrix @ solution
    for q, positions in where.items():
        residuals[q].ravel()[positions] = difference[owner == QUADRANTS.index(q)]
    return Illumination(geometry, coefficients, level_adu, scatter, int(used.sum()), len(values), residuals, side)


def _mean_of(coefficients: NDArray[np.float64]) -> float:
    """Return the mean of exp(sum c P P) over the square, by a grid of midpoints."""
    grid = (np.arange(64) + 0.5) / 32 - 1.0
    degree = len(coefficients) - 1
    polynomials = legvander(grid, degree)
    return float(np.exp(polynomials @ coefficients @ polynomials.T).mean())


def _design(
    bins: Mapping[str, NDArray[np.float64]],
    geometry: Geometry,
    side: int,
    powers: list[tuple[int, int]],
    degree: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], dict[str, NDArray[np.int64]]]:
    """Return polynomials, logarithms and quadrant index of every bin with light, and where in its quadrant each lies."""
    design, values, owner, where = [], [], [], {}
    for quadrant, image in bins.items():
        with np.errstate(invalid="ignore"):
            positions = np.flatnonzero(image.ravel() > 0)
        u = legvander(_across(geometry, quadrant, side * (np.arange(image.shape[1]) + 0.5)), degree)
        v = legvander(_along(geometry, quadrant, side * (np.arange(image.shape[0]) + 0.5)), degree)
        y, x = np.divmod(positions, image.shape[1])
        design.append(np.stack([u[x, i] * v[y, j] for i, j in powers], axis=1))
        values.append(np.log(image.ravel()[positions]))
        owner.append(np.full(positions.size, QUADRANTS.index(quadrant)))
        where[quadrant] = positions
    return np.concatenate(design), np.concatenate(values), np.concatenate(owner), where


def _robust_fit(
    matrix: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], float]:
    """Solve by least squares over the values within the clip, until the same ones are used."""
    used = np.ones(values.size, np.bool_)
    for _ in range(_MAX_PASSES):
        part = matrix[used]
        solution = np.asarray(np.linalg.lstsq(part.T @ part, part.T @ values[used], rcond=None)[0], np.float64)
        difference = values - matrix @ solution
        middle = float(np.median(difference[used]))
        scatter = 1.4826 * float(np.median(np.abs(difference[used] - middle)))
        now = np.abs(difference) <= _CLIP_SIGMA * scatter
        if scatter == 0.0 or (now == used).all() or np.count_nonzero(now) < matrix.shape[1]:
            break
        used = now
    return solution, used, scatter
