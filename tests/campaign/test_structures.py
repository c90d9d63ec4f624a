"""Structures of the tests that exist, their durations, and the definitions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.campaign.synthetic import acquirable
from vison_etl.campaign import definitions, structures
from vison_etl.campaign.columns import Column
from vison_etl.campaign.logged import compared_names, logged_names, logged_values
from vison_etl.campaign.rules import UnknownTest
from vison_etl.campaign.strict import RuleError
from vison_etl.campaign.structures import Structure, definition, duration_min, structure, structures_of
from vison_etl.instrument.elvis_keys import script_keys
from vison_etl.tables import table

SIX = (5, 20, 50, 80)


def exptimes(test: str, **how) -> list[float]:
    return [column.values["exptime"] for column in structure(test, "B_NOSTROMO", **how).columns]


def test_every_test_of_the_campaign_is_there_in_the_order_of_analysis():
    names = structures.tests("Full")
    assert len(names) == 56
    assert names[:5] == ("COSMETICS00", "BIAS01", "BIAS02", "DARK01", "PTC01")
    assert [name for name in names if name.startswith("PTC02")] == [
        *("PTC02_590", "PTC02_730", "PTC02_880", "PTC02_148K", "PTC02_158K", "PTC02_155R", "PTC02_160R", "PTC02_165R"),
    ]
    assert {name for name in names if name.startswith("FLATFLUX")} == {
        f"FLATFLUX00_{label}" for label in (590, 2000, 730, 800, 880, 0)
    }
    assert {name for name in names if not definition(name).has_frames} == {"BF01", "BF01_590", "BF01_730", "BF01_880"}
    assert [definition(name).rank for name in names] == sorted(definition(name).rank for name in names)


def test_the_other_campaigns():
    assert set(structures.tests("MOT")) == {"BIAS01", "CHINJ01", "TP01", "TP02", "PTC01", "MOT_FF"}
    assert "FLAT02_640" in structures.tests("Mini")
    assert {"HENK01", "PTC02_150K", "PTC02_156K"} < set(structures.tests("devel"))
    assert len(structures.tests("FPA")) == 8
    in_none = {name for name in structures.tests(None) if not definition(name).campaigns}
    assert in_none == {"STRAY00", "PSF01_PANCHRO", "PTC_JOINT"}


def test_ptc01():
    found = structure("PTC01", "B_NOSTROMO")
    assert [column.frames for column in found.columns] == [10] * 8 + [4] * 3
    assert found.n_frames == 92
    assert exptimes("PTC01") == pytest.approx([3.5 * p / 100 for p in (5, 10, 20, 30, 50, 70, 80, 90, 100, 110, 120)])
    assert [column.label for column in found.columns][:2] == ["col001", "col002"]
    assert {column.values["wave"] for column in found.columns} == {4}


def test_bias02_reads_out_backwards_with_its_summing_well():
    first = structure("BIAS02", None).columns[0]
    assert (first.values["rdmode"], first.values["swellw"], first.values["swelldly"]) == ("rwd_bas_v", 8.4, 5.625)
    assert (first.frames, first.values["exptime"], first.values["shuttr"]) == (10, 0, 0)


@pytest.mark.parametrize(("test", "volts"), [("PTC02_155R", 15.5), ("PTC02_160R", 16.0), ("PTC02_165R", 16.5)])
def test_reset_drain_variants(test, volts):
    assert {(c.values["RD_T"], c.values["RD_B"]) for c in structure(test, "B_NOSTROMO").columns} == {(volts, volts)}


def test_flatflux_as_intended_and_as_acquired():
    assert exptimes("FLATFLUX00_590") == pytest.approx([12.4 * p / 100 for p in SIX])
    assert exptimes("FLATFLUX00_590", variant="as_acquired") == pytest.approx([1.2, 3.6, 7.2, 9.6])
    assert exptimes("FLATFLUX00_2000", variant="as_acquired") == exptimes("FLATFLUX00_2000")
    assert {c.values["source"] for c in structure("FLATFLUX00_590", "B_NOSTROMO", variant="as_acquired").columns} == {
        "flat"
    }


def test_a_test_without_other_variants_was_acquired_as_intended():
    assert structure("PTC01", "A_MAX", variant="as_acquired").columns == structure("PTC01", "A_MAX").columns


def test_all_keys_of_the_script_in_its_order():
    for name in acquirable("B_EINSTEIN"):
        for column in structure(name, "B_EINSTEIN").columns:
            assert list(column.values) == [row.key for row in script_keys()]
            assert len(column.values) == 70
            assert column.values["test"] == name


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UnknownTest, match="nearest: PTC02_730"):
        structure("PTC02_73", None)
    with pytest.raises(UnknownTest, match="nearest: Full"):
        structures.tests("full")
    with pytest.raises(UnknownTest, match="no variant 'as_aquired'; nearest: as_acquired"):
        structure("FLATFLUX00_590", None, variant="as_aquired")
    with pytest.raises(KeyError, match="B_NOSTROMO"):
        structure("PTC01", "B_NOSTROM")


def test_a_chamber_without_the_filter_says_so():
    with pytest.raises(RuleError, match=r"A_CBE_AUG18 has no filter 2000; its wheel holds 590, 640, 730, 800, 880, 0"):
        structure("FLATFLUX00_2000", "A_CBE_AUG18")


def test_an_unknown_chamber_leaves_times_and_slots_open():
    first = structure("PTC01", None).columns[0]
    assert (first.values["exptime"], first.values["wave"], first.percent, first.full_well_s) == (None, None, 5.0, None)
    assert duration_min(structure("PTC01", None)) is None
    assert duration_min(structure("BIAS01", None)) == pytest.approx(15.5839, abs=1e-4)


def test_logged_names_are_columns_of_exposures_and_phases_are_joined():
    assert set(logged_names()) <= set(table("exposures").names)
    logged = logged_values(structure("PTC01", "B_NOSTROMO").columns[0])
    assert logged["iphi"] == "I1I2I3"
    assert {"s_tp_mod", "v_tp_mod", "motr", "exptime_s", "rd_t_v", "siflsh_p_ms"} <= set(logged)
    assert not {"sn_ccd1", "operator", "test_in_log"} & set(compared_names())
    assert "motr_siz_um" not in compared_names(frozenset({"motr_siz"}))
    assert {"s_tp_mod", "v_tp_mod"} <= set(compared_names())


def test_the_label_of_a_structure_tells_variant_and_campaign():
    assert [s.label for s in structures_of("FLATFLUX00_590", None)] == ["default", "as_acquired"]
    assert Structure("T", "MOT", "default", None, ()).label == "MOT:default"


def test_definitions():
    ptc = definition("PTC02_590")
    assert (ptc.family, ptc.label_nm, ptc.gives_gain, ptc.colourblind) == ("photon_transfer", 590.0, True, False)
    assert dict(ptc.effects).keys() == {"photon_transfer", "light_source", "edge_response"}
    assert (ptc.frames_of, ptc.has_frames) == (("PTC02_590",), True)
    assert ptc.waived == {"motr_siz"}
    assert not definition("PTC02_155R").gives_gain
    assert not definition("PTC02_148K").gives_gain
    assert definition("PTC02_148K").ccd_temperature_degc == pytest.approx(148 - 273.15)
    assert definition("PTC02_158K").ccd_temperature_degc == pytest.approx(158 - 273.15)
    assert definition("BIAS01").label_nm is None
    assert dict(definition("BIAS01").effects).keys() == {"readout_noise"}
    assert (definition("FLATFLUX00_0").label_nm, definition("FLATFLUX00_2000").label_nm) == (0.0, 2000.0)
    assert definition("FLATFLUX00_0").variants == ("as_acquired",)


def test_digests_of_definitions_are_distinct():
    digests = {name: definition(name).digest for name in definitions.test_names()}
    assert len(set(digests.values())) == len(digests)


def duration_cases():
    path = Path(__file__).parent / "data" / "duration_examples.csv"
    return [tuple(row.values()) for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


@pytest.mark.parametrize(("case", "changes", "minutes"), duration_cases())
def test_duration(case, changes, minutes):
    changed = {row.key: row.default for row in script_keys()} | json.loads(changes)
    column = Column("col001", changed["frames"], changed, None, None, None, None)
    assert duration_min(Structure("T", "Full", "default", None, (column,))) == pytest.approx(
        float(minutes), abs=5.1e-5
    ), case
