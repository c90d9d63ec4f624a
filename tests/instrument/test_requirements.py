"""The requirements as data: typed, complete, and the same numbers as those of the checks."""

from __future__ import annotations

import pytest

from vison_etl.campaign.limits import limits
from vison_etl.instrument import datafiles
from vison_etl.instrument import requirements as module
from vison_etl.instrument.requirements import requirement, requirements


def test_ids_are_unique_and_every_requirement_has_a_limit_and_a_source():
    found = requirements()
    assert len({row.requirement for row in found}) == len(found) >= 4
    for row in found:
        assert row.lo is not None or row.hi is not None
        assert row.lo is None or row.hi is None or row.lo < row.hi
        assert row.table
        assert row.column
        assert row.unit
        assert len(row.source) > 10
        assert row.valid_from is None or row.valid_to is None or row.valid_from < row.valid_to


def test_the_mission_numbers():
    assert (requirement("gain").lo, requirement("gain").hi) == (3.0, 3.5)
    noise = requirement("read_noise_e")
    assert (noise.lo, noise.hi, noise.region, noise.severity) == (None, 4.5, "ove", "required")
    assert (requirement("read_noise_adu").lo, requirement("read_noise_adu").hi) == (0.86, 1.44)
    assert requirement("offset").tests == ("BIAS02", "BIAS01")


@pytest.mark.parametrize(("name", "rule"), [("read_noise_adu", "ron"), ("offset", "offset")])
def test_performance_limits_are_those_of_the_checks(name, rule):
    checked = {(limit.lo, limit.hi) for limit in limits() if limit.id == rule}
    assert checked == {(requirement(name).lo, requirement(name).hi)}


def test_limits_may_be_relative_to_the_channel():
    assert requirement("gain").limits("CURIE", "CCD1", "E") == (3.0, 3.5)
    assert requirement("offset").limits("CURIE", "CCD1", "E") == (2740.0, 2840.0)
    assert requirement("offset").limits("NOBODY", "CCD1", "E") == (None, None)


def test_unknown_ids_are_answered_with_the_known():
    with pytest.raises(KeyError, match="no requirement 'gian'; there are: gain, "):
        requirement("gian")


@pytest.mark.parametrize("change", [{"severity": "nice"}, {"added_to": "something"}])
def test_bad_data_are_refused(monkeypatch, change):
    row = datafiles.csv_rows("requirements.csv")[0] | change
    monkeypatch.setattr(module, "csv_rows", lambda _: (row,))
    requirements.cache_clear()
    with pytest.raises(ValueError, match=f"requirements.csv: .*{next(iter(change.values()))}"):
        requirements()
    requirements.cache_clear()
