"""Limits and flags as data, read strictly."""

from __future__ import annotations

import csv
import tomllib

import pytest

from tests.reference import reference_file
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.limits import flag_table, flag_word, limits, limits_of, load_limits
from vison_etl.campaign.metrics import METRICS
from vison_etl.campaign.rules import all_rules
from vison_etl.campaign.strict import RuleError

GOOD = "id='x'\nmetric='offset_adu'\nlo=1\nflags=['RON_OOL']\nsource='s'\n"


def test_every_limit_names_a_metric_that_exists():
    known = {*METRICS, "hk", "hk_readings"}
    assert {limit.metric for limit in limits()} <= known


def test_every_family_and_test_that_a_limit_names_exists():
    families = {rule.family.name for rule in all_rules().values()}
    for limit in limits():
        assert set(limit.families) | set(limit.not_families) <= families
        assert set(limit.tests) | set(limit.not_tests) <= set(all_rules())


def test_no_two_limits_of_a_test_share_id_and_region():
    for name in all_rules():
        seen = [(limit.id, region) for limit in limits_of(definition(name)) for region in limit.regions or (None,)]
        assert len(seen) == len(set(seen))


def test_bias_checks_the_image_too():
    regions = {name: {row.id: row.regions for row in limits_of(definition(name))} for name in ("BIAS01", "PTC01")}
    assert regions["BIAS01"]["offset"] == regions["BIAS01"]["std"] == ("pre", "img", "ove")
    assert regions["PTC01"]["offset"] == regions["PTC01"]["std"] == ("pre", "ove")
    assert regions["BIAS01"]["offset_gradient"] == ("img", "ove")
    assert regions["PTC01"]["offset_gradient"] == ("ove",)
    assert "fluence" not in regions["BIAS01"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "low=3", "limit x: unknown key 'low'; nearest: lo"),
        (GOOD.replace("RON_OOL", "RON_OL"), "no flag 'RON_OL' in flags.toml; nearest: RON_OOL"),
        (GOOD + "regions=['image']", "regions are pre, img, ove, pov; found image"),
        (GOOD + "limits='safe'", "'limits' stands for lo and hi"),
        (GOOD.replace("lo=1\n", ""), "no limit: give lo, hi or both"),
        (GOOD + "hi=0", "lo 1.0 is above hi 0.0"),
        (GOOD + "added_to='block_offsets'", "added_to is 'block_offsets'; nearest: block_offset_adu"),
        (GOOD.replace("id='x'\n", ""), "limit 1: 'id' is missing"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(text, message):
    with pytest.raises(RuleError) as caught:
        load_limits(tomllib.loads(f"[[limit]]\n{text}"))
    assert message in str(caught.value)


def test_the_flag_word_of_the_reference():
    assert flag_word(["MISSDATA", "HK_OOL", "HK_OOL"]) == 0b1_0000_0001
    assert flag_word(["HK_MISSING"]) == 0
    with pytest.raises(KeyError):
        flag_word(["NO_SUCH_FLAG"])


def test_bits_are_those_of_the_reference():
    rows = csv.DictReader(reference_file("reference/data/flags.csv").read_text(encoding="utf-8").splitlines())
    wanted = {row["name"]: int(row["bit"]) for row in rows}
    assert {name: info.bit for name, info in flag_table().items() if info.bit is not None} == wanted
