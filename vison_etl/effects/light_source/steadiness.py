"""From repeated equal exposures to the tables ``stability``, ``common_mode``, ``source_track`` and ``allan_deviation``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.effects.declare import Parameters
from vison_etl.effects.light_source.noise_model import Family, family
from vison_etl.effects.light_source.stability_model import (
    NOTHING,
    Apart,
    Estimate,
    Steadiness,
    allan,
    apart,
    shared,
    steadiness,
)
from vison_etl.tables import CCDS

COMMON = "common"
Row = Mapping[str, Any]
_Floats = NDArray[np.float64]
_TABLES = ("stability", "common_mode", "source_track", "allan_deviation")


@dataclass(frozen=True, slots=True)
class Panel:
    """One series of equal exposures: brightness of the source in every exposure as seen by every CCD.

    ``relative``, ``errors``: mean over the quadrants of signal over its mean, and its photon noise, shape (CCDs, exposures).
    ``hours`` is None where the start of an exposure is not known.
    """

    light_nm: float
    exptime_s: float
    ccds: tuple[str, ...]
    n_channels: int
    obsids: tuple[int, ...]
    hours: _Floats | None
    relative: _Floats
    errors: _Floats


def stability_rows(exposures: pl.DataFrame, parameters: Parameters) -> dict[str, list[Row]]:
    """Return the rows of the four tables.

    The series is the largest set of exposures of equal commanded time and light, of equally large ones the brightest; the exposures need
    not follow each other. Parameters: ``min_stability_frames``; ``max_photon_pct`` (channels whose signal has more photon noise than
    this are left out: dead ones).

    Parameters
    ----------
    exposures
        Lit exposures in the linear range, one row per exposure and channel: ``obsid, ccd, quadrant, light_nm, exptime_s, started_at,
        signal, err``.

    Returns
    -------
    dict
        Status of ``stability``: ``ok``; ``bound`` (no more scatter than photon noise: ``rms_pct`` is NULL); ``failed`` (exposures without
        start); ``no_data`` (too few equal exposures, or no channel that saw all of them). The other tables have no row then.
    """
    found = panel(exposures, parameters)
    tables: dict[str, list[Row]] = {name: [] for name in _TABLES}
    if found is None or found.hours is None:
        status = "no_data" if found is None else "failed"
        points = 0 if found is None else len(found.obsids)
        tables["stability"] = [{"ccd": ccd, "status": status, "n_points": points} for ccd in CCDS]
        return tables
    series = family(found.hours)
    tables["stability"] = list(_ccd_rows(found, series))
    tables["common_mode"] = list(_common_rows(found, series))
    tables["source_track"] = list(_track_rows(found))
    tables["allan_deviation"] = list(_allan_rows(found, series))
    return tables


def panel(exposures: pl.DataFrame, parameters: Parameters) -> Panel | None:
    """Choose the series and take out of it what every channel saw; None where there is none."""
    noise = (pl.col("err") / pl.col("signal")).mean().over("ccd", "quadrant", "light_nm", "exptime_s")
    seen = exposures.filter(pl.col("signal") > 0).filter(100.0 * noise <= float(parameters["max_photon_pct"]))
    sets = (
        seen.group_by("light_nm", "exptime_s")
        .agg(n=pl.col("obsid").n_unique(), level=pl.col("signal").median())
        .sort("n", "level", "light_nm", "exptime_s", descending=True)
    )
    if sets.is_empty():
        return None
    chosen = seen.filter(light_nm=sets["light_nm"][0], exptime_s=sets["exptime_s"][0])
    n_channels = chosen.select("ccd", "quadrant").unique().height
    usual = chosen.filter(2 * pl.len().over("obsid") > n_channels)
    complete = usual.filter(pl.len().over("ccd", "quadrant") == usual["obsid"].n_unique())
    if complete["obsid"].n_unique() < max(int(parameters["min_stability_frames"]), 3):
        return None
    return _panel(complete)


def _panel(rows: pl.DataFrame) -> Panel:
    level = pl.col("signal").mean().over("ccd", "quadrant")
    by_ccd = (
        rows.with_columns(relative=pl.col("signal") / level, error=pl.col("err") / level)
        .group_by("ccd", "obsid")
        .agg(
            pl.col("relative").mean(),
            error=pl.col("error").pow(2).sum().sqrt() / pl.len(),
            started_at=pl.col("started_at").first(),
        )
        .sort("ccd", "started_at", "obsid")
    )
    ccds = tuple(by_ccd["ccd"].unique().sort())
    first = by_ccd.filter(ccd=ccds[0])
    starts = first["started_at"]
    is_timed = starts.null_count() == 0 and starts.n_unique() > 1
    shape = (len(ccds), first.height)
    return Panel(
        light_nm=float(rows["light_nm"][0]),
        exptime_s=float(rows["exptime_s"][0]),
        ccds=ccds,
        n_channels=rows.select("ccd", "quadrant").unique().height,
        obsids=tuple(first["obsid"]),
        hours=_hours_since_first(starts) if is_timed else None,
        relative=by_ccd["relative"].to_numpy().reshape(shape),
        errors=by_ccd["error"].to_numpy().reshape(shape),
    )


def _hours_since_first(starts: pl.Series) -> _Floats:
    since = (starts - starts.min()).dt.total_seconds(fractional=True)
    return np.asarray(since.to_numpy(), np.float64) / 3600.0


def _pct(name: str, estimate: Estimate, scale: float = 100.0) -> dict[str, float | None]:
    return {
        name: None if estimate.value is None else scale * estimate.value,
        f"{name}_err": None if estimate.error is None else scale * estimate.error,
    }


def _about(found: Panel) -> dict[str, Any]:
    hours = found.hours if found.hours is not None else np.zeros(1)
    return {
        "wavelength_nm": found.light_nm,
        "exptime_s": found.exptime_s,
        "span_h": float(np.ptp(hours)),
        "n_points": len(found.obsids),
    }


def _steady(one: Steadiness) -> dict[str, Any]:
    return {
        **_pct("rms_pct", one.rms),
        **_pct("drift_pct_per_h", one.drift),
        **_pct("curvature_pct_per_h2", one.curvature),
        "status": "bound" if one.rms.value is None else "ok",
    }


def _photon(errors: _Floats) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _ccd_rows(found: Panel, series: Family) -> Iterator[Row]:
    own = dict(zip(found.ccds, apart(series, found.relative, found.errors), strict=True))
    for ccd in CCDS:
        if ccd not in found.ccds:
            yield {"ccd": ccd, "status": "no_data", "n_points": 0}
            continue
        index = found.ccds.index(ccd)
        photon = _photon(found.errors[index])
        one = steadiness(series, found.relative[index], photon) or Steadiness(NOTHING, NOTHING, NOTHING)
        mine: Apart = own[ccd]
        yield {
            "ccd": ccd,
            **_about(found),
            "photon_pct": 100.0 * photon,
            **_steady(one),
            **_pct("residual_rms_pct", mine.rms),
            **_pct("residual_variance_pct2", mine.variance, 1e4),
            **_pct("residual_drift_pct_per_h", mine.drift),
        }


def _common_rows(found: Panel, series: Family) -> Iterator[Row]:
    both = shared(series, found.relative, found.errors)
    if both is not None:
        yield {
            **_about(found),
            "n_channels": found.n_channels,
            **_steady(both.source),
            **_pct("residual_rms_pct", both.residual_rms),
            "chi2": both.chi2,
            "dof": both.dof,
        }


def _scopes(found: Panel) -> Iterator[tuple[str, _Floats, _Floats]]:
    """Yield each series by name: brightness and photon noise; the mean of the CCDs first, where there are several."""
    n = len(found.ccds)
    if n > 1:
        yield COMMON, found.relative.mean(axis=0), np.sqrt(np.sum(found.errors**2, axis=0)) / n
    yield from zip(found.ccds, found.relative, found.errors, strict=True)


def _track_rows(found: Panel) -> Iterator[Row]:
    n, mean = len(found.ccds), found.relative.mean(axis=0)
    of_mean = np.sum(found.errors**2, axis=0) / n**2
    hours = found.hours if found.hours is not None else np.full(len(found.obsids), np.nan)
    for scope, values, errors in _scopes(found):
        has_residual = scope != COMMON and n > 1
        columns = {
            "elapsed_h": hours,
            "deviation_pct": 100.0 * (values - 1.0),
            "deviation_pct_err": 100.0 * errors,
            "residual_pct": 100.0 * (values - mean) if has_residual else np.full(mean.size, np.nan),
            "residual_pct_err": 100.0 * np.sqrt(errors**2 * (1.0 - 2.0 / n) + of_mean)
            if has_residual
            else hours * np.nan,
        }
        for index, obsid in enumerate(found.obsids):
            yield {"scope": scope, "obsid": obsid, **{name: float(numbers[index]) for name, numbers in columns.items()}}


def _allan_rows(found: Panel, series: Family) -> Iterator[Row]:
    for scope, values, errors in _scopes(found):
        for point in allan(series, values, _photon(errors)):
            yield {
                "scope": scope,
                "n_averaged": point.n_averaged,
                "tau_s": point.tau_s,
                **_pct("adev_pct", point.deviation),
                "photon_pct": 100.0 * point.photon,
                "n_differences": point.n_differences,
            }
