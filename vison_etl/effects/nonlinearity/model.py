"""One forward model for all frames and tiles of all channels.

    F_ks = b_s + R_c(phi_sw L_k (1 + u_k . [1, x_s, y_s])) + noise

F: mean of tile s in exposure k, b: from frames without light, R_c: response of the channel, phi_sw: illumination of the tile through
filter w, L_k: light of the exposure, the same for all tiles of all CCDs, u_k: small random changes of level and pattern in one channel.
Gauss-Newton in relative residuals: what belongs to a channel is eliminated (:mod:`.channel`), then the response that channels have in
common; what is left is a problem of the K lights alone (:mod:`.light`), where all channels meet the clock. Photon noise of pairs speaks of the
coefficients of a channel alone (:mod:`.transfer`) and is added to its equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.nonlinearity import channel
from vison_etl.effects.nonlinearity.bends import START, Shared, Stiffness, covariances, likelier, softened
from vison_etl.effects.nonlinearity.channel import Equations, Solved, State
from vison_etl.effects.nonlinearity.data import Exposures, Floats, Mask, Noise, Tiles
from vison_etl.effects.nonlinearity.light import Information, Light, Scatter, ShutterPrior, solve_light
from vison_etl.effects.nonlinearity.pair_sums import PairSums
from vison_etl.effects.nonlinearity.response import Basis, is_monotone
from vison_etl.effects.nonlinearity.transfer import Nuisances, constrain, start

_ITERATIONS = 25
"""At most so many steps until all settles, and again after exposures were found to be doubtful."""

_CONVERGED = 3e-5
_WEIGHT_STEPS = (0, 1, 3)
_SCATTER_STEPS, _VARIANCE_STEPS = (0, 2), 8
_SURPRISE, _ALIKE = 5.0, 0.5
_MAX_DOUBTFUL = 0.2
_MAD, _NARROW, _NARROWEST = 1.4826, 0.7, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """Fitted response of one channel, and how well it describes the tiles. ``residual``: relative, shape (K, S), NaN: not used."""

    basis: Basis
    coefficients: Floats
    covariance: Floats
    log_illumination: Floats
    residual: Floats
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
class _At:
    """Where the shared quantities stand; ``scatter`` None: to be found again."""

    log_light: Floats
    common: Floats
    latency_s: Floats
    scatter: Scatter | None
    stiffness: Stiffness


@dataclass(slots=True, eq=False)
class _Photons:
    """Pairs of a channel and where their nuisances stand."""

    sums: PairSums
    nuisances: Nuisances


def fit_jointly(
    exposures: Exposures,
    channels: Sequence[Tiles],
    noises: Sequence[Noise],
    basis: Basis,
    shutter: ShutterPrior,
    doubtful: Mask,
    pairs: Sequence[PairSums | None] = (),
) -> JointFit:
    """Fit the responses of all channels, the light of all exposures and the latency of the shutter.

    Parameters
    ----------
    exposures
        K lit exposures.
    channels, noises
        One each per channel; at least one.
    basis
        Of the responses of all channels.
    shutter
        Prior of the latency beyond its table.
    doubtful
        Exposures known to be outliers in light, shape (K,). More are found on the way: those further than 5 sigma from what all others
        say of them.
    pairs
        Variances of pairs that constrain the slope of the response, one for each channel, or None where there are none; empty: nowhere.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the equations are singular: too few levels.
    """
    latency = np.zeros(exposures.n_lights)
    at = _At(np.log(exposures.open_s), np.zeros(basis.size), latency, None, START)
    states = [channel.start(exposures, tiles, basis, at.log_light) for tiles in channels]
    photons = [None if sums is None else _Photons(sums, start(sums)) for sums in pairs]
    doubtful, has_converged, age, step, left = doubtful.copy(), False, 0, 0, _ITERATIONS
    while left and not has_converged:
        if step in _WEIGHT_STEPS:
            for state in states:
                state.weights = None
        parts = _equations(exposures, channels, noises, basis, states, at)
        _add_photons(basis, photons, states, parts)
        solved = [channel.eliminate(part, basis.size) for part in parts]
        light, shared = _solve_shared(exposures, shutter, parts, solved, basis, at, doubtful)
        change = np.concatenate([light.log_light - at.log_light, shared.common_step])
        largest = _move(states, solved, change)
        at.log_light, at.common = light.log_light, at.common + shared.common_step
        at.latency_s = _bounded(light.latency_s, exposures)
        # variances are found while the rest still moves, then kept, so that what is left is a quadratic problem
        at.scatter = None if age in _SCATTER_STEPS else light.scatter
        if age < _VARIANCE_STEPS:
            at.stiffness = likelier(
                at.stiffness, basis, at.common, [state.coefficients for state in states], solved, shared
            )
        elif age == _VARIANCE_STEPS:
            at.stiffness = softened(at.stiffness)
        age, step, left = age + 1, step + 1, left - 1
        if age > _VARIANCE_STEPS + 1 and largest < _CONVERGED:
            has_converged = not _doubt(doubtful, light)
            if not has_converged:
                at.scatter, age, left = None, _SCATTER_STEPS[-1], _ITERATIONS
    errors = covariances(at.stiffness, basis, solved, shared)
    each = zip(channels, states, parts, errors, strict=True)
    responses = tuple(_response(tiles, basis, state, part, error) for tiles, state, part, error in each)
    return JointFit(responses, light, doubtful, has_converged)


def _equations(
    exposures: Exposures,
    channels: Sequence[Tiles],
    noises: Sequence[Noise],
    basis: Basis,
    states: Sequence[State],
    at: _At,
) -> list[Equations]:
    parts = []
    precision = at.stiffness.of_own(basis)
    for tiles, noise, state in zip(channels, noises, states, strict=True):
        part = channel.linearise(exposures, tiles, noise, basis, state, at.log_light)
        channel.add_prior(part, state.coefficients - at.common, precision)
        parts.append(part)
    return parts


def _add_photons(
    basis: Basis, photons: Sequence[_Photons | None], states: Sequence[State], parts: Sequence[Equations]
) -> None:
    """Add what the photon noise says of the coefficients, in place."""
    for one, state, part in zip(photons, states, parts, strict=False):
        if one is not None:
            found = constrain(basis, state.coefficients, one.sums, one.nuisances)
            one.nuisances = found.nuisances
            channel.add_information(part, found.gradient, found.precision)


def _solve_shared(
    exposures: Exposures,
    shutter: ShutterPrior,
    parts: Sequence[Equations],
    solved: Sequence[Solved],
    basis: Basis,
    at: _At,
    doubtful: Mask,
) -> tuple[Light, Shared]:
    """Eliminate the common response, solve for the lights, go back."""
    matrix, right = channel.left(parts, solved)
    k, m = at.log_light.size, basis.size
    if len(parts) == 1:
        # one channel has all its bends for itself: nothing is common
        information = Information(at.log_light, right[:k], matrix[:k, :k])
        light = solve_light(exposures, shutter, information, at.latency_s, doubtful, at.scatter)
        covariance = np.zeros((k + m, k + m))
        covariance[:k, :k] = light.covariance
        return light, Shared(np.zeros(m), covariance)
    prior = at.stiffness.of_common(basis)
    inverse = np.linalg.inv(matrix[k:, k:] + prior)
    by_light = inverse @ matrix[k:, :k]
    pull = right[k:] - prior @ at.common
    hessian = matrix[:k, :k] - matrix[:k, k:] @ by_light
    information = Information(at.log_light, right[:k] - by_light.T @ pull, 0.5 * (hessian + hessian.T))
    light = solve_light(exposures, shutter, information, at.latency_s, doubtful, at.scatter)
    step = inverse @ pull - by_light @ (light.log_light - at.log_light)
    mixed = -by_light @ light.covariance
    common = inverse + by_light @ light.covariance @ by_light.T
    return light, Shared(step, np.block([[light.covariance, mixed.T], [mixed, common]]))


def _doubt(doubtful: Mask, light: Light) -> bool:
    """Mark the exposures that are too far from what all others say of them, the worst and those like it; tell whether there were any.

    Several outliers make the scatter of the light large enough to hold them: then most are far nearer than it, and the limit is
    taken from the middle of them.
    """
    surprise = np.where(doubtful, 0.0, np.abs(light.surprise))
    middle = max(_MAD * float(np.median(surprise[~doubtful])), _NARROWEST)
    limit = _SURPRISE * (middle if middle < _NARROW else 1.0)
    far = surprise > max(limit, _ALIKE * float(surprise.max()))
    room = int(_MAX_DOUBTFUL * doubtful.size) - int(np.count_nonzero(doubtful))
    if not far.any() or np.count_nonzero(far) > room:
        return False
    doubtful |= far
    return True


def _bounded(latency_s: Floats, exposures: Exposures) -> Floats:
    """Keep the open time positive while the fit is on its way."""
    shortest = np.array([exposures.open_s[exposures.light == w].min() for w in range(exposures.n_lights)])
    return np.maximum(latency_s, -0.9 * shortest)


def _move(states: Sequence[State], solved: Sequence[Solved], change: Floats) -> float:
    """Move the states of all channels to where the shared quantities are now; return the largest change of a coefficient."""
    largest = 0.0
    for state, own in zip(states, solved, strict=True):
        moved = own.step - own.by_shared @ change
        cut = state.log_illumination.size
        state.log_illumination = state.log_illumination + moved[:cut].reshape(state.log_illumination.shape)
        state.coefficients = state.coefficients + moved[cut:]
        largest = max(largest, float(np.abs(moved[cut:]).max()))
    return largest


def _response(tiles: Tiles, basis: Basis, state: State, part: Equations, covariance: Floats) -> Response:
    """Return the fitted response. The last step was too small to count, so that the residuals are those before it."""
    used = tiles.counts
    seen = int(np.count_nonzero(used.any(axis=0))) * state.log_illumination.shape[0]
    return Response(
        basis=basis,
        coefficients=state.coefficients,
        covariance=covariance,
        log_illumination=state.log_illumination,
        residual=np.where(used, part.residual, np.nan),
        chi2=part.chi2,
        dof=int(np.count_nonzero(used)) - int(np.count_nonzero(used.any(axis=1))) - seen - basis.size,
        is_monotone=is_monotone(basis, state.coefficients),
    )
