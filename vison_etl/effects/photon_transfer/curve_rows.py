"""Rows of ``gain`` and ``ptc_points``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from vison_etl.effects.photon_transfer.bracket import Turnoff
from vison_etl.effects.photon_transfer.channel import Channel
from vison_etl.effects.photon_transfer.inputs import Key
from vison_etl.effects.photon_transfer.model import Fit, noise_e


def gain_rows(key: Key, channel: Channel, wavelength_nm: float | None) -> Iterator[dict[str, Any]]:
    """Yield one row per model."""
    for model, fit in channel.fits.items():
        level, level_dof = channel.level_chi2[model][0]
        noise, noise_err = noise_e(fit)
        gain_err, a00_err, n00_err = fit.errors
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            "model": model,
            "wavelength_nm": wavelength_nm,
            "gain_e_per_adu": fit.gain_e_per_adu,
            "gain_e_per_adu_err": gain_err,
            "a00_per_e": fit.a00_per_e,
            "a00_per_e_err": a00_err,
            "noise_e": noise,
            "noise_e_err": noise_err,
            "n00_adu2": fit.n00_adu2,
            "n00_adu2_err": n00_err,
            "chi2": fit.chi2,
            "dof": fit.dof if fit.has_values else None,
            "level_chi2": level,
            "level_dof": level_dof or None,
            **_turnoff_columns(channel.turnoff, fit),
            "is_adopted": model == channel.adopted,
            "n_outliers": fit.n_outliers,
            "fit_max_adu": channel.fit_max_adu[model],
            "status": fit.status,
            "n_points": fit.n_points,
        }


def point_rows(key: Key, channel: Channel, names: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one row per pair; ``names`` has exposures and script column of each."""
    for pair in channel.pairs:
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            **names[pair.pair],
            "mean_adu": pair.mean_adu,
            "mean_adu_err": pair.mean_adu_err,
            "variance_adu2": pair.variance_adu2,
            "variance_adu2_err": pair.variance_adu2_err,
            "used": pair.n_tiles_used > 0,
            "reject_reason": pair.reject_reason,
            "n_tiles": pair.n_tiles,
            "n_tiles_used": pair.n_tiles_used,
        }


def _turnoff_columns(turnoff: Turnoff, fit: Fit) -> dict[str, float]:
    gain, gain_err = fit.gain_e_per_adu, fit.errors[0]
    return {
        "turnoff_adu": turnoff.value_adu,
        "turnoff_adu_err": turnoff.value_adu_err,
        "turnoff_lower_adu": turnoff.lower_adu,
        "turnoff_upper_adu": turnoff.upper_adu,
        "turnoff_e": gain * turnoff.value_adu,
        "turnoff_e_err": math.hypot(gain * turnoff.value_adu_err, gain_err * turnoff.value_adu),
    }
