"""Structure of the response that is finer than the knots of f, such as that of a converter: how far the pattern of the tiles may be trusted.

In one exposure the tiles measure the slope of the response at its signals, to 1e-5. f, which has knots some thousand ADU apart, is the
response but for structure, by which the slope at a level differs from that of f, and each tile by some of an ADU. Frames of nearly the
same signal see the same structure: its error does not average out over them, and if channels are alike, not over channels either.

Looked for before any fit. Per filter, the mean logarithms of the tiles s over the frames of a group g of nearly the same signal are

    y_gs = alpha_s + a_g + (b_g, c_g) . (x_s, y_s) + d_g q_s + e_g q_s^2 + h_g q_s^3 + noise,    q = alpha less its mean:

illumination, light, change of the pattern, and a response that bends smoothly across the level, whatever it is. What is left beside
photon noise is structure. Where there is some, or where the curves contradict those of the exposure times alone, the latter are the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from vison_etl.effects.nonlinearity.data import Exposures, Floats, Integers, Mask, Noise, Structure, Tiles
from vison_etl.effects.nonlinearity.model import JointFit, Response
from vison_etl.effects.nonlinearity.response import deviations

_GAP, _WIDTH = 0.03, 0.12
_LEAST_TILES = 12
_SIGNIFICANT, _SIGNIFICANT_ALONE = 5.0, 6.0
_UNTOLD_SLOPE, _UNTOLD_TILE = 10.0, 1e-3
_COMPARED, _CONTRADICTION = 12, 4.0
_LEAST_P = 1e-6
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """One group of one channel: sum over tiles of squares of what is left, in units of its noise, less its degrees of freedom; these."""

    excess: float
    dof: float


@dataclass(frozen=True, slots=True, eq=False)
class Trusted:
    """A fit, the noises that it was made with, and why the pattern of the tiles is not trusted; None: it is."""

    fit: JointFit
    noises: Sequence[Noise]
    distrust: str | None


def groups_of(exposures: Exposures, channels: Sequence[Tiles]) -> Integers:
    """Return the group of each exposure, shape (K,): of signals not more than 3 % from the next and 12 % from each other."""
    signal = np.log(exposures.open_s)
    means = np.full((len(channels), signal.size), np.nan)
    for row, tiles in zip(means, channels, strict=True):
        positive = np.where(tiles.signal_adu > 0, tiles.signal_adu, np.nan)
        some = np.isfinite(positive).any(axis=1)
        row[some] = np.log(np.nanmean(positive[some], axis=1))
    seen = np.isfinite(means).any(axis=0)
    signal[seen] = np.nanmedian(means[:, seen], axis=0)
    found = np.zeros(signal.size, np.int64)
    group, first, last = -1, -np.inf, -np.inf
    for k in np.argsort(signal, kind="stable"):
        if signal[k] - last > _GAP or signal[k] - first > _WIDTH:
            group, first = group + 1, signal[k]
        last, found[k] = signal[k], group
    return found


def structure_sigma(exposures: Exposures, channels: Sequence[Tiles], noises: Sequence[Noise]) -> tuple[float, float]:
    """Return by how many sigma the tiles scatter more than by noise: all together, and the group of one channel where they do most."""
    groups = groups_of(exposures, channels)
    found = [
        one
        for tiles, noise in zip(channels, noises, strict=True)
        for light in range(exposures.n_lights)
        for one in _in_light(tiles, noise, exposures.light == light, groups)
    ]
    dof = sum(one.dof for one in found)
    together = sum(one.excess for one in found) / math.sqrt(2.0 * dof) if dof else 0.0
    return together, max((one.excess / math.sqrt(2.0 * one.dof) for one in found), default=0.0)


def structure_in(exposures: Exposures, channels: Sequence[Tiles], noises: Sequence[Noise]) -> str | None:
    """Return in words that there is structure: 5 sigma all together or 6 sigma in one group of one channel; None where there is none."""
    together, alone = structure_sigma(exposures, channels, noises)
    if together <= _SIGNIFICANT and alone <= _SIGNIFICANT_ALONE:
        return None
    why = f"tiles scatter {max(together, alone):.0f} sigma more than by noise"
    return f"{why}: structure finer than the response can follow"


def without_pattern(exposures: Exposures, noises: Sequence[Noise]) -> list[Noise]:
    """Return noises with which levels against exposure times tell the response, and the pattern of the tiles next to nothing."""
    each = np.ones(exposures.light.size)
    nothing = Structure(_UNTOLD_SLOPE**2 * each, _UNTOLD_TILE**2 * each)
    return [replace(noise, structure=nothing) for noise in noises]


def contradicts(fit: JointFit, clock: JointFit, ranges: Sequence[tuple[float, float]]) -> bool:
    """Tell whether curves with the pattern are further from those without than the errors of the latter allow.

    More than 4 sigma at any signal between the faintest and the brightest level of a channel, ``ranges``. Both have the light of the same
    exposures: if all is well they differ by less than the errors of the curve without pattern.
    """
    for with_it, without, (lowest, highest) in zip(fit.responses, clock.responses, ranges, strict=True):
        signals = np.geomspace(lowest, highest, _COMPARED)
        value, _ = deviations(with_it.basis, with_it.coefficients, signals)
        other, jacobian = deviations(without.basis, without.coefficients, signals)
        error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, without.covariance, jacobian), 0.0))
        if (np.abs(value - other) > _CONTRADICTION * error).any():
            return True
    return False


def _is_good(response: Response) -> bool:
    return response.is_monotone and float(chdtrc(response.dof, response.chi2)) > _LEAST_P


def fit_responses(
    fit_to: Callable[[Sequence[Noise]], JointFit],
    exposures: Exposures,
    channels: Sequence[Tiles],
    noises: Sequence[Noise],
    ranges: Sequence[tuple[float, float]],
) -> Trusted:
    """Fit with the pattern of the tiles if it is consistent, without it otherwise.

    Parameters
    ----------
    fit_to
        Fits with the noises given.
    exposures, channels, noises
        As of :func:`.model.fit_jointly`.
    ranges
        Signals of the faintest and the brightest level of each channel.
    """
    untold = without_pattern(exposures, noises)
    clock = fit_to(untold)
    if structure := structure_in(exposures, channels, noises):
        return Trusted(clock, untold, structure)
    fit = fit_to(noises)
    if not clock.has_converged:
        return Trusted(fit, noises, None)
    if not fit.has_converged or not all(_is_good(response) for response in fit.responses):
        return Trusted(clock, untold, "no response fits the pattern of the tiles")
    if contradicts(fit, clock, ranges):
        return Trusted(clock, untold, "the pattern of the tiles contradicts the exposure times")
    return Trusted(fit, noises, None)


def _in_light(tiles: Tiles, noise: Noise, mine: Mask, groups: Integers) -> list[_Found]:
    """Return what is left of the logarithms of one filter, group by group."""
    rows = [_mean_logs(tiles, noise, np.flatnonzero(mine & (groups == g))) for g in np.unique(groups[mine])]
    kept = [row for row in rows if row is not None]
    if len(kept) < 2:
        return []
    y, error = (np.stack([row[i] for row in kept]) for i in (0, 1))
    used = np.isfinite(y)
    logs = np.where(used, y, 0.0)
    # of levels with all tiles: means over different tiles differ by their illumination
    whole = used.sum(axis=1) == used.any(axis=0).sum()
    if np.count_nonzero(whole) < 2:
        return []
    q = logs[whole].mean(axis=0)
    scale = max(float(q.std()), _LEAST_SPREAD)
    smooth = np.column_stack([np.ones(q.size), tiles.place, q / scale, (q / scale) ** 2, (q / scale) ** 3])
    at, tile = np.nonzero(used)
    design = np.zeros((at.size, q.size + len(kept) * smooth.shape[1]))
    design[np.arange(at.size), tile] = 1.0
    for column in range(smooth.shape[1]):
        design[np.arange(at.size), q.size + at * smooth.shape[1] + column] = smooth[tile, column]
    weight = 1.0 / error[used]
    axes, sizes, _ = np.linalg.svd(design * weight[:, None], full_matrices=False)
    axes = axes[:, sizes > sizes[0] * 1e-10]
    value = logs[used] * weight
    rest = value - axes @ (axes.T @ value)
    free = 1.0 - np.sum(axes**2, axis=1)
    found = []
    for g in range(len(kept)):
        here = at == g
        dof = float(free[here].sum())
        if dof > 1.0:
            found.append(_Found(float(np.sum(rest[here] ** 2)) - dof, dof))
    return found


def _mean_logs(tiles: Tiles, noise: Noise, members: Integers) -> tuple[Floats, Floats] | None:
    """Return mean logarithms of the tiles over the frames less their mean, NaN where not all frames count, and their errors."""
    usable = (tiles.counts[members] & (tiles.signal_adu[members] > 0)).all(axis=0)
    if np.count_nonzero(usable) < _LEAST_TILES:
        return None
    signal = np.where(usable, tiles.signal_adu[members], np.nan)
    logs = np.log(signal)
    level = np.nanmean(logs, axis=1, keepdims=True)
    photon = (noise.per_adu * signal + tiles.noise_variance) / tiles.n[members] + tiles.base_variance[members]
    variance = np.mean(photon / signal**2 + noise.tile, axis=0) / members.size
    return np.mean(logs - level, axis=0), np.sqrt(variance)
