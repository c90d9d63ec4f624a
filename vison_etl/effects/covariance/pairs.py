"""Measured covariances of one channel, and the few signals at which the model has to be evaluated for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.covariance.model import Coefficients, Curves, Floats

Mask = NDArray[np.bool_]

_LIKE = 1.04
"""Pairs whose signals lie within this factor share a node."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Covariances of P pairs of one channel, all finite.

    Parameters
    ----------
    mean_adu
        Mean signal of both frames, shape (P,), above 0.
    imbalance
        (m_1 - m_2) / (m_1 + m_2), shape (P,).
    spread_adu
        Rms of the smooth illumination over the area averaged, shape (P,).
    covariance_adu2
        Covariance of one frame, (+i, +j) and (+i, -j) averaged, noise and quantisation included, shape (P, r, r).
    n
        Pairs of pixels of each lag (of one of the two signs), shape (P, r, r), above 0.
    difference_adu2
        Covariance at (+i, +j) minus that at (+i, -j), shape (P, r - 1, r - 1), lag (1, 1) first.
    """

    mean_adu: Floats
    imbalance: Floats
    spread_adu: Floats
    covariance_adu2: Floats
    n: Floats
    difference_adu2: Floats

    def __len__(self) -> int:
        """Return the number of pairs."""
        return int(self.mean_adu.size)

    def __getitem__(self, chosen: Mask | NDArray[np.int64]) -> Pairs:
        """Return the pairs chosen by a mask or by indices."""
        return Pairs(*(getattr(self, name)[chosen] for name in self.__slots__))

    @property
    def reach(self) -> int:
        """Return r, the number of lags per axis."""
        return int(self.n.shape[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Signals at which the model is evaluated: one for pairs of like signal.

    ``of_pair``: the node of each pair, shape (P,). ``mean_adu``: mean over its pairs, shape (L,). ``n``: pairs of pixels of all
    its pairs, shape (L, r²).
    """

    of_pair: NDArray[np.int64]
    mean_adu: Floats
    n: Floats

    def sums(self, values: Floats) -> Floats:
        """Add values (P, ...) over the pairs of each node, shape (L, ...)."""
        total = np.zeros((self.mean_adu.size, *values.shape[1:]))
        np.add.at(total, self.of_pair, values)
        return total


def nodes(pairs: Pairs) -> Nodes:
    """Group pairs in order of signal: a node takes those up to 4 % above its first."""
    order = np.argsort(pairs.mean_adu, kind="stable")
    of_pair = np.zeros(len(pairs), np.int64)
    first, label = 0.0, -1
    for index in order.tolist():
        if label < 0 or pairs.mean_adu[index] > _LIKE * first:
            first, label = float(pairs.mean_adu[index]), label + 1
        of_pair[index] = label
    counts = np.bincount(of_pair, minlength=label + 1)
    mean = np.bincount(of_pair, pairs.mean_adu, label + 1) / np.maximum(counts, 1)
    grouped = Nodes(of_pair, mean, np.zeros(0))
    return Nodes(of_pair, mean, grouped.sums(pairs.n.reshape(len(pairs), -1)))


def predicted_adu2(pairs: Pairs, grouped: Nodes, found: Curves, coefficients: Coefficients) -> Floats:
    """Return what the model says of each pair, ADU², shape (P, r²).

    From the node the signal of the pair is reached by a Taylor series of second order (third order: < 1e-6 of the variance at
    4 %). Signals spread over the area by s rms add s² C'' / 2: the mean of C is not C of the mean. Of the difference w_2 I_1 -
    w_1 I_2, w_i = m_i / m = 1 +- d, each frame has the covariance of its own signal::

        C = [w_2² C(m_1) + w_1² C(m_2)] / (2 w_1 w_2)
          = [(1 + d²) (C + n + d² m² C'' / 2) - 2 d² m C'] / (1 - d²)
    """
    gain, reach = coefficients.gain_e_per_adu, coefficients.reach
    signal = gain * pairs.mean_adu[:, None, None]
    delta = signal - gain * grouped.mean_adu[grouped.of_pair, None, None]
    spread = gain * pairs.spread_adu[:, None, None]
    curvature = found.curvature[grouped.of_pair]
    slope = found.slope[grouped.of_pair]
    value = found.value[grouped.of_pair] + delta * slope + 0.5 * (delta**2 + spread**2) * curvature
    slope = slope + delta * curvature
    d2 = pairs.imbalance[:, None, None] ** 2
    both = (1.0 + d2) * (value + coefficients.n_e2 + 0.5 * d2 * signal**2 * curvature) - 2.0 * d2 * signal * slope
    predicted: Floats = both / ((1.0 - d2) * gain**2)
    return predicted.reshape(len(pairs), reach**2)
