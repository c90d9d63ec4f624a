"""From tile levels to the response of each channel, the latency of the shutter and the track of the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy.special import chdtrc

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag, Parameters, Product
from vison_etl.effects.nonlinearity import curve as curves
from vison_etl.effects.nonlinearity.arrays import Key
from vison_etl.effects.nonlinearity.data import Tiles
from vison_etl.effects.nonlinearity.fitted import Fitted, fit_run, signal_range
from vison_etl.effects.nonlinearity.fullwell import full_wells, missing
from vison_etl.effects.nonlinearity.light import is_separable
from vison_etl.effects.nonlinearity.model import Response
from vison_etl.effects.nonlinearity.product import products
from vison_etl.effects.nonlinearity.response import FULL_SCALE_ADU
from vison_etl.effects.rows import result_frame
from vison_etl.tables import CCDS, QUADRANTS

_Row = dict[str, Any]
_TABLES = ("nonlinearity", "nonlinearity_curve", "nonlinearity_residuals", "shutter_latency", "nonlinearity_light")
_KEYS = tuple((ccd, quadrant) for ccd in CCDS for quadrant in QUADRANTS)


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Fit the response of all channels together.

    ``nonlinearity`` has a row for each of the twelve channels, with ``status`` failed or no_data where there is no fit. The full well
    does not depend on the fit.

    Flags: BADFIT (channels whose fit failed, is not monotone or does not describe the tiles at a probability below ``badfit_p``; exposures
    whose light does not fit their time; channels whose photon noise contradicts the response that the exposure times give), SHUTTER_FREE (filters whose latency is not separable), NO_FULL_WELL, NO_GAIN (full well in ADU
    only), POORQUALDATA (no fit).
    """
    found = fit_run(inputs)
    rows: dict[str, list[_Row]] = {name: [] for name in _TABLES}
    made: tuple[Product, ...] = ()
    if isinstance(found, str):
        rows["nonlinearity"] = [_empty(key, "no_data") for key in _KEYS]
        flags: tuple[Flag, ...] = (Flag("POORQUALDATA", len(_KEYS), found),)
    else:
        points = int(inputs.parameters["curve_points"])
        sampled = {
            key: _curve(tiles, response, points)
            for key, tiles, response in found.of_channels()
            if _is_fitted(found, response)
        }
        rows["nonlinearity"] = _headlines(found, sampled, inputs.parameters)
        rows["nonlinearity_curve"] = [row for key, curve in sampled.items() for row in _curve_rows(key, curve)]
        rows["nonlinearity_residuals"] = list(_residual_rows(found))
        rows["shutter_latency"] = list(_latency_rows(found))
        rows["nonlinearity_light"] = list(_track_rows(found))
        made = tuple(products(found, int(inputs.parameters["product_points"])))
        flags = tuple(_flags(found, rows["nonlinearity"], float(inputs.parameters["badfit_p"])))
    wells, reasons = full_wells(inputs)
    rows["nonlinearity"] = [row | wells.get((row["ccd"], row["quadrant"]), {}) for row in rows["nonlinearity"]]
    flags += tuple(missing(rows["nonlinearity"], reasons, inputs.gain))
    return Calibrated({name: result_frame(name, some) for name, some in rows.items()}, flags, made)


def _is_fitted(found: Fitted, response: Response) -> bool:
    return response.is_monotone and found.fit.has_converged


def _curve(tiles: Tiles, response: Response, points: int) -> curves.Curve:
    return curves.sample_curve(response, *signal_range(tiles), points)


def _empty(key: Key, status: str) -> _Row:
    return {"ccd": key[0], "quadrant": key[1], "status": status, "n_points": 0}


def _headlines(found: Fitted, sampled: Mapping[Key, curves.Curve], parameters: Parameters) -> list[_Row]:
    stability, stability_err = _stability(found)
    rows = {key: _empty(key, "failed" if key in found.reasons else "no_data") for key in _KEYS}
    lowest = float(parameters["max_from_fraction"]) * FULL_SCALE_ADU
    for key, tiles, response in found.of_channels():
        row: _Row = {"ccd": key[0], "quadrant": key[1], "n_points": int(np.count_nonzero(tiles.counts))}
        row |= {"status": "ok" if _is_fitted(found, response) else "failed"}
        row |= {"stability_pct": stability, "stability_pct_err": stability_err}
        # without the pattern nothing is asked of the tiles
        row |= {"chi2": response.chi2, "dof": response.dof} if found.distrust is None else {}
        row |= {"flux_repeatability_pct": 100.0 * found.fit.light.scatter.flux}
        pairs = found.checked[key]
        row |= {"n_ptc_levels": pairs.n_levels}
        row |= {"ptc_chi2": pairs.chi2, "ptc_dof": pairs.dof} if pairs.dof else {}
        row["fit_min_adu"], row["fit_max_adu"] = signal_range(tiles)
        rows[key] = row
        if key not in sampled:
            continue
        row |= _extreme_columns(curves.largest_deviation(sampled[key], lowest))
        emva = curves.emva_linearity(response, tiles, found.run.exposures, found.fit.light, ~found.fit.doubtful)
        if emva is not None:
            row |= {
                "emva_le_pct": 100 * emva.mean,
                "emva_min_pct": 100 * emva.lowest,
                "emva_max_pct": 100 * emva.highest,
            }
    return list(rows.values())


def _extreme_columns(extreme: curves.Extreme | None) -> _Row:
    if extreme is None:
        return {}
    return {
        "max_nl_pct": 100.0 * extreme.deviation,
        "max_nl_pct_err": 100.0 * extreme.deviation_err,
        "fluence_at_max_adu": extreme.measured_adu,
        "fluence_at_max_adu_err": extreme.measured_adu_err,
    }


def _stability(found: Fitted) -> tuple[float | None, float | None]:
    """Return the rms of the light of the most repeated level, drift included, per cent, and its error."""
    exposures, light = found.run.exposures, found.fit.light
    counts = np.bincount(exposures.level)
    members = np.flatnonzero((exposures.level == int(np.argmax(counts))) & ~found.fit.doubtful)
    if members.size < 3:
        return None, None
    rms = 100.0 * float(np.std(light.log_light[members], ddof=1))
    return rms, rms / math.sqrt(2.0 * (members.size - 1))


def _curve_rows(key: Key, curve: curves.Curve) -> Iterator[_Row]:
    relative = curve.error / (1.0 + curve.deviation)
    for point in range(curve.measured_adu.size):
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            "point": point,
            "fluence_adu": float(curve.measured_adu[point]),
            "nl_pct": 100.0 * float(curve.deviation[point]),
            "nl_pct_err": 100.0 * float(curve.error[point]),
            "linear_adu": float(curve.linear_adu[point]),
            "linear_adu_err": float(curve.linear_adu[point] * relative[point]),
        }


def _residual_rows(found: Fitted) -> Iterator[_Row]:
    common = curves.clock_residuals(found.run.exposures, found.fit.light)
    columns = found.run.table["script_column"].to_numpy()
    flux = found.fit.light.scatter.flux
    for key, tiles, response in found.of_channels():
        for column in np.unique(columns.astype(str)):
            level = curves.level_residual(response, tiles, np.flatnonzero(columns == column), common, flux)
            if level is not None:
                yield {
                    "ccd": key[0],
                    "quadrant": key[1],
                    "script_column": str(column),
                    "fluence_adu": level.measured_adu,
                    "residual_pct": 100.0 * level.residual,
                    "residual_pct_err": 100.0 * level.error,
                    "residual_sigma": level.residual / level.error,
                    "n_frames": level.n_frames,
                }


def _latency_rows(found: Fitted) -> Iterator[_Row]:
    light, exposures = found.fit.light, found.run.exposures
    commanded = found.run.table["exptime_s"].to_numpy()
    for w, label in enumerate(found.run.labels):
        mine = np.flatnonzero(exposures.light == w)
        shortest = mine[int(np.argmin(commanded[mine]))]
        error = math.sqrt(light.latency_covariance[w, w])
        table = float(exposures.open_s[shortest] - commanded[shortest])
        yield {
            "filter": label,
            "latency_s": table + float(light.latency_s[w]),
            "latency_s_err": error,
            "correction_s": float(light.latency_s[w]),
            "correction_s_err": error,
            "shutter": found.run.shutter,
            "is_separable": is_separable(error, found.prior),
            "latency_scatter_s": light.scatter.latency_s,
        }


def _track_rows(found: Fitted) -> Iterator[_Row]:
    light, exposures = found.fit.light, found.run.exposures
    source = light.drift + curves.clock_residuals(exposures, light)
    middle = float(np.mean(source[~found.fit.doubtful]))
    errors = np.sqrt(np.diag(light.covariance))
    rows = found.run.table.select(
        "obsid", "script_column", "exptime_s", filter=pl.col("label"), elapsed_h=pl.col("hours")
    )
    seen = np.any([found.run.channels[key].counts.any(axis=1) for key in found.keys], axis=0)
    for k, row in enumerate(rows.iter_rows(named=True)):
        if not seen[k]:
            continue
        yield {
            **row,
            "source_pct": 100.0 * float(source[k] - middle),
            "source_pct_err": 100.0 * float(errors[k]),
            "drift_pct": 100.0 * float(light.drift[k] - middle),
            "is_trusted": not bool(found.fit.doubtful[k]),
        }


def _quality(row: _Row) -> str:
    return f"chi2 {row['chi2']:.0f} for {row['dof']} dof, " if "dof" in row else ""


def _flags(found: Fitted, rows: list[_Row], p_limit: float) -> Iterator[Flag]:
    bad = [
        f"{row['ccd']} {row['quadrant']}: {_quality(row)}{row['status']}"
        for row in rows
        if row["n_points"] and (row["status"] != "ok" or ("dof" in row and chdtrc(row["dof"], row["chi2"]) < p_limit))
    ]
    bad += [
        f"{ccd} {quadrant}: photon noise contradicts the exposure times, {pairs.contradiction}"
        for (ccd, quadrant), pairs in found.checked.items()
        if pairs.contradiction is not None
    ]
    bad += [f"exposure times alone: {found.distrust}"] if found.distrust is not None else []
    far = found.run.table.filter(pl.Series(found.fit.doubtful))["obsid"].to_list()
    bad += [f"light of exposure {obsid} does not fit its time" for obsid in far]
    if bad:
        yield Flag("BADFIT", len(bad), "; ".join(bad))
    errors = np.sqrt(np.diag(found.fit.light.latency_covariance))
    free = [label for label, e in zip(found.run.labels, errors, strict=True) if not is_separable(float(e), found.prior)]
    if free and found.run.shutter is None:
        yield Flag("SHUTTER_FREE", len(free), f"filters {', '.join(free)}")
    unfitted = [f"{ccd} {quadrant}: {reason}" for (ccd, quadrant), reason in found.reasons.items()]
    if unfitted:
        yield Flag("POORQUALDATA", len(unfitted), "; ".join(unfitted))
