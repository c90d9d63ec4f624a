"""From cells and counts of dark frames to the table ``dark_signal``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from vison_etl.effects.dark.model import Cells, DarkFit, disagrees, fit_dark, per_hour, upper_limit
from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag
from vison_etl.effects.rows import result_frame
from vison_etl.instrument.geometry import PRESCAN

_CHANNEL = ["ccd", "quadrant"]
_Row = dict[str, Any]
_Estimate = tuple[float, float]


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Fit the dark signal of each channel.

    ``dark_adu``, its upper limit, gradient and glow come from the cells less a master bias of the same read mode; without one they are
    NULL (``status`` no_data), and only ``dark_overscan_*`` remains, which needs none. Currents in e- need the gain. Frames of exposure time
    zero have no dark current. ``dark_median_adu``: mean over frames of median(img) - mean of the medians of pre and ove.

    Several script columns with different exposure times: the longest counts.

    Flags: NO_BIAS (channels without master bias), NO_MASK (without a mask of bad pixels), NO_GAIN, BADFIT (the model does not describe the
    cells: chi-square probability below 0.001), POORQUALDATA (no fit).
    """
    rows = list(_rows(inputs))
    return Calibrated({"dark_signal": result_frame("dark_signal", rows)}, tuple(_flags(inputs, rows)))


def _rows(inputs: CalibrationInput) -> Iterator[_Row]:
    gains = {} if inputs.gain is None else {row[:2]: row[2:] for row in _gain_rows(inputs.gain)}
    medians = _medians(inputs)
    cells = inputs.measured["dark_cells"]
    for (column, ccd, quadrant), counts in _chosen(inputs).group_by("script_column", *_CHANNEL, maintain_order=True):
        key = (str(ccd), str(quadrant))
        mine = cells.filter(script_column=column, ccd=ccd, quadrant=quadrant).sort("cell")
        exposures = inputs.exposures.filter(script_column=column, ccd=ccd)
        row = _fitted(inputs, exposures, mine, gains.get(key))
        row |= {name: counts[name][0] for name in _COUNTED}
        row |= {"ccd": ccd, "quadrant": quadrant, "dark_median_adu": medians.get((column, *key))}
        row |= {"temperature_degc": _temperature(exposures, key[0])}
        yield row


_COUNTED = ("n_hot", "n_warm", "n_bad_columns", "n_hot_reference", "n_tracks", "n_frames")


def _gain_rows(gain: pl.DataFrame) -> list[tuple[Any, ...]]:
    return gain.select("ccd", "quadrant", "gain_e_per_adu", "gain_e_per_adu_err").rows()


def _chosen(inputs: CalibrationInput) -> pl.DataFrame:
    """Return the counts of the script column with the longest exposures, the first of equal ones, per CCD."""
    times = inputs.exposures.group_by("script_column", "ccd").agg(pl.col("exptime_s").mean())
    joined = inputs.measured["dark_counts"].join(times, on=["script_column", "ccd"], how="left")
    ordered = joined.sort("exptime_s", "script_column", descending=[True, False], nulls_last=True)
    return ordered.unique(_CHANNEL, keep="first", maintain_order=True).sort(_CHANNEL)


def _medians(inputs: CalibrationInput) -> dict[tuple[Any, ...], float | None]:
    frames = inputs.statistics.filter(pl.col("region").is_in(["pre", "img", "ove"])).pivot(
        "region", index=["obsid", *_CHANNEL], values="median_adu"
    )
    if not {"pre", "img", "ove"} <= set(frames.columns):
        return {}
    frames = frames.join(inputs.exposures.select("obsid", "ccd", "script_column"), on=["obsid", "ccd"])
    signal = pl.col("img") - (pl.col("pre") + pl.col("ove")) / 2
    found = frames.group_by("script_column", *_CHANNEL).agg(signal.mean().alias("signal"))
    return {row[:3]: row[3] for row in found.rows()}


def _temperature(exposures: pl.DataFrame, ccd: str) -> float | None:
    names = [name for name in (f"r1c{ccd[-1]}_tt_degc", f"r1c{ccd[-1]}_tb_degc") if name in exposures.columns]
    if not names:
        return None
    return exposures.select(pl.mean_horizontal(names).mean()).item()  # type: ignore[no-any-return]


def _fitted(inputs: CalibrationInput, exposures: pl.DataFrame, cells: pl.DataFrame, gain: Any) -> _Row:
    exptime = exposures["exptime_s"].mean()
    if cells.is_empty() or not isinstance(exptime, float) or not exptime > 0:
        return {"status": "no_data", "n_points": 0, "exptime_s": exptime}
    has_bias = bool(cells["bias_subtracted"][0])
    geometry = exposures.select("image_columns", "image_rows").row(0)
    row_s = 0.0 if has_bias else _row_time_s(exposures, float(inputs.parameters["serial_row_s"]))
    length = float(inputs.parameters["glow_length"])
    step = fit_dark(_cells(cells, geometry, exptime, row_s), geometry[1] / geometry[0], length, has_bias=False)
    row: _Row = {"exptime_s": exptime, "n_points": cells.height, "status": "no_data"}
    row |= _values("dark_overscan", None if step is None else step.dark, exptime, gain)
    if not has_bias:
        return row
    image = cells.filter(region="img")
    fit = fit_dark(_cells(image, geometry, exptime, row_s), geometry[1] / geometry[0], length, has_bias=True)
    row["n_points"] = image.height
    return row | _fit_columns(fit, geometry[0], exptime, gain)


def _fit_columns(fit: DarkFit | None, width_px: int, exptime: float, gain: Any) -> _Row:
    if fit is None:
        return {"status": "failed"}
    limit = upper_limit(*fit.dark)
    shapes = {"gradient_x_adu": fit.gradient_x, "gradient_y_adu": fit.gradient_y, "glow_adu": fit.glow}
    current = None if gain is None else per_hour(fit.dark, exptime, (gain[0], gain[1] or 0.0))
    return {
        **_values("dark", fit.dark, exptime, gain),
        "dark_upper_adu": limit,
        "dark_upper_e_per_px_h": None if current is None else upper_limit(*current),
        **{name: value for name, (value, _) in shapes.items()},
        **{f"{name}_err": error for name, (_, error) in shapes.items()},
        "glow_px": fit.glow_length * width_px,
        "chi2": fit.chi2,
        "dof": fit.dof,
        "status": "ok",
    }


def _values(name: str, signal: _Estimate | None, exptime: float, gain: Any) -> _Row:
    if signal is None:
        return {}
    row: _Row = {f"{name}_adu": signal[0], f"{name}_adu_err": signal[1]}
    if gain is not None:
        current = per_hour(signal, exptime, (gain[0], gain[1] or 0.0))
        row |= {f"{name}_e_per_px_h": current[0], f"{name}_e_per_px_h_err": current[1]}
    return row


def _row_time_s(exposures: pl.DataFrame, serial_row_s: float) -> float:
    """Return the time from one row to the next: four overlaps of the parallel clocks and the serial transfer."""
    overlap = exposures["toi_ro_us"].mean() if "toi_ro_us" in exposures.columns else None
    return serial_row_s + 4e-6 * (overlap if isinstance(overlap, float) else 0.0)


def _cells(frame: pl.DataFrame, geometry: tuple[int, int], exptime: float, row_s: float) -> Cells:
    width, height = geometry
    column = {name: frame[name].to_numpy().astype(np.float64) for name in _USED}
    first = frame["x"].min()
    origin = column["x"] + 0.5 * column["width_px"]
    middle = column["y"] + 0.5 * column["height_px"]
    is_image = (frame["region"] == "img").to_numpy()
    time = np.where(is_image, 1.0 + middle * row_s / exptime, height * row_s / exptime)
    return Cells(
        x=(origin - PRESCAN) / width,
        y=middle / height,
        width=column["width_px"] / width,
        height=column["height_px"] / height,
        signal=column["signal_adu"] - column["base_adu"],
        error=column["signal_adu_err"],
        base_error=column["base_adu_err"],
        block=frame["row_block"].to_numpy(),
        is_image=is_image,
        time=time,
        strip=(frame["x"] - first).to_numpy(),
    )


_USED = ("x", "y", "width_px", "height_px", "signal_adu", "signal_adu_err", "base_adu", "base_adu_err")


def _channels(rows: list[_Row], concerns: Callable[[_Row], bool]) -> list[tuple[str, str]]:
    return sorted({(row["ccd"], row["quadrant"]) for row in rows if concerns(row)})


def _flags(inputs: CalibrationInput, rows: list[_Row]) -> Iterator[Flag]:
    cells = inputs.measured["dark_cells"].group_by(_CHANNEL).agg(pl.col("bias_subtracted", "mask_applied").all())
    bare = {
        name: sorted(cells.filter(~pl.col(name)).select(_CHANNEL).rows())
        for name in ("bias_subtracted", "mask_applied")
    }
    found = {
        "NO_BIAS": bare["bias_subtracted"],
        "NO_MASK": bare["mask_applied"],
        "NO_GAIN": _channels(rows, lambda row: "dark_overscan_adu" in row and "dark_overscan_e_per_px_h" not in row),
        "BADFIT": _channels(rows, lambda row: row.get("dof") is not None and disagrees(row["chi2"], row["dof"])),
        "POORQUALDATA": _channels(rows, lambda row: row["status"] == "failed"),
    }
    for name, channels in found.items():
        if channels:
            yield Flag(name, len(channels), ", ".join(f"{ccd} {quadrant}" for ccd, quadrant in channels))
