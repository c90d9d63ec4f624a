"""Which of the models counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vison_etl.effects.photon_transfer.goodness import describes
from vison_etl.effects.photon_transfer.model import Fit, Model

LevelChi2 = Mapping[Model, Sequence[tuple[float, int]]]
"""Chi-square and degrees of freedom of the levels, per model; the covariances have those of their variances too."""


def adopted_model(fits: Mapping[Model, Fit], level_chi2: LevelChi2, p_limit: float) -> Model:
    """Return the model that counts.

    1. ``covariance``, where covariances were measured, its status is ``ok`` and neither its chi2 nor that of its levels nor that of their
       variances is less probable than ``p_limit``;
    2. else ``exponential``, whatever became of it.

    The quadratic is never adopted: it is the biased method of old, kept for comparison.
    """
    covariance = fits.get("covariance")
    if covariance is None or covariance.status != "ok":
        return "exponential"
    return "covariance" if is_good("covariance", fits, level_chi2, p_limit) else "exponential"


def is_good(model: Model, fits: Mapping[Model, Fit], level_chi2: LevelChi2, p_limit: float) -> bool:
    """Tell whether a model has a curve that describes tiles or pairs, and levels."""
    fit = fits[model]
    return fit.has_values and describes([(fit.chi2, fit.dof), *level_chi2[model]], p_limit)
