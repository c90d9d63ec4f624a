"""From covariances of pairs to kernel, boundary shifts, widths, spot growth and residuals of each channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from vison_etl.effects.brighter_fatter import rows
from vison_etl.effects.brighter_fatter.channel import Rules, analyse
from vison_etl.effects.brighter_fatter.corrected_levels import NO_KERNEL, correct_channel
from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag, Parameters
from vison_etl.effects.photon_transfer.channel import analyse_channel
from vison_etl.effects.photon_transfer.covariance_rows import coefficient_rows, covariance_rows, levels_of
from vison_etl.effects.photon_transfer.goodness import describes, p_value
from vison_etl.effects.photon_transfer.inputs import (
    Key,
    channels_of,
    empty_table,
    of_used_frames,
    rules_of,
    tiles_of_used_frames,
)
from vison_etl.effects.rows import result_frame

TABLES = (
    "covariances",
    "bfe_coefficients",
    "bfe_summary",
    "bfe_kernel",
    "bfe_boundaries",
    "bfe_widths",
    "bfe_spot_growth",
    "bfe_residuals",
    "bfe_corrected_ptc",
)


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Derive the brighter-fatter effect of each of the twelve channels.

    Pairs are chosen, and the covariance model is fitted to all script columns at once, as photon transfer does with the same parameters: the
    gain is that of this fit. A channel whose fit is not ``ok`` has a row of ``bfe_summary`` and ``bfe_widths`` that says so, and no others
    but its covariances and coefficients. Script columns of the fit none of whose pairs was corrected as pixels have rows of
    ``bfe_residuals``, method ``pixels``, without values after.

    Flags: BADFIT, channels whose fit failed, does not describe pairs or levels, or gives no boundaries; NO_PAIRS, channels without data;
    NO_KERNEL, channels with such script columns for want of a kernel; NOT_CORRECTED, for another reason.
    """
    tiles = tiles_of_used_frames(inputs)
    transfer, rules = rules_of(inputs.parameters), _rules(inputs.parameters)
    corrected = _corrected_rows(inputs)
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    missing: list[str] = []
    bad: list[str] = []
    states: dict[str, list[tuple[str | None, str]]] = {}
    for key, given in channels_of(inputs, tiles):
        covariances = analyse_channel(given, transfer).covariances
        fit, levels = covariances.chosen, levels_of(covariances)
        records["covariances"] += covariance_rows(key, levels)
        if levels:
            records["bfe_coefficients"] += coefficient_rows(key, fit)
        channel = pixels = None
        if fit.status == "ok":
            channel, mine = analyse(fit, levels, rules), corrected.filter(ccd=key[0], quadrant=key[1])
            pixels = correct_channel(mine, covariances.measured, fit, channel.kernels, levels, rules.residual_lags)
            states[_name(key)] = [(one.level.label, one.state) for one in pixels.levels if one.found is None]
        for name, found in rows.channel_rows(key, fit, channel, pixels, inputs.wavelength_nm).items():
            records[name] += found
        if fit.status == "no_data":
            missing.append(_name(key))
        elif channel is None:
            bad.append(f"{_name(key)}: {fit.status}")
        elif channel.boundaries.status != "ok":
            bad.append(f"{_name(key)}: boundaries {channel.boundaries.status}")
        elif not describes(fit.goodness, transfer.badfit_p):
            bad.append(f"{_name(key)}: chi2 {fit.chi2:.1f} for {fit.dof} dof, p = {p_value(fit.chi2, fit.dof):.1e}")
    return Calibrated(_frames(records), (*_flags(missing, bad), *_not_corrected(states)))


def _corrected_rows(inputs: CalibrationInput) -> pl.DataFrame:
    found = inputs.measured.get("corrected_covariances")
    return empty_table("corrected_covariances") if found is None else of_used_frames(inputs, found)


def _not_corrected(states: Mapping[str, list[tuple[str | None, str]]]) -> Iterator[Flag]:
    """Yield flags of channels with script columns of the fit none of whose pairs was corrected."""
    for name, is_kernel in (("NO_KERNEL", True), ("NOT_CORRECTED", False)):
        found = {
            channel: [f"{label} {state}" for label, state in rows if (state in NO_KERNEL) == is_kernel]
            for channel, rows in states.items()
        }
        worst = [f"{channel}: {', '.join(rows)}" for channel, rows in found.items() if rows]
        if worst:
            yield Flag(name, len(worst), "; ".join(worst))


def _frames(records: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {name: result_frame(name, found) for name, found in records.items()}


def _flags(missing: list[str], bad: list[str]) -> list[Flag]:
    flags = [Flag("NO_PAIRS", len(missing), ", ".join(missing))] if missing else []
    return flags + ([Flag("BADFIT", len(bad), "; ".join(bad))] if bad else [])


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"


def _rules(parameters: Parameters) -> Rules:
    low, high, step = (float(parameters[f"spot_sigma_{end}_px"]) for end in ("min", "max", "step"))
    count = round((high - low) / step) + 1
    return Rules(
        model_error=float(parameters["closure_model_error"]),
        at_adu=float(parameters["width_at_adu"]),
        residual_lags=int(parameters["residual_lags"]),
        spot_sigmas_px=tuple(np.round(low + step * np.arange(count), 6).tolist()),
    )
