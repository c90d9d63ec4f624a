from __future__ import annotations

import numpy as np
import pytest

from tests.effects.photon_transfer.test_ptc_measure import ENGINE, GEOMETRY, frame
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.instrument.geometry import quadrant_view
from vison_etl.pixels.lag_covariances import LAGS
from vison_etl.tables import table

(MEASUREMENT,) = (m for m in EFFECT.measurements if m.name == "covariances")


def test_columns_are_those_of_the_table() -> None:
    found = MEASUREMENT.function(frame(11, 1), frame(12, 2), MEASUREMENT.parameters)
    assert set(found.tables) == set(MEASUREMENT.tables) == {"pair_covariances"}
    columns = found.tables["pair_covariances"]
    assert set(columns) == set(table("pair_covariances").names) - ENGINE
    assert {len(values) for values in columns.values()} == {4 * 145}
    assert set(columns["obsid_1"]) == {11}
    assert set(columns["obsid_2"]) == {12}
    assert set(columns["ccd"]) == {"CCD2"}
    assert columns["quadrant"][::145] == ["E", "F", "G", "H"]
    lags = list(zip(columns["lag_x"], columns["lag_y"], strict=True))
    assert lags == list(LAGS) * 4
    assert len(set(LAGS)) == 145
    assert {(x, y) for x, y in LAGS if x == 0} == {(0, y) for y in range(9)}
    assert {y for x, y in LAGS if x == 3} == set(range(-8, 9))
    assert columns["covariance_adu2"][::145] == pytest.approx([51**2 + 1.3**2 + 1 / 12] * 4, rel=0.03)
    assert columns["mean_adu"] == pytest.approx([9000] * 580, rel=1e-3)
    assert set(columns["n_saturated"]) == {0}
    assert all(type(value) is int for value in columns["n"])


def test_a_quadrant_without_pixels_holds_none_and_never_nan() -> None:
    frames = [frame(11, 1), frame(12, 2)]
    quadrant_view(frames[0].image, GEOMETRY, "F")[:] = 65535
    columns = MEASUREMENT.function(*frames, MEASUREMENT.parameters).tables["pair_covariances"]
    is_f = np.array(columns["quadrant"]) == "F"
    for name in ("covariance_adu2", "covariance_adu2_err", "mean_adu", "mean_adu_err", "spread_adu"):
        assert [value is None for value in columns[name]] == is_f.tolist()
    assert set(np.array(columns["n_saturated"])[is_f]) == {256 * 256}
    assert set(np.array(columns["n"])[is_f]) == {0}
    assert not any(isinstance(value, float) and np.isnan(value) for values in columns.values() for value in values)


def test_frames_that_make_no_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="exposures 11 and 12"):
        MEASUREMENT.function(frame(11, 1), frame(12, 2, ccd="CCD3"), MEASUREMENT.parameters)
