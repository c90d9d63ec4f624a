"""Tile means of non-linearity tests with known truth, made without the code under test but for the campaign's list of frames.

A frame k of a channel with response R(y) = y (1 + Z(y / FS) / 100), y the signal of a linear chain in ADU:

    F_ks = b + R(rate_w phi_sw (t_k + d) S(tau_k) (1 + e_k)) + noise,

d: shutter latency, S: drift of the source (3 %), e_k: flux repeatability, common to all tiles of an exposure. Noise of a tile mean:
sqrt((F / g + RON² + 1/12) / n).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vison_etl.campaign.structures import structure

FULL_SCALE = 65536.0
SATURATION_S = {"0": 73.4, "880": 7.2}
CADENCE_S = 75.0

Percent = Callable[[np.ndarray], np.ndarray]

RESPONSES: dict[str, Percent] = {
    "original": lambda x: 2.0 * np.exp(-(x - 0.05) / 0.1) + 0.6 * x**3 - 0.3 * x**2 + 0.5 * x,
    "sharp": lambda x: -1.5 * np.exp(-x / 0.03) - 3.0 * x**2,
    "cubic": lambda x: -2.0 * x**2,
    "linear": np.zeros_like,
}


def response_adu(z: Percent, y: np.ndarray) -> np.ndarray:
    """Return what a signal y of a linear chain is seen as."""
    return y * (1.0 + z(y / FULL_SCALE) / 100.0)


def true_nl_pct(z: Percent, measured_adu: np.ndarray) -> np.ndarray:
    """Return the non-linearity at measured signals about the line of slope 1 at 20 % of full scale, by brute force."""
    y = np.linspace(0.0, 1.3 * FULL_SCALE, 1_300_001)
    seen = response_adu(z, y)
    slope = np.gradient(seen, y)
    at_reference = np.interp(0.2 * FULL_SCALE, seen, slope)
    linear = np.interp(measured_adu, seen, y) * at_reference
    return 100.0 * (measured_adu - linear) / linear


@dataclass(frozen=True)
class Bench:
    """What a channel is exposed to."""

    response: Percent
    test: str = "NL02"
    gain: float = 3.5
    ron_adu: float = 1.25
    n_px: int = 90_000
    corner_drop: float = 0.1
    flux_rms: float = 0.0
    drift: float = 0.03
    latency_s: float = 0.025
    latency_rms_s: float = 0.0
    pattern_rms: float = 0.0
    top_adu: float = 60_000.0


@dataclass(frozen=True)
class Frames:
    """One element per exposure; signals (exposures, tiles) with the offset removed. NaN: saturated."""

    time_s: np.ndarray
    hours: np.ndarray
    label: np.ndarray
    column: list[str]
    signal: np.ndarray
    x: np.ndarray
    y: np.ndarray
    true_light: np.ndarray
    linear: np.ndarray
    bench: Bench = field(repr=False)


def commanded(test: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return exposure time, filter and script column of every frame of a test of the campaign."""
    times, labels, names = [], [], []
    for column in structure(test, "B_CBE_MAR19", "devel" if test == "HENK01" else "Full").columns:
        times += [float(column.values["exptime"])] * column.frames
        labels += [str(column.filter_label)] * column.frames
        names += [column.label] * column.frames
    return np.array(times), np.array(labels), names


def source(rng: np.random.Generator, hours: np.ndarray, drift: float) -> np.ndarray:
    """Return the level of a source that drifts by ``drift`` from its lowest to its highest: a slow wave and a ramp."""
    tau = hours / hours.max()
    wave = np.sin(2.0 * np.pi * (rng.uniform(0.3, 1.2) * tau + rng.uniform(0.0, 1.0))) + rng.uniform(-1.0, 1.0) * tau
    return 1.0 + drift * (wave - wave.min()) / np.ptp(wave)


def expose(rng: np.random.Generator, bench: Bench, n_channels: int = 1) -> list[Frames]:
    """Draw the frames of the channels of one bench, which share the light."""
    time_s, label, column = commanded(bench.test)
    hours = np.concatenate([[0.0], np.cumsum(time_s + CADENCE_S)[:-1]]) / 3600.0
    level = source(rng, hours, bench.drift) * (1.0 + bench.flux_rms * rng.standard_normal(time_s.size))
    for light, time in {*zip(label, time_s, strict=True)}:
        here = (label == light) & (time_s == time)
        if time == 0.0:
            continue
        wrong = bench.latency_s + bench.latency_rms_s * rng.standard_normal()
        level[here] *= (time + wrong) / time
    x, y = (values.ravel() for values in np.meshgrid(np.arange(6) - 2.5, np.arange(6) - 2.5, indexing="ij"))
    found = []
    for _ in range(n_channels):
        rate = np.array([FULL_SCALE / SATURATION_S[name] for name in label]) * rng.uniform(0.97, 1.03)
        pattern = {name: _pattern(rng, bench, x, y) for name in np.unique(label)}
        changes = bench.pattern_rms * rng.standard_normal((time_s.size, 2)) @ np.stack([x, y]) / x.std()
        light = rate * time_s * level
        linear = light[:, None] * np.stack([pattern[name] for name in label]) * (1.0 + changes)
        seen = response_adu(bench.response, linear)
        base = rng.normal(0.0, 0.5) + rng.normal(0.0, 0.1, x.size)
        sigma = np.sqrt((np.maximum(seen, 0.0) / bench.gain + bench.ron_adu**2 + 1.0 / 12.0) / bench.n_px)
        signal = base + seen + sigma * rng.standard_normal(seen.shape)
        signal[seen > bench.top_adu] = np.nan
        found.append(Frames(time_s, hours, label, column, signal, x, y, light, linear, bench))
    return found


def _pattern(rng: np.random.Generator, bench: Bench, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the illumination of the tiles: a fall to one corner, other for each filter, and what pixels and dust do."""
    drop = bench.corner_drop * rng.uniform(0.5, 1.0)
    r2 = ((x + 3.0) ** 2 + (y + 3.0) ** 2) / 72.0
    return (1.0 - drop * r2) * (1.0 + 0.002 * rng.standard_normal(x.size))
