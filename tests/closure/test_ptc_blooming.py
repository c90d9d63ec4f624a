"""The turn-off through pixels: charge above the full well of a pixel spills along its column."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.effects.photon_transfer.ptc_frames import calibration_input
from vison_etl.effects.declare import RawFrame
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.instrument.geometry import QUADRANTS, geometry_of, place_quadrant

GEOMETRY = geometry_of(654, 552)
GAIN = 3.5
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SPILLS = 40


def spill(charge: np.ndarray, well: np.ndarray) -> np.ndarray:
    """Move what exceeds the well of a pixel to its neighbours along the column, in many steps."""
    for _ in range(SPILLS):
        excess = np.maximum(charge - well, 0.0)
        charge = charge - excess
        charge[1:] += 0.5 * excess[:-1]
        charge[:-1] += 0.5 * excess[1:]
        charge[0] += 0.5 * excess[0]
        charge[-1] += 0.5 * excess[-1]
    return charge


def expose(rng: np.random.Generator, obsid: int, signal_adu: float, wells_e: dict[str, np.ndarray]) -> RawFrame:
    image = np.empty((GEOMETRY.naxis2, GEOMETRY.naxis1))
    rows, columns = GEOMETRY.image_rows, GEOMETRY.image_columns
    slope = 1 + 0.05 * np.linspace(-1, 1, columns)[None, :]
    for quadrant in QUADRANTS:
        signal = np.zeros((GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns))
        charge = rng.poisson(signal_adu * GAIN * slope * np.ones((rows, 1))).astype(float)
        signal[:rows, 51 : 51 + columns] = spill(charge, wells_e[quadrant]) / GAIN
        place_quadrant(image, GEOMETRY, quadrant, 2700 + signal + 1.25 * rng.standard_normal(signal.shape))
    return RawFrame(obsid, "CCD1", np.clip(np.round(image), 0, 65535).astype(np.uint16), GEOMETRY, 0, 276)


@pytest.mark.slow
@pytest.mark.parametrize("full_well_adu", [33_000.0, 46_000.0, 1e6])
def test_full_well_of_pixels_is_found(full_well_adu: float) -> None:
    rng = np.random.default_rng(51)
    shape = (GEOMETRY.image_rows, GEOMETRY.image_columns)
    wells = {q: full_well_adu * GAIN * (1 + 0.01 * rng.standard_normal(shape)) for q in QUADRANTS}
    measurement = EFFECT.measurements[0]
    parts = []
    for k, level in enumerate(LEVELS):
        for pair in range(2):
            obsid = 100 + 4 * k + 2 * pair
            frames = [expose(rng, obsid + i, level * 65536, wells) for i in range(2)]
            tables = measurement.function(*frames, measurement.parameters).tables
            parts.append(pl.DataFrame(dict(tables["pair_tiles"]), infer_schema_length=None))
            parts[-1] = parts[-1].with_columns(script_column=pl.lit(f"col{k + 1:03d}"))
    gain = EFFECT.calibrate(calibration_input(pl.concat(parts))).tables["gain"].filter(ccd="CCD1", model="exponential")
    assert gain["status"].unique().to_list() == ["ok"]
    if full_well_adu > 65536:
        assert gain["turnoff_adu"].null_count() == 4
        assert gain["turnoff_lower_adu"].min() > 58_000
    else:
        # pixels with a small well spill first: the curve turns off below the mean well
        assert (gain["turnoff_lower_adu"] < full_well_adu).all()
        assert (gain["turnoff_upper_adu"] > full_well_adu).all()
        np.testing.assert_allclose(gain["turnoff_adu"], full_well_adu, rtol=0.06)
    pulls = ((gain["gain_e_per_adu"] - GAIN) / gain["gain_e_per_adu_err"]).to_numpy()
    assert np.all(np.abs(pulls) < 3.9)  # 99.96 % of the sets of four
