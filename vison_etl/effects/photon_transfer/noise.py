"""The noise where no light falls: what is known of the variance at zero signal before the curve is fitted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.photon_transfer.model import Floats, NoisePrior

_MAD_TO_SIGMA = 1.4826022185056018
_CLIP = 5.0


def noise_prior(
    pair: NDArray[np.int64], band: NDArray[np.int64], variance_adu2: Floats, variance_adu2_err: Floats, fraction: float
) -> NoisePrior | None:
    """Average the variances measured in the prescan and say how far they hold for pixels of the image.

    Tiles of the same rows of a pair share one measurement, which counts once. Values beyond 5 sigma of the median (of the robust
    scatter, where that is above the errors) are left out; the rest is averaged with the weights of the relative errors, which do
    not depend on how the variances fluctuated::

        sigma² = n00² (s² / sum w + fraction²),    w = 1 / relative_err²,    s = max(1, robust scatter)

    Parameters
    ----------
    pair, band
        Label of the pair and first row of each tile, shape (n,).
    variance_adu2, variance_adu2_err
        Variance of one frame in the prescan of its rows and error, ADU², shape (n,); NaN where not measured.
    fraction
        By how much the noise of image pixels at zero signal may differ from it, relative to the variance.

    Returns
    -------
    NoisePrior or None
        None where nothing was measured, or ``fraction`` is negative.
    """
    if fraction < 0.0:
        return None
    measured = (variance_adu2 > 0.0) & (variance_adu2_err > 0.0) & np.isfinite(variance_adu2 + variance_adu2_err)
    if not measured.any():
        return None
    _, first = np.unique(np.stack([pair[measured], band[measured]]), axis=1, return_index=True)
    variance = variance_adu2[measured][first]
    relative = variance_adu2_err[measured][first] / variance
    pulls = (variance / np.median(variance) - 1.0) / relative
    scatter = max(1.0, _MAD_TO_SIGMA * float(np.median(np.abs(pulls))))
    kept = np.abs(pulls) <= _CLIP * scatter
    weight = 1.0 / relative[kept] ** 2
    n00 = float(weight @ variance[kept] / weight.sum())
    return NoisePrior(n00, n00 * math.hypot(scatter / math.sqrt(weight.sum()), fraction))
