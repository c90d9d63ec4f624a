"""Variance of a channel, and the sum of its covariances over all lags, pair by pair: what photon statistics say of a response.

Charge in the pixels takes from the variance what it gives to the covariances: summed over all lags there is nothing of it left. The sum
is 17 times less precise than the variance, whose bend the covariances foretell; so both are kept, with their sampling covariance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.model import lags_of, multiplicity, spectrum
from vison_etl.effects.covariance.pairs import Pairs
from vison_etl.effects.covariance.sum_rule import sum_rule
from vison_etl.effects.nonlinearity.data import Floats, Integers, Mask

LEAST_REACH = 6
"""With fewer lags per axis the tail of the brighter-fatter effect cannot be told."""

LEAST_PAIRS = 6

_NEAR = 3
_MODES = 24
_SCREENED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """P pairs of equal exposures of one channel.

    ``signal_adu``: mean above the frames without light, shape (P,). ``variance_adu2``: C_00, and the sum of C_ij over all measured lags of
    both signs, of one frame, shape (P, 2); ``covariance``: of the two, ADU⁴, (P, 2, 2). ``imbalance``: (m_1 - m_2) / (m_1 + m_2);
    ``spread``: rms of the illumination over the area, relative. ``level``: of the exposures.

    ``kernel_per_e``: a_00 as the covariances foretell it by the sum rule. ``modes_per_e``, ``mode_weights``: values that the transform of all
    other a_ij takes over the frequencies, and how often. ``sum_per_e``: sum of a_ij over the measured lags: that beyond them with its sign
    turned, and its error. ``noise_adu2``: variance of a pixel without light.
    """

    signal_adu: Floats
    variance_adu2: Floats
    covariance: Floats
    imbalance: Floats
    spread: Floats
    level: Integers
    kernel_per_e: float
    modes_per_e: Floats
    mode_weights: Floats
    sum_per_e: float
    sum_per_e_err: float
    noise_adu2: float

    def __len__(self) -> int:
        """Return P."""
        return int(self.signal_adu.size)

    def __getitem__(self, chosen: Mask) -> PairSums:
        """Return the chosen pairs; what is common to all stays."""
        of_pairs = ("signal_adu", "variance_adu2", "covariance", "imbalance", "spread", "level")
        common = ("kernel_per_e", "modes_per_e", "mode_weights", "sum_per_e", "sum_per_e_err", "noise_adu2")
        return PairSums(*(getattr(self, name)[chosen] for name in of_pairs), *(getattr(self, name) for name in common))


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """Quadratic part a_ij of the covariances of a channel, 1/e, its variance, and the part n_ij that does not depend on light: (r, r)."""

    a_per_e: Floats
    variance: Floats
    noise_adu2: Floats


@dataclass(frozen=True, slots=True)
class Tail:
    """Sum of the a_ij beyond the measured lags, 1/e, and its error as one channel of several may take it."""

    sum_per_e: float
    sum_per_e_err: float


def fit_kernel(pairs: Pairs, background_adu: float) -> Kernel | None:
    """Fit C_ij = a_ij F² + b_ij F³ + n_ij to the pairs by weighted least squares; None with fewer than 6 pairs, or 6 lags per axis.

    In ADU² against ADU, a_ij is per electron whatever the gain. The third order is fitted to the nearest neighbours alone: further out it
    is small, because the a_ij add up to nothing. At (0, 0), where there are photons too, the result means nothing.

    Parameters
    ----------
    pairs
        Covariances of P pairs.
    background_adu
        Mean level of the frames without light, above the offset, which the means of ``pairs`` hold.
    """
    if len(pairs) < LEAST_PAIRS or pairs.reach < LEAST_REACH:
        return None
    axes = np.arange(pairs.reach) > 0
    weight = (1.0 + np.outer(axes, axes)) * pairs.n / pairs.covariance_adu2[:, :1, :1] ** 2
    signal = pairs.mean_adu - background_adu
    scale = float(signal.max())
    x = signal / scale
    near = np.zeros((pairs.reach, pairs.reach), np.bool_)
    near[:_NEAR, :_NEAR] = True
    slope, variance, noise = (np.zeros(near.shape) for _ in range(3))
    for mask, powers in ((near, (0, 2, 3)), (~near, (0, 2))):
        design = x[:, None] ** np.array(powers)
        w = weight[:, mask]
        information = np.einsum("pi,pl,pj->lij", design, w, design)
        right = np.einsum("pi,pl->li", design, w * pairs.covariance_adu2[:, mask])
        inverse = np.linalg.inv(information)
        found = np.einsum("lij,lj->li", inverse, right)
        noise[mask], slope[mask] = found[:, 0], found[:, 1] / scale**2
        variance[mask] = inverse[:, 1, 1] / scale**4
    return Kernel(slope, variance, noise)


def common_tail(kernels: Sequence[Kernel]) -> Tail:
    """Return what the outer lags say of those beyond, for channels of one kind of sensor, all of one reach.

    The mean kernel of all channels tells it. Beyond the thickness of a sensor its electrodes screen the field, and the tail ends sooner
    than the power law says; how far out is not known, so that half of the sum is taken, with half of it as error. This is common to the
    channels, and each is given it times the square root of their number: so it counts once in what they say together.
    """
    weight = np.array([1.0 / kernel.variance for kernel in kernels])
    total = weight.sum(axis=0)
    mean = np.sum(weight * np.array([kernel.a_per_e for kernel in kernels]), axis=0) / total
    rule = sum_rule(mean, np.diag((1.0 / total).ravel()))
    half = _SCREENED * rule.tail_per_e
    return Tail(half, math.hypot(rule.tail_per_e_err, half) * math.sqrt(len(kernels)))


def sum_pairs(
    pairs: Pairs, background_adu: float, noise_adu2: float, level: Integers, kernel: Kernel, tail: Tail
) -> PairSums:
    """Add up the covariances of each pair.

    Parameters
    ----------
    pairs, background_adu
        As of `fit_kernel`.
    noise_adu2
        Variance of one pixel without light.
    level
        Level of each pair, shape (P,).
    kernel, tail
        Of the channel, and beyond its lags.
    """
    signal = pairs.mean_adu - background_adu
    times = multiplicity(pairs.reach)
    inner = float(np.sum((times * kernel.a_per_e).ravel()[1:]))
    modes, mode_weights = _modes(kernel.a_per_e)
    both = np.stack([pairs.covariance_adu2[:, 0, 0], np.sum(times * pairs.covariance_adu2, axis=(1, 2))], axis=1)
    return PairSums(
        signal_adu=signal,
        variance_adu2=both,
        covariance=_sampling(pairs, signal, kernel),
        imbalance=pairs.imbalance,
        spread=pairs.spread_adu / pairs.mean_adu,
        level=level,
        kernel_per_e=-inner - tail.sum_per_e,
        modes_per_e=modes,
        mode_weights=mode_weights,
        sum_per_e=-tail.sum_per_e,
        sum_per_e_err=tail.sum_per_e_err,
        noise_adu2=noise_adu2,
    )


def _modes(kernel: Floats) -> tuple[Floats, Floats]:
    """Return what the transform of the a_ij but a_00 is over the frequencies: means and weights of 24 groups of like values."""
    others = kernel.copy()
    others[0, 0] = 0.0
    values = spectrum(others)
    ends = np.ones(values.shape[0])
    ends[[0, -1]] = 0.5
    order = np.argsort(values, axis=None)
    weights = np.outer(ends, ends).ravel()[order]
    groups = np.minimum((np.cumsum(weights) / weights.sum() * _MODES).astype(np.int64), _MODES - 1)
    total = np.bincount(groups, weights, _MODES)
    means = np.bincount(groups, weights * values.ravel()[order], _MODES) / total
    return means, total / total.sum()


def _sampling(pairs: Pairs, signal: Floats, kernel: Kernel) -> Floats:
    """Return the sampling covariance of variance and sum, (P, 2, 2), by Bartlett's formula over frequencies.

    A sum of sample covariances over lags is the mean over frequencies of the periodogram times D(k), the transform of the lags that are
    added: 1 for the variance, the Dirichlet kernel of the square for the sum. So cov = 2 mean over k of S(k)² D(k) D'(k) / n.
    """
    lags = kernel.a_per_e * signal[:, None, None] ** 2 + kernel.noise_adu2
    lags[:, 0, 0] = pairs.covariance_adu2[:, 0, 0]
    dirichlet = spectrum(np.ones((pairs.reach, pairs.reach)))
    shapes = np.stack([np.ones_like(dirichlet), dirichlet])
    n = np.average(pairs.n, axis=(1, 2), weights=np.broadcast_to(multiplicity(pairs.reach), pairs.n.shape))
    counts = np.stack([pairs.n[:, 0, 0], n], axis=1)
    found = np.empty((len(pairs), 2, 2))
    for p, one in enumerate(lags):
        power = spectrum(one) ** 2
        found[p] = 2.0 * lags_of(power * shapes[:, None] * shapes[None], 1)[..., 0, 0]
    return np.asarray(found / np.sqrt(counts[:, :, None] * counts[:, None, :]))
