"""Acquisitions of tests that use the exposures of others."""

from dataclasses import replace
from datetime import datetime

import polars as pl
import pytest

from tests.campaign.synthetic import Bench
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.definitions import test_names as all_tests
from vison_etl.campaign.derived import is_due, sources_of, with_derived
from vison_etl.campaign.matching import find_acquisitions
from vison_etl.effects.registry import load
from vison_etl.lake.parts import schema
from vison_etl.pipeline.selection import in_order

WAVES = ("PTC02_590", "PTC02_730", "PTC02_880")


def adopted(*names):
    """Return decisions to adopt acquisitions, one after the other."""
    rows = [
        dict.fromkeys(schema("overrides"))
        | {"kind": "adopt", "acquisition": name, "made_at": datetime(2020, 1, 1 + day)}  # noqa: DTZ001 - UTC
        for day, name in enumerate(names)
    ]
    return pl.DataFrame(rows, schema=schema("overrides"))


def acquisitions(bench, overrides=None):
    """Return the rows of acquisitions by name."""
    found = with_derived(find_acquisitions(bench.frame(), overrides).acquisitions, overrides)
    return {row["acquisition"]: row for row in found.iter_rows(named=True)}


def test_one_source_is_followed_in_everything():
    rows = acquisitions(Bench().run("PTC01", range(90)))
    source, mine = rows["NOSTROMO/PTC01/1000"], rows["NOSTROMO/BF01/1000"]
    assert mine["frames_of"] == source["acquisition"]
    assert source["frames_of"] is None
    assert {k: v for k, v in mine.items() if k not in {"acquisition", "test", "frames_of"}} == {
        k: v for k, v in source.items() if k not in {"acquisition", "test", "frames_of"}
    }
    assert (mine["status"], mine["n_found"], mine["n_expected"]) == ("partial", 90, 92)


def test_each_acquisition_of_the_source_has_one_and_the_adopted_one_counts():
    bench = Bench().run("PTC01").wait(5000).run("PTC01")
    both = ["NOSTROMO/BF01/1000", "NOSTROMO/BF01/1092"]
    rows = acquisitions(bench)
    assert [rows[name]["is_adopted"] for name in both] == [False, True]
    assert [rows[name]["repeat"] for name in both] == [1, 2]
    rows = acquisitions(bench, adopted("NOSTROMO/PTC01/1000"))
    assert [rows[name]["is_adopted"] for name in both] == [True, False]
    rows = acquisitions(bench, adopted("NOSTROMO/BF01/1000"))
    assert [rows[name]["is_adopted"] for name in both] == [True, False]
    assert rows["NOSTROMO/PTC01/1092"]["is_adopted"]
    rows = acquisitions(bench, adopted(*both, both[0], "NOSTROMO/PTC01/1092"))
    assert [rows[name]["is_adopted"] for name in both] == [True, False]


def test_several_sources_make_one():
    bench = Bench().run("PTC02_590").run("PTC01").run("PTC02_730").run("PTC02_880")
    row = acquisitions(bench)["NOSTROMO/PTC_JOINT/1000"]
    assert sources_of(row) == tuple(
        f"NOSTROMO/{test}/{first}"
        for test, first in (("PTC01", 1024), ("PTC02_590", 1000), ("PTC02_730", 1116), ("PTC02_880", 1140))
    )
    assert (row["obsid_first"], row["obsid_last"]) == (1000, 1163)
    assert (row["n_found"], row["n_expected"], row["status"], row["is_adopted"]) == (164, 164, "complete", True)
    assert row["mismatch"] is None
    assert is_due("PTC_JOINT", row | {"variant": "default"}) == bool(definition("PTC_JOINT").effects)


def test_a_missing_or_partial_source_makes_it_partial():
    row = acquisitions(Bench().run("PTC01").run("PTC02_590"))["NOSTROMO/PTC_JOINT/1000"]
    assert (row["status"], row["n_found"], row["n_expected"]) == ("partial", 116, 164)
    assert row["mismatch"] == "PTC02_730: not acquired; PTC02_880: not acquired"
    assert not is_due("PTC_JOINT", row)
    bench = Bench().run("PTC01", range(91)).run("PTC02_590").run("PTC02_730").run("PTC02_880")
    row = acquisitions(bench)["NOSTROMO/PTC_JOINT/1000"]
    assert (row["status"], row["n_found"]) == ("partial", 163)
    assert row["mismatch"] == "PTC01: col011: 3 of 4 exposures"


@pytest.mark.parametrize("tests", [("PTC01",), ("PTC02_590",), WAVES])
def test_too_few_sources_make_none(tests):
    bench = Bench()
    for test in tests:
        bench.run(test)
    assert not [name for name in acquisitions(bench) if "PTC_JOINT" in name]


def test_which_are_analysed_unasked(monkeypatch):
    effects = (("readout_noise", {}),)
    known = {name: replace(definition(name), effects=effects) for name in ("BF01", "MOT_FF", "PTC_JOINT", "PTC01")}
    monkeypatch.setattr("vison_etl.campaign.derived.definition", known.__getitem__)
    row = {"acquisition": "B/T/1", "frames_of": "B/PTC01/1", "variant": "default"}
    of_mot = row | {"variant": "MOT:default"}
    assert is_due("PTC01", row)
    assert is_due("PTC01", of_mot)
    assert is_due("BF01", row)
    assert not is_due("BF01", of_mot)
    assert is_due("MOT_FF", of_mot)
    assert not is_due("MOT_FF", row)
    joint = row | {"frames_of": "B/PTC01/1 B/PTC02_590/2 B/PTC02_730/3 B/PTC02_880/4"}
    assert is_due("PTC_JOINT", joint)
    assert not is_due("PTC_JOINT", row | {"frames_of": "B/PTC01/1 B/PTC02_590/2"})
    known["BF01"] = replace(known["BF01"], effects=())
    assert not is_due("BF01", row)


def test_they_come_after_their_sources():
    names = in_order(all_tests())
    for name in names:
        for source in definition(name).frames_of:
            assert source == name or names.index(source) < names.index(name)


def test_parameters_of_measurements_are_those_of_the_test_with_the_frames():
    for name in all_tests():
        if not definition(name).has_frames:
            for effect, given in definition(name).effects:
                assert set(given) <= set(load(effect).parameters), f"{name} sets what its sources decide"
