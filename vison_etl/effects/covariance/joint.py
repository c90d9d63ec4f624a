"""Fits of several tests of the same chain together: one gain and one noise, areas of pixels for each colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.covariance.model import Coefficients, Floats
from vison_etl.effects.covariance.record import CovarianceFit, Prior, Status


@dataclass(frozen=True, slots=True, eq=False)
class JointFit:
    """One gain for T tests, T' of which have a fit that is ok.

    Parameters
    ----------
    status
        ``ok``; ``no_data`` with T' < 2.
    gain_e_per_adu, gain_e_per_adu_err
        The common gain.
    n00_adu2, n00_adu2_err
        The common variance at zero signal, quantisation included.
    used
        Indices of the tests that took part, shape (T',).
    coefficients, covariances
        Of each of these: gain and n / g² are common, a and c its own; covariance matrices as of a single fit.
    chi2, dof
        Rise of chi-square when T' gains become one, the noise being common: the hypothesis of a common gain.
    noise_chi2, noise_dof
        Rise of chi-square when T' noises become one, each test having its own gain.
    separate_gain_e_per_adu, separate_gain_e_per_adu_err
        Gain of each test with the common noise, shape (T',). Their errors are correlated through the noise; chi2 knows that.
    """

    status: Status
    gain_e_per_adu: float
    gain_e_per_adu_err: float
    n00_adu2: float
    n00_adu2_err: float
    used: NDArray[np.int64]
    coefficients: tuple[Coefficients, ...]
    covariances: tuple[Floats, ...]
    chi2: float
    dof: int
    noise_chi2: float
    noise_dof: int
    separate_gain_e_per_adu: Floats
    separate_gain_e_per_adu_err: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """Parameters (gain, a, c, n / g²) of a fit and their covariance matrix."""

    theta: Floats
    covariance: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """Common parameters, their covariance matrix, and chi-square of what had to move."""

    values: Floats
    covariance: Floats
    chi2: float


def joint_fit(fits: Sequence[CovarianceFit], prior: Prior | None = None) -> JointFit:
    """Fit one gain and one noise to several tests, a_ij and c_ij to each.

    The likelihood of each test is normal about its own maximum as far as the maxima of all lie apart (gains differ by parts in
    a thousand), so the joint maximum follows from the fits and their covariance matrices. Noise is common as n_ij / g², in ADU²:
    that is what the electronics have.

    Parameters
    ----------
    fits
        Of one channel, equal numbers of lags, each made *without* a prior of its noise, which would count T times.
    prior
        What is known of the common n_00.
    """
    used = np.array([k for k, fit in enumerate(fits) if fit.status == "ok"], np.int64)
    if used.size < 2:
        nan, none = math.nan, np.zeros(0)
        return JointFit("no_data", nan, nan, nan, nan, used, (), (), nan, 0, nan, 0, none, none)
    points = [_in_adu(fits[k]) for k in used.tolist()]
    reach = fits[int(used[0])].coefficients.reach
    shared = np.r_[0, np.arange(1 + 2 * reach**2, 1 + 3 * reach**2)]
    one = _combined(points, shared, prior, common_gain=True)
    many = _combined(points, shared, prior, common_gain=False)
    unbiased = many if prior is None else _combined(points, shared, None, common_gain=False)
    moved = [_in_electrons(_moved(point, shared, one), reach) for point in points]
    return JointFit(
        status="ok",
        gain_e_per_adu=float(one.values[0]),
        gain_e_per_adu_err=math.sqrt(float(one.covariance[0, 0])),
        n00_adu2=float(one.values[1]),
        n00_adu2_err=math.sqrt(float(one.covariance[1, 1])),
        used=used,
        coefficients=tuple(coefficients for coefficients, _ in moved),
        covariances=tuple(matrix for _, matrix in moved),
        chi2=one.chi2 - many.chi2,
        dof=used.size - 1,
        noise_chi2=unbiased.chi2,
        noise_dof=reach**2 * (used.size - 1),
        separate_gain_e_per_adu=many.values[: used.size],
        separate_gain_e_per_adu_err=np.sqrt(np.diag(many.covariance)[: used.size]),
    )


def _in_adu(fit: CovarianceFit) -> _Point:
    """Return the parameters with the noise in ADU²."""
    found, gain, lags = fit.coefficients, fit.coefficients.gain_e_per_adu, fit.coefficients.reach**2
    slopes = np.eye(1 + 3 * lags)
    slopes[1 + 2 * lags :] /= gain**2
    slopes[1 + 2 * lags :, 0] = -2.0 * found.n_e2.ravel() / gain**3
    theta = np.concatenate([[gain], *(part.ravel() for part in (found.a_per_e, found.c_per_e2, found.n_e2 / gain**2))])
    return _Point(theta, slopes @ fit.covariance @ slopes.T)


def _in_electrons(point: _Point, reach: int) -> tuple[Coefficients, Floats]:
    gain, lags = float(point.theta[0]), reach**2
    a, c, n = point.theta[1:].reshape(3, reach, reach)
    slopes = np.eye(1 + 3 * lags)
    slopes[1 + 2 * lags :] *= gain**2
    slopes[1 + 2 * lags :, 0] = 2.0 * gain * n.ravel()
    return Coefficients(gain, a, c, n * gain**2), slopes @ point.covariance @ slopes.T


def _combined(
    points: Sequence[_Point], shared: NDArray[np.int64], prior: Prior | None, *, common_gain: bool
) -> _Shared:
    """Average the shared parameters by generalised least squares: one gain, or that of each test, first; then the noise."""
    n_gains = 1 if common_gain else len(points)
    size = n_gains + shared.size - 1
    origin = points[0].theta[shared]
    information, gradient, constant = np.zeros((size, size)), np.zeros(size), 0.0
    for k, point in enumerate(points):
        where = np.r_[0 if common_gain else k, np.arange(n_gains, size)]
        weight = _inverse(point.covariance[np.ix_(shared, shared)])
        shift = point.theta[shared] - origin
        information[np.ix_(where, where)] += weight
        gradient[where] += weight @ shift
        constant += float(shift @ weight @ shift)
    if prior is not None:
        shift_n00 = prior.n00_adu2 - float(origin[1])
        information[n_gains, n_gains] += prior.sigma_adu2**-2
        gradient[n_gains] += shift_n00 * prior.sigma_adu2**-2
        constant += (shift_n00 / prior.sigma_adu2) ** 2
    covariance = _inverse(information)
    moved = covariance @ gradient
    values = moved + np.r_[np.full(n_gains, origin[0]), origin[1:]]
    return _Shared(values, covariance, constant - float(gradient @ moved))


def _moved(point: _Point, shared: NDArray[np.int64], common: _Shared) -> _Point:
    """Return all parameters of a test, given what the shared ones came to be."""
    own = point.covariance[np.ix_(shared, shared)]
    follow = point.covariance[:, shared] @ _inverse(own)
    theta = point.theta + follow @ (common.values - point.theta[shared])
    return _Point(theta, point.covariance + follow @ (common.covariance - own) @ follow.T)


def _inverse(matrix: Floats) -> Floats:
    scale = np.sqrt(np.diag(matrix))
    inverse: Floats = np.linalg.inv(matrix / np.outer(scale, scale)) / np.outer(scale, scale)
    return inverse
