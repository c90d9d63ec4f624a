"""Pixels of a master flat whose response deviates from that of their surroundings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels import quality
from vison_etl.pixels.block_load import SIDE
from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.flat_kernels import NO_DATA, NOISY

_STEP = 2
"""Every second pixel along x and y makes the median of a block."""

_LOW, _HIGH, _BAD, _DEAD = quality.LOW_RESPONSE, quality.HIGH_RESPONSE, quality.BAD_PIXEL, quality.DEAD
_NOISY, _NO_DATA = quality.NOISY, quality.NO_DATA


@dataclass(frozen=True, slots=True)
class Limits:
    """When a pixel deviates: by ``sigma`` of what a good one may, and by ``least``; from ``bad`` on (loss: ``dead``) no flat corrects it."""

    sigma: float
    least: float
    bad: float
    dead: float


def mark_deviant(
    response: NDArray[np.float32],
    error: NDArray[np.float32],
    stacked: NDArray[np.uint8],
    prnu: float,
    limits: Limits,
    dq: NDArray[np.int16],
) -> None:
    """Set the bits of the pixels of one quadrant.

    Parameters
    ----------
    response, error
        Master flat about 1 and its error, shape (rows, columns); NaN: no data.
    stacked
        Mask of the stack: :mod:`vison_etl.pixels.flat_kernels`.
    prnu
        Non-uniformity of good pixels, as a fraction.
    dq
        Filled: LOW_RESPONSE or HIGH_RESPONSE where the response is ``limits.sigma`` sqrt(prnu² + error²) and at least ``limits.least`` off
        its surroundings (medians of blocks of 25 px, interpolated linearly between their centres and held beyond the outermost);
        BAD_PIXEL and DEAD beyond ``bad`` and ``dead``; NOISY and NO_DATA as the stack has it; else 0.
    """
    edges = [np.linspace(0, size, max(1, size // SIDE) + 1).round().astype(np.int64) for size in response.shape]
    medians = np.empty((edges[0].size - 1, edges[1].size - 1))
    _block_medians(response, edges[0], edges[1], medians)
    known = np.isfinite(medians)
    medians[~known] = np.median(medians[known]) if known.any() else math.nan
    across = np.stack([np.interp(np.arange(response.shape[1]), _centres(edges[1]), row) for row in medians])
    before, weight = _between(_centres(edges[0]), response.shape[0])
    values = (prnu**2, limits.sigma**2, limits.least, limits.bad, limits.dead)
    _mark(response, error, stacked, across.astype(np.float32), before, weight, values, dq)


def _centres(edges: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (edges[:-1] + edges[1:] - 1))


def _between(centres: NDArray[np.float64], size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return, for every position, the centre before it and the weight of the next one; held at the ends."""
    position = np.interp(np.arange(size), centres, np.arange(centres.size, dtype=np.float64))
    before = np.minimum(position.astype(np.int64), max(centres.size - 2, 0))
    return before, (position - before).astype(np.float32)


@compiled
def _block_medians(
    image: NDArray[np.float32], edges_y: NDArray[np.int64], edges_x: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    some = np.empty((SIDE + 1) * (SIDE + 1), np.float32)
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            n = 0
            for y in range(edges_y[j], edges_y[j + 1], _STEP):
                for x in range(edges_x[i], edges_x[i + 1], _STEP):
                    if not math.isnan(image[y, x]):
                        some[n] = image[y, x]
                        n += 1
            out[j, i] = np.median(some[:n]) if n > 0 else math.nan


@compiled
def _bits_of(deviation: float, limits: tuple[float, float, float, float, float]) -> int:
    _, _, least, bad, dead = limits
    if abs(deviation) < least:
        return 0
    bits = _LOW if deviation < 0 else _HIGH
    if abs(deviation) >= bad:
        bits |= _BAD
    return bits | _DEAD if deviation <= -dead else bits


@compiled
def _mark(
    response: NDArray[np.float32],
    error: NDArray[np.float32],
    stacked: NDArray[np.uint8],
    across: NDArray[np.float32],
    before: NDArray[np.int64],
    weight: NDArray[np.float32],
    limits: tuple[float, float, float, float, float],
    dq: NDArray[np.int16],
) -> None:
    columns = response.shape[1]
    value, noise, away = np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(columns, np.float32)
    strange = np.empty(columns, np.uint8)
    variance, reach_2 = np.float32(limits[0]), np.float32(limits[1])
    for y in range(response.shape[0]):
        lower, upper, v = across[before[y]], across[min(before[y] + 1, across.shape[0] - 1)], weight[y]
        for x in range(columns):
            value[x], noise[x], strange[x] = response[y, x], error[y, x], stacked[y, x] & (NOISY | NO_DATA)
        n_strange = 0
        for x in range(columns):
            away[x] = value[x] - (lower[x] + v * (upper[x] - lower[x]))
            is_far = away[x] * away[x] >= reach_2 * (variance + noise[x] * noise[x])
            strange[x] |= is_far
            n_strange += strange[x] != 0
        dq[y] = 0
        if n_strange == 0:
            continue
        for x in range(columns):
            if strange[x]:
                mine, room = float(away[x]), limits[1] * (limits[0] + float(noise[x]) ** 2)
                bits = _bits_of(mine, limits) if mine * mine >= room else 0
                bits |= _NOISY if stacked[y, x] & NOISY else 0
                dq[y, x] = bits | (_NO_DATA if stacked[y, x] & NO_DATA else 0)
