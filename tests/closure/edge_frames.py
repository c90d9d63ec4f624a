"""Flats with hard edges, pixel by pixel: charge deferred at every transfer, a bounce of the amplifier, full well. No code under test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tests.frames import ccd_frame
from vison_etl.effects.declare import CalibrationInput, RawFrame
from vison_etl.effects.edge_response.effect import EFFECT
from vison_etl.instrument.geometry import QUADRANTS, geometry_of
from vison_etl.tables import table

GEOMETRY = geometry_of(654, 552)
ROWS, COLUMNS = GEOMETRY.image_rows, GEOMETRY.image_columns
TRANSFERS = {"serial": GEOMETRY.prescan + COLUMNS, "parallel": ROWS}
GAIN, GAIN_ERR = 3.4, 0.01
PTC = {0.05: 4, 0.10: 4, 0.20: 4, 0.30: 4, 0.50: 4, 0.70: 2, 0.80: 2, 0.90: 2}
LAGS = np.arange(1, 61)

_KINDS = {"text": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "timestamp": pl.Datetime}


@dataclass(frozen=True)
class Silicon:
    """One channel: fraction left behind per transfer at 20 000 ADU and its power of the level; release in px; bounce; full well."""

    serial_cti: float = 1e-6
    parallel_cti: float = 1e-6
    fall: float = 0.0
    serial_px: float = 1.5
    parallel_px: float = 2.5
    bounce: float = 1e-4
    full_well_adu: float = 47_000.0
    surface_cti: float = 5e-5

    def release(self, direction: str) -> np.ndarray:
        weights = np.exp(-(LAGS - 1) / (self.serial_px if direction == "serial" else self.parallel_px))
        return weights / weights.sum()

    def cti(self, direction: str, level: float | np.ndarray) -> float | np.ndarray:
        """Return sum of overscan over level and transfers: each charge counts for every pixel that it comes late."""
        return self.left_behind(direction, level) * float(self.release(direction) @ LAGS)

    def left_behind(self, direction: str, level: float | np.ndarray) -> float | np.ndarray:
        rate = self.serial_cti if direction == "serial" else self.parallel_cti
        return rate * (np.maximum(level, 1.0) / 20_000) ** -self.fall


def _released(left: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what comes later along the last axis."""
    out = np.zeros_like(left)
    for lag, weight in zip(LAGS, weights, strict=True):
        if lag < left.shape[-1]:
            out[..., lag:] += weight * left[..., :-lag]
    return out


def _transferred(charge: np.ndarray, silicon: Silicon) -> np.ndarray:
    """Move charge (ADU, whole quadrant) down the columns and along the register."""
    y = np.arange(charge.shape[0]) + 1.0
    left = y[:, None] * silicon.left_behind("parallel", charge) * charge
    left += y[:, None] * silicon.surface_cti * np.maximum(charge - silicon.full_well_adu, 0.0)
    charge = charge - left + _released(left.T, silicon.release("parallel")).T
    x = np.arange(charge.shape[1]) + 1.0
    left = x * silicon.left_behind("serial", charge) * charge
    return charge - left + _released(left, silicon.release("serial"))


@dataclass(frozen=True)
class Quadrant:
    """What is fixed of a quadrant: silicon, response of the pixels, structure of the offset, ADU."""

    silicon: Silicon
    response: np.ndarray
    structure: np.ndarray


def quadrant_of(rng: np.random.Generator, silicon: Silicon) -> Quadrant:
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    slopes = rng.uniform(-0.01, 0.01, 2)
    response = (1 + slopes[0] * (x / COLUMNS - 0.5) + slopes[1] * (y / ROWS - 0.5)) * (
        1 + 0.006 * rng.standard_normal((ROWS, COLUMNS))
    )
    response[:, rng.integers(COLUMNS)] *= 0.4
    columns = np.arange(GEOMETRY.quadrant_columns)
    structure = 30 * np.exp(-columns / 3.0) + 0.4 * columns / columns.size + 0.12 * rng.standard_normal(columns.size)
    return Quadrant(silicon, response, structure)


def expose(rng: np.random.Generator, quadrant: Quadrant, level_adu: float) -> np.ndarray:
    """Return one quadrant of a frame before the ADC, ADU."""
    charge = np.zeros((GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns))
    photons = rng.poisson(level_adu * GAIN * quadrant.response) / GAIN
    for _ in range(rng.poisson(2)):
        y, x = rng.integers(ROWS), rng.integers(COLUMNS - 12)
        photons[y, x : x + 12] += 600.0
    charge[:ROWS, GEOMETRY.prescan : GEOMETRY.prescan + COLUMNS] = photons
    moved = _transferred(charge, quadrant.silicon)
    before = np.pad(moved, ((0, 0), (1, 0)))[:, :-1]
    moved = moved + quadrant.silicon.bounce * (before - moved)
    common = 2700 + rng.normal(0, 1) + rng.normal(0, 0.3, (len(moved), 1))
    return moved + quadrant.structure + common + rng.normal(0, 1.15, moved.shape)


def flats(rng: np.random.Generator, quadrants: dict[str, Quadrant], plan=None) -> list[tuple[str, float, RawFrame]]:
    """Return (script column, exposure time, frame); a fluence of 0 is a frame without light."""
    out = []
    for number, (fluence, frames) in enumerate((PTC if plan is None else plan).items(), start=1):
        for _ in range(frames):
            level = fluence * 65536 * (1 + 0.003 * rng.standard_normal())
            image = ccd_frame(GEOMETRY, {name: expose(rng, quadrants[name], level) for name in QUADRANTS})
            frame = RawFrame(100 + len(out), "CCD1", image, GEOMETRY, 0, GEOMETRY.quadrant_rows)
            out.append((f"col{number:03d}", 10.0 * fluence, frame))
    return out


def calibration_input(frames: list[tuple[str, float, RawFrame]], *, gain: bool = True) -> CalibrationInput:
    """Measure frames as the engine would."""
    measurement = EFFECT.measurements[0]
    schema = {c.name: _KINDS[c.kind] for c in table("edge_profiles").columns}
    parts, exposures = [], []
    for column, exptime, frame in frames:
        columns = measurement.function(frame, measurement.parameters).tables["edge_profiles"]
        part = pl.DataFrame(
            {k: columns[k] for k in schema if k in columns}, schema={k: schema[k] for k in schema if k in columns}
        )
        parts.append(part.with_columns(script_column=pl.lit(column)))
        exposures.append(
            {
                "obsid": frame.obsid,
                "ccd": frame.ccd,
                "script_column": column,
                "exptime_s": exptime,
                "image_columns": COLUMNS,
                "image_rows": ROWS,
            }
        )
    gains = pl.DataFrame(
        {
            "ccd": ["CCD1"] * 4,
            "quadrant": list(QUADRANTS),
            "gain_e_per_adu": [GAIN] * 4,
            "gain_e_per_adu_err": [GAIN_ERR] * 4,
        }
    )
    return CalibrationInput(
        test="PTC01",
        wavelength_nm=800.0,
        parameters=EFFECT.parameters,
        exposures=pl.DataFrame(exposures),
        statistics=pl.DataFrame(),
        measured={"edge_profiles": pl.concat(parts)},
        gain=gains if gain else None,
    )
