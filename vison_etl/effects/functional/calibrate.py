"""From measurements to the tables of a functional check: go or no-go for every function of every channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag
from vison_etl.effects.functional.channel import Channel, Found, find, judged_bits, ramp_of
from vison_etl.effects.functional.frames import choose, wanted
from vison_etl.effects.functional.model import Ramp, ramp_curve
from vison_etl.effects.functional.rules import Check, checks
from vison_etl.effects.rows import result_frame
from vison_etl.tables import CCDS, QUADRANTS, REGIONS

Row = dict[str, Any]
_PHASES = 4
_MODES = ("reverse_all", "reverse_columns", "ramp")


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Judge every check of every channel; say of what could not be done why.

    Parameters
    ----------
    inputs
        Parameters: ``max_level_adu`` (rows above are not used: full well, ADC), ``least_spot_adu`` and ``least_spread`` (peak of a source and
        its 3 x 3 sum over its peak: hot pixels have 1), ``n_points`` of the curve, ``serial_row_s``.

    Returns
    -------
    Calibrated
        ``functional_checks`` has a row for every check and channel, whatever is missing. Flags: FUNCTION_FAILED (checks that are no-go),
        FUNCTION_NOT_DONE (checks without their exposure), NO_GAIN (channels whose ramp has no electrons).
    """
    channels = list(_channels(inputs))
    tables: dict[str, list[Row]] = {
        "functional_checks": [_judged(channel, check) for channel in channels for check in checks()],
        "mode_levels": [row for channel in channels for row in _mode_rows(channel)],
        "warm_ramp": [_ramp_row(channel, inputs) for channel in channels],
        "warm_ramp_curve": [row for channel in channels for row in _curve_rows(channel)],
        "bit_statistics": [row for channel in channels for row in _bit_rows(channel)],
    }
    frames = {name: result_frame(name, rows) for name, rows in tables.items()}
    return Calibrated(frames, tuple(_flags(tables)))


def _channels(inputs: CalibrationInput) -> Iterator[Channel]:
    names = ("noise", "rows", "bits", "sources", "edges")
    measured = {name: _parts(inputs.measured[f"functional_{name}"]) for name in names}
    statistics = _parts(inputs.statistics)
    for ccd, quadrant in product(CCDS, QUADRANTS):
        key = (ccd, quadrant)
        used = statistics.get(key)
        obsids = set() if used is None else set(used["obsid"])
        mine = {name: _used(parts.get(key), obsids) for name, parts in measured.items()}
        exposures = inputs.exposures.filter((pl.col("ccd") == ccd) & pl.col("obsid").is_in(sorted(obsids)))
        yield Channel(
            ccd=ccd,
            quadrant=quadrant,
            chosen=choose(exposures),
            statistics=_by_region(used),
            noise=_by_region(mine["noise"]),
            rows={obsid: _arrays(frame) for obsid, frame in _by_obsid(mine["rows"]).items()},
            bits=_by_obsid(mine["bits"]),
            sources=_by_obsid(mine["sources"]),
            edges=_by_obsid(mine["edges"]),
            parameters=inputs.parameters,
        )


def _parts(frame: pl.DataFrame) -> Mapping[tuple[Any, ...], pl.DataFrame]:
    return frame.partition_by("ccd", "quadrant", as_dict=True, maintain_order=True) if frame.height else {}


def _used(frame: pl.DataFrame | None, obsids: set[int]) -> pl.DataFrame | None:
    """Return the rows of exposures whose channel was not excluded."""
    return None if frame is None else frame.filter(pl.col("obsid").is_in(sorted(obsids)))


def _by_region(frame: pl.DataFrame | None) -> dict[tuple[int, str], Mapping[str, Any]]:
    rows = [] if frame is None else list(frame.iter_rows(named=True))
    return {(row["obsid"], row["region"]): row for row in rows}


def _by_obsid(frame: pl.DataFrame | None) -> dict[int, pl.DataFrame]:
    return {} if frame is None or frame.is_empty() else {p["obsid"][0]: p for p in frame.partition_by("obsid")}


def _arrays(frame: pl.DataFrame) -> tuple[Any, Any, Any]:
    ordered = frame.sort("y").select(pl.col("y", "level_adu", "level_adu_err").cast(pl.Float64))
    y, level, error = (column.to_numpy() for column in ordered.get_columns())
    return y, np.asarray(level), np.asarray(error)


def _judged(channel: Channel, check: Check) -> Row:
    exposure = channel.chosen.get((check.frame, check.label))
    found = Found(None, remark=wanted(check.frame, check.label)) if exposure is None else find(channel, check, exposure)
    scale = 1.0 if check.times is None else found.scale
    lo, hi = (None if limit is None else scale * limit for limit in (check.lo, check.hi))
    verdict = "not_done" if found.value is None else "go" if _is_inside(found.value, lo, hi) else "no_go"
    is_known = check.times is None or found.value is not None
    return {
        "check_name": check.name,
        "ccd": channel.ccd,
        "quadrant": channel.quadrant,
        "obsid": None if exposure is None else exposure["obsid"],
        "value": found.value,
        "value_err": found.error,
        "unit": check.unit,
        "lo": lo if is_known else None,
        "hi": hi if is_known else None,
        "verdict": verdict,
        "reason": found.remark,
        "rule": check.rule,
    }


def _is_inside(value: float, lo: float | None, hi: float | None) -> bool:
    return (lo is None or value >= lo) and (hi is None or value <= hi)


def _mode_rows(channel: Channel) -> Iterator[Row]:
    for mode, region in product(_MODES, REGIONS):
        exposure = channel.chosen.get((mode, None))
        level = None if exposure is None else channel.statistics.get((exposure["obsid"], region))
        if exposure is None or level is None or not level["n"]:
            continue
        noise = channel.noise.get((exposure["obsid"], region), {})
        yield {
            "rdmode": exposure["rdmode"],
            **_place(channel),
            "region": region,
            "obsid": exposure["obsid"],
            "offset_adu": level["mean_adu"],
            "offset_adu_err": level["mean_adu_err"],
            "std_adu": level["clipped_std_adu"],
            "noise_adu": noise.get("noise_adu"),
            "noise_adu_err": noise.get("noise_adu_err"),
        }


def _place(channel: Channel) -> Row:
    return {"ccd": channel.ccd, "quadrant": channel.quadrant}


def _ramp_row(channel: Channel, inputs: CalibrationInput) -> Row:
    exposure, found = channel.chosen.get(("ramp", None)), ramp_of(channel)
    if exposure is None:
        return {**_place(channel), "status": "no_data", "n_points": 0}
    if found is None:
        return {**_place(channel), "obsid": exposure["obsid"], "status": "failed", "n_points": 0}
    ramp, base = found
    row: Row = {
        **_place(channel),
        "obsid": exposure["obsid"],
        "obsid_base": base,
        "slope_adu_per_row": ramp.slope,
        "slope_adu_per_row_err": ramp.slope_err,
        "reach_adu": ramp.reach,
        "row_noise_adu": ramp.row_noise,
        "max_residual_pct": _max_residual_pct(ramp),
        "chi2": ramp.chi2,
        "dof": ramp.dof,
        "status": "ok",
        "n_points": ramp.rows.size,
    }
    if exposure["toi_ro_us"] is not None:
        row_s = _PHASES * 1e-6 * float(exposure["toi_ro_us"]) + float(inputs.parameters["serial_row_s"])
        row |= {"dark_adu_per_s": ramp.slope / row_s, "dark_adu_per_s_err": ramp.slope_err / row_s}
    return row | _electrons(inputs.gain, channel, ramp.slope, ramp.slope_err)


def _electrons(gains: pl.DataFrame | None, channel: Channel, slope: float, error: float) -> Row:
    mine = None if gains is None else gains.filter(ccd=channel.ccd, quadrant=channel.quadrant)
    if mine is None or mine.is_empty() or mine["gain_e_per_adu"][0] is None:
        return {}
    gain, gain_err = float(mine["gain_e_per_adu"][0]), float(mine["gain_e_per_adu_err"][0] or 0.0)
    return {
        "slope_e_per_row": gain * slope,
        "slope_e_per_row_err": float(np.hypot(gain * error, gain_err * slope)),
    }


def _max_residual_pct(ramp: Ramp) -> float | None:
    if not ramp.reach > 0:
        return None
    line = ramp.intercept + ramp.slope * ramp.rows
    high = line > 0.1 * ramp.reach
    if not high.any():
        return None
    return 100.0 * float(np.max(np.abs(ramp.levels[high] - line[high]) / line[high]))


def _curve_rows(channel: Channel) -> Iterator[Row]:
    found = ramp_of(channel)
    points = [] if found is None else ramp_curve(found[0], int(channel.parameters["n_points"]))
    for index, point in enumerate(points):
        yield {
            **_place(channel),
            "point": index,
            "y": round(point.row),
            "level_adu": point.level,
            "level_adu_err": point.level_err,
            "nl_pct": 100.0 * point.nonlinearity,
            "nl_pct_err": 100.0 * point.nonlinearity_err,
        }


def _bit_rows(channel: Channel) -> Iterator[Row]:
    exposure = channel.chosen.get(("ramp", None))
    for row, bit in [] if exposure is None else judged_bits(channel, int(exposure["obsid"])):
        yield {
            **_place(channel),
            "bit": row["bit"],
            "frequency": bit.frequency,
            "frequency_err": bit.error,
            "z_score": bit.z,
            "state": bit.state,
            "partner_bit": row["partner_bit"],
            "partner_correlation": row["partner_correlation"],
        }


def _flags(tables: Mapping[str, list[Row]]) -> Iterator[Flag]:
    rows = tables["functional_checks"]
    failed = [f"{row['check_name']} {row['ccd']} {row['quadrant']}" for row in rows if row["verdict"] == "no_go"]
    absent = sorted({str(row["check_name"]) for row in rows if row["obsid"] is None})
    no_gain = [
        f"{row['ccd']} {row['quadrant']}"
        for row in tables["warm_ramp"]
        if row["status"] == "ok" and row.get("slope_e_per_row") is None
    ]
    for name, what in (("FUNCTION_FAILED", failed), ("FUNCTION_NOT_DONE", absent), ("NO_GAIN", no_gain)):
        if what:
            yield Flag(name, len(what), ", ".join(what[:12]) + (" ..." if len(what) > 12 else ""))
