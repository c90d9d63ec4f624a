"""Mean covariances of the script columns and what a fit says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.covariance.model import Coefficients, Floats, curves
from vison_etl.effects.covariance.pairs import Mask, Pairs, nodes, predicted_adu2


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Means over the pairs of one script column, weighted with numbers of pixels: shape (r, r), ADU².

    ``model_adu2`` and ``residual_sigma`` ((measured - model) over the error that the model foretells) are NaN without a fit.
    ``is_used``: whether its pairs are those of the fit.
    """

    label: str | None
    mean_adu: float
    mean_adu_err: float
    covariance_adu2: Floats
    covariance_adu2_err: Floats
    model_adu2: Floats
    residual_sigma: Floats
    n_pairs: int
    is_used: bool


def level_means(
    pairs: Pairs,
    error_adu2: Floats,
    mean_adu_err: Floats,
    labels: NDArray[np.object_],
    used: Mask,
    coefficients: Coefficients | None,
) -> list[Level]:
    """Average the pairs of each label, in order of signal: the used ones, or all where none was used.

    Parameters
    ----------
    pairs, error_adu2, mean_adu_err
        Covariances, their measured errors (P, r, r), and the errors of the means (P,).
    labels
        Script column of each pair, shape (P,).
    used
        Pairs of the fit, shape (P,).
    coefficients
        What was fitted; None: nothing was.
    """
    if not len(pairs):
        return []
    model, sigma = _model(pairs, coefficients)
    levels = []
    for label in dict.fromkeys(labels.tolist()):
        here = labels == label
        is_used = bool((here & used).any())
        chosen = here & used if is_used else here
        n = pairs.n[chosen]
        weight = n / n.sum(axis=0)
        value = np.sum(weight * pairs.covariance_adu2[chosen], axis=0)
        expected = np.sum(weight * model[chosen], axis=0)
        foretold = np.sqrt(np.sum((weight * sigma[chosen]) ** 2, axis=0))
        count = int(np.count_nonzero(chosen))
        levels.append(
            Level(
                label=label,
                mean_adu=float(np.mean(pairs.mean_adu[chosen])),
                mean_adu_err=float(np.sqrt(np.sum(mean_adu_err[chosen] ** 2))) / count,
                covariance_adu2=value,
                covariance_adu2_err=np.sqrt(np.sum((weight * error_adu2[chosen]) ** 2, axis=0)),
                model_adu2=expected,
                residual_sigma=(value - expected) / foretold,
                n_pairs=count,
                is_used=is_used,
            )
        )
    return sorted(levels, key=lambda level: level.mean_adu)


def _model(pairs: Pairs, coefficients: Coefficients | None) -> tuple[Floats, Floats]:
    """Return model and foretold error of each pair, shape (P, r, r), NaN without a fit or where the model runs away."""
    shape = pairs.covariance_adu2.shape
    if coefficients is None:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    grouped, gain = nodes(pairs), coefficients.gain_e_per_adu
    with np.errstate(over="ignore", invalid="ignore"):
        found = curves(coefficients, gain * grouped.mean_adu)
        model = predicted_adu2(pairs, grouped, found, coefficients).reshape(shape)
        variance = np.diagonal(found.sampling, axis1=1, axis2=2)[grouped.of_pair].reshape(shape)
        return model, np.sqrt(variance / pairs.n) / gain**2
