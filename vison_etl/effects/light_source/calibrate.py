"""From frame statistics to the tables of the light source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag, Parameters
from vison_etl.effects.light_source.model import (
    FULL_SCALE_ADU,
    fit_line,
    like_their_equals,
    usable_levels,
)
from vison_etl.effects.light_source.steadiness import stability_rows
from vison_etl.effects.rows import result_frame

_CHANNEL = ("ccd", "quadrant")


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Fit signal against exposure time per channel and wavelength; measure the stability where equal exposures were repeated.

    The signal is the clipped mean of the image area minus that of the prescan of the same quadrant and frame. The prescan, not the overscan:
    overscan pixels follow the image pixels of their row and hold some of their charge (deferred transfer), in proportion to the signal,
    which would bias the rate; the constant difference between prescan and image area is the zero signal of the fit. Photon noise of a
    mean of n pixels: sqrt(signal / (gain n)); without a gain, clipped std / sqrt(n) of the image area, an upper bound because the std
    holds the structure of the flat too.

    Parameters
    ----------
    inputs
        Parameters: ``max_fluence_fraction`` and ``max_saturated_fraction`` (exposures beyond are left out: signal over 65536 ADU, saturated
        pixels of the image region), ``max_departure_fraction`` (exposures further from the median of those of the same time are left out),
        ``zero_signal_err_adu`` (uncertainty of the zero signal without zero-second exposures); those of
        `vison_etl.effects.light_source.steadiness`.

    Returns
    -------
    Calibrated
        Flags: NO_GAIN (channels without one), NO_WAVELENGTH (exposures whose filter is unknown, left out), BADFIT (channels with
        exposures but no line; exposures whose light does not fit their time).
    """
    signals = _signals(inputs)
    lit = signals.filter(pl.col("exptime_s") > 0)
    known = lit.filter(pl.col("light_nm").is_not_null())
    groups = _groups(known, "light_nm", *_CHANNEL)
    rows = [row for frame in groups for row in _light_row(frame, signals, inputs.parameters)]
    linear = [_linear(frame, inputs.parameters) for frame in groups]
    unlike = sorted({obsid for frame in groups for obsid in _unlike(frame, inputs.parameters)})
    steady = stability_rows(pl.concat(linear) if linear else known, inputs.parameters)
    tables = {"light_source": rows} | steady
    return Calibrated(
        {name: result_frame(name, found) for name, found in tables.items()}, tuple(_flags(lit, rows, unlike))
    )


def _signals(inputs: CalibrationInput) -> pl.DataFrame:
    """Return one row per obsid, ccd and quadrant: time, wavelength label, signal and its photon noise."""
    keys = ["obsid", *_CHANNEL]
    exposures = inputs.exposures.select(
        "obsid",
        "ccd",
        "exptime_s",
        "started_at",
        light_nm=pl.coalesce(pl.col("wavelength_nm"), pl.col("filter").cast(pl.Float64, strict=False)),
    )
    image = inputs.statistics.filter(region="img").select(
        *keys, "n", "n_clipped", "n_saturated", image="mean_adu", image_err="mean_adu_err"
    )
    prescan = inputs.statistics.filter(region="pre").select(*keys, prescan="mean_adu", prescan_err="mean_adu_err")
    gain = pl.DataFrame(schema={"ccd": pl.String, "quadrant": pl.String, "gain_e_per_adu": pl.Float64})
    if inputs.gain is not None:
        gain = inputs.gain.select(gain.columns)
    signal = pl.col("image") - pl.col("prescan")
    photons = (signal / (pl.col("gain_e_per_adu") * pl.col("n"))).clip(lower_bound=0.0).sqrt()
    pixels = pl.sum_horizontal("n", "n_clipped", "n_saturated")
    return (
        image.join(prescan, on=keys, how="inner")
        .join(exposures, on=["obsid", "ccd"], how="inner")
        .join(gain, on=list(_CHANNEL), how="left")
        .with_columns(
            signal=signal,
            err=(photons.fill_null(pl.col("image_err")).pow(2) + pl.col("prescan_err").pow(2)).sqrt(),
            saturated=pl.col("n_saturated") / pixels,
        )
        .drop_nulls(["signal", "err", "exptime_s"])
        .sort(*keys)
    )


def _groups(frame: pl.DataFrame, *keys: str) -> list[pl.DataFrame]:
    return frame.sort(*keys, "obsid").partition_by(*keys, maintain_order=True) if frame.height else []


def _linear(frame: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Return the exposures of one channel and wavelength in the linear range."""
    limit = float(parameters["max_fluence_fraction"]) * FULL_SCALE_ADU
    seen = _measurable(frame, parameters)
    alike = seen.filter(_is_alike(seen, parameters))
    usable = usable_levels(alike["exptime_s"].to_numpy(), alike["signal"].to_numpy(), limit)
    return alike.filter(pl.Series(usable, dtype=pl.Boolean))


def _measurable(frame: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Return the exposures that are not saturated and have noise: a dead channel has none."""
    return frame.filter(pl.col("saturated") <= float(parameters["max_saturated_fraction"]), pl.col("err") > 0)


def _is_alike(frame: pl.DataFrame, parameters: Parameters) -> pl.Series:
    """Tell which exposures of one channel have the light of those of the same time."""
    times, signals = frame["exptime_s"].to_numpy(), frame["signal"].to_numpy()
    return pl.Series(like_their_equals(times, signals, float(parameters["max_departure_fraction"])), dtype=pl.Boolean)


def _unlike(frame: pl.DataFrame, parameters: Parameters) -> list[int]:
    """Return the exposures of one channel that were left out because those of the same time have another light."""
    seen = _measurable(frame, parameters)
    return seen.filter(~_is_alike(seen, parameters))["obsid"].to_list()


def _zero_signal(signals: pl.DataFrame, ccd: str, quadrant: str, parameters: Parameters) -> tuple[float, float]:
    """Return the signal without light and its error: from zero-second exposures, else 0 and the parameter."""
    dark = signals.filter(pl.col("exptime_s") == 0, ccd=ccd, quadrant=quadrant)["signal"]
    if dark.len() < 2:
        return 0.0, float(parameters["zero_signal_err_adu"])
    return float(dark.mean()), float(dark.std()) / dark.len() ** 0.5  # type: ignore[arg-type]


def _light_row(frame: pl.DataFrame, signals: pl.DataFrame, parameters: Parameters) -> Iterator[Mapping[str, Any]]:
    first = frame.row(0, named=True)
    linear = _linear(frame, parameters)
    times, levels, errors = (linear[name].to_numpy() for name in ("exptime_s", "signal", "err"))
    zero, zero_err = _zero_signal(signals, first["ccd"], first["quadrant"], parameters)
    fit = fit_line(times, levels, errors, zero, zero_err)
    keys = {"ccd": first["ccd"], "quadrant": first["quadrant"], "wavelength_nm": first["light_nm"]}
    if fit is None:
        n_points = linear.height if frame["exptime_s"].n_unique() > 1 else 0
        yield {**keys, "status": "failed" if n_points else "no_data", "n_points": n_points}
        return
    yield {
        **keys,
        "rate_adu_per_s": fit.rate_adu_per_s,
        "rate_adu_per_s_err": fit.rate_err,
        "saturation_s": fit.saturation_s,
        "saturation_s_err": fit.saturation_err,
        "shutter_offset_s": fit.shutter_offset_s,
        "shutter_offset_s_err": fit.shutter_offset_err,
        "chi2": fit.chi2,
        "dof": fit.dof,
        "status": "ok",
        "n_points": linear.height,
    }


def _flags(lit: pl.DataFrame, rows: list[Mapping[str, Any]], unlike: list[int]) -> Iterator[Flag]:
    missing = lit.filter(pl.col("gain_e_per_adu").is_null()).select(_CHANNEL).unique().sort(_CHANNEL).rows()
    unknown = lit.filter(pl.col("light_nm").is_null())["obsid"].unique().sort()
    if missing:
        yield Flag("NO_GAIN", len(missing), ", ".join(f"{ccd} {quadrant}" for ccd, quadrant in missing))
    bad = [f"{row['ccd']} {row['quadrant']}" for row in rows if row["status"] == "failed"]
    bad += [f"light of exposure {obsid} does not fit its time" for obsid in unlike]
    if bad:
        yield Flag("BADFIT", len(bad), ", ".join(bad))
    if unknown.len():
        yield Flag("NO_WAVELENGTH", unknown.len(), f"from obsid {unknown[0]}")
