"""Every structure, inventory and duration of the reference, column by column and key by key."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import cache

import pytest

from tests.reference import reference_file
from vison_etl.campaign.commands import AS_ACQUIRED
from vison_etl.campaign.handles import in_campaign_order, requested, selection
from vison_etl.campaign.settings import settings
from vison_etl.campaign.structures import Structure, definition, duration_min, structure
from vison_etl.campaign.structures import tests as names
from vison_etl.instrument.elvis_keys import script_keys

DUMPED = ("B_NOSTROMO", "B_EINSTEIN", "A_MAX")
CHAMBERS = (*DUMPED, "B_BORN", "A_CBE_AUG18")
EQUIPMENT = {"operator", "sn_ccd1", "sn_ccd2", "sn_ccd3", "sn_roe", "sn_rpsu"}
PLAIN = {"direct": "Full"}
"""Tests made without a campaign: they are those of the rules themselves."""


@cache
def dumped(chamber: str) -> dict:
    return json.loads(reference_file(f"reference/acquisition/structures_{chamber}.json").read_text(encoding="utf-8"))


@cache
def inventory(chamber: str) -> list[dict[str, str]]:
    text = reference_file(f"reference/acquisition/inventory_{chamber}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def acquired(test: str, chamber: str, campaign: str = "Full") -> Structure:
    return structure(test, chamber, PLAIN.get(campaign, campaign), AS_ACQUIRED)


def unequal(found: Structure, wanted: dict) -> Iterator[tuple]:
    """Yield (column, key, found, wanted) of all that is not equal: numbers to 1e-9 of the value."""
    for column, row in zip(found.columns, wanted["columns"], strict=True):
        said = {**wanted["common"], **row}
        assert column.label == said.pop("col")
        assert set(column.values) == set(said) == {key.key for key in script_keys()}
        for key in set(said) - EQUIPMENT:
            is_text = isinstance(said[key], str)
            same = column.values[key] == (said[key] if is_text else pytest.approx(said[key], rel=1e-9, abs=0))
            if not same or isinstance(column.values[key], str) != is_text:
                yield column.label, key, column.values[key], said[key]


@pytest.mark.parametrize("chamber", DUMPED)
def test_every_structure_equals_the_reference(chamber):
    for name, wanted in dumped(chamber)["tests"].items():
        found = acquired(name.split(":")[-1], chamber, wanted["campaign"])
        assert list(unequal(found, wanted)) == [], name
        assert [column.frames for column in found.columns] == [row["frames"] for row in wanted["columns"]], name
        assert (len(found.columns), found.n_frames) == (wanted["Ncols"], wanted["Nframes"]), name
        assert duration_min(found) == pytest.approx(wanted["duration_min"], abs=5.1e-5), name


def test_the_dumps_hold_every_test_with_a_script_but_those_of_filter_640():
    of_dumps = {name.split(":")[-1] for name in dumped("B_NOSTROMO")["tests"]}
    ours = {name for name in names(None) if definition(name).scripted}
    assert of_dumps <= ours
    assert ours - of_dumps == {"FLAT02_0", "FLAT02_640", "PSF01_PANCHRO", "PTC_JOINT"}


@pytest.mark.parametrize("chamber", CHAMBERS)
def test_every_line_of_the_inventories(chamber):
    rows = inventory(chamber)
    assert len(rows) > 50
    for row in rows:
        found = acquired(row["test"], chamber, row["campaign"])
        assert (len(found.columns), found.n_frames) == (int(row["columns"]), int(row["frames"])), row
        assert duration_min(found) == pytest.approx(float(row["minutes"]), abs=0.0051), row


@pytest.mark.parametrize("chamber", CHAMBERS)
def test_handles_and_order_of_the_campaigns(chamber):
    without = {"FLATFLUX00"} if chamber == "A_CBE_AUG18" else set()
    rows = [row for row in inventory(chamber) if row["campaign"] != "direct"]
    for campaign in {row["campaign"] for row in rows}:
        wanted = [(row["test"], row["handle"]) for row in rows if row["campaign"] == campaign]
        found = [(one.test, one.handle) for one in in_campaign_order(campaign) if one.handle not in without]
        assert found == wanted, campaign


def totals(tests: list[str], chamber: str, variant: str = AS_ACQUIRED) -> tuple[int, float]:
    """Return exposures and hours."""
    found = [structure(name, chamber, "Full", variant) for name in tests]
    return sum(one.n_frames for one in found), sum(duration_min(one) or 0.0 for one in found) / 60.0


@pytest.mark.parametrize(("chamber", "hours"), [("B_NOSTROMO", 54.38), ("B_EINSTEIN", 54.35), ("A_MAX", 60.05)])
def test_the_whole_campaign(chamber, hours):
    acquired_tests = [one.test for one in in_campaign_order("Full") if definition(one.test).has_frames]
    assert len(acquired_tests) == 52
    assert totals(acquired_tests, chamber) == (1912, pytest.approx(hours, abs=0.0051))


@pytest.mark.parametrize(("chamber", "hours"), [("B_NOSTROMO", 34.32), ("B_EINSTEIN", 34.31), ("A_MAX", 34.64)])
def test_the_recommended_selection(chamber, hours):
    chosen = requested(selection("recommended").handles)
    assert (len(selection("recommended").handles), len(chosen)) == (17, 27)
    assert totals([one.test for one in chosen], chamber) == (1205, pytest.approx(hours, abs=0.0051))


EXAMPLE = {
    "CHINJ02": (26, 26, 42.31),
    "BIAS01": (1, 10, 15.58),
    "BIAS02": (1, 10, 15.58),
    "TP01": (50, 50, 120.31),
    "CHINJ01": (36, 36, 58.58),
    "FOCUS00_590": (9, 9, 15.11),
    "FOCUS00_730": (9, 9, 14.25),
    "FOCUS00_800": (9, 9, 14.22),
    "FOCUS00_880": (9, 9, 14.39),
}


def test_the_worked_example_of_an_inventory():
    chosen = [one.test for one in requested(["CHINJ02", "BIAS01", "BIAS02", "TP01", "CHINJ01", "FOCUS00"])]
    assert chosen == list(EXAMPLE)
    for name in chosen:
        found = structure(name, "B_NOSTROMO")
        minutes = duration_min(found)
        assert (len(found.columns), found.n_frames, round(minutes, 2)) == EXAMPLE[name]
    assert totals(chosen, "B_NOSTROMO", "default") == (168, pytest.approx(310.33 / 60, abs=0.0051 / 60))


def test_no_campaign_of_the_reference_is_missing():
    assert set(settings().campaigns) >= {row["campaign"] for c in CHAMBERS for row in inventory(c)} - {"direct"}
