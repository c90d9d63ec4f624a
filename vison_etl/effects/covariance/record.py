"""Records of fits of the covariance model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vison_etl.effects.covariance.mixing import NO_MIXING, Mixing
from vison_etl.effects.covariance.model import Coefficients, Floats
from vison_etl.effects.covariance.pairs import Mask

Status = Literal["ok", "bound", "failed", "no_data"]


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of the variance at zero signal beforehand: value and one-sigma error, ADU², quantisation included."""

    n00_adu2: float
    sigma_adu2: float


@dataclass(frozen=True, slots=True, eq=False)
class CovarianceFit:
    """A fit to P pairs with r lags per axis.

    Parameters
    ----------
    status
        ``ok``; ``bound``: 2 a00 g mu_max ended at a bound and was held there (a00 has no error); ``failed``; ``no_data``.
    coefficients
        NaN where there are none.
    covariance
        Of (gain, a (r²), c (r²), n (r²)), shape (1 + 3 r², 1 + 3 r²); zero for c where it was held at zero.
    c_is_free
        Whether c was fitted.
    chi2, dof
        Of the pairs, with the prior as one more datum.
    level_chi2, level_dof
        Of the means of pairs of like signal.
    variance_chi2, variance_dof
        Of their variances alone, against which gain, a00, c00 and n00 count. A response that is not linear shows there first, and is lost
        among the other lags.
    used
        Pairs of the fit among those given, shape (P,).
    residual_sigma
        Mean residual of each level and lag over its error, shape (L, r, r).
    level_mean_adu
        Mean signal of the levels, shape (L,).
    mixing
        What charge moves to the next pixel, estimated from what the fit leaves; in no other number. NaN at a bound.
    """

    status: Status
    coefficients: Coefficients
    covariance: Floats
    c_is_free: bool
    chi2: float
    dof: int
    level_chi2: float
    level_dof: int
    variance_chi2: float
    variance_dof: int
    used: Mask
    residual_sigma: Floats
    level_mean_adu: Floats
    mixing: Mixing = NO_MIXING

    @property
    def has_values(self) -> bool:
        """Tell whether there is a curve."""
        return self.status in {"ok", "bound"}

    @property
    def goodness(self) -> tuple[tuple[float, int], ...]:
        """Return chi-square and degrees of freedom of pairs, of levels and of their variances."""
        return (self.chi2, self.dof), (self.level_chi2, self.level_dof), (self.variance_chi2, self.variance_dof)

    @property
    def n_points(self) -> int:
        """Return the number of pairs used."""
        return int(np.count_nonzero(self.used))

    @property
    def n_outliers(self) -> int:
        """Return the number of pairs left out of a fit."""
        return int(np.count_nonzero(~self.used)) if self.has_values else 0

    @property
    def errors(self) -> Coefficients:
        """Return the one-sigma errors; those of c are NaN where it was held, that of a00 where it is at a bound."""
        with np.errstate(invalid="ignore"):
            sigma = np.sqrt(np.diag(self.covariance))
        a, c, n = sigma[1:].reshape(3, self.coefficients.reach, self.coefficients.reach)
        return Coefficients(float(sigma[0]), a, c if self.c_is_free else np.full_like(c, math.nan), n)


def no_fit(status: Status, n_pairs: int, reach: int, *, c_is_free: bool) -> CovarianceFit:
    """Return the record of a fit that gave nothing."""
    nan = math.nan
    none, size = np.full((reach, reach), nan), 1 + 3 * reach**2
    return CovarianceFit(
        status=status,
        coefficients=Coefficients(nan, none, none, none),
        covariance=np.full((size, size), nan),
        c_is_free=c_is_free,
        chi2=nan,
        dof=0,
        level_chi2=nan,
        level_dof=0,
        variance_chi2=nan,
        variance_dof=0,
        used=np.zeros(n_pairs, bool),
        residual_sigma=np.zeros((0, reach, reach)),
        level_mean_adu=np.zeros(0),
    )
