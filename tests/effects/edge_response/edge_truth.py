"""Overscan of one channel drawn from what is known of it: bounce, deferred charge, structure of the offset, noise; no code under test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PTC01 = (0.05, 0.10, 0.20, 0.30, 0.50)
MOT_FF = (0.10, 0.30, 0.50)
SERIAL, PARALLEL = 2099, 2066


@dataclass(frozen=True)
class Edge:
    """One channel. ``species``: (share of the first pixel, release in px); ``eper_cti`` at 20 000 ADU, as L^-fall elsewhere; ``end``: last
    pixel of the tail, its releases ending there. ``settling``: bounce of the pixels after the first, over that of the first. ``memory``:
    (share of the level, length in px) of a memory of the whole line; ``slope``: of the line, share of the level per px. ``white_adu``:
    noise of the mean of a pixel of one frame; ``response``: scatter of the response from column to column."""

    eper_cti: float = 1e-6
    bounce: float = 1e-4
    species: tuple[tuple[float, float], ...] = ((1.0, 1.5),)
    fall: float = 0.0
    end: int = 0
    settling: tuple[float, ...] = ()
    memory: tuple[float, float] = (0.0, 60.0)
    slope: float = 0.0
    levels: tuple[float, ...] = PTC01
    frames: int = 10
    has_dark: bool = False
    pixels: int = 20
    transfers: int = SERIAL
    structure_adu: float = 0.1
    white_adu: float = 0.027
    shift_adu: float = 0.3
    shift_per_level: float = 2e-6
    rows: int = 2066
    gain: float = 3.4
    response: float = 1.3e-4

    def tail(self) -> np.ndarray:
        """Return the tail over the overscan, 1 in the first pixel."""
        k = np.arange(400)
        if not self.end:
            g = sum(share * np.exp(-k / tau) for share, tau in self.species)
        else:
            release = np.where(k < self.end, np.exp(-k / self.species[0][1]), 0.0)
            g = release[::-1].cumsum()[::-1]
        return g / g[0]

    def step(self) -> np.ndarray:
        """Return the bounce after a step of the signal, pixel by pixel, as a fraction of it."""
        after = np.zeros(400)
        after[: 1 + len(self.settling)] = 1.0, *self.settling
        return self.bounce * after

    def cti_at(self, level: np.ndarray) -> np.ndarray:
        return self.eper_cti * (np.maximum(level, 1.0) / 20_000) ** -self.fall


@dataclass(frozen=True)
class Drawn:
    level: np.ndarray
    signal: np.ndarray
    error: np.ndarray
    eper_cti: np.ndarray
    cti: np.ndarray


def draw(rng: np.random.Generator, edge: Edge) -> Drawn:
    """Draw the means over frames: fluences jitter by 0.3 %, every line is shifted, and by an amount that grows with signal."""
    level = np.array(edge.levels) * 65536 * (1 + 0.003 * rng.standard_normal(len(edge.levels)))
    level = np.append(0.0, level) if edge.has_dark else level
    g = edge.tail()
    cti = edge.cti_at(level)
    first = edge.transfers * cti * level / g.sum()
    charge = first[:, None] * g[: edge.pixels]
    k = np.arange(edge.pixels)
    slow = edge.memory[0] * np.exp(-k / edge.memory[1]) + edge.slope * k
    charge += level[:, None] * (edge.step()[: edge.pixels] + slow)
    photons = np.maximum(first[:, None] * g[: edge.pixels], 0) / edge.gain / edge.rows
    error = np.sqrt((edge.white_adu**2 + photons) / edge.frames)
    shift = edge.shift_adu * rng.standard_normal(level.size) + edge.shift_per_level * level
    structure = edge.structure_adu * rng.standard_normal(edge.pixels)
    signal = charge + structure + shift[:, None] + error * rng.standard_normal(error.shape)
    return Drawn(level, signal, error, cti, cti / g.sum())


def draw_leading(rng: np.random.Generator, edge: Edge, drawn: Drawn, pixels: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Draw the first image pixels and their errors: the bounce with opposite sign, the charge that the first transfers deferred, a slope."""
    response = 1.0 + edge.response * rng.standard_normal(pixels) + 1e-5 * rng.standard_normal() * np.arange(pixels)
    response = response - edge.step()[:pixels]
    lost = 52 * drawn.cti[:, None] * drawn.level[:, None] * edge.tail()[:pixels]
    error = np.full((drawn.level.size, pixels), 0.02)
    return drawn.level[:, None] * response - lost + error * rng.standard_normal(error.shape), error
