"""The measurement hands over what its table wants."""

import numpy as np

from tests.frames import TINY, bias_frame
from vison_etl.effects.declare import RawFrame
from vison_etl.effects.nonlinearity import measure
from vison_etl.effects.nonlinearity.effect import EFFECT
from vison_etl.instrument.geometry import tiles
from vison_etl.tables import table

ADDED = {"block", "test", "acquisition", "script_column", "unit_key"}


def test_one_row_per_quadrant_and_tile():
    frame = RawFrame(700, "CCD2", bias_frame(np.random.default_rng(1), TINY), TINY, 0, TINY.quadrant_rows)
    found = measure.levels(frame, measure.PARAMETERS).tables["tile_levels"]
    assert set(found) == set(table("tile_levels").names) - ADDED
    assert {len(column) for column in found.values()} == {4 * len(tiles(TINY))}
    assert set(found["obsid"]) == {700}
    assert set(found["ccd"]) == {"CCD2"}


def test_what_was_not_read_is_none():
    frame = RawFrame(700, "CCD2", np.zeros((TINY.naxis2, TINY.naxis1), np.uint16), TINY, 0, TINY.quadrant_rows)
    found = measure.levels(frame, measure.PARAMETERS).tables["tile_levels"]
    assert set(found["mean_adu"]) == {None}
    assert set(found["n"]) == {0}


def test_declaration():
    assert [m.tables for m in EFFECT.measurements] == [("tile_levels",)]
    assert all(table(name).stage == "result" for name in EFFECT.tables)
