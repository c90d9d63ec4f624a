"""The map of the turn-off through pixels: wells that differ from tile to tile, charge above them spills along the column."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.closure.test_ptc_blooming import GAIN, GEOMETRY, LEVELS, expose
from tests.effects.photon_transfer.ptc_frames import calibration_input
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.instrument.geometry import QUADRANTS, tiles

AREAS = tiles(GEOMETRY)


def wells_of_tiles(rng: np.random.Generator, well_adu: np.ndarray) -> np.ndarray:
    """Return the well of every pixel, e-: that of its tile, shape (36,), with 1 % rms between pixels."""
    wells = np.full((GEOMETRY.image_rows, GEOMETRY.image_columns), np.mean(well_adu))
    for area, well in zip(AREAS, well_adu, strict=True):
        x = area.x - GEOMETRY.prescan
        wells[area.y : area.y + area.height, x : x + area.width] = well
    return np.asarray(GAIN * wells * (1 + 0.01 * rng.standard_normal(wells.shape)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [61, 62])
def test_wells_of_tiles_are_in_their_brackets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre = {q: rng.uniform(32e3, 54e3) for q in QUADRANTS}
    truth = {q: centre[q] * (1 + 0.03 * rng.standard_normal(len(AREAS))) for q in QUADRANTS}
    wells = {q: wells_of_tiles(rng, truth[q]) for q in QUADRANTS}
    measurement = next(m for m in EFFECT.measurements if m.name == "tiles")
    parts = []
    for k, level in enumerate(LEVELS):
        for pair in range(2):
            obsid = 100 + 4 * k + 2 * pair
            frames = [expose(rng, obsid + i, level * 65536, wells) for i in range(2)]
            tables = measurement.function(*frames, measurement.parameters).tables
            part = pl.DataFrame(dict(tables["pair_tiles"]), infer_schema_length=None)
            parts.append(part.with_columns(script_column=pl.lit(f"col{k + 1:03d}")))
    rows = EFFECT.calibrate(calibration_input(pl.concat(parts))).tables["turnoff_tiles"]
    well = np.array([truth[q][t] for q, t in rows.select("quadrant", "tile").iter_rows()])
    rows = rows.with_columns(well_adu=pl.Series(well))
    assert rows.height == 4 * len(AREAS)
    assert rows.filter(pl.col("status") == "ok").height > 0.95 * rows.height
    assert rows.filter(pl.col("turnoff_lower_adu") > pl.col("well_adu")).height == 0
    assert rows.filter(pl.col("turnoff_upper_adu") < pl.col("well_adu")).height == 0
    # levels are a tenth of full scale apart: a bracket is one such step, two where the noise of a small tile hides the first fall
    width = rows["turnoff_upper_adu"] - rows["turnoff_lower_adu"]
    assert width.median() < 2.2 * 0.1 * 65536
    off = (rows["turnoff_adu"] - rows["well_adu"]) / rows["turnoff_adu_err"]
    assert off.abs().max() < 4.0
