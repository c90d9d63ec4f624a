"""Structures worked out by hand: what tests are meant to command, what was commanded instead, in which campaign."""

from __future__ import annotations

import pytest

from tests.campaign.synthetic import Bench, acquirable
from vison_etl.campaign.definitions import test_names as names_of_tests
from vison_etl.campaign.matching import find_acquisitions
from vison_etl.campaign.rules import UnknownTest, rule_of
from vison_etl.campaign.strict import RuleError
from vison_etl.campaign.structures import definition, duration_min, structure, structures_of

FRAME_S = 0.5 + 2066 * 4 * 143e-6 + 2086 * (4e-3 + 14.3e-6 * 2128) + 20
"""Serial flush, flush, read-out and transfer of a frame as usual, s."""


def values(test: str, key: str, chamber: str | None = "B_NOSTROMO", **how) -> list:
    return [column.values[key] for column in structure(test, chamber, **how).columns]


def test_where_the_scripts_that_were_made_differ_from_what_was_meant_and_nowhere_else():
    differ = set()
    for name in names_of_tests():
        if definition(name).is_commanded:
            chamber = "A_CBE_AUG18" if name == "FLAT02_640" else "B_NOSTROMO"
            for campaign in ("Full", *rule_of(name).in_campaign):
                meant, made = (structure(name, chamber, campaign, v).columns for v in ("default", "as_acquired"))
                assert (meant != made) == ("as_acquired" in rule_of(name).variants_in(campaign)), (name, campaign)
                differ |= {(name, campaign)} if meant != made else set()
    assert differ == {
        *((f"FLATFLUX00_{label}", "Full") for label in (590, 730, 800, 880, 0)),
        *(("NL02", "Full"), ("HENK01", "Full"), ("CHINJ00", "Full")),
        *(("CHINJ01", "MOT"), ("FLAT01", "Mini"), ("PSF01_800", "Mini")),
    }


def test_no_fluence_of_the_linearity_tests_is_that_of_the_frames_that_track_the_source():
    for name in ("NL01", "NL02", "NL02_155R", "HENK01"):
        found = structure(name, "B_NOSTROMO").columns
        tracking = {(c.percent, c.filter_label) for c in found if c.values["comments"] == "STAB"}
        fluences = [(c.percent, c.filter_label) for c in found if str(c.values["comments"]).startswith("Fluence")]
        assert len(tracking) == 1
        assert len(set(fluences)) == len(fluences)
        assert tracking.isdisjoint(fluences)
    made = structure("NL02", "B_NOSTROMO", variant="as_acquired").columns
    assert [c.label for c in made if c.percent == 50 and c.values["comments"] != "STAB"] == ["col029"]


def test_nl02_ties_its_two_filters_and_counts_its_fluences():
    found = [c for c in structure("NL02", "A_MAX").columns if str(c.values["comments"]).startswith("Fluence")]
    assert [c.values["comments"] for c in found] == [f"Fluence{n}" for n in range(1, 22)]
    levels = {label: {c.percent for c in found if c.filter_label == label} for label in ("0", "880")}
    assert levels["0"] & levels["880"] == {15, 20, 25}
    assert {c.frames for c in found} == {4}


def test_injection_never_passes_its_highest_voltage_and_did():
    assert max(values("CHINJ01", "IG1_1_T", campaign="MOT")) == 7.5
    assert max(values("CHINJ01", "IG1_1_T", campaign="MOT", variant="as_acquired")) == 8.25
    assert len(values("CHINJ01", "IG1_1_T")) == 36
    assert values("CHINJ01", "id_dly") == [1250] * 18 + [750] * 18
    assert values("CHINJ02", "IDL")[:14] == [*(9.5 + 0.25 * n for n in range(13)), 9.5]


def test_lines_without_injection_of_the_first_check():
    assert set(values("CHINJ00", "chinj_of")) == {300}
    assert set(values("CHINJ00", "chinj_of", variant="as_acquired")) == {100}
    assert values("CHINJ00", "comments")[3:5] == ["del1250_IG16.0", "del750_IG14.0"]


def test_the_short_campaign_of_2018():
    assert set(values("PSF01_800", "wave", "A_CBE_AUG18", campaign="Mini")) == {4}
    made = structure("PSF01_800", "A_CBE_AUG18", "Mini", "as_acquired").columns
    assert [(c.values["wave"], c.values["exptime"], c.frames) for c in made] == [(5, 0.5, 4), (5, 1.0, 4), (5, 1.5, 4)]
    assert values("FLAT01", "test", campaign="Mini") == ["FLAT01"] * 3
    assert values("FLAT01", "test", campaign="Mini", variant="as_acquired") == ["FLAT01_800"] * 3
    assert values("FLAT02_640", "exptime", "A_CBE_AUG18") == [3.5]
    assert set(values("TP00", "s_tp_cnt", campaign="Mini")) == {1000, 500}


def test_frames_are_named_after_their_own_test():
    for name in acquirable():
        assert set(values(name, "test")) == {name}
    assert set(values("HENK01", "test", variant="as_acquired")) == {"NL02"}


def test_a_test_without_frames_of_its_own_has_the_structure_of_those_it_uses():
    assert structure("BF01_730", "A_MAX") is structure("PTC02_730", "A_MAX")
    assert structure("MOT_FF", "A_MAX", "MOT").n_frames == 10
    assert structures_of("BF01", "A_MAX") == structures_of("PTC01", "A_MAX")
    assert definition("BF01").label_nm == 800.0
    assert [name for name, _ in definition("BF01").effects] == ["brighter_fatter"]
    with pytest.raises(RuleError, match="PSF01_PANCHRO uses the frames of PSF01_590, PSF01_730"):
        structure("PSF01_PANCHRO", None)


def test_tests_of_the_focal_plane_have_no_columns():
    found = structure("BIAS_FWD_COLD", None)
    assert (found.columns, found.n_frames, duration_min(found)) == ((), 0, None)
    assert (definition("BIAS_FWD_COLD").scripted, definition("BIAS_FWD_COLD").is_commanded) == (False, False)
    assert definition("DARK").has_frames


def test_pumping_runs_through_modes_fastest_after_a_reference_per_delay():
    assert values("TP11", "comments") == (["BGD"] + [""] * 24) * 2
    assert values("TP11", "v_tpmod")[:7] == [123, 123, 234, 341, 412, 123, 234]
    assert values("TP21", "dwell_s")[:6] == [0, 0, 0, 4.75, 4.75, 14.3]
    assert set(values("TP21", "IDL")) == {10.5}
    assert values("TP00", "comments")[:4] == ["V123_200", "V123_1000", "V123_4000", "V234_200"]


def test_spots_in_and_out_of_focus():
    assert values("FOCUS00_590", "mirr_pos") == pytest.approx([47.2 + 0.2 * n for n in range(-4, 5)])
    assert values("FOCUS00_590", "mirr_pos", campaign="Mini") == pytest.approx([47.2 + 0.1 * n for n in range(-4, 5)])
    assert values("PERSIST01", "mirr_pos", "B_EINSTEIN") == pytest.approx([47.47, 47.47, 37.47, 47.47])
    assert values("PERSIST01", "wave", None) == [4, 4, 2, 4]


@pytest.mark.parametrize(
    ("test", "seconds"),
    [
        ("DARK01", 4 * (FRAME_S + 565)),
        ("PERSIST01", 12 * FRAME_S + 6 * 565 + 600),
        ("COSMETICS00", 10 * FRAME_S + 5 * 1.75),
        ("CHINJ02", 26 * (FRAME_S + 2066 * 4 * 500e-6)),
        ("TP11", 50 * (FRAME_S + 2066 * 4 * 250e-6) + 2 * 4 * 5000 * 4e-6 * (50 + 200 + 1000 + 2000 + 4000 + 8000)),
        ("NL01", 89 * FRAME_S + 73.4 * (18 * 0.5 + 4 * 7.572)),
        ("FLAT_STB", 15 * (FRAME_S + 1.05)),
    ],
)
def test_durations_by_hand(test, seconds):
    assert duration_min(structure(test, "B_NOSTROMO")) == pytest.approx(seconds / 60, rel=1e-9)


def test_an_unknown_chamber_leaves_open_what_depends_on_it():
    for name in names_of_tests():
        if definition(name).is_commanded:
            for column in structure(name, None).columns:
                assert (column.percent is not None) == (column.values["exptime"] is None)
                assert len(column.values) == 70
    assert values("FLAT01", "comments", None) == [None] * 3


def test_what_cannot_be_told_from_an_aborted_start_is_matched_only_by_its_campaign():
    assert [s.label for s in structures_of("BIAS01", None)] == ["default"]
    assert [s.label for s in structures_of("BIAS01", None, "MOT")] == ["MOT:default"]
    assert [s.label for s in structures_of("PTC01", None)] == ["default", "MOT:default"]
    assert [s.label for s in structures_of("FLAT02_590", "A_MAX")] == ["default", "Mini:default"]
    assert [s.label for s in structures_of("FLAT02_590", None)] == ["default"]
    assert [s.label for s in structures_of("CHINJ01", "A_MAX")] == ["default", "MOT:default", "MOT:as_acquired"]


@pytest.mark.parametrize("chamber", ["A_MAX", None])
def test_an_aborted_start_is_not_taken_for_a_test_of_a_shorter_campaign(chamber):
    changed = [name for name in acquirable() if rule_of(name).in_campaign]
    for name in changed:
        for n in (2, 3, 5):
            bench = Bench("NOSTROMO", chamber).run(
                name, range(min(n, structure(name, None).n_frames - 1)), profile="A_MAX"
            )
            rows = find_acquisitions(bench.frame()).acquisitions
            assert rows.select("variant", "status").rows() == [("default", "partial")], (name, n)


@pytest.mark.parametrize("variant", ["default", "as_acquired"])
def test_tests_that_were_changed_are_recognised_as_what_they_are(variant):
    changed = [name for name in acquirable() if "as_acquired" in rule_of(name).variants]
    bench = Bench()
    for name in changed:
        bench.run(name, variant=variant)
    found = find_acquisitions(bench.frame()).acquisitions
    assert set(found["variant"]) == {variant}
    assert set(found["status"]) == {"complete"}


def test_unknown_campaigns_and_variants_are_answered_with_the_nearest():
    with pytest.raises(UnknownTest, match="no campaign 'Ful'; nearest: Full"):
        structure("BIAS01", None, "Ful")
    with pytest.raises(UnknownTest, match="CHINJ01 has no variant 'acquired'; nearest: as_acquired"):
        structure("CHINJ01", None, "MOT", "acquired")
    with pytest.raises(UnknownTest, match="BIAS01 has no variant 'acquired'; nearest: default"):
        structure("BIAS01", None, variant="acquired")


def test_conditions_that_no_script_commands():
    wanted = {"PSF02_148K": -125.15, "PSF02_158K": -115.15, "PTC02_150K": -123.15, "MOT_WARM": 20.0, "PSF01_800": -120}
    assert {name: definition(name).ccd_temperature_degc for name in wanted} == wanted
    assert set(values("NL02_165R", "RD_T")) == set(values("NL02_165R", "RD_B")) == {16.5}


def test_what_is_waived_and_selected_by_filter():
    for name in ("NL02", "PSF01_590", "CHINJ00", "TP00", "COSMETICS00", "PERSIST01", "STRAY00", "MOT_WARM"):
        assert not definition(name).waived
    for name in ("BIAS02", "DARK01", "CHINJ01", "TP21", "PTC02_880", "BF01", "FLAT_STB", "FOCUS00_800"):
        assert definition(name).waived == {"motr_siz"}
    blind = {definition(name).family for name in names_of_tests() if not definition(name).colourblind}
    assert blind == {"photon_transfer", "flat_flux", "brighter_fatter", "focus", "point_source"}
