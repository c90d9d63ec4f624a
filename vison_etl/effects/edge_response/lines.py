"""What the overscan holds at each fluence, as functions of signal: intercept, part linear in signal, part that is not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

Float = NDArray[np.float64]

POWERS = (1.0, 0.5, 0.75)
"""Powers of the signal: deferred charge is a constant fraction of it, or a fraction that falls; two powers give any fall between them."""

STRAIGHT = 1.0

_BAD_FIT = 1e-3
_SAME = 0.02
_LEAST_STRUCTURE_ADU = 1e-6


@dataclass(frozen=True, slots=True)
class Overscan:
    """Overscan of one channel in one direction.

    Parameters
    ----------
    level
        Level of the last image pixels above the base, ADU, shape (J,); 0 for frames without light.
    signal, error
        Overscan pixels above the base, ADU, and their errors independent of each other, shape (J, K); pixel 1 first. A number common to
        all pixels of a fluence may be wrong by any amount: it is not used.
    transfers
        Pixel transfers that the last image pixel makes.
    last
        Response of the last image pixels relative to the level, that before the edge first, shape (any,).
    """

    level: Float
    signal: Float
    error: Float
    transfers: int
    last: Float = field(default_factory=lambda: np.ones(1))


@dataclass(frozen=True, slots=True)
class Lines:
    """Coefficients of the pixels against signal, relative to the mean of the pixels of the second half of the overscan.

    Parameters
    ----------
    powers
        Powers of u = level / reference, shape (M,); the first is 1.
    value, covariance
        ADU at u = 1, shapes (K, M) and (K, M, M).
    prior_weight, prior_error
        Weight and width, ADU, of what is assumed of the intercepts, shape (K,).
    weights
        ``intercept_k = sum_j weights_kj signal_jk``, shape (K, J); zero for fluences left out.
    chi2, dof
        Of all pixels together. Errors are multiplied by sqrt(chi2 / dof) where the probability is below 0.001.
    scale
        That factor, 1 otherwise.
    """

    powers: tuple[float, ...]
    reference: float
    value: Float
    covariance: Float
    weights: Float
    prior_weight: Float
    prior_error: Float
    chi2: float
    dof: int
    scale: float


def intercepts(lines: Lines, signal: Float) -> Float:
    """Return the signal of each pixel without light, relative like the rest, shape (K,)."""
    return np.asarray(np.einsum("kj,jk->k", lines.weights, relative(signal)))


def relative(signal: Float) -> Float:
    """Return signals less the mean of the second half of the overscan of the same fluence."""
    half = signal.shape[1] // 2
    return np.asarray(signal - signal[:, half:].mean(axis=1, keepdims=True))


def curves(overscan: Overscan, used: NDArray[np.bool_]) -> Lines | None:
    """Describe each overscan pixel as intercept + sum_m c_m u^p_m over the fluences used.

    The intercepts of all pixels are drawn from one distribution: the structure of the offset does not know where the image ends. Its
    width is measured on the second half of the overscan. With three fluences p = 1 and 1/2, with four also 3/4, with two only p = 1. None for
    less than two fluences. Fluences that differ by less than 2 % of the highest count as one.
    """
    n = _distinct(overscan.level[used])
    if n < 2:
        return None
    structure = _structure(overscan, used)
    return of_powers(overscan, used, POWERS[: min(n - 1, len(POWERS))], structure)


def _distinct(level: Float) -> int:
    """Return how many levels there are that differ by more than 2 % of the highest."""
    if level.size == 0:
        return 0
    return 1 + int(np.sum(np.diff(np.sort(level)) > _SAME * level.max())) if level.max() > 0 else 1


def _structure(overscan: Overscan, used: NDArray[np.bool_]) -> float:
    """Return the rms of the intercepts of the second half of the overscan, ADU: of the fit of a straight line."""
    half = overscan.signal.shape[1] // 2
    error = overscan.error[used][:, half:]
    weights = 1.0 / np.mean(error, axis=1) ** 2
    u = overscan.level[used]
    design = np.stack([np.ones_like(u), u], axis=1)
    normal = np.linalg.inv(design.T @ (weights[:, None] * design))
    found = (normal @ (design.T * weights) @ relative(overscan.signal[used])[:, half:])[0]
    return max(float(np.sqrt(np.sum(found**2) / (found.size - 1))), _LEAST_STRUCTURE_ADU)


def of_powers(
    overscan: Overscan, used: NDArray[np.bool_], powers: tuple[float, ...], structure: float = np.inf
) -> Lines:
    """Fit the coefficients of given powers by weighted least squares, pixel by pixel; ``structure``: rms of the intercepts, ADU."""
    level, error = overscan.level[used], overscan.error[used]
    signal = relative(overscan.signal[used])
    reference = float(level.max())
    u = np.maximum(level, 0.0) / reference
    design = np.stack([np.ones_like(u), *(u**p for p in powers)], axis=1)
    whitened = design[None] / error.T[:, :, None]
    normal = np.swapaxes(whitened, 1, 2) @ whitened
    normal[:, 0, 0] += structure**-2
    inverse: Float = np.linalg.inv(normal).astype(np.float64)
    to_coefficients = inverse @ np.swapaxes(whitened, 1, 2) / error.T[:, None, :]
    value = np.einsum("kmj,jk->km", to_coefficients, signal)
    residual = (signal - (value @ design.T).T) / error
    # what all pixels of a fluence share is no misfit
    residual -= residual.mean(axis=1, keepdims=True)
    dof = (level.size - design.shape[1] + bool(np.isfinite(structure))) * (signal.shape[1] - 1)
    chi2 = float(np.sum(residual**2)) + float(np.sum((value[:, 0] / structure) ** 2))
    scale = scale_of(chi2, dof)
    weights = np.zeros((signal.shape[1], used.size))
    weights[:, used] = to_coefficients[:, 0]
    prior = inverse[:, 0, 0] * structure**-2
    covariance = scale**2 * inverse[:, 1:, 1:]
    return Lines(
        powers, reference, value[:, 1:], covariance, weights, prior, np.full(prior.size, structure), chi2, dof, scale
    )


def scale_of(chi2: float, dof: int) -> float:
    """Return the factor on errors: sqrt(chi2 / dof) where that is improbable, else 1."""
    return float(np.sqrt(chi2 / dof)) if dof > 0 and chdtrc(dof, chi2) < _BAD_FIT else 1.0
