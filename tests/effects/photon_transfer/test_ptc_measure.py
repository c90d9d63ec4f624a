from __future__ import annotations

import numpy as np
import pytest

from vison_etl.effects.declare import RawFrame
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.instrument.geometry import geometry_of, quadrant_view, tiles
from vison_etl.tables import table

GEOMETRY = geometry_of(654, 552)
ENGINE = {"block", "test", "acquisition", "script_column", "unit_key"}
MEASUREMENT = EFFECT.measurements[0]


def frame(obsid: int, seed: int, ccd: str = "CCD2", vend: int = 276) -> RawFrame:
    rng = np.random.default_rng(seed)
    image = rng.normal(2700, 1.3, (GEOMETRY.naxis2, GEOMETRY.naxis1))
    for quadrant in "EFGH":
        view = quadrant_view(image, GEOMETRY, quadrant)
        view[:256, 51:307] += rng.normal(9000, 51, (256, 256))
    return RawFrame(obsid, ccd, np.round(image).astype(np.uint16), GEOMETRY, 0, vend)


def test_columns_are_those_of_the_table() -> None:
    found = MEASUREMENT.function(frame(11, 1), frame(12, 2), MEASUREMENT.parameters)
    assert set(found.tables) == set(MEASUREMENT.tables) == {"pair_tiles"}
    columns = found.tables["pair_tiles"]
    assert set(columns) == set(table("pair_tiles").names) - ENGINE
    n = 4 * len(tiles(GEOMETRY))
    assert {len(values) for values in columns.values()} == {n}
    assert set(columns["obsid_1"]) == {11}
    assert set(columns["obsid_2"]) == {12}
    assert set(columns["ccd"]) == {"CCD2"}
    assert columns["quadrant"][:: n // 4] == ["E", "F", "G", "H"]
    assert np.mean(columns["mean_adu"]) == pytest.approx(9000, rel=1e-3)
    assert np.mean(columns["variance_adu2"]) == pytest.approx(51**2 + 1.3**2 + 1 / 12, rel=0.01)


def test_tiles_not_read_hold_none_and_never_nan() -> None:
    frames = [frame(11, 1, vend=150), frame(12, 2, vend=150)]
    for one in frames:
        for quadrant in "EFGH":
            quadrant_view(one.image, GEOMETRY, quadrant)[150:] = 0
    columns = MEASUREMENT.function(*frames, MEASUREMENT.parameters).tables["pair_tiles"]
    missing = [value is None for value in columns["variance_adu2"]]
    assert missing == [y >= 150 for y in columns["y"]]
    assert not any(isinstance(value, float) and np.isnan(value) for values in columns.values() for value in values)


def test_frames_that_make_no_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="exposures 11 and 12"):
        MEASUREMENT.function(frame(11, 1), frame(12, 2, ccd="CCD3"), MEASUREMENT.parameters)
