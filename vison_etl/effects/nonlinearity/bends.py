"""How freely responses bend: priors of their coefficients, and the errors that come with them.

The second differences of the coefficients are normal about zero: those of what channels have in common with one variance, those of what
each has of its own with another. The likeliest variances make the whole error smallest, and half of an error of it is then bias towards
a smoother curve. So the fit ends with variances 4 times larger: the bias is a quarter, the noise a fifth larger. With the precision P of
this prior and the posterior covariance V, noise makes V - V P V of the error, and bends b make the bias V P b; bends of the likeliest size
have the covariance P^-1 / 4. So the error is

    V - V P V + V P V / 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.nonlinearity.channel import Solved
from vison_etl.effects.nonlinearity.data import Floats
from vison_etl.effects.nonlinearity.response import Basis

_COEFFICIENT_PRIOR = 0.5
"""One sigma of the coefficients of f about 0: no chain bends by half."""

_START_BEND = 3e-3
_LEAST_BEND, _MOST_BEND = 1e-5, 0.1
_FREEDOM = 4.0


@dataclass(frozen=True, slots=True)
class Stiffness:
    """Inverse variances of the bends of f: of what is common, and of each channel about it."""

    common: float
    own: float

    def of_common(self, basis: Basis) -> Floats:
        """Return the precision of the common coefficients."""
        return self.common * basis.roughness + _weak(basis)

    def of_own(self, basis: Basis) -> Floats:
        """Return the precision of the coefficients of a channel about the common ones."""
        return self.own * basis.roughness + _weak(basis)


START = Stiffness(_START_BEND**-2, _START_BEND**-2)


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Step of the common coefficients, and covariance of all that is shared: lights, then common coefficients."""

    common_step: Floats
    covariance: Floats


def _weak(basis: Basis) -> Floats:
    return np.eye(basis.size) / _COEFFICIENT_PRIOR**2


def likelier(
    now: Stiffness,
    basis: Basis,
    common: Floats,
    coefficients: Sequence[Floats],
    solved: Sequence[Solved],
    shared: Shared,
) -> Stiffness:
    """Move the stiffnesses one step towards those of greatest likelihood (Wood & Fasiolo 2017)."""
    m = basis.size
    of_common = now.common
    if len(solved) > 1:
        of_common = _step(now.common, basis, [common], [shared.covariance[-m:, -m:]])
    differences = [own - common for own in coefficients]
    return Stiffness(of_common, _step(now.own, basis, differences, [_of_difference(own, shared) for own in solved]))


def softened(likeliest: Stiffness) -> Stiffness:
    """Return the stiffnesses of bends with 4 times the likeliest variance."""
    return Stiffness(likeliest.common / _FREEDOM, likeliest.own / _FREEDOM)


def _of_difference(own: Solved, shared: Shared) -> Floats:
    """Return the covariance of the coefficients of a channel about the common ones."""
    m = own.coefficients.shape[0]
    by_shared = -own.by_shared[-m:]
    by_shared[:, -m:] -= np.eye(m)
    return np.asarray(own.coefficients + by_shared @ shared.covariance @ by_shared.T)


def _step(stiffness: float, basis: Basis, values: Sequence[Floats], covariances: Sequence[Floats]) -> float:
    free = rough = 0.0
    for value, covariance in zip(values, covariances, strict=True):
        free += basis.size - 1 - stiffness * float(np.sum(covariance * basis.roughness))
        rough += float(value @ basis.roughness @ value)
    return float(np.clip(max(free, 1e-3) / max(rough, 1e-30), _MOST_BEND**-2, _LEAST_BEND**-2))


def covariances(softer: Stiffness, basis: Basis, solved: Sequence[Solved], shared: Shared) -> list[Floats]:
    """Return the covariance of the coefficients of each channel: noise, and the bias that bends of the likeliest size have.

    Parameters
    ----------
    softer
        Of the priors of the fit.
    solved, shared
        Own and shared parameters, from which the posterior covariance V of all coefficients is made.
    """
    m, n = basis.size, len(solved)
    rows = [-own.by_shared[-m:] for own in solved]
    rows.append(np.eye(shared.covariance.shape[0])[-m:])
    together = np.concatenate(rows)
    posterior = together @ shared.covariance @ together.T
    precision = np.zeros_like(posterior)
    of_own, last = softer.of_own(basis), slice(n * m, None)
    for i, own in enumerate(solved):
        mine = slice(i * m, (i + 1) * m)
        posterior[mine, mine] += own.coefficients
        precision[mine, mine] = of_own
        precision[mine, last] = precision[last, mine] = -of_own
    precision[last, last] = n * of_own + softer.of_common(basis)
    total = posterior - (1.0 - 1.0 / _FREEDOM) * posterior @ precision @ posterior
    return [0.5 * (block + block.T) for block in (total[i * m : (i + 1) * m, i * m : (i + 1) * m] for i in range(n))]
