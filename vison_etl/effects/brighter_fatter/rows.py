"""Rows of the tables of one channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vison_etl.effects.brighter_fatter.channel import Channel, axis_ratio
from vison_etl.effects.brighter_fatter.corrected_levels import CorrectedChannel
from vison_etl.effects.brighter_fatter.residuals import Residuals
from vison_etl.effects.covariance.levels import Level
from vison_etl.effects.covariance.record import CovarianceFit

Row = dict[str, Any]


def channel_rows(
    key: tuple[str, str],
    fit: CovarianceFit,
    channel: Channel | None,
    pixels: CorrectedChannel | None,
    wavelength_nm: float | None,
) -> dict[str, list[Row]]:
    """Return the rows by table; a channel without result has one row each of ``bfe_summary`` and ``bfe_widths``."""
    name = {"ccd": key[0], "quadrant": key[1]}
    known = {**name, "status": fit.status, "n_points": fit.n_points}
    tables: dict[str, list[Row]] = {
        "bfe_summary": [{**known, "wavelength_nm": wavelength_nm, **_summary(fit, channel)}],
        "bfe_widths": [{**known, **_widths(channel)}],
    }
    if channel is not None:
        tables["bfe_kernel"] = list(_kernel(name, channel))
        tables["bfe_boundaries"] = [{**row, "n_points": fit.n_points} for row in _boundaries(name, channel)]
        tables["bfe_spot_growth"] = list(_spots(name, channel))
        tables["bfe_residuals"] = list(_residuals(name, fit, channel))
    if pixels is not None:
        tables["bfe_residuals"] += _corrected(name, fit, pixels)
        tables["bfe_corrected_ptc"] = [{**name, **_lines(fit, pixels)}]
    return tables


def _summary(fit: CovarianceFit, channel: Channel | None) -> Row:
    if channel is None:
        return {}
    a, errors, walls = channel.a, channel.a.errors, channel.boundaries
    ratio, ratio_err = axis_ratio(a)
    total, total_err = a.total
    return {
        "gain_e_per_adu": fit.coefficients.gain_e_per_adu,
        "gain_e_per_adu_err": fit.errors.gain_e_per_adu,
        "a00_per_e": float(a.values[0, 0]),
        "a00_per_e_err": float(errors[0, 0]),
        "a10_per_e": float(a.values[1, 0]),
        "a10_per_e_err": float(errors[1, 0]),
        "a01_per_e": float(a.values[0, 1]),
        "a01_per_e_err": float(errors[0, 1]),
        "axis_ratio": ratio,
        "axis_ratio_err": ratio_err,
        "sum_a_per_e": total,
        "sum_a_per_e_err": total_err,
        "closure_amplitude_px_per_e": walls.smooth[0],
        "closure_rate_per_px": walls.smooth[1],
        "boundary_chi2": walls.chi2,
        "boundary_status": walls.status,
    }


def _widths(channel: Channel | None) -> Row:
    """Return the widths; where the boundaries failed, or a wall moves away from its charge, so did they."""
    if channel is None:
        return {}
    if channel.widths is None:
        return {"status": "failed"}
    found = channel.widths
    names = (
        "fwhm_x_um",
        "fwhm_y_um",
        "fwhm_x_slope_um_per_10kadu",
        "fwhm_y_slope_um_per_10kadu",
        "ellipticity",
    )
    values = (found.fwhm_x_um, found.fwhm_y_um, found.slope_x, found.slope_y, found.ellipticity)
    if not np.isfinite(values).all():
        return {"status": "failed"}
    row: Row = dict(zip(names, values, strict=True))
    return row | {f"{name}_err": error for name, error in zip(names, found.errors, strict=True)}


def _kernel(name: Row, channel: Channel) -> Iterator[Row]:
    value, growth = channel.kernels.value, channel.kernels.growth
    errors = value.errors
    growth_errors = None if growth is None else growth.errors
    for i, j in np.ndindex(errors.shape):
        row = {
            **name,
            "lag_x": i,
            "lag_y": j,
            "kernel_per_e": float(value.values[i, j]),
            "kernel_per_e_err": float(errors[i, j]),
        }
        if growth is not None and growth_errors is not None:
            row["kernel_growth_per_e2"] = float(growth.values[i, j])
            row["kernel_growth_per_e2_err"] = float(growth_errors[i, j])
        yield row


def _boundaries(name: Row, channel: Channel) -> Iterator[Row]:
    walls = channel.boundaries
    for i, j in np.ndindex(walls.north.shape):
        yield {
            **name,
            "lag_x": i,
            "lag_y": j,
            "method": "g15",
            "shift_north_px_per_e": float(walls.north[i, j]),
            "shift_north_px_per_e_err": float(walls.north_err[i, j]),
            "shift_east_px_per_e": float(walls.east[i, j]),
            "shift_east_px_per_e_err": float(walls.east_err[i, j]),
            "status": walls.status,
        }


def _spots(name: Row, channel: Channel) -> Iterator[Row]:
    for spot in channel.spots:
        yield {
            **name,
            "spot_sigma_px": spot.sigma_px,
            "fwhm_x_growth_px_per_e": spot.x,
            "fwhm_x_growth_px_per_e_err": spot.x_err,
            "fwhm_y_growth_px_per_e": spot.y,
            "fwhm_y_growth_px_per_e_err": spot.y_err,
        }


def _residuals(name: Row, fit: CovarianceFit, channel: Channel) -> Iterator[Row]:
    for level, method, found in channel.levels:
        yield from _of_level(name, fit, level, method, found)


def _corrected(name: Row, fit: CovarianceFit, pixels: CorrectedChannel) -> Iterator[Row]:
    """Yield the rows of what was corrected as pixels; script columns without have the lag (0, 0) and no values."""
    for one in pixels.levels:
        if one.found is None:
            row = {"script_column": one.level.label, "method": "pixels", "lag_x": 0, "lag_y": 0, "n_pairs": 0}
            yield {**name, **row, "mean_adu": one.level.mean_adu, "mean_adu_err": one.level.mean_adu_err}
        else:
            yield from _of_level(name, fit, one.level, "pixels", one.found)


def _of_level(name: Row, fit: CovarianceFit, level: Level, method: str, found: Residuals) -> Iterator[Row]:
    per_adu2 = fit.coefficients.gain_e_per_adu**-2
    for i, j in np.ndindex(found.after.shape):
        yield {
            **name,
            "script_column": level.label,
            "method": method,
            "lag_x": i,
            "lag_y": j,
            "mean_adu": level.mean_adu,
            "mean_adu_err": level.mean_adu_err,
            "covariance_before_adu2": per_adu2 * float(found.before[i, j]),
            "covariance_before_adu2_err": per_adu2 * float(found.before_err[i, j]),
            "covariance_after_adu2": per_adu2 * float(found.after[i, j]),
            "covariance_after_adu2_err": per_adu2 * float(found.after_err[i, j]),
            "expected_after_adu2": per_adu2 * float(found.expected[i, j]),
            "n_pairs": level.n_pairs,
        }


def _lines(fit: CovarianceFit, pixels: CorrectedChannel) -> Row:
    """Return the straight lines before and after the correction."""
    before, after, gain = pixels.before, pixels.after, fit.coefficients.gain_e_per_adu
    return {
        "gain_e_per_adu": after.gain_e_per_adu,
        "gain_e_per_adu_err": after.gain_e_per_adu_err,
        "intercept_adu2": after.intercept_adu2,
        "intercept_adu2_err": after.intercept_adu2_err,
        "difference_e_per_adu": after.gain_e_per_adu - gain,
        "difference_e_per_adu_err": after.difference_err,
        "chi2": after.chi2,
        "before_gain_e_per_adu": before.gain_e_per_adu,
        "before_gain_e_per_adu_err": before.gain_e_per_adu_err,
        "before_chi2": before.chi2,
        "dof": after.n_points - 2 if after.status == "ok" else None,
        "status": after.status,
        "n_points": after.n_points,
    }
