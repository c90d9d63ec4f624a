"""Frames without light and flats with known defects, simulated without knowledge of how they are found.

The contrast of a defect is in units of what an ideal search would have: for a pixel the scatter of all good pixels of the mean frame
(noise of the mean and fixed pattern), for a column the scatter of the means of all good columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.frames import ArrayGroup, ccd_frame
from vison_etl.instrument.geometry import QUADRANTS, geometry_of

GEOMETRY = geometry_of(654, 552)
ROWS, COLUMNS = GEOMETRY.image_rows, GEOMETRY.image_columns
GAIN = 3.4
NOISE_ADU = 1.2
COLUMN_ADU = 0.12
LEVEL_ADU = 28_000.0
PRNU = 0.006
COLUMN_PRNU = 0.0005


@dataclass(frozen=True)
class Truth:
    """Defects of one quadrant: single pixels, shape (n, 2) of (y, x); columns (x, first row); and their signed deviations."""

    pixels: np.ndarray
    pixel_values: np.ndarray
    columns: np.ndarray
    column_values: np.ndarray


def contrasts(rng: np.random.Generator, n: int, least: float, most: float) -> np.ndarray:
    """Draw contrasts evenly in their logarithm, with either sign."""
    return np.exp(rng.uniform(np.log(least), np.log(most), n)) * rng.choice([-1.0, 1.0], n)


def pixel_sigma(n_frames: int, *, light: bool) -> float:
    """Return the scatter of good pixels of the mean: ADU, or of the relative response."""
    if not light:
        return float(np.hypot(NOISE_ADU / np.sqrt(n_frames), COLUMN_ADU))
    shot = np.sqrt(LEVEL_ADU / GAIN + NOISE_ADU**2) / LEVEL_ADU
    return float(np.sqrt(shot**2 / n_frames + PRNU**2 + COLUMN_PRNU**2))


def column_sigma(n_frames: int, *, light: bool) -> float:
    """Return the scatter of the means of good columns."""
    pattern = COLUMN_PRNU if light else COLUMN_ADU
    white = np.sqrt(pixel_sigma(n_frames, light=light) ** 2 - pattern**2)
    return float(np.hypot(white / np.sqrt(ROWS), pattern))


def truth_of(
    rng: np.random.Generator, n_frames: int, n_pixels: int, n_columns: int, *, light: bool, least: tuple[float, float]
) -> Truth:
    """Draw the defects of one quadrant: pixels apart from each other, columns apart, half of them from some row on."""
    cells = [(y, x) for y in range(2, ROWS - 2, 8) for x in range(2, COLUMNS - 2, 8)]
    chosen = rng.choice(len(cells), n_pixels, replace=False)
    pixels = np.array([cells[k] for k in chosen]).reshape(-1, 2) + rng.integers(0, 4, (n_pixels, 2))
    top = 0.9 / pixel_sigma(n_frames, light=light) if light else 2000.0
    values = contrasts(rng, n_pixels, least[0], top) * pixel_sigma(n_frames, light=light)
    free = np.setdiff1d(np.arange(4, COLUMNS - 4, 8) + 1, np.array([], int))
    xs = rng.choice(free, n_columns, replace=False)
    starts = np.where(np.arange(n_columns) % 2 == 0, 0, rng.integers(20, ROWS // 2, n_columns))
    height = ROWS - starts
    depth = contrasts(rng, n_columns, least[1], 60.0) * column_sigma(n_frames, light=light)
    pattern = COLUMN_PRNU if light else COLUMN_ADU
    white = np.sqrt(column_sigma(n_frames, light=light) ** 2 - pattern**2)
    depth *= np.hypot(white * np.sqrt(ROWS / height), pattern) / column_sigma(n_frames, light=light)
    return Truth(pixels, values, np.stack([xs, starts], axis=1), depth)


def _deviation(truth: Truth) -> np.ndarray:
    out = np.zeros((ROWS, COLUMNS))
    for (x, y0), value in zip(truth.columns, truth.column_values, strict=True):
        out[y0:, x] += value
    for (y, x), value in zip(truth.pixels, truth.pixel_values, strict=True):
        out[y, x] += value
    return out


def _tracks(rng: np.random.Generator) -> np.ndarray:
    out = np.zeros((ROWS, COLUMNS))
    for _ in range(rng.poisson(1.0)):
        angle, length = rng.uniform(0, 2 * np.pi), 1 + int(rng.exponential(8))
        y = np.floor(rng.uniform(0, ROWS) + np.arange(length) * np.sin(angle)).astype(int)
        x = np.floor(rng.uniform(0, COLUMNS) + np.arange(length) * np.cos(angle)).astype(int)
        good = (y >= 0) & (y < ROWS) & (x >= 0) & (x < COLUMNS)
        out[y[good], x[good]] += rng.lognormal(np.log(300), 0.8, int(good.sum()))
    return out


def group_of(rng: np.random.Generator, truths: dict[str, Truth], n_frames: int, *, light: bool) -> ArrayGroup:
    """Expose the frames of one CCD."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    fixed = {}
    for name in QUADRANTS:
        deviation = _deviation(truths[name])
        if light:
            response = (1 + PRNU * rng.standard_normal((ROWS, COLUMNS))) * (
                1 + COLUMN_PRNU * rng.standard_normal(COLUMNS)
            )
            shape = 1 + 0.012 * (x / COLUMNS - 0.5) - 0.01 * (y / ROWS - 0.4) ** 2
            fixed[name] = LEVEL_ADU * shape * np.maximum(response + deviation, 0.0)
        else:
            shape = 0.6 * x / COLUMNS + np.exp(-y / 20.0)
            fixed[name] = shape + COLUMN_ADU * rng.standard_normal(COLUMNS) + deviation
    image = (slice(0, ROWS), slice(GEOMETRY.prescan, GEOMETRY.prescan + COLUMNS))
    frames = []
    for _ in range(n_frames):
        lamp = 1 + 0.003 * rng.standard_normal()
        parts = {}
        for name in QUADRANTS:
            values = (
                2700
                + rng.normal(0, 1)
                + NOISE_ADU * rng.standard_normal((GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns))
            )
            mean = fixed[name] * lamp if light else fixed[name]
            shot = np.sqrt(np.maximum(mean, 0) / GAIN) * rng.standard_normal(mean.shape)
            values[image] += mean + shot * (light or mean > 20) + _tracks(rng)
            parts[name] = values
        frames.append(ccd_frame(GEOMETRY, parts))
    return ArrayGroup(tuple(frames), GEOMETRY, vend=GEOMETRY.quadrant_rows)
