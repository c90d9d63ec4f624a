"""Shapes that the tail of deferred charge may have over the overscan behind a flat field.

Behind a flat field the releases of all pixels add up: charge released after j pixels with weight w_j leaves in overscan pixel k the sum of w_j over
j >= k. An exponential release gives an exponential, several species of traps a stretched one; a release that ends after n pixels, one that ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Float = NDArray[np.float64]

STRETCH = (0.4, 2.5)
STRETCH_PRIOR = 0.3
"""Range of the exponent of a stretched exponential, and one sigma of its logarithm about 0, assumed where the data say less."""

SUMMED_PX = 400
"""Pixels over which a tail without end is summed."""

_FIRST_END = 5
_COARSE = {1: 12, 2: 6, 3: 5}
_LEAST_APART = 0.1


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of tail.

    Parameters
    ----------
    name
        ``exponential``: g_k = exp(-(k - 1) / tau), parameter (ln tau); ``stretched``: exp(-((k - 1) / tau)^alpha), (p, ln alpha), p the place of
        ln tau between the shortest and the longest release, 0 to 1; ``two_species``: (1 - f) exp(-(k - 1) / tau) + f exp(-(k - 1) / tau_2),
        (ln tau, q, f), q the place of ln tau_2 between tau and the longest release; ``ended``: (exp(-(k - 1) / tau) - exp(-n / tau)) over its
        value at k = 1, for k <= n: releases end after n pixels, (ln tau); ``cut``: exp(-(k - 1) / tau) for k <= n, (ln tau).
    low, high
        Range of the parameters, shape (P,).
    release_px
        Shortest and longest release. No part of a tail is longer: of a stretched one the mean, tau Gamma(1 + 1 / alpha), is not.
    end
        n; 0 for none.
    n_alike
        Families that are as probable as this one and count as one together.
    """

    name: str
    low: Float
    high: Float
    release_px: tuple[float, float]
    end: int = 0
    n_alike: int = 1

    @property
    def log_density(self) -> float:
        """Return ln of the prior density of the parameters, less half the penalty: even, but of ln alpha."""
        size = 1 if self.name == "stretched" else self.low.size
        even = -float(np.sum(np.log(self.high[:size] - self.low[:size]))) - float(np.log(self.n_alike))
        return even - (float(np.log(STRETCH_PRIOR * np.sqrt(2.0 * np.pi))) if self.name == "stretched" else 0.0)

    def assumed(self, points: Float) -> Float:
        """Return what is assumed of the parameters as residuals of unit variance, shape (S, A)."""
        return np.asarray(points[:, 1:] / STRETCH_PRIOR) if self.name == "stretched" else np.zeros((len(points), 0))

    def penalty(self, points: Float) -> Float:
        """Return -2 ln of what is assumed of the parameters, shape (S,)."""
        return np.asarray(np.sum(self.assumed(points) ** 2, axis=1))

    def coarse(self) -> Float:
        """Return parameters all over the range, shape (S, P)."""
        n = _COARSE[self.low.size]
        axes = [np.linspace(low, high, n) for low, high in zip(self.low, self.high, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.low.size)


def exponential(release_px: tuple[float, float]) -> Family:
    """Return the family of plain exponentials."""
    return Family("exponential", np.log(release_px[:1]), np.log(release_px[1:]), release_px)


def stretched(release_px: tuple[float, float]) -> Family:
    """Return the family of stretched and compressed exponentials."""
    low, high = np.log(STRETCH)
    return Family("stretched", np.array([0.0, low]), np.array([1.0, high]), release_px)


def two_species(release_px: tuple[float, float]) -> Family:
    """Return the family of sums of two exponentials."""
    low, high = np.log(release_px)
    return Family("two_species", np.array([low, _LEAST_APART, 0.0]), np.array([high, 1.0, 1.0]), release_px)


def ending(release_px: tuple[float, float], pixels: int) -> list[Family]:
    """Return the families of tails that end inside the overscan."""
    low, high = np.log(release_px[:1]), np.log(release_px[1:])
    kinds = [(name, end) for name in ("ended", "cut") for end in range(_FIRST_END, pixels)]
    return [Family(name, low, high, release_px, end, len(kinds)) for name, end in kinds]


def shapes(family: Family, points: Float, pixels: int = SUMMED_PX) -> Float:
    """Return g_k of pixels 1 ... K for S sets of parameters, shape (S, K); g_1 = 1."""
    k = np.arange(pixels)
    if family.name == "stretched":
        alpha = np.exp(points[:, 1:])
        low, high = np.log(family.release_px)
        longest = high - np.maximum(gammaln(1.0 + 1.0 / alpha), 0.0)
        return np.asarray(np.exp(-((k / np.exp(low + points[:, :1] * (longest - low))) ** alpha)))
    tau = np.exp(points[:, :1])
    if family.name == "two_species":
        slow, ratio = points[:, 2:], (family.release_px[1] / tau) ** points[:, 1:2]
        return np.asarray((1.0 - slow) * np.exp(-k / tau) + slow * np.exp(-k / (tau * ratio)))
    if family.name == "exponential":
        return np.asarray(np.exp(-k / tau))
    bottom = np.exp(-family.end / tau) if family.name == "ended" else 0.0
    g = (np.exp(-k / tau) - bottom) / (1.0 - bottom)
    return np.asarray(np.where(k < family.end, g, 0.0))


def sources(last: Float, pixels: int) -> Float:
    """Return how the tail behind unequal pixels follows from that behind a flat field, shape (K + J, K).

    What is released after m pixels is w_m = g_m - g_(m+1) of what a pixel holds. With the last pixels holding r_j of the level (j = 0: the last one),
    overscan pixel k gets

        g_k + sum over j of (g_(k+j) - g_(k+j+1)) (r_j - 1).

    Parameters
    ----------
    last
        r_j, shape (J,).
    """
    out = np.zeros((pixels + last.size, pixels))
    k = np.arange(pixels)
    out[k, k] = 1.0
    for j, excess in enumerate(last - 1.0):
        out[k + j, k] += excess
        out[k + j + 1, k] -= excess
    return out
