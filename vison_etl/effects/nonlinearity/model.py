"""One forward model for all frames and tiles of all channels.

    F_ks = b_s + R_c(phi_sw L_k (1 + u_k . [1, x_s, y_s])) + noise

F: mean of tile s in exposure k, b: from frames without light, R_c: response of the channel, phi_sw: illumination of the tile through
filter w, L_k: light of the exposure, the same for all tiles of all CCDs, u_k: small random changes of level and pattern in one channel.
Gauss-Newton in relative residuals: phi and the coefficients of R are eliminated channel by channel, what is left is a problem of the K
lights alone (:mod:`.light`), where all channels meet the clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from vison_etl.effects.nonlinearity.data import Exposures, Floats, Mask, Noise, Tiles
from vison_etl.effects.nonlinearity.light import Information, Light, Scatter, ShutterPrior, solve_light
from vison_etl.effects.nonlinearity.response import Basis, is_monotone, respond

_ITERATIONS = 25
_CONVERGED = 1e-5
_COEFFICIENT_PRIOR = 0.5
"""One sigma of the coefficients of f about 0: no chain bends by half."""

_START_BEND = 3e-3
_LEAST_BEND, _MOST_BEND = 1e-7, 0.1

_WEIGHT_STEPS = (0, 1, 3)
_SETTLED = 0.1
_SURPRISE = 5.0
_MAX_DOUBTFUL = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """Fitted response of one channel, and how well it describes the tiles. ``residual``: relative, shape (K, S), NaN: not used."""

    basis: Basis
    coefficients: Floats
    covariance: Floats
    log_illumination: Floats
    residual: Floats
    expected_adu: Floats
    chi2: float
    dof: int
    is_monotone: bool


@dataclass(frozen=True, slots=True, eq=False)
class JointFit:
    """Responses of the channels, light of the exposures, exposures whose time is not trusted."""

    responses: tuple[Response, ...]
    light: Light
    doubtful: Mask
    has_converged: bool


@dataclass(slots=True, eq=False)
class _State:
    """Where a channel is linearised."""

    coefficients: Floats
    log_illumination: Floats
    weights: Floats | None = None


@dataclass(slots=True, eq=False)
class _At:
    """Where the shared quantities stand; ``scatter`` None: to be found again."""

    log_light: Floats
    latency_s: Floats
    scatter: Scatter | None
    stiffness: float


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """Normal equations of one channel about its state: own parameters p = (ln phi, coefficients), lights l."""

    residual: Floats
    weights: Floats
    own: Floats
    own_right: Floats
    mixed: Floats
    light: Floats
    light_right: Floats
    expected: Floats


def _weights(tiles: Tiles, noise: Noise, z: Floats, slope: Floats, measured: Floats) -> Floats:
    """Return the inverse covariance of the relative residuals of each exposure, shape (K, S, S); zero where a tile does not count."""
    photon = (noise.per_adu * np.maximum(measured, 0.0) + tiles.noise_variance) / tiles.n + tiles.base_variance
    variance = photon / (z * slope) ** 2 + noise.tile
    precise = np.where(tiles.counts, 1.0 / variance, 0.0)
    size = tiles.place.shape[0]
    shape = np.column_stack([np.ones(size), tiles.place])
    typical = np.sum(precise * z, axis=1) / np.maximum(np.sum(precise, axis=1), 1e-300)
    level = noise.channel + tiles.offset_variance / np.maximum(typical, 1e-9) ** 2
    sigma = np.sqrt(np.column_stack([level, np.full((level.size, 2), noise.slope)]))
    factor = precise[:, :, None] * shape * sigma[:, None, :]
    inner = np.eye(3) + np.einsum("kis,ksj->kij", (shape * sigma[:, None, :]).transpose(0, 2, 1), factor)
    weights = -factor @ np.linalg.solve(inner, factor.transpose(0, 2, 1))
    weights[:, np.arange(size), np.arange(size)] += precise
    return np.asarray(weights)


def _linearise(
    exposures: Exposures, tiles: Tiles, noise: Noise, basis: Basis, state: _State, log_light: Floats, stiffness: float
) -> _Linear:
    z = np.exp(state.log_illumination[exposures.light] + log_light[:, None])
    measured, slope = respond(basis, state.coefficients, z)
    residual = np.where(tiles.counts, (tiles.signal_adu - measured) / (z * slope), 0.0)
    if state.weights is None:
        state.weights = _weights(tiles, noise, z, slope, measured)
    weights = state.weights
    of_f = basis.values(z) / slope[:, :, None]
    size, n_lights = tiles.place.shape[0], exposures.n_lights
    own = np.zeros((n_lights * size + basis.size,) * 2)
    mixed = np.zeros((n_lights * size + basis.size, log_light.size))
    right = np.zeros(n_lights * size + basis.size)
    weighted = weights @ of_f
    pulled = np.einsum("kij,kj->ki", weights, residual)
    coefficients = slice(n_lights * size, None)
    for light in range(n_lights):
        mine = exposures.light == light
        block = slice(light * size, (light + 1) * size)
        own[block, block] = weights[mine].sum(axis=0)
        own[block, coefficients] = weighted[mine].sum(axis=0)
        own[coefficients, block] = own[block, coefficients].T
        right[block] = pulled[mine].sum(axis=0)
        mixed[block, mine] = weights[mine].sum(axis=2).T
    own[coefficients, coefficients] = np.einsum("ksi,ksj->ij", of_f, weighted)
    mixed[coefficients] = weighted.sum(axis=1).T
    right[coefficients] = np.einsum("ksi,ks->i", of_f, pulled)
    _add_priors(own, right, state.coefficients, stiffness * basis.roughness)
    return _Linear(residual, weights, own, right, mixed, weights.sum(axis=(1, 2)), pulled.sum(axis=1), measured)


def _add_priors(own: Floats, right: Floats, values: Floats, penalty: Floats) -> None:
    """Add the priors of the coefficients, which come last; a tile that never counts stays where it is."""
    at = np.arange(own.shape[0])
    own[at, at] += np.diag(own) == 0.0
    where = slice(own.shape[0] - values.size, None)
    precision = penalty + np.eye(values.size) / _COEFFICIENT_PRIOR**2
    own[where, where] += precision
    right[where] -= precision @ values


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    """Own parameters of one channel: step at fixed light, change with the light, covariance of the coefficients at known light."""

    step: Floats
    by_light: Floats
    coefficients: Floats


def _eliminate(part: _Linear, size: int) -> _Solved:
    scale = 1.0 / np.sqrt(np.diag(part.own))
    factor = cho_factor(part.own * np.outer(scale, scale), lower=True)
    ends = np.eye(part.own.shape[0])[:, -size:]
    rights = np.column_stack([part.mixed, part.own_right, ends])
    both = scale[:, None] * cho_solve(factor, scale[:, None] * rights)
    k = part.mixed.shape[1]
    return _Solved(both[:, k], both[:, :k], both[-size:, k + 1 :])


def _information(parts: Sequence[_Linear], solved: Sequence[_Solved], log_light: Floats) -> Information:
    """Return what the tiles of all channels say about the lights, own parameters eliminated."""
    hessian = np.zeros((log_light.size,) * 2)
    gradient = np.zeros(log_light.size)
    for part, own in zip(parts, solved, strict=True):
        hessian += np.diag(part.light) - part.mixed.T @ own.by_light
        gradient += part.light_right - part.mixed.T @ own.step
    return Information(log_light, gradient, 0.5 * (hessian + hessian.T))


def _covariance(own: _Solved, light: Light) -> Floats:
    """Return the covariance of the coefficients: at known light, and of the light."""
    by_light = own.by_light[-own.coefficients.shape[0] :]
    return own.coefficients + by_light @ light.covariance @ by_light.T


def _stiffness(
    stiffness: float, bases: Sequence[Basis], states: Sequence[_State], solved: Sequence[_Solved], light: Light
) -> float:
    """Return the inverse variance of the second differences of f of greatest likelihood, one step (Wood & Fasiolo 2017)."""
    free = rough = 0.0
    for basis, state, own in zip(bases, states, solved, strict=True):
        penalty = basis.roughness
        free += basis.size - 1 - stiffness * float(np.sum(_covariance(own, light) * penalty))
        rough += float(state.coefficients @ penalty @ state.coefficients)
    found = max(free, 1e-3) / max(rough, 1e-30)
    return float(np.clip(found, _MOST_BEND**-2, _LEAST_BEND**-2))


def _start(exposures: Exposures, tiles: Tiles, basis: Basis, log_light: Floats) -> _State:
    """Take the response as linear: the illumination of a tile is the median of signal over light."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.log(np.where(tiles.signal_adu > 0, tiles.signal_adu, np.nan)) - log_light[:, None]
    found = np.zeros((exposures.n_lights, tiles.place.shape[0]))
    for light in range(exposures.n_lights):
        mine = ratios[exposures.light == light]
        known = np.isfinite(mine).any(axis=0)
        found[light, known] = np.nanmedian(mine[:, known], axis=0)
    return _State(np.zeros(basis.size), found)


def fit_jointly(
    exposures: Exposures,
    channels: Sequence[Tiles],
    noises: Sequence[Noise],
    bases: Sequence[Basis],
    shutter: ShutterPrior,
    doubtful: Mask,
) -> JointFit:
    """Fit the responses of all channels, the light of all exposures and the latency of the shutter.

    Parameters
    ----------
    exposures
        K lit exposures.
    channels, noises, bases
        One each per channel; at least one.
    shutter
        Prior of the latency beyond its table.
    doubtful
        Exposures known to be outliers in light, shape (K,). More are found on the way: those further than 5 sigma from what all others
        say of them.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the equations are singular: too few levels.
    """
    at = _At(np.log(exposures.open_s), np.zeros(exposures.n_lights), None, _START_BEND**-2)
    states = [_start(exposures, t, b, at.log_light) for t, b in zip(channels, bases, strict=True)]
    doubtful = doubtful.copy()
    has_converged = False
    for step in range(_ITERATIONS):
        if step in _WEIGHT_STEPS:
            for state in states:
                state.weights = None
        parts = _all_parts(exposures, channels, noises, bases, states, at)
        solved = [_eliminate(part, basis.size) for part, basis in zip(parts, bases, strict=True)]
        information = _information(parts, solved, at.log_light)
        light = solve_light(exposures, shutter, information, at.latency_s, doubtful, at.scatter)
        largest = _move(states, solved, light.log_light - at.log_light)
        stiffness = _stiffness(at.stiffness, bases, states, solved, light)
        is_settled = abs(math.log(stiffness / at.stiffness)) < _SETTLED
        keeps = step >= _WEIGHT_STEPS[-1] and is_settled
        at = _At(light.log_light, _bounded(light.latency_s, exposures), light.scatter if keeps else None, stiffness)
        if keeps and largest < _CONVERGED:
            has_converged = not _doubt(doubtful, light)
            if has_converged:
                break
            at.scatter = None
    responses = tuple(
        _response(tiles, basis, state, part, own, light)
        for tiles, basis, state, part, own in zip(channels, bases, states, parts, solved, strict=True)
    )
    return JointFit(responses, light, doubtful, has_converged)


def _doubt(doubtful: Mask, light: Light) -> bool:
    """Mark the exposure that is furthest from what all others say of it, if it is too far; tell whether one was."""
    surprise = np.where(doubtful, 0.0, np.abs(light.surprise))
    worst = int(np.argmax(surprise))
    if surprise[worst] < _SURPRISE or np.count_nonzero(doubtful) >= _MAX_DOUBTFUL * doubtful.size:
        return False
    doubtful[worst] = True
    return True


def _all_parts(
    exposures: Exposures,
    channels: Sequence[Tiles],
    noises: Sequence[Noise],
    bases: Sequence[Basis],
    states: Sequence[_State],
    at: _At,
) -> list[_Linear]:
    each = zip(channels, noises, bases, states, strict=True)
    return [
        _linearise(exposures, tiles, noise, basis, state, at.log_light, at.stiffness)
        for tiles, noise, basis, state in each
    ]


def _bounded(latency_s: Floats, exposures: Exposures) -> Floats:
    """Keep the open time positive while the fit is on its way."""
    shortest = np.array([exposures.open_s[exposures.light == w].min() for w in range(exposures.n_lights)])
    return np.maximum(latency_s, -0.9 * shortest)


def _move(states: Sequence[_State], solved: Sequence[_Solved], change: Floats) -> float:
    """Move the states of all channels to where the lights are now; return the largest change of a coefficient."""
    largest = 0.0
    for state, own in zip(states, solved, strict=True):
        moved = own.step - own.by_light @ change
        cut = state.log_illumination.size
        state.log_illumination = state.log_illumination + moved[:cut].reshape(state.log_illumination.shape)
        state.coefficients = state.coefficients + moved[cut:]
        largest = max(largest, float(np.abs(moved[cut:]).max()))
    return largest


def _response(tiles: Tiles, basis: Basis, state: _State, part: _Linear, own: _Solved, light: Light) -> Response:
    """Return the fitted response. The last step was too small to count, so that the residuals are those before it."""
    chi2 = float(np.einsum("ki,kij,kj->", part.residual, part.weights, part.residual))
    used = tiles.counts
    seen = int(np.count_nonzero(used.any(axis=0))) * state.log_illumination.shape[0]
    return Response(
        basis=basis,
        coefficients=state.coefficients,
        covariance=_covariance(own, light),
        log_illumination=state.log_illumination,
        residual=np.where(used, part.residual, np.nan),
        expected_adu=part.expected,
        chi2=chi2,
        dof=int(np.count_nonzero(used)) - int(np.count_nonzero(used.any(axis=1))) - seen - basis.size,
        is_monotone=is_monotone(basis, state.coefficients),
    )
