from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vison_etl.effects.photon_transfer.adoption import adopted_model
from vison_etl.effects.photon_transfer.model import Fit, Status, no_fit

GOOD = {
    "covariance": [(400.0, 405), (5.0, 5)],
    "exponential": [(5.0, 5)],
    "quadratic": [(math.nan, 0)],
}


def fit_of(model: str, status: Status = "ok", chi2: float = 1000.0) -> Fit:
    return Fit(model, status, 3.5, -1e-6, 1.6, np.eye(3), chi2, 1000, np.ones(40, bool))  # type: ignore[arg-type]


FITS = {model: fit_of(model) for model in ("covariance", "exponential", "quadratic")}


def test_the_covariance_fit_counts_where_it_is_good() -> None:
    assert adopted_model(FITS, GOOD, 1e-4) == "covariance"


@pytest.mark.parametrize("status", ["bound", "failed", "no_data"])
def test_only_with_status_ok(status: Status) -> None:
    fits = {**FITS, "covariance": replace(FITS["covariance"], status=status)}
    assert adopted_model(fits, GOOD, 1e-4) == "exponential"


def test_only_if_it_describes_pairs_and_levels() -> None:
    assert adopted_model({**FITS, "covariance": fit_of("covariance", chi2=1300.0)}, GOOD, 1e-4) == "exponential"
    assert adopted_model(FITS, {**GOOD, "covariance": [(600.0, 405), (5.0, 5)]}, 1e-4) == "exponential"
    assert adopted_model(FITS, {**GOOD, "covariance": [(400.0, 405), (50.0, 5)]}, 1e-4) == "exponential"


def test_else_the_exponential_whatever_became_of_it_and_never_the_quadratic() -> None:
    failed = {"exponential": no_fit("exponential", "failed", 10), "quadratic": FITS["quadratic"]}
    assert adopted_model(failed, GOOD, 1e-4) == "exponential"
