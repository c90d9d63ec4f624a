"""How repeatable tiles are: from equal exposures, before any response is fitted.

In exposures of one filter and one commanded time the response is the same, so that their logarithms differ by the common level of the
light, by changes of its pattern, and by noise. Only differences between such frames are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.nonlinearity.data import Exposures, Floats, Integers, Mask, Noise, Tiles

_OUTLIER_SIGMA = 8.0
_MAD = 1.4826
_NEIGHBOURS = 2
_ITERATIONS = 20
_LEAST_SCATTER = 1e-6
_LEAST_OUTLIER = 0.03
_ENOUGH_FOR_TREND = 8
_TINY = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Scatter of one level of one channel: mean signal, relative variance of a tile and its dof, of slopes, of the mean."""

    signal: float
    n: float
    tile: float
    tile_dof: int
    slope: float
    frames: int
    means: Floats
    members: Integers


def repeats(exposures: Exposures) -> Iterator[Integers]:
    """Yield the exposures of every level that has at least two."""
    for level in np.unique(exposures.level):
        members = np.flatnonzero(exposures.level == level)
        if members.size > 1:
            yield members


def outlying_exposures(exposures: Exposures, channels: Sequence[Tiles]) -> Mask:
    """Tell which exposures are far from the equal ones nearest in time: a flash that failed, a shutter that stuck.

    The mean logarithm over all tiles of an exposure is compared with the median of the five equal ones nearest in time, itself among them. Limit: 8
    times the robust scatter of all such differences, and at least 3 %: smaller ones are found by the fit. Shape (K,).
    """
    size = exposures.level.size
    means = np.full((len(channels), size), np.nan)
    for c, tiles in enumerate(channels):
        good = (tiles.counts & (tiles.signal_adu > 0)).all(axis=1)
        means[c, good] = np.log(tiles.signal_adu[good]).mean(axis=1)
    known = np.isfinite(means).any(axis=0)
    common = np.full(size, np.nan)
    common[known] = np.nanmean(means[:, known], axis=0)
    difference = np.zeros(size)
    for members in repeats(exposures):
        mine = members[known[members]]
        for i, k in enumerate(mine):
            first = max(0, min(i - _NEIGHBOURS, mine.size - 2 * _NEIGHBOURS - 1))
            near = mine[first : first + 2 * _NEIGHBOURS + 1]
            if near.size > 2:
                difference[k] = common[k] - np.median(common[near])
    some = difference[difference != 0.0]
    scatter = _MAD * float(np.median(np.abs(some))) if some.size else 0.0
    return np.abs(difference) > max(_OUTLIER_SIGMA * scatter, _LEAST_OUTLIER)


def without_outlying_tiles(exposures: Exposures, tiles: Tiles) -> Floats:
    """Return the signals with NaN where one tile of one frame is far from the same tile of equal frames (a bright particle).

    Compared are logarithms less the median of their frame and the median of their tile; limit: 8 times the robust scatter of the level.
    """
    signal = tiles.signal_adu.copy()
    for members in repeats(exposures):
        mine = np.where(signal[members] > 0, signal[members], np.nan)
        usable = np.isfinite(mine).all(axis=0)
        if members.size < 3 or not usable.any():
            continue
        logs = np.log(mine[:, usable])
        rest = logs - np.median(logs, axis=0)
        rest -= np.median(rest, axis=1)[:, None]
        scatter = _MAD * np.median(np.abs(rest)) * np.sqrt(members.size / (members.size - 1.0))
        far = np.abs(rest) > _OUTLIER_SIGMA * max(float(scatter), _LEAST_SCATTER)
        rows, columns = np.nonzero(far)
        signal[members[rows], np.flatnonzero(usable)[columns]] = np.nan
    return signal


def _group(tiles: Tiles, members: Integers) -> _Group | None:
    """Measure the scatter of equal frames: planes are taken off each, then what is left is compared tile by tile.

    None with fewer than six tiles, or if they lie on one line and no plane can be taken off.
    """
    usable = (tiles.counts[members] & (tiles.signal_adu[members] > 0)).all(axis=0)
    count, m = int(np.count_nonzero(usable)), members.size
    design = np.column_stack([np.ones(count), tiles.place[usable]])
    if count < 6 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    signal = tiles.signal_adu[members][:, usable]
    logs = np.log(signal)
    logs = logs - logs.mean(axis=0)
    planes, *_ = np.linalg.lstsq(design, logs.T, rcond=None)
    rest = logs - (design @ planes).T
    dof = (m - 1) * (count - 3)
    variance = float(np.sum(rest**2)) / dof
    inverse = np.linalg.inv(design.T @ design)
    slopes, slope_dof = planes[1:], m - 1
    if m >= _ENOUGH_FOR_TREND:
        # light that grows moves all tiles along a bent response: the pattern changes with the level, and not by itself
        slopes, slope_dof = slopes - np.outer(slopes @ planes[0], planes[0]) / max(planes[0] @ planes[0], _TINY), m - 2
    slope = float(np.sum(slopes**2)) / (2 * slope_dof) - variance * float(np.trace(inverse[1:, 1:])) / 2
    n = float(tiles.n[members][:, usable].mean())
    return _Group(float(signal.mean()), n, variance, dof, slope, m, planes[0], members)


def _photons_and_floor(groups: Sequence[_Group], noise_variance: float) -> tuple[float, float]:
    """Fit v = (p F + noise) / (n F²) + t to the scatter of the levels: p >= 0, t >= 0, weights from the fit itself."""
    F, n, v, dof = (np.array([getattr(g, name) for g in groups]) for name in ("signal", "n", "tile", "tile_dof"))
    known = noise_variance / (n * F**2)
    design = np.column_stack([1.0 / (n * F), np.ones_like(F)])
    model = np.maximum(v, known)
    p = t = 0.0
    for _ in range(_ITERATIONS):
        weight = np.sqrt(dof / 2.0) / model
        (p, t), *_ = np.linalg.lstsq(design * weight[:, None], (v - known) * weight, rcond=None)
        if t < 0.0 or p < 0.0:
            kept = 0 if t < 0.0 else 1
            column = design[:, kept] * weight
            one = max(float(column @ ((v - known) * weight) / (column @ column)), 0.0)
            p, t = (one, 0.0) if kept == 0 else (0.0, one)
        model = known + design @ np.array([p, t])
    return float(p), float(t)


def _pooled(values: Floats, sizes: Floats, noise: Floats) -> float:
    """Return a common variance from estimates with ``sizes`` degrees of freedom and noise variances beside it; not negative."""
    if not values.size:
        return 0.0
    found = 0.0
    for _ in range(_ITERATIONS):
        weight = sizes / (found + noise) ** 2
        found = max(0.0, float(np.sum(weight * values) / np.sum(weight)))
    return found


def _pattern(groups: Sequence[_Group], count: int) -> float:
    """Return the variance of slopes per frame that makes the mean of the frames of a level as uncertain as it is.

    The pattern of the light may change from frame to frame and slowly. Slow changes show in the level that is repeated through the
    whole test; they do not average over the few frames of another level, which are taken one after the other.
    """
    longest = max(groups, key=lambda g: g.frames)
    short = [g for g in groups if g is not longest] or [longest]

    def pooled(some: Sequence[_Group]) -> float:
        sizes = np.array([2.0 * (g.frames - 1) for g in some])
        return _pooled(np.array([g.slope for g in some]), sizes, np.array([g.tile / count for g in some]))

    fast, whole = pooled(short), pooled([longest])
    per_level = float(np.median([g.frames for g in short]))
    return fast + per_level * max(0.0, whole - fast)


def channel_noises(exposures: Exposures, channels: Sequence[Tiles]) -> list[Noise | None]:
    """Return the noise of each channel; None where too few equal frames tell it (60 degrees of freedom).

    ``channel`` is what changes from frame to frame in one channel and not in the mean of all: of one channel alone it cannot be told
    from the light, and is 0.
    """
    groups = [[g for g in (_group(tiles, m) for m in repeats(exposures)) if g is not None] for tiles in channels]
    own = _own_scatter(channels, groups)
    found: list[Noise | None] = []
    for tiles, mine, channel in zip(channels, groups, own, strict=True):
        dof = sum(g.tile_dof for g in mine)
        if dof < 60:
            found.append(None)
            continue
        per_adu, tile = _photons_and_floor(mine, tiles.noise_variance)
        found.append(Noise(per_adu, tile, channel, _pattern(mine, tiles.place.shape[0]), dof))
    return found


def _own_scatter(channels: Sequence[Tiles], groups: Sequence[Sequence[_Group]]) -> list[float]:
    """Return the relative variance of each channel about the mean of all, photon noise and offset removed."""
    if len(channels) < 2:
        return [0.0] * len(channels)
    steps: list[tuple[int, int]] = sorted(
        {(int(a), int(b)) for mine in groups for g in mine for a, b in _steps(g.members)}
    )
    place = {step: i for i, step in enumerate(steps)}
    changes, noise = np.full((2, len(channels), len(steps)), np.nan)
    for c, (tiles, mine) in enumerate(zip(channels, groups, strict=True)):
        for g in mine:
            own = 2.0 * g.tile / tiles.place.shape[0]
            offset = tiles.offset_variance / g.signal**2
            for (a, b), change in zip(_steps(g.members), np.diff(g.means), strict=True):
                changes[c, place[a, b]] = change
                noise[c, place[a, b]] = own + offset[a] + offset[b]
    known = np.isfinite(changes).all(axis=0)
    if np.count_nonzero(known) < 3:
        return [0.0] * len(channels)
    rest = changes[:, known] - changes[:, known].mean(axis=0)
    share = 1.0 - 1.0 / len(channels)
    sizes = np.ones(rest.shape[1])
    return [_pooled(row**2 / share - own, sizes, own) / 2.0 for row, own in zip(rest, noise[:, known], strict=True)]


def _steps(members: Integers) -> list[tuple[int, int]]:
    """Return the pairs of equal exposures next to each other in time: the light hardly changes between them."""
    return list(zip(members[:-1].tolist(), members[1:].tolist(), strict=True))
