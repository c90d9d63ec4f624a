"""Rows of ``covariances``, ``bfe_coefficients`` and ``covariance_fits``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vison_etl.effects.covariance.levels import Level, level_means
from vison_etl.effects.covariance.record import CovarianceFit
from vison_etl.effects.photon_transfer.covariances import ChannelCovariances, as_curve, conservation, symmetry
from vison_etl.effects.photon_transfer.inputs import Key

Row = dict[str, Any]


def levels_of(found: ChannelCovariances) -> list[Level]:
    """Return the mean covariances of the script columns of a channel with the model of the chosen fit."""
    frame = found.measured.frame
    return level_means(
        found.measured.pairs,
        found.measured.error_adu2,
        frame["mean_adu_err"].cast(float).to_numpy(),
        frame["script_column"].to_numpy().astype(object),
        found.used,
        found.chosen.coefficients if found.chosen.has_values else None,
    )


def covariance_rows(key: Key, levels: list[Level]) -> Iterator[Row]:
    """Yield one row per script column and lag."""
    for level in levels:
        for (i, j), value in np.ndenumerate(level.covariance_adu2):
            yield {
                "ccd": key[0],
                "quadrant": key[1],
                "script_column": level.label,
                "lag_x": i,
                "lag_y": j,
                "mean_adu": level.mean_adu,
                "mean_adu_err": level.mean_adu_err,
                "covariance_adu2": float(value),
                "covariance_adu2_err": float(level.covariance_adu2_err[i, j]),
                "n_pairs": level.n_pairs,
                "model_adu2": float(level.model_adu2[i, j]),
                "residual_sigma": float(level.residual_sigma[i, j]),
                "used": level.is_used,
            }


def coefficient_rows(key: Key, fit: CovarianceFit) -> Iterator[Row]:
    """Yield one row per lag; c is NULL where it was held at zero."""
    value, error = fit.coefficients, fit.errors
    for i, j in np.ndindex(value.reach, value.reach):
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            "lag_x": i,
            "lag_y": j,
            "a_per_e": float(value.a_per_e[i, j]),
            "a_per_e_err": float(error.a_per_e[i, j]),
            "c_per_e2": float(value.c_per_e2[i, j]) if fit.c_is_free else None,
            "c_per_e2_err": float(error.c_per_e2[i, j]),
            "noise_e2": float(value.n_e2[i, j]),
            "noise_e2_err": float(error.n_e2[i, j]),
            "status": fit.status,
            "n_points": fit.n_points,
        }


def fit_rows(key: Key, found: ChannelCovariances) -> Iterator[Row]:
    """Yield one row each for the fits with c free and with c = 0."""
    for variant, fit in (("c_free", found.free), ("c_zero", found.zero)):
        curve, sums = as_curve(fit, None), conservation(fit)
        symmetry_chi2, symmetry_dof = symmetry(found, fit)
        gain_err, a00_err, _ = curve.errors
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            "variant": variant,
            "is_chosen": fit is found.chosen,
            "gain_e_per_adu": curve.gain_e_per_adu,
            "gain_e_per_adu_err": gain_err,
            "a00_per_e": curve.a00_per_e,
            "a00_per_e_err": a00_err,
            "chi2": fit.chi2,
            "dof": fit.dof if fit.has_values else None,
            "level_chi2": fit.level_chi2,
            "level_dof": fit.level_dof if fit.has_values else None,
            "variance_chi2": fit.variance_chi2,
            "variance_dof": fit.variance_dof if fit.has_values else None,
            "symmetry_chi2": symmetry_chi2,
            "symmetry_dof": symmetry_dof or None,
            "a_inner_per_e": sums.inner_per_e,
            "a_inner_per_e_err": sums.inner_per_e_err,
            "a_tail_per_e": sums.tail_per_e,
            "a_tail_per_e_err": sums.tail_per_e_err,
            "a_total_per_e": sums.total_per_e,
            "a_total_per_e_err": sums.total_per_e_err,
            "tail_power": sums.power,
            "tail_power_err": sums.power_err,
            "tail_height_per_e": sums.height_per_e,
            "mixing_x_pct": 100.0 * fit.mixing.x,
            "mixing_x_pct_err": 100.0 * fit.mixing.x_err,
            "mixing_y_pct": 100.0 * fit.mixing.y,
            "mixing_y_pct_err": 100.0 * fit.mixing.y_err,
            "mixing_gain_bias_pct": 100.0 * fit.mixing.gain_bias,
            "mixing_gain_bias_pct_err": 100.0 * fit.mixing.gain_bias_err,
            "n_outliers": fit.n_outliers,
            "status": fit.status,
            "n_points": fit.n_points,
        }
