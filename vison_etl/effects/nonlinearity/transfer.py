"""What the photon noise of pairs says about a response: the variance follows the square of its slope.

With R the response, F = R(z), z the signal of a linear chain in ADU and m = z / G electrons, of one frame (V: variance; U: sum of the
covariances over the measured lags):

    V = R'(z)² [G² C_00(m) + b z³] + n + p w(F)
    U = R'(z)² [(1 + y) G z + s z²] + n' + p' w(F)

C_00: exact solution of the brighter-fatter equations (:mod:`vison_etl.effects.covariance.model`) with the measured a_ij, a_00 free, and
c_ij = x a_ij, x free; b: what else is of third order. s: sum of a_ij over the measured lags, known to be what lies beyond them with its
sign turned. y: charge that a pixel leaves in the next one (deferred, or a memory of the amplifier) lowers V and not U. So a_00 is told by U - V, and the response by how V and U go with F beside these. p, p': charge of particles below the clip,
which reaches further down where the noise is small; each the sum of two, from 3000 and from 8000 ADU on. R(mean) = mean(R) as for the
tiles; quadratic terms are averaged over the illumination, and unequal pairs have the factors of photon transfer.

F is known to 1e-5, so that z is the inverse of R at F, and the data speak of the coefficients c of R and of the nuisances alone; these are
eliminated here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.model import solve
from vison_etl.effects.nonlinearity.data import Floats
from vison_etl.effects.nonlinearity.pair_sums import PairSums
from vison_etl.effects.nonlinearity.response import Basis, invert, respond

LOG_G, KERNEL, CHANGE, CUBIC, SUM, MIXING, NOISE, NOISE_OF_SUM = range(8)
"""Nuisances: ln G, a_00, x, b, s, y, n, n'; then p and p' from 3000 ADU on, p and p' from 8000 ADU on."""

_PARTICLES_FROM_ADU = (3000.0, 8000.0)
_SIZE = NOISE_OF_SUM + 1 + 2 * len(_PARTICLES_FROM_ADU)
_NOISE_FRACTION = 0.1
_NOISE_OF_SUM = 10.0
_PARTICLES_ADU2 = (10.0, 100.0)
_LEAST_KERNEL = 1e-7
_CHANGE_PER_E = 5e-6
_CUBIC = 0.1
_MIXING = 4e-3
_MOST_EXPONENT = 4.0
_STEPS = 6
_FAINT = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Nuisances:
    """Where the nuisances stand, and what is known of them: mean and inverse variance of the prior, 0 where nothing is. Shape (12,)."""

    value: Floats
    prior: Floats
    precision: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Constraint:
    """What pairs say of the coefficients c about where they stand: log-likelihood gradient . dc - dc . precision . dc / 2.

    ``pull``: residuals of variance and sum over their sampling errors, shape (P, 2). ``chi2`` with the priors; ``dof``: data less the
    effective number of nuisances.
    """

    gradient: Floats
    precision: Floats
    nuisances: Nuisances
    pull: Floats
    chi2: float
    dof: int


def start(sums: PairSums) -> Nuisances:
    """Return nuisances to start from: the response linear, the brighter-fatter effect as the covariances foretell it.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the variance does not rise with the signal.
    """
    faint = sums.signal_adu <= max(_FAINT * sums.signal_adu.max(), float(np.median(sums.signal_adu)))
    photons = sums.variance_adu2[:, 0] - sums.noise_adu2 - sums.kernel_per_e * sums.signal_adu**2
    per_adu = float(np.median((photons / sums.signal_adu)[faint]))
    if not per_adu > 0.0:
        raise np.linalg.LinAlgError("the variance does not rise with the signal")
    kernel = max(abs(sums.kernel_per_e), _LEAST_KERNEL)
    value, precision = np.zeros(_SIZE), np.zeros(_SIZE)
    value[[LOG_G, KERNEL, SUM]] = np.log(per_adu), sums.kernel_per_e, sums.sum_per_e
    value[[NOISE, NOISE_OF_SUM]] = sums.noise_adu2
    sigma = {
        CHANGE: _CHANGE_PER_E,
        CUBIC: _CUBIC * kernel**2 / per_adu,
        SUM: sums.sum_per_e_err,
        MIXING: _MIXING,
        NOISE: _NOISE_FRACTION * sums.noise_adu2,
        NOISE_OF_SUM: _NOISE_OF_SUM * sums.noise_adu2,
    }
    sigma |= {NOISE_OF_SUM + 1 + k: _PARTICLES_ADU2[k % 2] for k in range(_SIZE - NOISE_OF_SUM - 1)}
    for place, error in sigma.items():
        precision[place] = error**-2
    return Nuisances(value, value.copy(), precision)


def _charge_variance(sums: PairSums, m: Floats, kernel: float, change: float) -> Floats:
    """Return C_00(m), e², and its derivatives by m, a_00 and x, shape (4, P).

    Raises
    ------
    numpy.linalg.LinAlgError
        If the exponents leave the range of the quadrature: no kernel of a sensor.
    """
    a = (kernel + sums.modes_per_e)[None]
    c = change * a
    if np.max(np.abs(2.0 * a * m.max()) + np.abs(c) * m.max() ** 2) > _MOST_EXPONENT:
        raise np.linalg.LinAlgError("the brighter-fatter effect of the pairs cannot be told")
    value, by_a, by_c = solve(a, c, m)
    slope = 1.0 + 2.0 * (a + c * m[:, None, None]) * value
    parts = np.stack([value, slope, by_a + change * by_c, a * by_c])
    return np.asarray(parts[:, :, 0] @ sums.mode_weights)


def _charge(sums: PairSums, z: Floats, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what stands in the brackets, (P, 2), its derivative by z, (P, 2), and by the first six nuisances, (P, 2, 6)."""
    g, a = np.exp(theta[LOG_G]), theta[KERNEL]
    even = (1.0 + sums.spread**2) * (1.0 - sums.imbalance**2)
    value, slope, by_a, by_x = _charge_variance(sums, z / g, a, theta[CHANGE])
    square, cube = z**2, z**3
    variance = g**2 * value + a * (even - 1.0) * square + theta[CUBIC] * cube
    by_z = g * slope + 2.0 * a * z * (even - 1.0) + 3.0 * theta[CUBIC] * square
    by_nuisance = np.zeros((z.size, 2, 6))
    by_nuisance[:, 0, LOG_G] = 2.0 * g**2 * value - g * z * slope
    by_nuisance[:, 0, KERNEL] = g**2 * by_a + square * (even - 1.0)
    by_nuisance[:, 0, CHANGE], by_nuisance[:, 0, CUBIC] = g**2 * by_x, cube
    of_sum = (1.0 + theta[MIXING]) * g
    by_nuisance[:, 1, LOG_G], by_nuisance[:, 1, MIXING] = of_sum * z, g * z
    by_nuisance[:, 1, SUM] = even * square
    total = of_sum * z + theta[SUM] * even * square
    return np.stack([variance, total], 1), np.stack([by_z, of_sum + 2.0 * theta[SUM] * even * z], 1), by_nuisance


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """The response at the signals of the pairs: z, R'², and by the coefficients dz / dc and d ln R'² / dc, (P, m), at fixed F."""

    z: Floats
    gain: Floats
    dz: Floats
    dlog: Floats


def _chain(basis: Basis, coefficients: Floats, signal_adu: Floats) -> _Chain:
    z = invert(basis, coefficients, signal_adu)
    slope = respond(basis, coefficients, z)[1]
    of_f, of_slope, of_bend = (basis.values(z, k) for k in range(3))
    curvature = 2.0 * (of_slope @ coefficients) + z * (of_bend @ coefficients)
    dz = -(z / slope)[:, None] * of_f
    dslope = of_f + z[:, None] * of_slope + curvature[:, None] * dz
    return _Chain(z, slope**2, dz, 2.0 * dslope / slope[:, None])


def _expected(sums: PairSums, chain: _Chain, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """Return model (P, 2) and its derivatives by the nuisances, (P, 2, 12), and by the coefficients, (P, 2, m)."""
    charge, by_z, by_first = _charge(sums, chain.z, theta)
    d2 = sums.imbalance**2
    noise = (1.0 + d2) / (1.0 - d2)
    rest = np.zeros((len(sums), 2, _SIZE - NOISE))
    rest[:, 0, 0] = rest[:, 1, 1] = noise
    for k, start_adu in enumerate(_PARTICLES_FROM_ADU):
        rest[:, 0, 2 + 2 * k] = rest[:, 1, 3 + 2 * k] = sums.signal_adu**4 / (sums.signal_adu**4 + start_adu**4)
    gain = chain.gain[:, None]
    by_nuisance = np.concatenate([gain[:, :, None] * by_first, rest], axis=2)
    by_coefficient = gain[:, :, None] * (
        charge[:, :, None] * chain.dlog[:, None, :] + by_z[:, :, None] * chain.dz[:, None, :]
    )
    return gain * charge + rest @ theta[NOISE:], by_nuisance, by_coefficient


def _whitener(covariance: Floats) -> Floats:
    """Return L^-1 of the Cholesky factors L of (P, 2, 2): residuals times it are independent and of variance 1."""
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)))


def constrain(
    basis: Basis, coefficients: Floats, sums: PairSums, nuisances: Nuisances, error: Floats | None = None
) -> Constraint:
    """Fit the nuisances at given coefficients and eliminate them.

    Parameters
    ----------
    basis, coefficients
        The response.
    sums
        Pairs.
    nuisances
        Where to start, and their priors.
    error
        Root E, shape (m, k), of the covariance E E^T that the coefficients have from elsewhere: k more nuisances of variance 1. None: they
        are given. With it, chi2 says how far the pairs are from that response, both errors considered.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the nuisances cannot be told.
    """
    extra = 0 if error is None else error.shape[1]
    theta, u = nuisances.value.copy(), np.zeros(extra)
    prior = np.concatenate([nuisances.precision, np.ones(extra)])
    chain, white = _chain(basis, coefficients, sums.signal_adu), _whitener(sums.covariance)
    for _ in range(_STEPS):
        model, by_nuisance, by_coefficient = _expected(sums, chain, theta)
        design = by_nuisance if error is None else np.concatenate([by_nuisance, by_coefficient @ error], axis=2)
        known = (white @ design).reshape(2 * len(sums), -1)
        off = sums.variance_adu2 - model - (0.0 if error is None else by_coefficient @ (error @ u))
        residual = (white @ off[:, :, None]).ravel()
        data = known.T @ known
        away = np.concatenate([nuisances.prior - theta, -u])
        inverse = _inverse(data + np.diag(prior))
        step = inverse @ (known.T @ residual + prior * away)
        theta, u = theta + step[:_SIZE], u + step[_SIZE:]
    residual, away = residual - known @ step, away - step
    of_c = (white @ by_coefficient).reshape(2 * len(sums), -1)
    mixed = known.T @ of_c
    taken = float(np.sum((inverse @ data).diagonal()[:_SIZE]))
    pull = residual.reshape(-1, 2)
    return Constraint(
        gradient=of_c.T @ residual - mixed.T @ (inverse @ (known.T @ residual + prior * away)),
        precision=of_c.T @ of_c - mixed.T @ inverse @ mixed,
        nuisances=Nuisances(theta, nuisances.prior, nuisances.precision),
        pull=pull,
        chi2=float(residual @ residual + np.sum(prior * away**2)),
        dof=round(residual.size - taken),
    )


def _inverse(matrix: Floats) -> Floats:
    scale = 1.0 / np.sqrt(np.diag(matrix))
    return np.asarray(np.linalg.inv(matrix * np.outer(scale, scale)) * np.outer(scale, scale))
