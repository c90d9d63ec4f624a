"""Flats made of what is known: illumination, response, photons, read noise, offsets, particles and defects.

Nothing of the code under test is used but the geometry of a frame. Each quadrant has a gain of its own; the illumination is that
of the whole CCD. The response of a good pixel is Gaussian about 1, white, of rms ``prnu``: the truth is that rms, pixels being a
sample. Dust shades along soft rings; columns are dark, bright or half dead; particles leave short straight tracks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.frames import ArrayGroup
from vison_etl.instrument.geometry import QUADRANTS, geometry_of, place_quadrant, side_of

GEOMETRY = geometry_of(442, 340)
W, H, PRE = GEOMETRY.image_columns, GEOMETRY.image_rows, GEOMETRY.prescan


@dataclass(frozen=True)
class Scene:
    """What a flat looks like. ``hits``: particle tracks per quadrant and frame."""

    signal_adu: float = 16000.0
    prnu: float = 0.005
    gain: float = 3.5
    ron_adu: float = 1.25
    gradient: float = 0.05
    vignetting: float = 0.03
    source_rms: float = 0.003
    dust: int = 2
    hits: float = 4.0
    bad_columns: int = 3
    dead_pixels: int = 5


def illumination(scene: Scene, quadrant: str) -> np.ndarray:
    """Return the light on a quadrant, canonical, shape (H, W)."""
    s, u = side_of(quadrant)
    x = ((np.arange(W) + 0.5) / W - 1.0) * (-1 if s else 1)
    y = ((np.arange(H) + 0.5) / H - 1.0) * (-1 if u else 1)
    tilted = 1.0 + scene.gradient * (x[None] - 0.6 * y[:, None])
    return tilted * (1.0 - scene.vignetting * (x[None] ** 2 + y[:, None] ** 2))


def response(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Return the response of the pixels of a quadrant, dust and defects in it, shape (H, W)."""
    out = 1.0 + scene.prnu * rng.standard_normal((H, W))
    y, x = np.mgrid[:H, :W]
    for _ in range(scene.dust):
        r = np.hypot(x - rng.uniform(0, W), y - rng.uniform(0, H))
        out *= 1.0 - 0.01 * np.exp(-0.5 * ((r - rng.uniform(30, 60)) / 9.0) ** 2)
    for _ in range(scene.bad_columns):
        first = rng.integers(0, H // 2)
        out[first:, rng.integers(0, W)] *= rng.choice([0.0, 0.7, 0.96, 1.05])
    out.ravel()[rng.integers(0, H * W, scene.dead_pixels)] *= 0.3
    return out


def flats(
    rng: np.random.Generator, scene: Scene, n_frames: int, responses: Mapping[str, np.ndarray] | None = None
) -> ArrayGroup:
    """Return frames of one CCD; ``responses`` are those of the quadrants, drawn anew where they are not given."""
    h, w = GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns
    levels = 1.0 + scene.source_rms * rng.standard_normal(n_frames)
    frames = [np.empty((GEOMETRY.naxis2, GEOMETRY.naxis1), np.uint16) for _ in range(n_frames)]
    for quadrant in QUADRANTS:
        gain = scene.gain * rng.uniform(0.97, 1.03)
        mean = scene.signal_adu * scene.gain / gain * illumination(scene, quadrant)
        mean *= response(rng, scene) if responses is None else responses[quadrant]
        for frame, level in zip(frames, levels, strict=True):
            expected = (mean * level).astype(np.float32)
            adu = rng.standard_normal((h, w), np.float32) * np.float32(scene.ron_adu)
            photons = np.sqrt(expected / np.float32(gain)) * rng.standard_normal((H, W), np.float32)
            adu[:H, PRE : PRE + W] += expected + photons
            for _ in range(rng.poisson(scene.hits)):
                add_track(rng, adu[:H, PRE : PRE + W])
            offset = 2600.0 + rng.normal(0.0, 0.5) + 1.5 * np.sin(np.arange(h) / 60.0 + rng.uniform(0, 6))
            adu += offset.astype(np.float32)[:, None]
            place_quadrant(frame, GEOMETRY, quadrant, np.rint(adu).clip(0, 65535).astype(np.uint16))
    return ArrayGroup(tuple(frames), GEOMETRY, max_rows=64)


def add_track(rng: np.random.Generator, image: np.ndarray) -> None:
    """Add a straight track of 300 to 4000 ADU per pixel."""
    length, angle = rng.exponential(6.0) + 1.0, rng.uniform(0, np.pi)
    t = np.arange(0.0, length, 0.7)
    y = (rng.uniform(0, H) + t * np.sin(angle)).astype(int)
    x = (rng.uniform(0, W) + t * np.cos(angle)).astype(int)
    inside = (y >= 0) & (y < H) & (x >= 0) & (x < W)
    image[y[inside], x[inside]] += rng.uniform(300, 4000)
