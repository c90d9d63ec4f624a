"""The rule by which errors are judged: pulls must be unbiased and as wide as they claim."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2


def assert_pulls(values: ArrayLike, errors: ArrayLike, truth: ArrayLike) -> None:
    """Assert that (value - truth) / error has mean 0 within 3.3/sqrt(N) and N rms² inside the central 99.9 % of chi2(N)."""
    pulls = (np.asarray(values, np.float64) - np.asarray(truth, np.float64)) / np.asarray(errors, np.float64)
    n = pulls.size
    assert np.isfinite(pulls).all()
    assert abs(pulls.mean()) < 3.3 / np.sqrt(n), f"mean pull {pulls.mean():.3f} of {n}"
    low, high = chi2.ppf([0.0005, 0.9995], n) / n
    assert low < np.mean(pulls**2) < high, f"rms² of {n} pulls {np.mean(pulls**2):.3f}, wanted {low:.3f} ... {high:.3f}"
