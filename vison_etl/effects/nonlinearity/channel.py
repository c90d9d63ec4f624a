"""One channel about where it stands: normal equations of its tiles, and their elimination.

Own parameters p of a channel: ln phi of its tiles through each filter, then the coefficients c of its response. Shared ones s: ln L of the
exposures, then the coefficients c_0 of the response that the channels have in common, about which c is normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from vison_etl.effects.nonlinearity.data import Exposures, Floats, Noise, Tiles
from vison_etl.effects.nonlinearity.response import Basis, respond

_TINY = 1e-300


@dataclass(slots=True, eq=False)
class State:
    """Where a channel is linearised. ``weights`` are kept until set to None."""

    coefficients: Floats
    log_illumination: Floats
    weights: Weights | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Inverse covariances of the relative residuals of each exposure, W_k = diag(own_k) - common_k common_k^T: (K, S), (K, S, n)."""

    own: Floats
    common: Floats

    def times(self, values: Floats) -> Floats:
        """Return W_k values_k for values of shape (K, S, n)."""
        across = self.common.transpose(0, 2, 1) @ values
        return np.asarray(self.own[:, :, None] * values - self.common @ across)


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """Normal equations of one channel: matrix and right side of own parameters, of mixed terms (own x shared), of shared parameters."""

    residual: Floats
    expected: Floats
    chi2: float
    own: Floats
    own_right: Floats
    mixed: Floats
    shared: Floats
    shared_right: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Own parameters: step at fixed shared ones, its change with them, covariance of the coefficients at fixed shared ones."""

    step: Floats
    by_shared: Floats
    coefficients: Floats


def _weights(tiles: Tiles, noise: Noise, z: Floats, slope: Floats, measured: Floats) -> Weights:
    """Return the weights: noise of each tile, and what moves level and plane of the whole channel or changes the slope of its response.

    Zero where a tile does not count.
    """
    photon = (noise.per_adu * np.maximum(measured, 0.0) + tiles.noise_variance) / tiles.n + tiles.base_variance
    variance = photon / (z * slope) ** 2 + noise.tile
    if noise.structure is not None:
        variance += noise.structure.tile[:, None]
    precise = np.where(tiles.counts, 1.0 / variance, 0.0)
    typical = np.sum(precise * z, axis=1) / np.maximum(np.sum(precise, axis=1), _TINY)
    level = noise.channel + tiles.offset_variance / np.maximum(typical, 1e-9) ** 2
    sigma = np.sqrt(np.column_stack([level, np.full((level.size, 2), noise.slope)]))
    shape = np.column_stack([np.ones(tiles.place.shape[0]), tiles.place])[None] * sigma[:, None, :]
    if noise.structure is not None:
        mean = np.sum(precise * np.log(z), axis=1) / np.maximum(np.sum(precise, axis=1), _TINY)
        across = (np.log(z) - mean[:, None]) * np.sqrt(noise.structure.slope)[:, None]
        shape = np.concatenate([shape, across[:, :, None]], axis=2)
    factor = precise[:, :, None] * shape
    root = np.linalg.cholesky(np.linalg.inv(np.eye(shape.shape[2]) + shape.transpose(0, 2, 1) @ factor))
    return Weights(precise, np.asarray(factor @ root))


def _design(exposures: Exposures, weights: Weights, size: int) -> tuple[Floats, Floats]:
    """Return the matrix of ln phi with itself, and with ln L."""
    n, k = exposures.n_lights * size, exposures.light.size
    own, mixed = np.zeros((n, n)), np.zeros((n, k))
    summed = weights.times(np.ones((k, size, 1)))[:, :, 0]
    for light in range(exposures.n_lights):
        mine = exposures.light == light
        block = slice(light * size, (light + 1) * size)
        common = weights.common[mine].transpose(0, 2, 1).reshape(-1, size)
        own[block, block] = np.diag(weights.own[mine].sum(axis=0)) - common.T @ common
        mixed[block, mine] = summed[mine].T
    return own, mixed


def _by_light(exposures: Exposures, values: Floats) -> Floats:
    """Sum (K, S, n) over the exposures of each filter: (W S, n)."""
    return np.concatenate([values[exposures.light == light].sum(axis=0) for light in range(exposures.n_lights)])


def linearise(
    exposures: Exposures, tiles: Tiles, noise: Noise, basis: Basis, state: State, log_light: Floats
) -> Equations:
    """Return the normal equations of the tiles alone; the coefficients' prior is added by :func:`add_prior`."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = np.exp(state.log_illumination[exposures.light] + log_light[:, None])
        measured, slope = respond(basis, state.coefficients, z)
    if not np.isfinite(measured).all():
        raise np.linalg.LinAlgError("the steps of the fit diverge")
    if state.weights is None:
        state.weights = _weights(tiles, noise, z, slope, measured)
    weights = state.weights
    residual = np.where(tiles.counts, (tiles.signal_adu - measured) / (z * slope), 0.0)
    columns = np.concatenate([basis.values(z) / slope[:, :, None], residual[:, :, None]], axis=2)
    weighted = weights.times(columns)
    k, size, m = log_light.size, tiles.place.shape[0], basis.size
    n = exposures.n_lights * size
    own, mixed = np.zeros((n + m, n + m)), np.zeros((n + m, k + m))
    own[:n, :n], mixed[:n, :k] = _design(exposures, weights, size)
    across = _by_light(exposures, weighted)
    own[:n, n:], own[n:, :n] = across[:, :m], across[:, :m].T
    flat, flat_weighted = columns.reshape(-1, m + 1), weighted.reshape(-1, m + 1)
    squares = flat.T @ flat_weighted
    own[n:, n:] = squares[:m, :m]
    mixed[n:, :k] = weighted[:, :, :m].sum(axis=1).T
    shared = np.zeros((k + m, k + m))
    shared[:k, :k] = np.diag(weights.times(np.ones((k, size, 1))).sum(axis=(1, 2)))
    at = np.arange(n)
    own[at, at] += np.diag(own)[:n] == 0.0
    return Equations(
        residual=residual,
        expected=measured,
        chi2=float(squares[m, m]),
        own=own,
        own_right=np.concatenate([across[:, m], squares[:m, m]]),
        mixed=mixed,
        shared=shared,
        shared_right=np.concatenate([weighted[:, :, m].sum(axis=1), np.zeros(m)]),
    )


def add_prior(equations: Equations, difference: Floats, precision: Floats) -> None:
    """Add the prior of the coefficients about the common ones, in place; ``difference`` = c - c_0."""
    where = slice(equations.own.shape[0] - difference.size, None)
    common = slice(equations.shared.shape[0] - difference.size, None)
    equations.own[where, where] += precision
    equations.own_right[where] -= precision @ difference
    equations.mixed[where, common] -= precision
    equations.shared[common, common] += precision
    equations.shared_right[common] += precision @ difference


def add_information(equations: Equations, gradient: Floats, precision: Floats) -> None:
    """Add other knowledge of the coefficients, in place: log-likelihood gradient . dc - dc . precision . dc / 2 about where they stand."""
    where = slice(equations.own.shape[0] - gradient.size, None)
    equations.own[where, where] += precision
    equations.own_right[where] += gradient


def eliminate(equations: Equations, size: int) -> Solved:
    """Solve for the own parameters, ``size`` coefficients last."""
    scale = 1.0 / np.sqrt(np.diag(equations.own))
    factor = cho_factor(equations.own * np.outer(scale, scale), lower=True)
    ends = np.eye(equations.own.shape[0])[:, -size:]
    rights = np.column_stack([equations.mixed, equations.own_right, ends])
    both = scale[:, None] * cho_solve(factor, scale[:, None] * rights)
    k = equations.mixed.shape[1]
    return Solved(both[:, k], both[:, :k], both[-size:, k + 1 :])


def left(equations: Sequence[Equations], solved: Sequence[Solved]) -> tuple[Floats, Floats]:
    """Return matrix and right side of the shared parameters, the own ones of all channels eliminated."""
    matrix, right = np.zeros_like(equations[0].shared), np.zeros_like(equations[0].shared_right)
    for part, own in zip(equations, solved, strict=True):
        matrix += part.shared - part.mixed.T @ own.by_shared
        right += part.shared_right - part.mixed.T @ own.step
    return 0.5 * (matrix + matrix.T), right


def start(exposures: Exposures, tiles: Tiles, basis: Basis, log_light: Floats) -> State:
    """Take the response as linear: the illumination of a tile is the median of signal over light."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.log(np.where(tiles.signal_adu > 0, tiles.signal_adu, np.nan)) - log_light[:, None]
    found = np.zeros((exposures.n_lights, tiles.place.shape[0]))
    for light in range(exposures.n_lights):
        mine = ratios[exposures.light == light]
        known = np.isfinite(mine).any(axis=0)
        found[light, known] = np.nanmedian(mine[:, known], axis=0)
    return State(np.zeros(basis.size), found)
