"""A functional check of one CCD as simulated, whole or broken, and as its calibration gets it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput, RawFrame
from vison_etl.effects.functional.effect import EFFECT
from vison_etl.instrument.geometry import QUADRANTS, geometry_of
from vison_etl.pixels.histograms import region_statistics
from vison_etl.simulate.bench import Bench, bench_channel, ccd_image
from vison_etl.simulate.dark import dark_rate_e_per_s
from vison_etl.simulate.exposure import Exposure
from vison_etl.simulate.faults import Fault
from vison_etl.simulate.plan import exposures, plan_day
from vison_etl.simulate.quadrant import Options
from vison_etl.simulate.response import in_condition
from vison_etl.tables import table

GEOMETRY = geometry_of(654, 552)
FIRST = 17001
NAMES = ("reverse_all", "reverse_columns", "ramp", "injection", "flat", "590", "730", "880")
OBSIDS = {name: FIRST + index for index, name in enumerate(NAMES)}
_KINDS = {"text": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "timestamp": pl.Datetime}


@cache
def planned(seed: int) -> tuple[Exposure, ...]:
    plan = plan_day("BORN", ["MOT_WARM"], datetime(2019, 3, 12, 8), FIRST, chamber="B_BORN", seed=seed)  # noqa: DTZ001
    return exposures(plan)


def bench(seed: int, faults: Iterable[Fault] = ()) -> Bench:
    return Bench(Path(), "BORN", seed, GEOMETRY, Options(nonlinearity=1.0), tuple(faults))


@cache
def image(seed: int, obsid: int, ccd: str, faults: tuple[Fault, ...] = ()) -> np.ndarray:
    found = ccd_image(bench(seed, faults), planned(seed)[obsid - FIRST], ccd)
    found.flags.writeable = False
    return found


def fault(kind: str, names: Iterable[str] = NAMES, ccd: str = "CCD1", quadrant: str = "F") -> tuple[Fault, ...]:
    return tuple(Fault(kind, OBSIDS[name], ccd, quadrant) for name in names)


def given(
    seed: int, ccds: Sequence[str] = ("CCD1",), faults: tuple[Fault, ...] = (), without: Sequence[str] = ()
) -> CalibrationInput:
    """Simulate, measure and gather; ``without`` names frames that are missing."""
    taken = [e for e in planned(seed) if e.obsid not in {OBSIDS[name] for name in without}]
    log, statistics = [], []
    measured: dict[str, list[pl.DataFrame]] = {}
    for exposure in taken:
        for ccd in ccds:
            mine = tuple(f for f in faults if f.hits(exposure.obsid, ccd))
            pixels = image(seed, exposure.obsid, ccd, mine)
            log.append({"ccd": ccd, **exposure.logged, "chamber": "B_BORN", "filter": exposure.shot.label or None})
            rows = region_statistics(pixels, GEOMETRY, 0, GEOMETRY.quadrant_rows)
            statistics += [{"obsid": exposure.obsid, "ccd": ccd, **row} for row in rows]
            raw = RawFrame(exposure.obsid, ccd, pixels, GEOMETRY, 0, GEOMETRY.quadrant_rows)
            measurement = EFFECT.measurements[0]
            for name, columns in measurement.function(raw, measurement.parameters).tables.items():
                kinds = {c.name: _KINDS[c.kind] for c in table(name).columns if c.name in columns}
                measured.setdefault(name, []).append(pl.DataFrame({c: columns[c] for c in kinds}, schema=kinds))
    return CalibrationInput(
        test="MOT_WARM",
        wavelength_nm=None,
        parameters=EFFECT.parameters,
        exposures=pl.DataFrame(log, infer_schema_length=None),
        statistics=pl.DataFrame(statistics, infer_schema_length=None),
        measured={name: pl.concat(frames).fill_nan(None) for name, frames in measured.items()},
        gain=None,
    )


def found(seed: int = 7, **kwargs) -> Calibrated:
    return EFFECT.calibrate(given(seed, **kwargs))


def failures(result: Calibrated) -> set[tuple[str, str, str]]:
    """Return (check, ccd, quadrant) of what is no-go."""
    rows = result.tables["functional_checks"].filter(verdict="no_go")
    return set(rows.select("check_name", "ccd", "quadrant").rows())


def true_slope_adu_per_row(seed: int, ccd: str, quadrant: str) -> float:
    setup = planned(seed)[OBSIDS["ramp"] - FIRST].shot.setup
    truth = bench_channel(bench(seed), ccd, quadrant)
    return dark_rate_e_per_s(truth, setup.degc) * setup.row_s / in_condition(truth, setup).gain_e_per_adu


def with_gain(inputs: CalibrationInput, gain: float) -> CalibrationInput:
    rows = [
        {"ccd": "CCD1", "quadrant": q, "gain_e_per_adu": gain, "gain_e_per_adu_err": 0.01 * gain} for q in QUADRANTS
    ]
    return dataclasses.replace(inputs, gain=pl.DataFrame(rows))
