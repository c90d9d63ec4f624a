"""Truth of photon-transfer tiles, made without the code under test.

Charge already in the pixels changes the areas that collect what follows. To first order in the fluctuations the covariances
S(k) of a flat field obey, per spatial frequency k and in electrons,

    dS/dm = 1 + 2 a(k) S,      S(m, k) = [exp(2 a(k) m) - 1] / (2 a(k)),

with a(k) the transform of the symmetric kernel a_ij, whose sum is zero because charge is conserved (Astier et al. 2019).
C_ij(m) is the inverse transform. The exponential model is the case of one a for all k: it is not the truth of any kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline

FULL_SCALE = 65536.0
OFFSET_ADU = 2700.0
TILES = 36
ROWS_OF_TILES = 6
TILE_PX = 90_000
PRESCAN_COLUMNS = 21
PTC01 = {0.05: 5, 0.10: 5, 0.20: 5, 0.30: 5, 0.50: 5, 0.70: 5, 0.80: 5, 0.90: 5, 1.00: 2, 1.10: 2, 1.20: 2}
PTC02 = {0.10: 2, 0.30: 2, 0.50: 2, 0.70: 2, 0.80: 2, 0.90: 2}


def kernel(power: float = 2.5, size: int = 64) -> np.ndarray:
    """Return a_ij / |a00|, shape (size, size), lag (0, 0) first: -1 at zero, 0.14 along y, 0.06 along x, 0.02 diagonal and a
    tail r^-power that makes the sum zero."""
    lag = np.fft.fftfreq(size, 1.0 / size)
    r = np.hypot(*np.meshgrid(lag, lag))
    near = np.zeros((size, size))
    near[[1, -1], 0], near[0, [1, -1]] = 0.14, 0.06
    near[1, 1] = near[1, -1] = near[-1, 1] = near[-1, -1] = 0.02
    tail = np.where((r > 1.5) & (r < size / 2), np.maximum(r, 1.0) ** -power, 0.0)
    near += tail * (1.0 - near.sum()) / tail.sum()
    near[0, 0] = -1.0
    return near


@dataclass(frozen=True)
class Physics:
    """Covariance of a channel against signal, in ADU. ``tail`` is the power of the kernel's tail; None: exponential truth."""

    gain: float = 3.5
    a00: float = -1.5e-6
    ron_adu: float = 1.25
    tail: float | None = 2.5

    @property
    def n00_adu2(self) -> float:
        return self.ron_adu**2 + 1.0 / 12.0

    def curves(self, top_adu: float = FULL_SCALE) -> tuple[CubicSpline, CubicSpline]:
        """Return splines of variance and of correlation with the +y neighbour against signal, ADU."""
        return _curves(self, top_adu)


@cache
def _curves(physics: Physics, top_adu: float) -> tuple[CubicSpline, CubicSpline]:
    m = np.linspace(0.0, top_adu * physics.gain, 60)
    if physics.tail is None:
        z = 2.0 * physics.a00 * m
        c00 = m * np.where(z == 0.0, 1.0, np.expm1(z) / np.where(z == 0.0, 1.0, z))
        c01 = -0.14 * physics.a00 * m**2
    else:
        z = 2.0 * abs(physics.a00) * np.fft.fft2(kernel(physics.tail)).real[None] * m[:, None, None]
        tiny = np.abs(z) < 1e-9
        s = m[:, None, None] * np.where(tiny, 1.0, np.expm1(z) / np.where(tiny, 1.0, z))
        c = np.fft.ifft2(s).real
        c00, c01 = c[:, 0, 0], c[:, 1, 0]
    variance = c00 / physics.gain**2 + physics.n00_adu2
    mu = m / physics.gain
    return CubicSpline(mu, variance), CubicSpline(mu, c01 / physics.gain**2 / variance)


@dataclass(frozen=True)
class FullWell:
    """Above ``adu`` the variance falls with scale ``fall_adu``; kurtosis and parallel correlation grow with the excess."""

    adu: float
    fall_adu: float = 8000.0
    kurtosis_per_kadu: float = 0.05
    correlation_per_kadu: float = 0.05


@dataclass(frozen=True)
class Tiles:
    """Measured tiles of one channel, one element per tile of a pair."""

    level: np.ndarray
    pair: np.ndarray
    mean_1: np.ndarray
    mean_2: np.ndarray
    variance: np.ndarray
    variance_err: np.ndarray
    kurtosis: np.ndarray
    kurtosis_err: np.ndarray
    correlation: np.ndarray
    correlation_err: np.ndarray
    n: np.ndarray
    n_saturated: np.ndarray
    y: np.ndarray
    noise: np.ndarray
    noise_err: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return 0.5 * (self.mean_1 + self.mean_2)


def simulate_tiles(
    rng: np.random.Generator,
    physics: Physics,
    pairs_of_level: dict[float, int],
    *,
    full_well: FullWell | None = None,
    n_px: int = TILE_PX,
    levels: Sequence[float] | None = None,
    prescan_error: float = 0.0,
) -> Tiles:
    """Draw the tiles of one channel: illumination +-5 % over the tiles, flux jitter 1 % rms of each frame, chi-square noise.

    The prescan of each row of tiles of each pair has the noise of the image, but for a factor of the channel, 1 +-
    ``prescan_error`` (normal) in its variance, and chi-square noise of its own.

    Levels above the ADC are cut: tiles whose brightest pixels reach code 65535 have saturated pixels, and where the mean
    does, nothing is measured.
    """
    chosen = [level for level in pairs_of_level if levels is None or level in levels]
    level = np.repeat(np.arange(len(chosen)), [TILES * pairs_of_level[x] for x in chosen])
    pair = np.repeat(np.arange(level.size // TILES), TILES)
    light = np.array(chosen)[level] * FULL_SCALE * np.tile(rng.uniform(0.95, 1.05, TILES), level.size // TILES)
    jitter = 1.0 + 0.01 * rng.standard_normal((2, pair[-1] + 1))
    true_1, true_2 = light * jitter[0, pair], light * jitter[1, pair]
    mu = 0.5 * (true_1 + true_2)
    variance_of, correlation_of = physics.curves(1.4 * FULL_SCALE)
    variance, correlation = variance_of(mu), correlation_of(mu)
    excess = np.maximum(mu - full_well.adu, 0.0) if full_well else np.zeros_like(mu)
    kurtosis = np.zeros_like(mu)
    if full_well:
        variance = variance * np.exp(-excess / full_well.fall_adu)
        kurtosis += full_well.kurtosis_per_kadu * excess / 1e3
        correlation = correlation + full_well.correlation_per_kadu * excess / 1e3
    sigma = np.sqrt(variance)
    headroom = (FULL_SCALE - 1 - OFFSET_ADU - mu) / sigma
    n_saturated = np.where(headroom < 6, n_px * np.exp(-0.5 * np.maximum(headroom, 0.0) ** 2) / 2, 0.0).astype(int)
    measured = n_saturated < 0.4 * n_px
    noise = rng.standard_normal((5, mu.size))
    kurtosis_err, correlation_err = np.sqrt(24.0 / n_px), 1.0 / np.sqrt(n_px)
    drawn = variance * rng.chisquare(n_px - 3, mu.size) / (n_px - 3)
    drawn = drawn * (1.0 - n_saturated / n_px) ** 2

    def where_measured(values: np.ndarray | float) -> np.ndarray:
        return np.where(measured, values, np.nan)

    return Tiles(
        level,
        pair,
        where_measured(true_1 + sigma / np.sqrt(n_px) * noise[0]),
        where_measured(true_2 + sigma / np.sqrt(n_px) * noise[1]),
        where_measured(drawn),
        where_measured(drawn * np.sqrt(2.0 / (n_px - 1))),
        where_measured(kurtosis + kurtosis_err * noise[2]),
        where_measured(kurtosis_err),
        where_measured(correlation + correlation_err * noise[3]),
        where_measured(correlation_err),
        np.where(measured, n_px - n_saturated, 0),
        n_saturated,
        *_prescans(rng, physics.n00_adu2 * (1.0 + prescan_error * rng.standard_normal()), pair, int(n_px**0.5)),
    )


def _prescans(
    rng: np.random.Generator, n00_adu2: float, pair: np.ndarray, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first row of each tile and the variance of the prescan of its rows, shared by all tiles of a row, and error."""
    row = np.tile(np.arange(TILES) % ROWS_OF_TILES, pair.size // TILES)
    dof = PRESCAN_COLUMNS * height - 3
    drawn = n00_adu2 * rng.chisquare(dof, (pair[-1] + 1, ROWS_OF_TILES)) / dof
    noise = drawn[pair, row]
    return row * height, noise, noise * np.sqrt(2.0 / (dof + 2))
