"""The grammar of the rules: what it can say, and that it refuses what cannot be meant."""

from __future__ import annotations

import tomllib

import pytest

from vison_etl.campaign.columns import resolve
from vison_etl.campaign.commands import commands_of
from vison_etl.campaign.rules import load
from vison_etl.campaign.strict import RuleError
from vison_etl.instrument.chambers import chamber

FAMILY = """
[family.f]
about = "a family"
rank = 40
colourblind = true
"""

SCANS = (
    FAMILY
    + """
[test.PUMPING]
about = "delay, then background or time x mode"
family = "f"
set = { chinj = 1, toi_ch = 250, IG1 = 4.0, IG2 = 6.0, v_tp_cnt = 5000, shuttr = 0 }
columns = [{ id_dly = [625, 375], columns = [
    { comments = "BGD" },
    { toi_tp = [50, 200, 1000], v_tpump = 1, columns = [{ v_tpmod = [123, 234, 341, 412] }] },
] }]

[test.LINEARITY]
about = "each fluence followed by the same stability exposure, two filters"
family = "f"
set = { source = "flat", label = 880 }
columns = [
    { exptime = 0, frames = 3, comments = "BGD" },
    { percent = 50, comments = "STAB" },
    { percent = [1, 20], label = 0, frames = 4, comments = ["Fluence1", "Fluence2"], columns = [
        {},
        { percent = 50, label = 880, frames = 1, comments = "STAB" },
    ] },
]

[test."FOCUS_{label}"]
about = "focus at {label} nm"
family = "f"
expand = [{ label = 590 }, { label = 800 }]
set = { source = "point", label = "{label}", percent = 60, mirr_on = 1 }
columns = [{ mirror_offset_mm = [-0.2, 0.0, 0.2], comments = ["F-1", "F0", "F1"] }]

[test.FLATS]
about = "comments quote the exposure time"
family = "f"
columns = [{ percent = [25, 75], label = 800, frames = [80, 30], comments = "EXP{exptime:.1e}" }]

[test.MODES]
about = "read-out mode and its summing well"
family = "f"
columns = [{ rdmode = "rwd_bas_vs" }, { rdmode = "rwd_bas_vs", swellw = 9.0 }, { exptime = 5 }]
campaigns = ["Full"]

[test.MODES.campaign.Full]
set = { flushes = 3 }

[test.MODES.variant.other]
columns = [{ frames = 7 }]

[test.MODES.campaign.Full.variant.other]
set = { flushes = 4 }

[test.RANGES]
about = "ranges stop at or before their end, in step with lists of the same length"
family = "f"
columns = [
    { IDL = { from = 3, to = 8, step = 0.75 } },
    { IDL = { from = 1.0, to = 0.7, step = -0.1 }, comments = ["a", "b", "c", "d"] },
    { comments = "n{step}", IDL = { from = 5, to = 5, step = 1 }, columns = [{ IDH = [1, 2], comments = "m{step}_{IDL}" }, {}] },
]

[test.BORROWED]
about = "times of another source and another filter"
family = "f"
set = { label = 880, full_well = "point", full_well_label = 800 }
columns = [{ percent = 50 }]
"""
)


def columns(test: str, profile: str | None = "B_NOSTROMO", variant: str = "default"):
    rule = load("inline.toml", tomllib.loads(SCANS))[test]
    commands = commands_of(rule, variant=variant)
    known = None if profile is None else chamber(profile)
    return [resolve("inline.toml", f"col{n:03d}", row, known) for n, row in enumerate(commands, start=1)]


def values(test: str, *keys: str, **more):
    return [tuple(column.values[key] for key in keys) for column in columns(test, **more)]


def test_scans_nest_the_outer_one_slowest():
    found = values("PUMPING", "id_dly", "toi_tp", "v_tpmod", "v_tpump", "comments")
    assert len(found) == 2 * (1 + 3 * 4)
    assert found[0] == (625, 1000, 123, 0, "BGD")
    assert [row[1:3] for row in found[1:6]] == [(50, 123), (50, 234), (50, 341), (50, 412), (200, 123)]
    assert found[13] == (375, 1000, 123, 0, "BGD")
    assert found[-1] == (375, 1000, 412, 1, "")


def test_a_group_sets_all_its_keys():
    assert set(values("PUMPING", "IG1_1_T", "IG1_3_B", "IG2_T", "IG2_B")) == {(4.0, 4.0, 6.0, 6.0)}


def test_a_column_may_follow_each_step_of_a_scan_with_another_filter():
    found = columns("LINEARITY")
    assert [column.frames for column in found] == [3, 1, 4, 1, 4, 1]
    assert [column.values["wave"] for column in found] == [5, 5, 6, 5, 6, 5]
    assert [column.values["exptime"] for column in found] == pytest.approx([0, 3.6, 0.734, 3.6, 14.68, 3.6])
    assert [column.percent for column in found] == [None, 50, 1, 50, 20, 50]
    assert [column.filter_label for column in found] == ["880", "880", "0", "880", "0", "880"]


def test_names_and_values_of_a_template_are_filled_in():
    assert values("FOCUS_590", "wave", "exptime")[0] == (1, pytest.approx(7.2))
    assert values("FOCUS_800", "wave", "exptime")[0] == (4, pytest.approx(1.32))
    assert [row[0] for row in values("FOCUS_800", "mirr_pos")] == pytest.approx([47.0, 47.2, 47.4])


def test_comments_quote_commands():
    assert [row[0] for row in values("FLATS", "comments")] == ["EXP8.8e-01", "EXP2.6e+00"]


def test_what_depends_on_an_unknown_chamber_is_missing():
    assert values("FOCUS_590", "wave", "exptime", "mirr_pos", profile=None)[0] == (None, None, None)
    assert values("FLATS", "comments", profile=None)[0] == (None,)


def test_the_summing_well_follows_the_mode_unless_it_is_set():
    assert values("MODES", "swellw", "swelldly") == [(6.5, 0.175), (9.0, 0.175), (8.4, 5.625)]


def test_a_range_never_passes_its_end():
    found = values("RANGES", "IDL")
    assert [row[0] for row in found[:7]] == [3, 3.75, 4.5, 5.25, 6, 6.75, 7.5]
    assert [row[0] for row in found[7:11]] == [1.0, 0.9, 0.8, 0.7]


def test_texts_count_the_steps_of_their_rule():
    assert values("RANGES", "comments")[11:] == [("m1_5.0",), ("m2_5.0",), ("n1",)]


def test_exposure_times_may_be_those_of_another_source_and_filter():
    first = columns("BORROWED")[0]
    assert (first.values["exptime"], first.values["wave"], first.values["source"]) == (1.1, 5, "flat")
    assert (first.full_well, first.filter_label, first.full_well_s) == ("point", "880", 7.2)


def test_campaigns_and_variants_overlay_the_test():
    assert set(values("MODES", "flushes")) == {(3,)}
    assert set(values("MODES", "flushes", variant="other")) == {(4,)}
    assert [column.frames for column in columns("MODES", variant="other")] == [7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[test.T]\nabout='a'\nfamily='f'\ncolums=[{frames=1}]",
            "inline.toml: test.T: unknown key 'colums'; nearest: columns",
        ),
        ("[test.T]\nabout='a'\nfamily='g'", "no family 'g'; nearest: f"),
        ("[test.T]\nfamily='f'", "test.T: 'about' is missing"),
        ("[test.T]\nabout=3\nfamily='f'", "'about' is 3, wanted str"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={IG3=4.0}", "test.T.set: unknown key 'IG3'; nearest: IG"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={IDL='high'}", "IDL is 'high', wanted a number"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={source=1}", "source is 1, wanted a text"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={IDL=true}", "IDL is True"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={full_well='lamp'}", "full_well is 'lamp', wanted 'flat' or 'point'"),
        ("[test.T]\nabout='a'\nfamily='f'\ncolumns=[{IDL=[1,2],IDH=[1,2,3]}]", "columns[0]: lists of one column rule"),
        ("[test.T]\nabout='a'\nfamily='f'\ncolumns=[{IDL=[]}]", "above 0"),
        ("[test.T]\nabout='a'\nfamily='f'\ncolumns=[]", "columns must be a list of tables"),
        ("[test.T]\nabout='a'\nfamily='f'\ncolumns=[{exptime=1,percent=5}]", "exptime and percent say the same thing"),
        (
            "[test.T]\nabout='a'\nfamily='f'\ncolumns=[{columns=[{wrong=1}]}]",
            "columns[0].columns[0]: unknown key 'wrong'",
        ),
        ("[test.T]\nabout='a'\nfamily='f'\ncampaigns=['Fll']", "no campaign 'Fll' in campaign.toml; nearest: Full"),
        ("[test.T]\nabout='a'\nfamily='f'\ncolumns=[{IDL={from=1,to=2}}]", "columns[0]: IDL: 'step' is missing"),
        (
            "[test.T]\nabout='a'\nfamily='f'\ncolumns=[{IDL={from=1,to=2,step=0}}]",
            "columns[0]: IDL: steps of 0 do not lead from 1 to 2",
        ),
        ("[test.T]\nabout='a'\nfamily='f'\ncolumns=[{IDL={from=2,to=1,step=0.5}}]", "do not lead from 2 to 1"),
        ("[test.T]\nabout='a'\nfamily='f'\ncolumns=[{IDL={from=1,to=2,by=1}}]", "unknown key 'by'"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={comments='{exptme}'}", "comments quotes 'exptme', no script key"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={comments='{step}'}", "comments quotes 'step', no script key"),
        ("[test.T]\nabout='a'\nfamily='f'\nset={comments='{exptime'}", "comments is '{exptime': expected '}'"),
        (
            "[test.T]\nabout='a'\nfamily='f'\n[test.T.campaign.MOT]\nset={IDL=1}",
            "'campaigns' lacks 'MOT', for which there are rules",
        ),
        ("[test.T]\nabout='a'\nfamily='f'\nframes_of=['S']\nset={IDL=1}", "has the commands of those tests"),
        ("[test.T]\nabout='a'\nfamily='f'\nidentity=['exptme']", "test.T: 'exptme' is no script key"),
        (
            "[family.g]\nabout='a'\nrank=1\ncolourblind=true\nscripted=false\nset={IDL=1}",
            "family.g: a family with scripted = false has no commands",
        ),
        ("[test.'T_{x}']\nabout='a'\nfamily='f'", "the name has placeholders"),
        ("[test.'T_{x}']\nabout='a'\nfamily='f'\nexpand=[{y=1}]", "must give every placeholder"),
        ("[test.'T_{x}']\nabout='a'\nfamily='f'\nexpand=[{x=1},{x=1}]", "test T_1 stands there twice"),
        ("[test.T]\nabout='a'\nfamily='f'\neffects=[{nme='dark'}]", "unknown key 'nme'; nearest: name"),
        ("[test.T]\nabout='a'\nfamily='f'\nvariant.v={rank=1}", "test.T.variant.v: unknown key 'rank'"),
        ("[family.g]\nabout='a'\nrank=1\ncolourblind=true\nwaived=['motr']", "'motr' is no script key"),
        ("[tests.T]\nabout='a'", "inline.toml: unknown key 'tests'; nearest: test"),
    ],
)
def test_a_rule_that_cannot_be_meant_names_file_place_and_remedy(text, message):
    with pytest.raises(RuleError) as caught:
        load("inline.toml", tomllib.loads(FAMILY + text))
    assert message in str(caught.value)


def test_a_percentage_without_a_label_is_refused():
    raw = tomllib.loads(FAMILY + "[test.T]\nabout='a'\nfamily='f'\ncolumns=[{percent=5}]")
    with pytest.raises(RuleError, match="'percent' needs a 'label'"):
        resolve("inline.toml: test.T", "col001", commands_of(load("inline.toml", raw)["T"])[0], None)


def test_an_unknown_mode_is_refused():
    raw = tomllib.loads(FAMILY + "[test.T]\nabout='a'\nfamily='f'\ncolumns=[{rdmode='sideways'}]")
    with pytest.raises(RuleError, match="no read-out mode 'sideways'"):
        resolve("inline.toml: test.T", "col001", commands_of(load("inline.toml", raw)["T"])[0], None)


def test_a_quotation_that_does_not_fit_its_value_is_refused():
    raw = tomllib.loads(FAMILY + "[test.T]\nabout='a'\nfamily='f'\ncolumns=[{comments='{source:.1f}'}]")
    with pytest.raises(RuleError, match="Unknown format code"):
        resolve("inline.toml: test.T", "col001", commands_of(load("inline.toml", raw)["T"])[0], None)
