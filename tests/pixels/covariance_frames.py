"""Frames with known covariances between pixels, and the same measurement in plain float64 steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.frames import SMALL, ccd_frame
from vison_etl.instrument.geometry import QUADRANTS, Geometry
from vison_etl.pixels.lag_covariances import LAGS

OFFSET, RON = 2650.3, 1.3
QUANTISATION = 1.0 / 12.0


@dataclass(frozen=True)
class Scene:
    """What falls on the frames of a pair. ``taps``: by (lag_x, lag_y), the filter that white noise of rms ``sigma`` goes through."""

    signal: float = 9000.0
    sigma: float = 50.0
    taps: dict[tuple[int, int], float] = field(default_factory=lambda: {(0, 0): 1.0})
    gradient: float = 0.0
    prnu: float = 0.0
    row_noise: float = 0.0

    def covariance(self, lag: tuple[int, int]) -> float:
        """Return the covariance of one frame at a lag, canonical, ADU^2."""
        taps = self.taps
        total = self.sigma**2 * sum(t * taps.get((x + lag[0], y + lag[1]), 0.0) for (x, y), t in taps.items())
        is_zero = lag == (0, 0)
        return total + (RON**2 + QUANTISATION) * is_zero + self.row_noise**2 * (lag[1] == 0)

    def truth(self) -> np.ndarray:
        """Return the covariances in the order of ``LAGS``."""
        return np.array([self.covariance(lag) for lag in LAGS])


def expose(
    rng: np.random.Generator, scene: Scene, geometry: Geometry = SMALL, flux: float = 1.0, tilt: float = 0.0
) -> np.ndarray:
    """Return a raw frame, uint16. Variances of the light's noise go as the flux; ``tilt`` is a gradient of this frame alone."""
    h, w = geometry.image_rows, geometry.image_columns
    y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None, :]
    quadrants = {}
    for k, quadrant in enumerate(QUADRANTS):
        pattern = np.random.default_rng(70 + k).standard_normal((h, w))
        light = scene.signal * flux * (1 + scene.gradient * (x - 0.6 * y)) * (1 + scene.prnu * pattern)
        white = np.sqrt(flux) * scene.sigma * rng.standard_normal((h + 20, w + 20))
        charge = light * (1 + tilt * (x + y))
        for (i, j), tap in scene.taps.items():
            charge = charge + tap * white[10 - j : 10 - j + h, 10 - i : 10 - i + w]
        shape = geometry.quadrant_rows, geometry.quadrant_columns
        values = OFFSET + RON * rng.standard_normal(shape) + scene.row_noise * rng.standard_normal((shape[0], 1))
        values[:h, geometry.prescan : geometry.prescan + w] += charge
        quadrants[quadrant] = values
    return ccd_frame(geometry, quadrants)


def pair(
    seed: int, scene: Scene, geometry: Geometry = SMALL, flux: float = 1.0, tilt: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return two frames, the second with another flux and tilt."""
    rng = np.random.default_rng(seed)
    return expose(rng, scene, geometry), expose(rng, scene, geometry, flux, tilt)


def plain_covariances(
    first: np.ndarray, second: np.ndarray, offsets: tuple[float, float], clip: float | None = 5.5
) -> tuple[np.ndarray, np.ndarray]:
    """Measure one canonical image area of one cell by definition: slices, float64, lstsq, means of each factor removed.

    Returns
    -------
    covariance, n
        In the order of ``LAGS``.
    """
    codes_1, codes_2 = first.astype(np.float64), second.astype(np.float64)
    used = (first > 0) & (second > 0) & (first < 65535) & (second < 65535)
    m_1, m_2 = codes_1[used].mean() - offsets[0], codes_2[used].mean() - offsets[1]
    w_1, w_2 = 2 * m_1 / (m_1 + m_2), 2 * m_2 / (m_1 + m_2)
    d = w_2 * codes_1 - w_1 * codes_2
    d -= np.median(d[used])
    rows, columns = np.indices(d.shape)
    terms = np.stack([np.ones(d.shape), columns, rows], axis=-1)
    clipped = np.zeros(d.shape, np.bool_)
    for _ in range(8 if clip else 1):
        good = used & ~clipped
        d -= terms @ np.linalg.lstsq(terms[good], d[good])[0]
        if clip:
            clipped = used & (np.abs(d) > clip * np.sqrt(np.sum(d[good] ** 2) / (good.sum() - 3)))
    grown = np.zeros((d.shape[0] + 2, d.shape[1] + 2), np.bool_)
    for j in range(3):
        for i in range(3):
            grown[j : j + d.shape[0], i : i + d.shape[1]] |= clipped
    used &= ~grown[1:-1, 1:-1]
    covariance, n = np.empty(len(LAGS)), np.empty(len(LAGS), np.int64)
    for k, (x, y) in enumerate(LAGS):
        left = slice(max(-y, 0), d.shape[0] - max(y, 0)), slice(0, d.shape[1] - x)
        right = slice(max(y, 0), d.shape[0] + min(y, 0)), slice(x, None)
        both = used[left] & used[right]
        a, b = d[left][both], d[right][both]
        n[k] = both.sum()
        covariance[k] = np.mean(a * b) - a.mean() * b.mean()
    covariance += 3.0 / used.sum() * covariance[0]
    return covariance / (2 * w_1 * w_2), n
