"""From measured variances of the response to the tables ``prnu`` and ``prnu_scales``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag
from vison_etl.effects.flat_field.model import fluence_in_electrons, percent_of, smoothing_of
from vison_etl.effects.rows import result_frame

_CHANNEL = ("ccd", "quadrant")
_SMOOTHING = {
    "bfe_bias_pct": "bias_pct",
    "bfe_bias_pct_err": "bias_pct_err",
    "prnu_static_pct": "static_pct",
    "prnu_static_pct_err": "static_pct_err",
}
_Row = Mapping[str, Any]


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Turn variances into per cent and fluence into electrons.

    Status of ``prnu``: ``ok``; ``failed`` where the variance is not positive (NULL in per cent, the variance stays); ``no_data`` without
    light or usable pixels. Excluded channels have no rows.

    ``flat_ratio`` has rows where there was a flat of another wavelength to compare with; status ``failed`` where the variance of the
    ratio is not positive, ``no_data`` where too few blocks were left.

    Flags: NO_BIAS, NO_MASK (channels measured without), NO_REFERENCE (channels not compared; not raised at ``reference_nm`` itself,
    nor where the wavelength is unknown), NO_GAIN (channels whose fluence is in ADU only), NO_WAVELENGTH (the wavelength of the
    light is unknown), POORQUALDATA (channels without a value).
    """
    used = inputs.statistics.select(_CHANNEL).unique()
    found = _of(inputs, "flat_response", used)
    gains = {} if inputs.gain is None else {row[:2]: row[2:] for row in _gain_rows(inputs.gain)}
    rows = [_prnu_row(row, inputs.wavelength_nm, gains) for row in found]
    levels = {(row["ccd"], row["quadrant"], row["script_column"]): row["fluence_adu"] for row in found}
    scales = list(_scale_rows(_of(inputs, "flat_scales", used), inputs.wavelength_nm, levels))
    tables = {
        "prnu": result_frame("prnu", rows),
        "prnu_scales": result_frame("prnu_scales", scales),
        "flat_ratio": result_frame("flat_ratio", _ratio_rows(found, inputs.wavelength_nm)),
    }
    needs_reference = inputs.wavelength_nm not in {None, float(inputs.parameters["reference_nm"])}
    return Calibrated(tables, tuple(_flags(found, rows, needs_reference=needs_reference)))


def _of(inputs: CalibrationInput, name: str, used: pl.DataFrame) -> list[dict[str, Any]]:
    frame = inputs.measured[name].join(used, on=_CHANNEL, how="semi", maintain_order="left")
    keys = ["script_column", *_CHANNEL, *(["scale"] if name == "flat_scales" else [])]
    return frame.sort(keys).to_dicts()


def _gain_rows(gain: pl.DataFrame) -> list[tuple[Any, ...]]:
    return gain.select(*_CHANNEL, "gain_e_per_adu", "gain_e_per_adu_err", "a00_per_e", "a00_per_e_err").rows()


def _prnu_row(row: _Row, wavelength_nm: float | None, gains: Mapping[Any, tuple[Any, ...]]) -> dict[str, Any]:
    variance, total = row["variance"], row["total_variance"]
    value, error = percent_of(variance, row["variance_err"])
    gain = gains.get((row["ccd"], row["quadrant"]), (None, None, None, None))
    fluence_e, fluence_e_err = fluence_in_electrons(row["fluence_adu"], row["fluence_adu_err"], *gain[:2])
    smoothing = smoothing_of(value, error, fluence_e, *gain[2:])
    same = ("ccd", "quadrant", "script_column", "fluence_adu", "fluence_adu_err", "source_rms_pct", "step")
    counts = ("n_frames", "n_clipped", "n_columns", "n_low_response", "n_high_response", "n_dead", "n_masked")
    return {name: row[name] for name in (*same, "illumination_rms_pct", *counts)} | {
        "wavelength_nm": wavelength_nm,
        "fluence_e": fluence_e,
        "fluence_e_err": fluence_e_err,
        "prnu_pct": value,
        "prnu_pct_err": error,
        **{name: getattr(smoothing, field, None) for name, field in _SMOOTHING.items()},
        "prnu_variance": variance,
        "prnu_variance_err": row["variance_err"],
        "master_rms_pct": percent_of(total)[0],
        "noise_pct": None if total is None or variance is None else percent_of(total - variance)[0],
        "expected_noise_pct": percent_of(row["expected_noise_variance"])[0],
        "status": "ok" if value is not None else "failed" if variance is not None else "no_data",
        "n_points": row["n_pixels"],
    }


def _scale_rows(
    rows: list[dict[str, Any]], wavelength_nm: float | None, levels: Mapping[Any, float | None]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        value, error = percent_of(row["variance"], row["variance_err"])
        yield {name: row[name] for name in ("ccd", "quadrant", "script_column", "scale_lo_px", "scale_hi_px")} | {
            "wavelength_nm": wavelength_nm,
            "fluence_adu": levels.get((row["ccd"], row["quadrant"], row["script_column"])),
            "prnu_pct": value,
            "prnu_pct_err": error,
            "prnu_variance": row["variance"],
            "prnu_variance_err": row["variance_err"],
        }


def _ratio_rows(found: list[dict[str, Any]], wavelength_nm: float | None) -> Iterator[dict[str, Any]]:
    """Yield a row for every channel that was compared with a flat of another wavelength."""
    same = ("ccd", "quadrant", "script_column", "fluence_adu", "correlation", "correlation_err")
    theirs = ("reference_wavelength_nm", "reference_fluence_adu", "ratio_variance", "ratio_variance_err")
    for row in found:
        if row["n_shared"] is None:
            continue
        value, error = percent_of(row["ratio_variance"], row["ratio_variance_err"])
        status = "ok" if value is not None else "failed" if row["ratio_variance"] is not None else "no_data"
        yield {name: row[name] for name in (*same, *theirs)} | {
            "wavelength_nm": wavelength_nm,
            "ratio_rms_pct": value,
            "ratio_rms_pct_err": error,
            "status": status,
            "n_points": row["n_shared"],
        }


def _flags(found: list[dict[str, Any]], rows: list[dict[str, Any]], *, needs_reference: bool) -> Iterator[Flag]:
    concerned = {
        "NO_BIAS": [row for row in found if not row["bias_subtracted"]],
        "NO_MASK": [row for row in found if not row["mask_applied"]],
        "NO_REFERENCE": [row for row in found if needs_reference and row["n_shared"] is None],
        "NO_GAIN": [row for row in rows if row["fluence_adu"] is not None and row["fluence_e"] is None],
        "NO_WAVELENGTH": [row for row in rows if row["wavelength_nm"] is None],
        "POORQUALDATA": [row for row in rows if row["status"] != "ok"],
    }
    for name, those in concerned.items():
        channels = sorted({(row["ccd"], row["quadrant"]) for row in those})
        if channels:
            yield Flag(name, len(channels), ", ".join(f"{ccd} {quadrant}" for ccd, quadrant in channels))
