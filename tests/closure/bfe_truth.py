"""Flats and spots whose charge builds up under moving walls, and covariances measured without the code under test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.lags import Measured, multiplicity
from vison_etl.pixels.walls import Walls
from vison_etl.simulate.build_up import BoundaryShift, accumulate, kernel
from vison_etl.simulate.detector import Channel, channel
from vison_etl.simulate.streams import Purpose, state_of, stream

BLOCKS = ("CURIE", "LORENTZ")
STEPS = 60


def channels(seed: int) -> list[Channel]:
    """Return 24 channels of two blocks."""
    return [channel(seed, block, f"CCD{n}", q) for block in BLOCKS for n in (1, 2, 3) for q in "EFGH"]


def true_coefficients(shift: BoundaryShift, reach: int) -> np.ndarray:
    """Return a_ij, 1/e, indexed [lag_x, lag_y]."""
    a = np.zeros((reach, reach))
    a[:3, :3] = kernel(shift)[2:, 2:].T
    return a


def flat(truth: Channel, mean_e: float, size: int, number: int, *, at_rest: bool = False) -> np.ndarray:
    """Return a flat of shape (size, size), e-; ``at_rest``: with the same photons, the walls not moving."""
    state = state_of(stream(truth.seed, truth.block, Purpose.PHOTONS, *truth.key, number))
    shift = truth.shift.scaled(0.0 if at_rest else 1.0)
    return accumulate(np.full((size, size), mean_e, np.float32), shift, STEPS, state)


def covariances(image: np.ndarray, reach: int) -> np.ndarray:
    """Return C_ij, e-^2, lags of both signs in y averaged, shape (reach, reach), indexed [lag_x, lag_y]."""
    d = image - image.mean(dtype=np.float64)
    rows, columns = d.shape
    power = np.abs(np.fft.rfft2(d, (rows + reach, columns + reach))) ** 2
    sums = np.fft.irfft2(power, (rows + reach, columns + reach))
    y, x = np.arange(reach), np.arange(reach)
    n = np.outer(rows - y, columns - x)
    found = 0.5 * (sums[np.ix_(y, x)] + sums[np.ix_(-y, x)]) / n
    return found.T


def coefficients(images: list[np.ndarray], reach: int) -> Measured:
    """Return a_ij of flats of one level, without noise of their own, by the exact solution per frequency.

    S(k) = (exp(2 a(k) m) - 1) / (2 a(k)) is solved for a(k), k of a period of 32 px; covariances beyond ``reach`` count as none. The errors
    are Bartlett's for sample covariances of that spectrum, carried through the linearised solution.
    """
    mean = float(np.mean([image.mean(dtype=np.float64) for image in images]))
    c = np.mean([covariances(image, reach) for image in images], axis=0)
    half = 16
    waves = np.cos(np.pi / half * np.outer(np.arange(reach), np.arange(half + 1)))
    spectrum = waves.T @ (c * multiplicity(reach)) @ waves / mean
    x = 0.5 * (spectrum - 1.0)
    for _ in range(50):
        value, slope = _solution(x)
        x = x - (value - spectrum) / slope
    share = np.where(np.arange(half + 1) % half == 0, 0.5, 1.0) / half
    a = (waves * share) @ (x / mean) @ (waves * share).T
    basis = np.einsum("xk,yl->xykl", waves, waves).reshape(reach**2, -1)
    weights = np.outer(share, share).ravel()
    n = sum(image.size for image in images)
    sampling = 2.0 / n * (basis * (weights * (mean * spectrum.ravel()) ** 2)) @ basis.T
    back = (basis * (weights / _solution(x)[1].ravel())) @ (basis * multiplicity(reach).reshape(-1, 1)).T / mean**2
    return Measured(a, back @ sampling @ back.T)


def _solution(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return S / m and its derivative by x = a(k) m."""
    z = 2.0 * np.where(np.abs(x) < 1e-9, 1e-9, x)
    return np.expm1(z) / z, 2.0 * (np.exp(z) * (z - 1.0) + 1.0) / z**2


@dataclass(frozen=True)
class Moments:
    """Second moments of a spot along x and y, px^2, and the charge of its brightest pixel, e-."""

    x: float
    y: float
    peak: float

    @property
    def size(self) -> float:
        return self.x + self.y


def moments(image: np.ndarray) -> Moments:
    """Return unweighted moments of an image without background."""
    image = image.astype(np.float64)
    total = image.sum()
    axes = [np.arange(n) for n in image.shape]
    y, x = image.sum(axis=1) / total, image.sum(axis=0) / total
    variances = [p @ axis**2 - (p @ axis) ** 2 for p, axis in ((x, axes[1]), (y, axes[0]))]
    return Moments(*variances, float(image.max()))


def true_walls(shift: BoundaryShift, reach: int) -> Walls:
    """Return what the charge of a pixel pushes through all walls around it, lags below ``reach``."""
    middle = reach - 1
    east, north = np.zeros((2 * reach - 1, 2 * reach)), np.zeros((2 * reach, 2 * reach - 1))
    for d in (-2, -1, 0, 1, 2):
        for near, far, image in ((shift.near_x, shift.far_x, east), (shift.near_y, shift.far_y, north.T)):
            image[middle + d, middle + 1], image[middle + d, middle] = near[abs(d)], -near[abs(d)]
            image[middle + d, middle + 2], image[middle + d, middle - 1] = far[abs(d)], -far[abs(d)]
    return Walls(east, north)
