"""Handles, repetitions, the order of campaigns and the named selections."""

from __future__ import annotations

from collections import Counter

import pytest

from vison_etl.campaign import handles
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.definitions import test_names as names_of_tests
from vison_etl.campaign.handles import expand_handle, in_campaign_order, requested, selection
from vison_etl.campaign.rules import UnknownTest
from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import RuleError


def test_a_handle_stands_for_the_tests_that_the_campaign_has():
    assert expand_handle("PTC02WAVE") == ("PTC02_590", "PTC02_730", "PTC02_880")
    assert expand_handle("PTC02TEMP") == ("PTC02_148K", "PTC02_158K")
    assert expand_handle("PTC02TEMP", "devel") == ("PTC02_150K", "PTC02_156K")
    assert expand_handle("FOCUS00", "Mini") == ("FOCUS00_590", "FOCUS00_800", "FOCUS00_880")
    assert expand_handle("FLAT02", "Mini") == ("FLAT02_0", "FLAT02_590", "FLAT02_640", "FLAT02_730", "FLAT02_880")
    assert expand_handle("NL02") == ("NL02",)
    assert expand_handle("FOCUS00_800") == ("FOCUS00_800",)


def test_a_repetition_keeps_the_name_of_the_test():
    found = requested(["BIAS02", "BIAS02.1", "FLAT02.2"])
    assert [(one.key, one.test, one.handle) for one in found] == [
        ("BIAS02", "BIAS02", "BIAS02"),
        ("BIAS02.1", "BIAS02", "BIAS02"),
        ("FLAT02_590.2", "FLAT02_590", "FLAT02"),
        ("FLAT02_730.2", "FLAT02_730", "FLAT02"),
        ("FLAT02_880.2", "FLAT02_880", "FLAT02"),
    ]


@pytest.mark.parametrize(
    ("asked", "campaign", "error", "message"),
    [
        (["PTC02WAV"], "Full", UnknownTest, "campaign Full has no test or handle 'PTC02WAV'; nearest: PTC02WAVE"),
        (["CHINJ00"], "Full", UnknownTest, "campaign Full has no test or handle 'CHINJ00'; nearest: CHINJ0"),
        (["BIAS01"], "Ful", UnknownTest, "no campaign 'Ful'; nearest: Full"),
        (["BIAS01", "BIAS01"], "Full", RuleError, "BIAS01 is asked for twice; a repetition is written BIAS01.1"),
        (["FOCUS00", "FOCUS00_590"], "Full", RuleError, "FOCUS00_590: FOCUS00_590 is asked for twice"),
        (["BIAS01.2"], "MOT", RuleError, "tests of campaign MOT are not repeated; ask for BIAS01"),
        (["BIAS01."], "Full", UnknownTest, "no test or handle 'BIAS01.'; nearest: BIAS01"),
    ],
)
def test_what_cannot_be_asked_for(asked, campaign, error, message):
    with pytest.raises(error) as caught:
        requested(asked, campaign)
    assert message in str(caught.value)


@pytest.mark.parametrize("campaign", sorted(settings().campaigns))
def test_every_test_of_a_campaign_has_its_place(campaign):
    ordered = [one.test for one in in_campaign_order(campaign)]
    assert sorted(ordered) == sorted(names_of_tests(campaign))


def test_an_order_that_leaves_a_test_out_is_refused(monkeypatch):
    monkeypatch.setattr(handles, "_members", lambda _: ["BIAS01", "PTC01"])
    monkeypatch.setattr(handles, "requested", lambda *_: ())
    with pytest.raises(RuleError, match=r"campaign.toml: campaign.MOT: 'order' lacks BIAS01, PTC01"):
        in_campaign_order.__wrapped__("MOT")


def test_handles_name_tests_that_exist():
    known = set(names_of_tests())
    assert {test for tests in settings().handles.values() for test in tests} <= known
    assert known.isdisjoint(settings().handles)


@pytest.mark.parametrize("name", sorted(settings().selections))
def test_sessions_hold_tests_that_are_acquired(name):
    chosen = selection(name)
    assert list(chosen.sessions) == ["D00", "D11", "D12", "D21", "D22"]
    for tests in chosen.sessions.values():
        assert [one.key for one in requested(tests, chosen.campaign)] == list(tests)
        assert all(definition(test).is_commanded for test in tests)
    counts = Counter(test for tests in chosen.sessions.values() for test in tests)
    assert {test for test, n in counts.items() if n > 1} == {"BIAS02"}


def test_the_sessions_of_the_revised_selection_need_no_other_scripts():
    chosen = selection("revised")
    scripts = {one.test for one in requested(chosen.handles)}
    assert {test for tests in chosen.sessions.values() for test in tests} <= scripts
    with pytest.raises(UnknownTest, match="no selection 'revise'; nearest: revised"):
        selection("revise")
