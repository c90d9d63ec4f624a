"""From edge profiles to the tables ``edge_response``, ``edge_response_points``, ``cti``, ``edge_separation`` and ``full_well``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag, Parameters
from vison_etl.effects.edge_response.fluences import Values
from vison_etl.effects.edge_response.knee import Knee, full_well_knee
from vison_etl.effects.edge_response.leading import leading_bounce
from vison_etl.effects.edge_response.levels import Edges, edges_of, single_frame_response
from vison_etl.effects.edge_response.lines import Overscan, relative
from vison_etl.effects.edge_response.model import Options, Separation, separate
from vison_etl.effects.edge_response.tail import Leading
from vison_etl.effects.rows import result_frame
from vison_etl.instrument.geometry import PRESCAN

_Row = dict[str, Any]
_Rows = dict[str, list[_Row]]
_Bool = NDArray[np.bool_]

_CHANNEL = ("ccd", "quadrant")
_SIDES = (("serial", "trailing"), ("serial", "leading"), ("parallel", "trailing"))
_TABLES = ("edge_response", "edge_response_points", "cti", "edge_separation", "full_well")


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Separate bounce and deferred charge of every channel, and find its full well.

    Frames without light (exposure time 0) are the zero signal. The fit uses script columns below ``max_fluence_adu`` and full well whose lines are
    mostly unsaturated; responses and CTI are given for every lit one of these lines.

    Flags: NO_GAIN (full well in e- missing), NOT_SEPARATED (bounce and deferred charge cannot be told apart in most channels; of each one
    ``is_separated`` says so), BADFIT (chi-square is improbable, or the length of release is at the end of its range).
    """
    rows: _Rows = {name: [] for name in _TABLES}
    flagged: dict[str, list[str]] = {"NO_GAIN": [], "NOT_SEPARATED": [], "BADFIT": []}
    gains = {} if inputs.gain is None else {(r["ccd"], r["quadrant"]): r for r in inputs.gain.iter_rows(named=True)}
    profiles = inputs.measured["edge_profiles"].sort(*_CHANNEL)
    for key, mine in profiles.group_by(*_CHANNEL, maintain_order=True):
        ccd, quadrant = str(key[0]), str(key[1])
        found = _channel(mine, inputs.exposures.filter(ccd=ccd), inputs.parameters, gains.get((ccd, quadrant)))
        for name, table in found.items():
            rows[name] += [{"ccd": ccd, "quadrant": quadrant, **row} for row in table]
        for name, reason in _reasons(found):
            flagged[name].append(f"{ccd} {quadrant}{reason}")
    if 2 * len(flagged["NOT_SEPARATED"]) <= sum(row["direction"] == "serial" for row in rows["edge_separation"]):
        flagged["NOT_SEPARATED"] = []
    tables = {name: result_frame(name, table) for name, table in rows.items()}
    flags = tuple(Flag(name, len(who), ", ".join(who)) for name, who in flagged.items() if who)
    return Calibrated(tables, flags)


def _channel(
    profiles: pl.DataFrame, exposures: pl.DataFrame, parameters: Parameters, gain: Mapping[str, Any] | None
) -> _Rows:
    """Return the rows of all tables of one channel, without ccd and quadrant."""
    columns, image_rows = exposures.select("image_columns", "image_rows").row(0)
    parts = profiles.partition_by("direction", "edge", as_dict=True)
    sides = {
        side: None if rows is None else edges_of(rows, exposures)
        for side, rows in ((side, parts.get(side)) for side in _SIDES)
    }
    knee = parallel_knee(sides["parallel", "trailing"], parameters)
    end = float(parameters["max_fluence_adu"])
    if knee.upper is not None and knee.quiet is not None:
        end = min(end, knee.quiet)
    out: _Rows = {name: [] for name in _TABLES}
    out["full_well"].append(_knee_row(knee, gain))
    for direction, transfers in (("serial", PRESCAN + columns), ("parallel", image_rows)):
        edges = sides[direction, "trailing"]
        if edges is None:
            out["edge_separation"].append({"direction": direction, "status": "no_data", "n_points": 0})
            continue
        used = (edges.fraction >= float(parameters["min_line_fraction"])) & ((edges.level <= end) | edges.is_dark)
        shortest = float(parameters["release_min_px" if direction == "serial" else "release_min_parallel_px"])
        options = Options((shortest, float(parameters["release_max_px"])), has_bounce=direction == "serial")
        share = (PRESCAN + 1) / transfers
        leading = None if direction == "parallel" else _leading(sides["serial", "leading"], used, edges, share)
        overscan = _overscan(edges, used, transfers)
        found = separate(overscan, used, options, leading)
        single = single_frame_response(parts[direction, "trailing"])
        out["edge_separation"].append({"direction": direction} | _separation_row(found, edges, used, single))
        if found is not None:
            out["edge_response"] += _response_rows(direction, found)
            good = edges.fraction >= float(parameters["min_line_fraction"])
            out["edge_response_points"] += _point_rows(direction, edges, found, good)
            out["cti"] += _cti_rows(direction, edges, found, good)
    return out


def _overscan(edges: Edges, used: _Bool, transfers: int) -> Overscan:
    """Return the overscan with the response of the image pixels before it, from the script columns of the fit."""
    before = edges.signal[:, ~edges.overscan][:, ::-1]
    lit = used & (edges.level > 0)
    last = before[lit].sum(axis=0) / edges.level[lit].sum() if lit.any() else np.ones(before.shape[1])
    return Overscan(edges.level, edges.signal[:, edges.overscan], edges.error[:, edges.overscan], transfers, last)


def _leading(edges: Edges | None, used: _Bool, trailing: Edges, share: float) -> Leading | None:
    """Return the bounce of the leading edge, from the script columns that the trailing edge uses."""
    if edges is None or edges.columns != trailing.columns:
        return None
    after = edges.pixel > 0
    image = edges.signal[:, after]
    level = np.where(edges.is_dark, 0.0, image.mean(axis=1))
    return leading_bounce(level[used], image[used], edges.error[used][:, after], share)


def parallel_knee(edges: Edges | None, parameters: Parameters) -> Knee:
    """Find full well from the first half of the parallel overscan, in script columns that the ADC does not cut."""
    if edges is None:
        return Knee(None, None, None, None, None, "no_data", 0)
    signal = relative(edges.signal[:, edges.overscan])
    first = signal.shape[1] // 2
    deferred = signal[:, :first].sum(axis=1)
    error = np.sqrt(np.sum(edges.error[:, edges.overscan][:, :first] ** 2, axis=1))
    good = (edges.fraction >= float(parameters["min_line_fraction"])) & ~edges.is_dark
    level = np.where(good, edges.level, np.nan)
    return full_well_knee(level, deferred, error, blooming_adu=float(parameters["blooming_adu"]), spread=edges.spread)


def _knee_row(knee: Knee, gain: Mapping[str, Any] | None) -> _Row:
    row: _Row = {
        "full_well_adu": knee.value,
        "full_well_adu_err": knee.error,
        "full_well_lower_adu": knee.lower,
        "full_well_upper_adu": knee.upper,
        "status": knee.status,
        "n_points": knee.n_points,
    }
    if gain is not None and knee.value is not None and knee.error is not None:
        per_adu, per_adu_err = gain["gain_e_per_adu"], gain["gain_e_per_adu_err"] or 0.0
        row["full_well_e"] = knee.value * per_adu
        row["full_well_e_err"] = float(np.hypot(knee.error * per_adu, knee.value * per_adu_err))
    return row


def _separation_row(
    found: Separation | None, edges: Edges, used: _Bool, single: tuple[float | None, int | None]
) -> _Row:
    row: _Row = {
        "single_frame_response": single[0],
        "single_frame_obsid": single[1],
        "n_fluences": int(used.sum()),
        "has_zero_signal": bool((edges.is_dark & used).any()),
        "n_points": int(edges.n_frames[used].sum()),
    }
    if found is None:
        return row | {"status": "no_data"}
    pairs = {
        "bounce": _first(found.bounce),
        "bounce_trailing": _first(found.trailing),
        "bounce_leading": _first(found.leading),
        "tail_px": found.tail_px,
        "slow_shift": found.slow,
    }
    for name, pair in pairs.items():
        # an error of 0: no explanation is left that has such a thing
        if pair is not None and pair[1] > 0.0:
            row |= {name: pair[0], f"{name}_err": pair[1]}
    has_tail = found.tail_px is not None
    return row | {
        "bounce_correlation": found.correlation,
        "tail_shape": found.shape if has_tail else None,
        "beyond_pct": 100.0 * found.beyond if has_tail else None,
        "chi2": found.chi2,
        "dof": found.dof,
        "is_separated": found.is_separate,
        "is_probable": not found.is_improbable,
        "status": "bound" if found.is_at_bound else "ok",
    }


def _first(values: Values | None) -> tuple[float, float] | None:
    return None if values is None else (float(values.value[0]), float(values.error[0]))


def _response_rows(direction: str, found: Separation) -> Iterator[_Row]:
    columns = {"response": found.response, "bounce": found.bounce, "bounce_leading": found.leading}
    for k in range(found.response.value.size):
        row: _Row = {"direction": direction, "pixel": k + 1}
        for name, values in columns.items():
            if values is not None and k < values.value.size and values.error[k] > 0.0:
                row |= {name: float(values.value[k]), f"{name}_err": float(values.error[k])}
        yield row


def _point_rows(direction: str, edges: Edges, found: Separation, good: _Bool) -> Iterator[_Row]:
    for j in np.flatnonzero(good & ~edges.is_dark):
        for k in range(found.points.value.shape[1]):
            yield _fluence(direction, edges, int(j)) | {
                "pixel": k + 1,
                "response": float(found.points.value[j, k]),
                "response_err": float(found.points.error[j, k]),
            }


def _cti_rows(direction: str, edges: Edges, found: Separation, good: _Bool) -> Iterator[_Row]:
    both: Sequence[tuple[str, Values]] = (("cti", found.cti), ("eper_cti", found.eper_cti))
    for j in np.flatnonzero(good & ~edges.is_dark):
        values = {name: float(v.value[j]) for name, v in both} | {f"{name}_err": float(v.error[j]) for name, v in both}
        yield (
            _fluence(direction, edges, int(j))
            | values
            | {
                "status": "ok" if np.isfinite(values["cti"]) else "failed",
                "n_points": int(edges.n_frames[j]),
            }
        )


def _fluence(direction: str, edges: Edges, j: int) -> _Row:
    return {
        "direction": direction,
        "script_column": edges.columns[j],
        "fluence_adu": float(edges.level[j]),
        "fluence_adu_err": float(edges.level_error[j]),
    }


def _reasons(found: _Rows) -> Iterator[tuple[str, str]]:
    """Yield the flags of a channel with what to add to its name."""
    if any(row["full_well_adu"] is not None and "full_well_e" not in row for row in found["full_well"]):
        yield "NO_GAIN", ""
    for row in found["edge_separation"]:
        if row.get("is_separated") is False:
            yield "NOT_SEPARATED", f" {row['direction']}"
        if row["status"] == "bound" or row.get("is_probable") is False:
            yield "BADFIT", f" {row['direction']}"
