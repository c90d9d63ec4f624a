"""Cosmic rays by comparison of equal frames: what is too bright in one frame only.

Of N values of a pixel the lower median is taken for its level, which a hit in one frame cannot move upwards. A value is a hit when it
exceeds the level L by more than k sqrt(s² (1 + π/(2N)) + h max(L, 0)): s is the noise of a frame, h bounds the shot variance of a bright
pixel per ADU of its signal, so that hot pixels are not taken for hits. Tracks have wings below any threshold: the eight
neighbours of a hit are left out with it, whatever their value, which biases nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.special import chdtri

from vison_etl.pixels.clipping import CODES
from vison_etl.pixels.compiled import compiled
from vison_etl.pixels.stacks import NO_DATA, Stack

HIT_SIGMA = 5.0
SHOT_ADU = 0.5
"""Upper bound of the shot variance per signal, ADU²/ADU: gains below 2 e-/ADU do not occur."""

_NOISY_PROBABILITY = 1e-9
_OFTEN = 0.05
_EIGHT = np.ones((3, 3), np.int8)


@compiled
def _find(
    codes: NDArray[np.uint16],
    offsets: NDArray[np.float64],
    noise: float,
    sigma: float,
    shot: float,
    is_hit: NDArray[np.bool_],
) -> None:
    frames, rows, columns = codes.shape
    values = np.empty(frames)
    for y in range(rows):
        for x in range(columns):
            n, total, high, n_saturated = 0, 0.0, -math.inf, 0
            for k in range(frames):
                code = int(codes[k, y, x])
                n_saturated += code == CODES - 1
                if 0 < code < CODES - 1 and not math.isnan(offsets[k, y]):
                    values[n] = code - offsets[k, y]
                    total += values[n]
                    high = max(high, values[n])
                    n += 1
            if n < 2:
                continue
            if n_saturated == 0 and (high - total / n) * n <= 0.8 * sigma * noise * (n - 1):
                continue
            level = np.sort(values[:n])[(n - 1) // 2]
            limit = sigma * math.sqrt(noise * noise * (1.0 + 0.5 * math.pi / n) + shot * max(level, 0.0))
            for k in range(frames):
                code = int(codes[k, y, x])
                # a saturated value among others that are not is a hit too bright for the ADC
                is_hit[k, y, x] = (code > 0 and code - offsets[k, y] - level > limit) or (
                    code == CODES - 1 and 2 * n_saturated < n
                )


@compiled
def _grow(is_hit: NDArray[np.bool_], grown: NDArray[np.bool_]) -> None:
    frames, rows, columns = is_hit.shape
    for k in range(frames):
        for y in range(rows):
            for x in range(columns):
                if is_hit[k, y, x]:
                    grown[k, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True


@compiled
def _average_again(
    codes: NDArray[np.uint16],
    offsets: NDArray[np.float64],
    is_left_out: NDArray[np.bool_],
    mean: NDArray[np.float32],
    n: NDArray[np.int32],
) -> None:
    """Replace the mean of every pixel with a value left out by that of the others; n = -1 where nothing is."""
    frames, rows, columns = codes.shape
    for y in range(rows):
        for x in range(columns):
            count, total, n_out = 0, 0.0, 0
            for k in range(frames):
                code = int(codes[k, y, x])
                if is_left_out[k, y, x]:
                    n_out += 1
                elif 0 < code < CODES - 1 and not math.isnan(offsets[k, y]):
                    total += code - offsets[k, y]
                    count += 1
            n[y, x] = -1
            if n_out > 0:
                n[y, x] = count
                mean[y, x] = total / count if count > 0 else math.nan


def find_hits(
    codes: NDArray[np.uint16],
    offsets: NDArray[np.float64],
    noise: float,
    sigma: float = HIT_SIGMA,
    shot: float = SHOT_ADU,
) -> NDArray[np.bool_]:
    """Find what is too bright in one frame among equal ones.

    Parameters
    ----------
    codes
        Shape (frames, rows, columns). Code 0 and rows without offset do not count; one frame has no hits.
    offsets
        ADU, shape (frames, rows).
    noise
        Standard deviation of one pixel of one frame, ADU.
    sigma
        Reach k of the comparison (see the module).
    shot
        Bound h of the shot variance per signal, ADU²/ADU.

    Returns
    -------
    NDArray of bool, shape of ``codes``
    """
    is_hit = np.zeros(codes.shape, np.bool_)
    _find(codes, offsets, noise, sigma, shot, is_hit)
    return is_hit


def grown(is_hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the hits with their eight neighbours, shape (frames, rows, columns)."""
    out = np.zeros(is_hit.shape, np.bool_)
    _grow(is_hit, out)
    return out


def noisy_pixels(
    stack: Stack,
    codes: NDArray[np.uint16],
    offsets: NDArray[np.float64],
    noise: float,
    sigma: float = HIT_SIGMA,
    shot: float = SHOT_ADU,
) -> NDArray[np.bool_]:
    """Return which pixels scatter more between frames than chance, single hits and the shot noise of their own signal explain.

    Either the standard deviation of the values kept is too large (chi-square probability below 1e-9), or values lie beyond the
    clip in several frames: two, or one in twenty if that is more. Rays do not come back, telegraph noise does.

    Parameters
    ----------
    stack
        Of the same frames, clipped at ``sigma``.
    codes, offsets, noise, sigma, shot
        As in :func:`find_hits`. Signals below ``sigma`` times the noise count as none.
    """
    frames = len(codes)
    level = np.nan_to_num(stack.mean)
    variance = noise**2 + shot * np.maximum(level - sigma * noise, 0.0)
    limit = sigma * np.sqrt(variance * (1.0 + 0.5 * math.pi / frames))
    often = np.zeros(level.shape, np.int32)
    for frame, offset in zip(codes, offsets, strict=True):
        is_valid = (frame > 0) & (frame < CODES - 1) & np.isfinite(offset)[:, None]
        often += is_valid & (np.abs(frame - np.nan_to_num(offset)[:, None] - level) > limit)
    found: NDArray[np.bool_] = np.greater_equal(often, max(2, math.ceil(_OFTEN * frames)))
    if frames > 1:
        widest = variance * float(chdtri(frames - 1, _NOISY_PROBABILITY)) / (frames - 1)
        found |= np.nan_to_num(stack.std) ** 2 > widest
    return found


def count_tracks(is_hit: NDArray[np.bool_]) -> int:
    """Return the number of connected groups of hits, diagonals included, over all frames."""
    return sum(int(label(frame, structure=_EIGHT)[1]) for frame in is_hit if frame.any())


def stack_without(
    stack: Stack,
    codes: NDArray[np.uint16],
    offsets: NDArray[np.float64],
    is_left_out: NDArray[np.bool_],
    noise: float,
) -> Stack:
    """Average the pixels again of which a frame is left out; mean and sem of the others stay.

    ``sem`` of a pixel averaged again is noise / sqrt(values left); where none is left, mean and sem are NaN and NO_DATA is set.
    """
    mean, n = stack.mean.copy(), np.empty(stack.mean.shape, np.int32)
    _average_again(codes, offsets, is_left_out, mean, n)
    sem = stack.sem.copy()
    is_new = n >= 0
    with np.errstate(divide="ignore"):
        sem[is_new] = np.where(n[is_new] > 0, noise / np.sqrt(n[is_new]), np.nan)
    mask = stack.mask | (NO_DATA * (n == 0)).astype(np.uint8)
    return Stack(mean, stack.std, sem, mask)
