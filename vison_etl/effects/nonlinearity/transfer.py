"""What the photon noise of pairs says about a response: the variance follows the square of its slope.

With R the response, F = R(z), z the signal of a linear chain in ADU and m = z / G electrons, of one frame (V: variance; U: sum of the
covariances over the measured lags):

    V = R'(z)² [G z phi(2 a z / G) + b z³ + d z⁴] + n + p w(F),      phi(x) = (exp x - 1) / x
    U = R'(z)² [G z + s z²] + n' + p' w(F)

a, b, d: brighter-fatter effect on the variance, a as its exact solution for one lag alone, b and d what the other lags and a change of
the a_ij with signal add to third and fourth order. s: sum of a_ij over the measured lags, known to be what lies beyond them with its sign
turned. So a is told by U - V, and the response by how V and U go with F beside these. p, p': charge of particles below the clip, which
reaches further down where the noise is small, w = F² / (F² + (5000 ADU)²). R(mean) = mean(R) as for the tiles; quadratic terms are averaged
over the illumination, and unequal pairs have the factors of photon transfer.

F is known to 1e-5, so that z is the inverse of R at F, and the data speak of the coefficients c of R and of the nine nuisances alone;
these are eliminated here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vison_etl.effects.nonlinearity.data import Floats
from vison_etl.effects.nonlinearity.pair_sums import PairSums
from vison_etl.effects.nonlinearity.response import Basis, invert, respond

LOG_G, KERNEL, CUBIC, QUARTIC, SUM, NOISE, NOISE_OF_SUM, PARTICLES, PARTICLES_OF_SUM = range(9)
"""Nuisances: ln G, a, b, d, s, n, n', p, p'."""

_SIZE = 9
_NOISE_FRACTION = 0.1
_NOISE_OF_SUM = 10.0
_PARTICLES_ADU2 = 2.0
_PARTICLES_OF_SUM_ADU2 = 20.0
_PARTICLES_FROM_ADU = 5000.0
_LEAST_KERNEL = 1e-7
_CUBIC, _QUARTIC = 3.0, 0.5
_STEPS = 6
_FAINT = 0.3
_SERIES = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Nuisances:
    """Where the nuisances stand, and what is known of them: mean and inverse variance of the prior, 0 where nothing is. Shape (9,)."""

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
        CUBIC: _CUBIC * kernel**2 / per_adu,
        QUARTIC: _QUARTIC * kernel**3 / per_adu**2,
        SUM: sums.sum_per_e_err,
        NOISE: _NOISE_FRACTION * sums.noise_adu2,
        NOISE_OF_SUM: _NOISE_OF_SUM * sums.noise_adu2,
        PARTICLES: _PARTICLES_ADU2,
        PARTICLES_OF_SUM: _PARTICLES_OF_SUM_ADU2,
    }
    for place, error in sigma.items():
        precision[place] = error**-2
    return Nuisances(value, value.copy(), precision)


def _phi(x: Floats) -> tuple[Floats, Floats]:
    """Return (exp x - 1) / x and its derivative."""
    small = np.abs(x) < _SERIES
    safe = np.where(small, 1.0, x)
    value = np.where(small, 1.0 + x / 2.0 + x**2 / 6.0, np.expm1(safe) / safe)
    slope = np.where(small, 0.5 + x / 3.0 + x**2 / 8.0, (np.exp(safe) * (safe - 1.0) + 1.0) / safe**2)
    return value, slope


def _charge(sums: PairSums, z: Floats, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what stands in the brackets, (P, 2), its derivative by z, (P, 2), and by the first five nuisances, (P, 2, 5)."""
    g, a = np.exp(theta[LOG_G]), theta[KERNEL]
    even = (1.0 + sums.spread**2) * (1.0 - sums.imbalance**2)
    phi, slope = _phi(2.0 * a * z / g)
    square, cube, fourth = z**2, z**3, z**4
    variance = g * z * phi + a * (even - 1.0) * square + theta[CUBIC] * cube + theta[QUARTIC] * fourth
    by_z = g * phi + 2.0 * a * z * (slope + even - 1.0) + 3.0 * theta[CUBIC] * square + 4.0 * theta[QUARTIC] * cube
    total = g * z + theta[SUM] * even * square
    by_nuisance = np.zeros((z.size, 2, 5))
    by_nuisance[:, 0, LOG_G] = g * z * phi - 2.0 * a * square * slope
    by_nuisance[:, 0, KERNEL] = square * (2.0 * slope + even - 1.0)
    by_nuisance[:, 0, CUBIC], by_nuisance[:, 0, QUARTIC] = cube, fourth
    by_nuisance[:, 1, LOG_G], by_nuisance[:, 1, SUM] = g * z, even * square
    return np.stack([variance, total], 1), np.stack([by_z, g + 2.0 * theta[SUM] * even * z], 1), by_nuisance


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
    """Return model (P, 2) and its derivatives by the nuisances, (P, 2, 9), and by the coefficients, (P, 2, m)."""
    charge, by_z, by_first = _charge(sums, chain.z, theta)
    d2 = sums.imbalance**2
    noise = (1.0 + d2) / (1.0 - d2)
    particles = sums.signal_adu**2 / (sums.signal_adu**2 + _PARTICLES_FROM_ADU**2)
    rest = np.zeros((len(sums), 2, 4))
    rest[:, 0, 0] = rest[:, 1, 1] = noise
    rest[:, 0, 2] = rest[:, 1, 3] = particles
    gain = chain.gain[:, None]
    by_nuisance = np.concatenate([gain[:, :, None] * by_first, rest], axis=2)
    by_coefficient = gain[:, :, None] * (
        charge[:, :, None] * chain.dlog[:, None, :] + by_z[:, :, None] * chain.dz[:, None, :]
    )
    return gain * charge + rest @ theta[5:], by_nuisance, by_coefficient


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
