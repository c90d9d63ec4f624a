"""Exclusions applied to exposures, statistics and measurements."""

from __future__ import annotations

import polars as pl
import pytest

from tests.campaign.synthetic import Bench, statistics_of
from vison_etl.campaign.logged import schema_of
from vison_etl.campaign.overrides import exclude_channels, exclude_exposures


def rule(**keys) -> pl.DataFrame:
    row = {"kind": "exclude", "block": "NOSTROMO", "obsid_first": 1002, "obsid_last": 1003} | keys
    return pl.DataFrame([row], schema=schema_of("overrides"))


@pytest.fixture(scope="module")
def exposures() -> pl.DataFrame:
    return Bench().run("BIAS01").frame()


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ({}, 24),
        ({"ccd": "CCD2"}, 28),
        ({"ccd": "CCD2", "quadrant": "E"}, 30),
        ({"block": "BORN"}, 30),
        ({"kind": "adopt"}, 30),
        ({"obsid_first": None, "obsid_last": 1004}, 15),
        ({"obsid_last": None}, 6),
        ({"test": "BIAS01"}, 24),
        ({"test": "BIAS02"}, 30),
        ({"acquisition": "NOSTROMO/BIAS01/1000"}, 30),
    ],
)
def test_exposures(exposures, keys, left):
    found = exclude_exposures(exposures, rule(**keys))
    assert found.height == left
    assert found["obsid"].is_sorted()
    assert found.columns == exposures.columns


def test_several_exclusions_add_up(exposures):
    both = pl.concat([rule(), rule(obsid_first=1003, obsid_last=1005)])
    assert sorted(set(exclude_exposures(exposures, both)["obsid"])) == [1000, 1001, 1006, 1007, 1008, 1009]


def test_an_acquisition_can_be_named(exposures):
    matched = exposures.with_columns(acquisition=pl.lit("NOSTROMO/BIAS01/1000"), test=pl.lit("BIAS01"))
    assert exclude_exposures(matched, rule(acquisition="NOSTROMO/BIAS01/1000")).height == 24


@pytest.mark.parametrize(
    ("keys", "gone"),
    [
        ({}, 2 * 3 * 12),
        ({"ccd": "CCD1"}, 2 * 12),
        ({"ccd": "CCD1", "quadrant": "H"}, 2 * 3),
        ({"quadrant": "H"}, 2 * 9),
    ],
)
def test_statistics(exposures, keys, gone):
    statistics = statistics_of(exposures)
    assert exclude_channels(statistics, rule(**keys)).height == statistics.height - gone


def test_a_pair_goes_with_either_of_its_exposures():
    pairs = pl.DataFrame({"obsid_1": [1000, 1001, 1003, 1004], "obsid_2": [1001, 1002, 1004, 1005], "ccd": ["CCD1"] * 4,
                          "quadrant": ["E", "E", "E", "E"]})  # fmt: skip
    assert exclude_channels(pairs, rule(quadrant="E"))["obsid_1"].to_list() == [1000, 1004]
    assert exclude_channels(pairs, rule(quadrant="F")).height == 4


def test_rows_from_many_exposures_go_when_their_channel_was_touched():
    profiles = pl.DataFrame(
        {"block": ["NOSTROMO"] * 2, "ccd": ["CCD1", "CCD1"], "quadrant": ["E", "F"], "position": [0, 0]}
    )
    excluded = rule(ccd="CCD1", quadrant="E")
    assert exclude_channels(profiles, excluded).height == 2
    assert exclude_channels(profiles, excluded, obsids=(1000, 1009))["quadrant"].to_list() == ["F"]
    assert exclude_channels(profiles, excluded, obsids=(1004, 1009)).height == 2
    assert exclude_channels(profiles, rule(ccd="CCD1"), obsids=(1000, 1009)).height == 2


def test_a_frame_without_quadrants_is_left_alone_by_the_exclusion_of_one(exposures):
    assert exclude_channels(exposures, rule(quadrant="E")).height == exposures.height


def test_no_overrides_change_nothing(exposures):
    none = pl.DataFrame(schema=schema_of("overrides"))
    assert exclude_exposures(exposures, none).equals(exposures)
    assert exclude_channels(exposures, none).equals(exposures)
