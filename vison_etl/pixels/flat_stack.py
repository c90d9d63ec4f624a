"""Mean of equally lit frames, streamed by bands: two half-stacks whose noise is independent, and the error of every pixel.

Frames are brought to a common level before anything is compared: the lamp changes by some 10^-3 from one exposure to the next, as
much as the photon noise of a pixel. The level of a frame is the median over a lattice of pixels of the band. The mean is
that of (code - offset) over the frames, which no error of a level touches; levels matter to the clip, and to the weights of
what it leaves.

The noise of one value of a pixel of mean m is V(m) = D + G m: D from the prescan, G from the image, both as the median over
pixels of the variance between frames, divided by the median of chi-square / (n - 1). No particle and no defect reaches a median.
A value further than ``clip_sigma`` sqrt(V) from the median of its pixel is left out.

Odd and even frames make one half-stack each. Whatever the two have in common beyond chance is the pixel's own. Almost: a clip about
a median that both made adds 4 k phi(k) of the noise variance of the mean to what they share, 2e-3 of it at k = 4 and 3e-5 at 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from scipy.special import chdtri

from vison_etl.instrument.geometry import QUADRANTS, Geometry, Window, quadrant_view
from vison_etl.pixels.differences import Band
from vison_etl.pixels.flat_kernels import CLIPPED, NO_DATA, NOISY, ONE_HALF, stack_rows
from vison_etl.pixels.flat_sample import alike, filled, levels_of, noise_of
from vison_etl.pixels.offsets import row_offsets, smoothed

__all__ = ["CLIPPED", "NOISY", "NO_DATA", "ONE_HALF", "UNUSABLE", "FlatStack", "band_rows_of", "stack_flats"]

UNUSABLE = NO_DATA | NOISY | ONE_HALF
"""Pixels that no statistics over pixels may use."""

BAND_BYTES = 14_000_000
_PRESCAN = slice(25, 46)
_NOISY_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True)
class FlatStack:
    """Stack of frames of one CCD; images in the CCD frame, shape (NAXIS2, NAXIS1), NaN outside the image area and without data.

    Parameters
    ----------
    first, second
        Means of the frames 1, 3, ... and 2, 4, ..., offset removed, ADU, float32.
    error
        Error of ``mean``, ADU, float32.
    mask
        Bits of :mod:`vison_etl.pixels.flat_kernels`; NO_DATA where the image area was not read; 0 outside of it.
    shares
        Weights of the halves in the mean.
    levels
        Per quadrant: level of each frame relative to their mean, shape (frames,), averaged over the rows.
    n_left_out
        Per quadrant: frames left out of some band because their level is below half or above twice the median.
    """

    first: NDArray[np.float32]
    second: NDArray[np.float32]
    error: NDArray[np.float32]
    mask: NDArray[np.uint8]
    shares: tuple[float, float]
    levels: dict[str, NDArray[np.float64]]
    n_left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Target:
    """Views of the images to fill, canonical, image columns only."""

    first: NDArray[np.float32]
    second: NDArray[np.float32]
    error: NDArray[np.float32]
    mask: NDArray[np.uint8]

    def rows(self, y: slice, turn_y: slice, turn_x: slice) -> _Target:
        first, second, error = (image[y][turn_y, turn_x] for image in (self.first, self.second, self.error))
        return _Target(first, second, error, self.mask[y][turn_y, turn_x])


@dataclass(slots=True)
class _Rows:
    """What is known of the rows of a quadrant: offsets used, shape (frames, H), and the share of each frame in its half."""

    offsets: NDArray[np.float64]
    used: NDArray[np.float64]
    share: NDArray[np.float64]
    level: NDArray[np.float64]
    n_bands: int = 0


def band_rows_of(n_frames: int, geometry: Geometry) -> int:
    """Return how many rows of so many frames are read at a time."""
    return max(2, BAND_BYTES // (2 * geometry.naxis1 * n_frames))


def stack_flats(
    bands: Iterable[Band],
    n_frames: int,
    geometry: Geometry,
    vstart: int,
    vend: int,
    *,
    smoothing_rows: float = 12.0,
    clip_sigma: float = 5.0,
) -> FlatStack:
    """Average equally lit frames of one CCD.

    Parameters
    ----------
    bands
        (quadrant, y0, codes of shape (frames, rows, quadrant width)), every row once, in any order; a band is not kept.
    vstart, vend
        Canonical rows kept, half open.
    smoothing_rows
        Smoothing of the row offsets: see :mod:`vison_etl.pixels.offsets`.
    clip_sigma
        Reach of the clip about the pixel's median, widened by sqrt(1 + 1/(n - 2)) for n values.

    Returns
    -------
    FlatStack
        Only image pixels of rows in [vstart, vend) have data. ``error`` is sqrt(V(m) / n); where the scatter of a pixel exceeds
        what V(m) allows (chi-square probability below 1e-6, or most of its values outside the clip, which then are all
        used) it is that scatter / sqrt(n) and the bit NOISY is set. Codes 0 and 65535 do not count; half of the values
        must be left.
    """
    shape = (geometry.naxis2, geometry.naxis1)
    n_1 = (n_frames + 1) // 2
    shares = (n_1 / n_frames, 1.0 - n_1 / n_frames)
    first, second, error = (np.full(shape, np.nan, np.float32) for _ in range(3))
    mask = np.zeros(shape, np.uint8)
    area = Window(geometry.prescan, geometry.prescan + geometry.image_columns, vstart, min(vend, geometry.image_rows))
    at = slice(0, geometry.image_rows), slice(area.x0, area.x1)
    targets = {
        q: _Target(
            quadrant_view(first, geometry, q)[at],
            quadrant_view(second, geometry, q)[at],
            quadrant_view(error, geometry, q)[at],
            quadrant_view(mask, geometry, q)[at],
        )
        for q in QUADRANTS
    }
    for target in targets.values():
        target.mask[...] = NO_DATA
    rows = {q: _no_rows(n_frames, geometry.image_rows) for q in QUADRANTS}
    recipe = _Recipe(geometry, shares, clip_sigma, _limits(n_frames))
    for quadrant, start, whole in bands:
        y0, y1 = max(start, area.y0), min(start + whole.shape[1], area.y1)
        if y1 > y0:
            _stack_band(whole[:, y0 - start : y1 - start], y0, rows[quadrant], recipe, targets[quadrant])
    for quadrant, known in rows.items():
        _correct_offsets(known, targets[quadrant], smoothing_rows)
    levels = {q: known.level / max(known.n_bands, 1) for q, known in rows.items()}
    n_left_out = {q: int(np.any(known.used == 0, axis=1).sum()) for q, known in rows.items()}
    return FlatStack(first, second, error, mask, shares, levels, n_left_out)


def _no_rows(n_frames: int, height: int) -> _Rows:
    shape = (n_frames, height)
    return _Rows(np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape), np.zeros(n_frames))


def _limits(n_frames: int) -> NDArray[np.float64]:
    """Return the variance of n values, in units of the expected one, that chance exceeds once in a million, index n."""
    n = np.arange(n_frames + 1)
    return np.where(n > 1, chdtri(np.maximum(n - 1, 1), _NOISY_PROBABILITY) / np.maximum(n - 1, 1), np.inf)


@dataclass(frozen=True, slots=True)
class _Recipe:
    geometry: Geometry
    shares: tuple[float, float]
    clip_sigma: float
    limits: NDArray[np.float64]


def _stack_band(codes: NDArray[np.uint16], y0: int, rows: _Rows, recipe: _Recipe, target: _Target) -> None:
    """Stack one band of one quadrant from its row ``y0`` on into ``target``; note its offsets and levels."""
    geometry = recipe.geometry
    x0, x1 = geometry.prescan, geometry.prescan + geometry.image_columns
    dark, light = codes[:, :, _PRESCAN], codes[:, :, x0:x1]
    offsets = row_offsets(dark)
    known = filled(offsets)
    level = levels_of(light, known)
    used = alike(level)
    # first half first: frames of one half are added four at a time
    used = used[np.argsort(used % 2, kind="stable")]
    n_first = int(np.count_nonzero(used % 2 == 0))
    level = level[used] / level[used].mean() if level[used].min() > 0 else np.ones(used.size)
    inverse = (1.0 / level).astype(np.float32)
    noise = noise_of(dark[used], offsets[used], light, used, known[used].astype(np.float32), inverse)
    turn_y, turn_x = (slice(None, None, -1 if stride < 0 else None) for stride in light.strides[1:])
    flat, steps = _memory_of(light[:, turn_y, turn_x])
    to = target.rows(slice(y0, y0 + codes.shape[1]), turn_y, turn_x)
    own = np.ascontiguousarray(known[used][:, turn_y].T, np.float32)
    frames = (used, n_first, own, inverse, level.astype(np.float32))
    images = (to.first, to.second, to.error, to.mask)
    stack_rows(flat, steps, *frames, recipe.clip_sigma, noise, recipe.shares, recipe.limits, *images)
    y = slice(y0, y0 + codes.shape[1])
    rows.offsets[:, y], rows.used[:, y] = offsets, 0.0
    rows.used[used, y] = known[used]
    for mine in (slice(0, n_first), slice(n_first, None)):
        if used[mine].size:
            rows.share[used[mine], y] = 1.0 / level[mine].sum()
    rows.level[used] += level
    rows.n_bands += 1


def _memory_of(codes: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], tuple[int, int]]:
    """Return the memory of codes as one line, and the steps from frame to frame and from row to row in it.

    A view whose pixels follow each other and whose steps go up needs no copy: what lies between its rows is not looked at.
    """
    size = codes.itemsize
    if codes.strides[2] != size or min(codes.strides) < 0:
        codes = np.ascontiguousarray(codes)
    steps = codes.strides[0] // size, codes.strides[1] // size
    length = sum(step * (n - 1) for step, n in zip((*steps, 1), codes.shape, strict=True)) + 1
    return as_strided(codes, (length,), (size,), writeable=False), steps


def _correct_offsets(rows: _Rows, target: _Target, smoothing_rows: float) -> None:
    """Replace the row offsets that were subtracted by smoothed ones; rows without any become NO_DATA."""
    read = np.isfinite(rows.used).all(axis=0)
    if not read.any():
        return
    takes_part = rows.share > 0
    difference = np.where(takes_part, rows.used - smoothed(rows.offsets, smoothing_rows), 0.0)
    excess = np.where(read, rows.share * difference, 0.0)
    lost = read & ~np.isfinite(excess.sum(axis=0))
    turn = slice(None, None, -1 if target.first.strides[1] < 0 else None)
    for h, image in enumerate((target.first, target.second)):
        np.add(image[:, turn], excess[h::2].sum(axis=0)[:, None].astype(np.float32), out=image[:, turn])
    for image in (target.first, target.second, target.error):
        image[lost] = np.nan
    target.mask[lost] = NO_DATA
