"""Dark and bias frames with all that disturbs a dark current, simulated without knowledge of its analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from tests.frames import ArrayGroup, ccd_frame
from vison_etl.effects.dark.effect import EFFECT
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.readout_noise import master
from vison_etl.instrument.geometry import QUADRANTS, geometry_of
from vison_etl.pixels.histograms import region_statistics
from vison_etl.tables import table

GEOMETRY = geometry_of(398, 296)
GAIN = 3.4
GAIN_ERR = 0.01
EXPTIME_S = 565.0
ROW_S = 0.55
"""As long as the read-out of a whole frame, spread over the few rows of this one."""

_KINDS = {"text": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "timestamp": pl.Datetime}


@dataclass(frozen=True)
class Sky:
    """What is there beside the dark current, per exposure: glow and gradients in electrons, tracks and hot pixels per quadrant."""

    rate_e_per_px_s: float
    glow_e: float = 12.0
    glow_px: float = 14.0
    gradient_e: tuple[float, float] = (3.0, -2.0)
    n_tracks: float = 3.0
    n_hot: int = 8
    first_rows_adu: float = 1.0
    hot: dict = field(default_factory=dict)


def _charge(sky: Sky, exptime_s: float) -> np.ndarray:
    """Return the mean charge of every pixel of a quadrant, electrons, shape (hQ, wQ)."""
    rows, columns = GEOMETRY.image_rows, GEOMETRY.image_columns
    y, x = np.mgrid[0:rows, 0:columns]
    out = np.zeros((GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns))
    image = sky.rate_e_per_px_s * (exptime_s + (y + 0.5) * ROW_S)
    light = sky.glow_e * np.exp(-np.hypot(x + 0.5, y + 0.5) / sky.glow_px)
    light += sky.gradient_e[0] * ((x + 0.5) / columns - 0.5) + sky.gradient_e[1] * ((y + 0.5) / rows - 0.5)
    image = image + light * exptime_s / EXPTIME_S
    columns_read = slice(GEOMETRY.prescan, GEOMETRY.prescan + columns)
    out[:rows, columns_read] = image
    out[rows:, columns_read] = sky.rate_e_per_px_s * rows * ROW_S
    return out


def _tracks(rng: np.random.Generator, number: float) -> np.ndarray:
    """Return the charge of cosmic rays: straight tracks of uneven charge with wings that fade into the noise."""
    rows, columns = GEOMETRY.image_rows, GEOMETRY.image_columns
    out = np.zeros((rows, columns))
    for _ in range(rng.poisson(number)):
        angle, length = rng.uniform(0, 2 * np.pi), 1 + int(rng.exponential(6))
        y = np.floor(rng.uniform(0, rows) + np.arange(length) * np.sin(angle)).astype(int)
        x = np.floor(rng.uniform(0, columns) + np.arange(length) * np.cos(angle)).astype(int)
        for j, i in zip(y, x, strict=True):
            charge = rng.lognormal(np.log(600), 0.8)
            for dy, dx, part in ((0, 0, 1.0), (0, 1, 0.02), (0, -1, 0.02), (1, 0, 0.02), (-1, 0, 0.02)):
                if 0 <= j + dy < rows and 0 <= i + dx < columns:
                    out[j + dy, i + dx] += part * charge
    return out


@dataclass(frozen=True)
class Detector:
    """The fixed part of one quadrant, ADU: bias structure; and the charge of its hot pixels, electrons per exposure."""

    structure: np.ndarray
    hot_e: np.ndarray


def detector(rng: np.random.Generator, sky: Sky) -> Detector:
    rows, columns = GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns
    x, y = np.arange(columns), np.arange(rows)[:, None]
    structure = 30 * np.exp(-x / 3.0) + 0.6 * x / columns + 0.12 * rng.standard_normal(columns)
    structure = structure + sky.first_rows_adu * np.exp(-y / 20.0)
    hot = np.zeros((GEOMETRY.image_rows, GEOMETRY.image_columns))
    place = rng.choice(hot.size, sky.n_hot, replace=False)
    hot.ravel()[place] = GAIN * 10 ** rng.uniform(1.0, 3.5, sky.n_hot)
    return Detector(structure, hot)


def expose(rng: np.random.Generator, quadrant: Detector, sky: Sky, exptime_s: float) -> np.ndarray:
    """Return one quadrant of one frame before the ADC, ADU."""
    rows, columns = GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns
    part = exptime_s / EXPTIME_S
    mean = _charge(sky, exptime_s)
    image = (slice(0, GEOMETRY.image_rows), slice(GEOMETRY.prescan, GEOMETRY.prescan + GEOMETRY.image_columns))
    mean[image] += quadrant.hot_e * part
    charge = rng.poisson(np.maximum(mean, 0)) + np.minimum(mean, 0)
    charge[image] += _tracks(rng, sky.n_tracks * (0.02 + part))
    drift = 0.4 * np.sin(np.arange(rows) / 40.0 + rng.uniform(0, 6))
    common = 2700 + rng.normal(0, 2) + drift + rng.normal(0, 0.3, rows)
    return quadrant.structure + common[:, None] + charge / GAIN + rng.normal(0, 1.15, (rows, columns))


def group_of(
    rng: np.random.Generator, quadrants: dict[str, Detector], sky: Sky, n: int, exptime_s: float, first: int
) -> ArrayGroup:
    frames = [
        ccd_frame(GEOMETRY, {name: expose(rng, quadrants[name], sky, exptime_s) for name in QUADRANTS})
        for _ in range(n)
    ]
    return ArrayGroup(tuple(frames), GEOMETRY, vend=GEOMETRY.quadrant_rows, first_obsid=first)


def typed(name: str, columns) -> pl.DataFrame:
    """Return measured columns as the engine would, without the keys it adds, script column col001."""
    schema = {c.name: _KINDS[c.kind] for c in table(name).columns if c.name in columns}
    return pl.DataFrame({key: columns[key] for key in schema}, schema=schema).with_columns(
        script_column=pl.lit("col001")
    )


def measure(seed: int, sky: Sky, *, n_dark: int = 4, n_bias: int | None = 6) -> CalibrationInput:
    """Simulate one CCD, make its master bias and measure its darks."""
    rng = np.random.default_rng(seed)
    quadrants = {name: detector(rng, sky) for name in QUADRANTS}
    given = {}
    if n_bias:
        biases = group_of(rng, quadrants, sky, n_bias, 0.0, 1)
        given["master_bias"] = master.master(biases, master.PARAMETERS).products[0]
    darks = group_of(rng, quadrants, sky, n_dark, EXPTIME_S, 100)
    measurement = EFFECT.measurements[0]
    extracted = measurement.function(darks, measurement.parameters, given)
    return calibration_input(darks, extracted.tables)


def calibration_input(group: ArrayGroup, tables, *, gain: bool = True) -> CalibrationInput:
    start = datetime(2019, 3, 12, 8)  # noqa: DTZ001 - the bench writes no zone
    rows = [
        {
            "obsid": obsid,
            "ccd": group.ccd,
            "script_column": "col001",
            "exptime_s": EXPTIME_S,
            "toi_ro_us": 1000.0,
            "image_columns": GEOMETRY.image_columns,
            "image_rows": GEOMETRY.image_rows,
            "started_at": start + timedelta(minutes=11 * k),
            "r1c1_tt_degc": -120.0,
            "r1c1_tb_degc": -121.0,
        }
        for k, obsid in enumerate(group.obsids)
    ]
    statistics = [
        {"obsid": obsid, "ccd": group.ccd, **row}
        for obsid, frame in zip(group.obsids, group.frames, strict=True)
        for row in region_statistics(frame, group.geometry, group.vstart, group.vend)
    ]
    gains = pl.DataFrame(
        {
            "ccd": ["CCD1"] * 4,
            "quadrant": list("EFGH"),
            "gain_e_per_adu": [GAIN] * 4,
            "gain_e_per_adu_err": [GAIN_ERR] * 4,
        }
    )
    return CalibrationInput(
        test="DARK01",
        wavelength_nm=None,
        parameters={**EFFECT.parameters, "serial_row_s": ROW_S - 0.004},
        exposures=pl.DataFrame(rows),
        statistics=pl.DataFrame(statistics, infer_schema_length=None),
        measured={name: typed(name, tables[name]) for name in ("dark_cells", "dark_counts", "dark_histogram")},
        gain=gains if gain else None,
    )
