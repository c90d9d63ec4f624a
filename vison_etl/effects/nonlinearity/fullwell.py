"""Full well of each channel from the parallel overscan of the same frames, for the table ``nonlinearity``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from vison_etl.effects.declare import CalibrationInput, Flag
from vison_etl.effects.edge_response.calibrate import parallel_knee
from vison_etl.effects.edge_response.levels import edges_of
from vison_etl.effects.nonlinearity.arrays import Key

_NO_PROFILES = "no profile of the parallel overscan"
_REASONS = {"bound": "no charge is left behind at any signal", "no_data": "too few signals"}


def full_wells(inputs: CalibrationInput) -> tuple[dict[Key, dict[str, Any]], dict[Key, str]]:
    """Return the columns ``full_well_*`` by channel, and for the others why there is none."""
    found: dict[Key, dict[str, Any]] = {}
    reasons: dict[Key, str] = {}
    profiles = inputs.measured.get("edge_profiles")
    if profiles is None or profiles.is_empty():
        return found, reasons
    gains = {} if inputs.gain is None else {(r["ccd"], r["quadrant"]): r for r in inputs.gain.iter_rows(named=True)}
    mine = profiles.filter(direction="parallel", edge="trailing")
    for (ccd, quadrant), rows in mine.group_by("ccd", "quadrant", maintain_order=True):
        key = (str(ccd), str(quadrant))
        knee = parallel_knee(edges_of(rows, inputs.exposures.filter(ccd=ccd)), inputs.parameters)
        if knee.value is None or knee.error is None:
            reasons[key] = _REASONS.get(knee.status, knee.status)
            continue
        found[key] = {"full_well_adu": knee.value, "full_well_adu_err": knee.error}
        found[key] |= _electrons(knee.value, knee.error, gains.get(key))
    return found, reasons


def _electrons(value: float, error: float, gain: Mapping[str, Any] | None) -> dict[str, float]:
    if gain is None:
        return {}
    per_adu, per_adu_err = gain["gain_e_per_adu"], gain["gain_e_per_adu_err"] or 0.0
    return {
        "full_well_e": value * per_adu,
        "full_well_e_err": float(np.hypot(error * per_adu, value * per_adu_err)),
    }


def missing(rows: list[dict[str, Any]], reasons: Mapping[Key, str], gain: pl.DataFrame | None) -> Iterator[Flag]:
    """Yield the flags of channels without a full well, and of those that have it in ADU alone."""
    none = [(row["ccd"], row["quadrant"]) for row in rows if row.get("full_well_adu") is None]
    if none:
        said = sorted({reasons.get(key, _NO_PROFILES) for key in none})
        yield Flag("NO_FULL_WELL", len(none), f"{', '.join(f'{c} {q}' for c, q in none)}: {'; '.join(said)}")
    bare = [row for row in rows if row.get("full_well_adu") is not None and row.get("full_well_e") is None]
    if bare:
        names = ", ".join(f"{row['ccd']} {row['quadrant']}" for row in bare)
        yield Flag("NO_GAIN", len(bare), names if gain is not None else f"{names}: no run gives one")
