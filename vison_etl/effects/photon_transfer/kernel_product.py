"""The kernels of a test as products, one per CCD: what images of any other test are corrected with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vison_etl.effects.covariance.kernel import kernels_of
from vison_etl.effects.covariance.kernel_file import QuadrantKernel, product_of, without_kernel
from vison_etl.effects.declare import Product
from vison_etl.effects.photon_transfer.covariances import ChannelCovariances
from vison_etl.effects.photon_transfer.inputs import Key


def kernel_products(channels: Mapping[Key, ChannelCovariances], reach: int) -> tuple[Product, ...]:
    """Return one product per CCD that has covariances; quadrants whose fit is not ``ok`` have no values in it.

    Parameters
    ----------
    channels
        Covariances of the twelve channels.
    reach
        Lags per axis of a quadrant without fit.
    """
    found: dict[str, dict[str, QuadrantKernel]] = {}
    for (ccd, quadrant), channel in channels.items():
        found.setdefault(ccd, {})[quadrant] = _kernel(channel, reach)
    return tuple(
        product_of(ccd, quadrants)
        for ccd, quadrants in found.items()
        if any(quadrant.status != "no_data" for quadrant in quadrants.values())
    )


def _kernel(found: ChannelCovariances, reach: int) -> QuadrantKernel:
    fit = found.chosen
    if fit.status != "ok":
        return without_kernel(reach, fit.status)
    kernels = kernels_of(fit)
    shape = kernels.value.values.shape
    return QuadrantKernel(
        kernel_per_e=kernels.value.values,
        kernel_per_e_err=kernels.value.errors,
        growth_per_e2=np.zeros(shape) if kernels.growth is None else kernels.growth.values,
        growth_per_e2_err=np.full(shape, np.nan) if kernels.growth is None else kernels.growth.errors,
        gain_e_per_adu=fit.coefficients.gain_e_per_adu,
        gain_e_per_adu_err=fit.errors.gain_e_per_adu,
        max_adu=float(found.measured.pairs.mean_adu[found.used].max()),
        status=fit.status,
    )
