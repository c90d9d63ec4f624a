from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from vison_etl.instrument.hk import limits_performance
from vison_etl.simulate.housekeeping import ccd_temperatures, readings, version, written_keys
from vison_etl.simulate.plan import exposures, plan_day

EXPOSURES = exposures(plan_day("CURIE", ["BIAS01", "PTC02_155R"], datetime.fromisoformat("2019-03-12T08:00:00"), 17001))


@pytest.mark.parametrize("exposure", EXPOSURES[::7])
def test_every_reading_is_within_its_limits(exposure):
    values = readings(1, "CURIE", exposure.obsid, exposure.logged)
    assert 6 <= len(values) <= 10
    for limit in limits_performance(version()):
        commanded = exposure.logged[limit.command_column] if limit.command_column else None
        column = values[:, written_keys().index(limit.key)]
        assert all(limit.accepts(value, commanded) for value in column), limit.key
        if commanded is not None:
            assert np.abs(column - commanded).max() < 0.05
        if "_TEMP_T" in limit.key and limit.key.startswith("CCD"):
            assert np.abs(column + 120).max() < 0.3


def test_readings_repeat_and_differ_between_exposures():
    first, second = EXPOSURES[:2]
    assert np.array_equal(
        readings(1, "CURIE", first.obsid, first.logged), readings(1, "CURIE", first.obsid, first.logged)
    )
    other = readings(1, "CURIE", second.obsid, second.logged)
    assert not np.array_equal(readings(1, "CURIE", first.obsid, first.logged)[:6], other[:6])


def test_temperatures_of_the_log():
    values = ccd_temperatures(1, "CURIE", 17001, -125.15)
    assert len(values) == 6
    assert all(abs(value + 125.15) < 0.3 for value in values.values())
