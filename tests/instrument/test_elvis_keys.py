from __future__ import annotations

import csv

import pytest

from tests.reference import reference_file
from vison_etl.instrument.elvis_keys import (
    frame_cards,
    iphi_text,
    log_columns,
    matching_versions,
    normalise,
    readout_modes,
    script_keys,
    versions,
)
from vison_etl.tables import table

COUNTS = {
    "5.7.02": 74, "5.7.04": 77, "5.7.05": 69, "5.7.09": 77, "6.0.0": 78, "6.1.0": 78, "6.3.0": 81, "6.5.X": 81, "7.2.X": 81,
    "7.5.X": 81, "FPA": 5,
}  # fmt: skip


@pytest.mark.parametrize("version", COUNTS)
def test_every_version_maps_to_columns_of_exposures(version):
    columns = log_columns(version)
    assert len(columns) == COUNTS[version]
    assert len({column.normalised for column in columns}) == len(columns)
    exposures = table("exposures")
    for column in columns:
        assert exposures.column(column.normalised).kind == column.kind, column
        assert column.name == column.name.strip()


def test_a_name_means_the_same_in_every_version():
    meanings = {}
    for version in versions():
        for column in log_columns(version):
            meaning = (column.normalised, column.factor, column.kind)
            assert meanings.setdefault(column.name, meaning) == meaning
            assert normalise(f" {column.name} ") == meaning


def test_unit_conversions_are_only_the_documented_ones():
    converted = {column.name for version in versions() for column in log_columns(version) if column.factor != 1}
    assert converted == {"Exptime"}
    assert normalise("Exptime") == ("exptime_s", 0.001, "float")
    assert normalise("exptime") == ("exptime_s", 1.0, "float")
    assert normalise("IDL_V") == ("idl_v", 1.0, "float")


@pytest.mark.parametrize(
    ("names", "normalised"),
    [
        (["motr", "motr_on"], "motr"),
        (["v_tp_mod", "v_tpmod"], "v_tp_mod"),
        (["s_tp_mod", "s_tpmod"], "s_tp_mod"),
        (["cdpu_clk", "spw_clk", "SPW_clk"], "cdpu_clk"),
        (["toi_tp", "TOI_pump", "TOI _pump"], "toi_tp_us"),
        (["wave", "Wavelength"], "wave"),
        (["IG1_2_B", "IG1_B2_V"], "ig1_2_b_v"),
        (["test", "TEST"], "test_in_log"),
        (["sn_ccd2", "CCD2_SN"], "sn_ccd2"),
    ],
)
def test_spellings_of_one_thing(names, normalised):
    assert {normalise(name).name for name in names} == {normalised}


def test_names_of_no_version_and_case():
    assert normalise("surprise") is None
    assert normalise("OBSID") is None
    with pytest.raises(KeyError, match=r"7\.5\.X"):
        log_columns("7.5.Y")


def test_versions_are_recognised_by_names():
    assert matching_versions([column.name for column in log_columns("6.3.0")]) == (("6.3.0",), True)
    shared, exact = matching_versions([column.name for column in log_columns("7.5.X")])
    assert (shared, exact) == (("6.5.X", "7.2.X", "7.5.X"), True)
    near, exact = matching_versions([column.name for column in log_columns("5.7.05")][:-2])
    assert (near, exact) == (("5.7.05",), False)


def test_script_keys():
    keys = {row.key: row for row in script_keys()}
    assert len(keys) == 70
    assert (keys["s_tpmod"].exposures_column, keys["motr_on"].exposures_column) == ("s_tp_mod", "motr")
    assert (keys["shuttr"].exposures_column, keys["frames"].exposures_column) == (None, None)
    assert (keys["IG2_T"].default, keys["wave"].default, keys["rdmode"].default) == (2.0, 4, "fwd_bas")
    assert script_keys("6.5.X") == script_keys("7.2.X") == script_keys("7.5.X")
    assert {row.key: row.default for row in script_keys("6.3.0")}["siflsh"] == 0
    exposures = table("exposures")
    assert all(exposures.column(row.exposures_column) for row in script_keys() if row.exposures_column)
    with pytest.raises(KeyError, match="script version"):
        script_keys("5.7.02")


def test_phases_are_joined_as_logged():
    assert iphi_text((1, 1, 1, 0)) == "I1I2I3"
    assert iphi_text((0, 1, 1, 0)) == "I2I3"
    assert iphi_text((0, 0, 0, 0)) == ""


def test_readout_modes():
    assert readout_modes()["rwd_bas_vs"] == (6.5, 0.175)
    assert len(readout_modes()) == 5


def test_frame_cards_are_columns_and_unique():
    keys = [card.key for card in frame_cards()]
    assert len(set(keys)) == len(keys) == 81
    assert "R1C3_TB" in keys
    exposures = table("exposures")
    for card in frame_cards():
        if card.exposures_column and card.key != "DATE":
            assert exposures.column(card.exposures_column).kind in {card.kind, "float"}


def test_columns_agree_with_the_reference():
    with reference_file("reference/data/explog_columns.csv").open() as file:
        listed: dict[str, list[str]] = {}
        for row in csv.DictReader(file):
            listed.setdefault(row["elvis_version"], []).append(row["name"].strip())
    for version, names in listed.items():
        assert [column.name for column in log_columns(version)] == names
