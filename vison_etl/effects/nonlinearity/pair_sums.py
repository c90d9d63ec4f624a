"""Variance of a channel, and the sum of its covariances over all lags, pair by pair: what photon statistics say of a response.

Charge in the pixels takes from the variance what it gives to the covariances: summed over all lags there is nothing of it left. The sum
is 17 times less precise than the variance, whose bend the covariances foretell; so both are kept, with their sampling covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.model import lags_of, multiplicity, spectrum
from vison_etl.effects.covariance.pairs import Pairs
from vison_etl.effects.covariance.sum_rule import sum_rule
from vison_etl.effects.nonlinearity.data import Floats, Integers, Mask

LEAST_REACH = 6
"""With fewer lags per axis the tail of the brighter-fatter effect cannot be told."""

LEAST_PAIRS = 6


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """P pairs of equal exposures of one channel.

    ``signal_adu``: mean above the frames without light, shape (P,). ``variance_adu2``: C_00, and the sum of C_ij over all measured lags of
    both signs, of one frame, shape (P, 2); ``covariance``: of the two, ADU⁴, (P, 2, 2). ``imbalance``: (m_1 - m_2) / (m_1 + m_2);
    ``spread``: rms of the illumination over the area, relative. ``level``: of the exposures.

    ``kernel_per_e``: a_00 as the covariances foretell it by the sum rule. ``sum_per_e``: sum of a_ij over the measured lags: that beyond
    them with its sign turned, and its error. ``noise_adu2``: variance of a pixel without light.
    """

    signal_adu: Floats
    variance_adu2: Floats
    covariance: Floats
    imbalance: Floats
    spread: Floats
    level: Integers
    kernel_per_e: float
    sum_per_e: float
    sum_per_e_err: float
    noise_adu2: float

    def __len__(self) -> int:
        """Return P."""
        return int(self.signal_adu.size)

    def __getitem__(self, chosen: Mask) -> PairSums:
        """Return the chosen pairs; what is common to all stays."""
        of_pairs = ("signal_adu", "variance_adu2", "covariance", "imbalance", "spread", "level")
        common = ("kernel_per_e", "sum_per_e", "sum_per_e_err", "noise_adu2")
        return PairSums(*(getattr(self, name)[chosen] for name in of_pairs), *(getattr(self, name) for name in common))


def sum_pairs(pairs: Pairs, background_adu: float, noise_adu2: float, level: Integers) -> PairSums | None:
    """Add up the covariances of each pair; None with fewer than 6 pairs, or fewer than 6 lags per axis.

    Parameters
    ----------
    pairs
        Covariances of P pairs.
    background_adu
        Mean level of the frames without light, above the offset, which the means of ``pairs`` hold.
    noise_adu2
        Variance of one pixel without light.
    level
        Level of each pair, shape (P,).
    """
    if len(pairs) < LEAST_PAIRS or pairs.reach < LEAST_REACH:
        return None
    signal = pairs.mean_adu - background_adu
    kernel, kernel_var, noise = _quadratic_parts(pairs, signal)
    times = multiplicity(pairs.reach)
    rule = sum_rule(kernel, np.diag(kernel_var.ravel()))
    inner = float(np.sum((times * kernel).ravel()[1:]))
    both = np.stack([pairs.covariance_adu2[:, 0, 0], np.sum(times * pairs.covariance_adu2, axis=(1, 2))], axis=1)
    return PairSums(
        signal_adu=signal,
        variance_adu2=both,
        covariance=_sampling(pairs, signal, kernel, noise),
        imbalance=pairs.imbalance,
        spread=pairs.spread_adu / pairs.mean_adu,
        level=level,
        kernel_per_e=-inner - rule.tail_per_e,
        sum_per_e=-rule.tail_per_e,
        sum_per_e_err=rule.tail_per_e_err,
        noise_adu2=noise_adu2,
    )


def _quadratic_parts(pairs: Pairs, signal: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit C_ij = a_ij F² + n_ij to the pairs, by weighted least squares; return a_ij, its variance and n_ij, shape (r, r).

    In ADU² against ADU, a_ij is per electron whatever the gain. What is of third order in the signal is left out: beyond the nearest
    neighbours it is small, because the a_ij add up to nothing. At (0, 0), where there are photons too, it means nothing.
    """
    axes = np.arange(pairs.reach) > 0
    copies = 1.0 + np.outer(axes, axes)
    weight = copies * pairs.n / pairs.covariance_adu2[:, :1, :1] ** 2
    square = signal[:, None, None] ** 2
    total = weight.sum(axis=0)
    middle = np.sum(weight * square, axis=0) / total
    values = np.sum(weight * pairs.covariance_adu2, axis=0) / total
    information = np.sum(weight * (square - middle) ** 2, axis=0)
    slope = np.sum(weight * (square - middle) * pairs.covariance_adu2, axis=0) / information
    return slope, 1.0 / information, values - slope * middle


def _sampling(pairs: Pairs, signal: Floats, kernel: Floats, noise: Floats) -> Floats:
    """Return the sampling covariance of variance and sum, (P, 2, 2), by Bartlett's formula over frequencies.

    A sum of sample covariances over lags is the mean over frequencies of the periodogram times D(k), the transform of the lags that are
    added: 1 for the variance, the Dirichlet kernel of the square for the sum. So cov = 2 mean over k of S(k)² D(k) D'(k) / n.
    """
    lags = kernel * signal[:, None, None] ** 2 + noise
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
