"""Limits and flags as data, read strictly."""

from __future__ import annotations

import csv
import tomllib

import pytest

from tests.reference import reference_file
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.limits import flag_table, flag_word, limits, limits_of, load_limits
from vison_etl.campaign.metrics import METRICS, metric
from vison_etl.campaign.rules import all_rules
from vison_etl.campaign.strict import RuleError

GOOD = "id='x'\nmetric='offset_adu'\nlo=1\nflags=['RON_OOL']\nsource='s'\n"


def test_every_limit_names_a_metric_that_exists():
    for limit in limits():
        assert limit.metric == "hk" or callable(metric(limit.id, limit.metric))
    assert set(METRICS) <= {limit.metric for limit in limits()}
    with pytest.raises(RuleError, match=r"nearest: readout_noise\.ron_adu"):
        metric("here", "readout_noise.ron_ad")


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


def test_every_exposure_of_a_rule_is_chosen_by_what_was_commanded():
    rules = {row.id: row for row in limits_of(definition("PERSIST01"))}
    assert rules["saturated_exposure"].light == ("point",)
    assert rules["saturated_fraction"].light == ("none",)
    warm = {row.id: row for row in limits_of(definition("MOT_WARM"))}
    assert warm["offset"].rdmodes == ("rwd_bas_v",)
    assert warm["std"].rdmodes == ("rwd_bas_vs",)
    assert "hk_performance_ccd_temperature" not in warm


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "low=3", "limit x: unknown key 'low'; nearest: lo"),
        (GOOD.replace("RON_OOL", "RON_OL"), "no flag 'RON_OL' in flags.toml; nearest: RON_OOL"),
        (GOOD + "regions=['image']", "regions are pre, img, ove, pov; found image"),
        (GOOD + "light=['lamp']", "light are none, flat, point; found lamp"),
        (GOOD + "rdmodes=['fwd']", "found fwd"),
        (GOOD + "injected=1", "'injected' is 1, wanted bool"),
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
