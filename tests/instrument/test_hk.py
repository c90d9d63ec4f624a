from __future__ import annotations

import csv
import math

import pytest

from tests.reference import reference_file
from vison_etl.instrument.hk import (
    HkLimit,
    absent_reading,
    all_limits,
    critical_keys,
    default_keys,
    hk_keys,
    hk_versions,
    limits,
    limits_performance,
    limits_safe,
    matching_hk_versions,
    register_value,
    unit_of,
)
from vison_etl.tables import table


def _limit(version, key, which):
    return next(limit for limit in limits(version) if (limit.key, limit.set) == (key, which))


def test_keys_and_units():
    assert len(hk_keys("7.5.X")) == 83
    assert hk_keys("7.5.X")[0] == "TimeStamp"
    assert unit_of("CCD1_TEMP_T") == "degC"
    assert unit_of("RPSU_VCCD_I") == "A"
    assert unit_of("hkRamErr") == ""
    assert unit_of("surprise") is None
    with pytest.raises(KeyError, match="housekeeping version"):
        hk_keys("8")


def test_order_of_keys_is_not_regular():
    keys = hk_keys("7.5.X")
    assert [key for key in keys if key.endswith("TEMP_T") and key.startswith("CCD")] == [
        "CCD3_TEMP_T", "CCD2_TEMP_T", "CCD1_TEMP_T",
    ]  # fmt: skip
    assert [key for key in keys if key.endswith("TEMP_B") and key.startswith("CCD")] == [
        "CCD1_TEMP_B", "CCD2_TEMP_B", "CCD3_TEMP_B",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "n"), [("5.7.09", 0), ("6.1.0", 0), ("6.3.0", 71), ("6.5.X", 75), ("7.2.X", 79), ("7.5.X", 82)]
)
def test_every_key_but_the_time_has_both_limits_from_6_3_on(version, n):
    assert len(limits_performance(version)) == len(limits_safe(version)) == n
    assert {limit.key for limit in limits_safe(version)} <= set(hk_keys(version))


def test_limits_are_the_intended_ones():
    assert _limit("7.2.X", "CDPUClkSt", "safe").kind == "I"
    assert not [limit for limit in limits("7.5.X") if limit.key.startswith("CDPUClkLost")]
    assert {limit.key for limit in limits("6.3.0")} >= {"stTMRErrFlg", "hkTMRErrFlg", "stRamErr"}
    assert _limit("7.5.X", "CCD2_IG1_B", "performance").command_column == "ig1_2_b_v"
    assert _limit("7.5.X", "CCD3_IG1_B", "performance").command_column == "ig1_3_b_v"
    assert _limit("6.3.0", "SPW_STATUS_REG", "safe").lo == 0x2FA0
    assert _limit("7.5.X", "CCD1_TEMP_T", "performance") == HkLimit("CCD1_TEMP_T", "performance", "A", -121, -119, None)
    assert _limit("7.5.X", "FPGA_BIAS_ID2", "performance").command_column == "idl_v"


def test_relative_limits_name_columns_of_exposures():
    for limit in all_limits():
        assert (limit.command_column is not None) == (limit.kind == "R")
        assert (limit.hi is None) == (limit.kind == "I")
        if limit.command_column:
            assert table("exposures").column(limit.command_column).unit == "V"


def test_limits_are_strict_and_nan_fails():
    current = _limit("7.5.X", "RPSU_VCCD_I", "safe")
    assert not current.accepts(0.0)
    assert current.accepts(0.05)
    assert not current.accepts(0.1)
    assert not current.accepts(math.nan)
    drain = _limit("7.5.X", "CCD1_OD_T", "performance")
    assert drain.accepts(26.1, commanded=26.0)
    assert not drain.accepts(26.25, commanded=26.0)
    with pytest.raises(ValueError, match="od_1_t_v"):
        drain.accepts(26.1)
    register = _limit("7.5.X", "SPW_STATUS_REG", "safe")
    assert register.accepts(12192)
    assert not register.accepts(12193)


def test_roles():
    assert len(default_keys()) == 32
    assert set(default_keys()) <= set(hk_keys("7.5.X"))
    assert len(critical_keys()) == 10
    assert critical_keys()["CCD1_TEMP_B"] == (2, 2)
    assert critical_keys()["VID_PCB_TEMP_T"] == (1, 2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("HK_temp_top_CCD1", -246.86),
        ("HK_Temp2_RPSU", -273.27),
        ("Video_TOP", -273.15),
        ("HK_IDL", 0.0),
        ("CCD1_OD_T", None),
    ],
)
def test_absent_sensors(key, value):
    assert absent_reading(key) == value


@pytest.mark.parametrize(
    ("text", "value"), [("2FA0", 12192), ("0x2FA0", 12192), (" 2fa0 ", 12192), ("ON", None), ("", None)]
)
def test_registers_in_hexadecimal(text, value):
    assert register_value(text) == value


def test_versions_are_recognised_without_the_time():
    assert matching_hk_versions(hk_keys("7.5.X")) == ("7.5.X",)
    assert matching_hk_versions(("HK_timestamp", *hk_keys("5.7.07"))) == ("5.7.07", "5.7.08", "5.7.09")
    assert len(hk_versions()) == 12


def test_limits_agree_with_the_reference():
    with reference_file("reference/data/hk_keys_all_versions.csv").open() as file:
        for row in csv.DictReader(file):
            for which, letter in (("performance", "p"), ("safe", "s")):
                if not row[f"{letter}_kind"]:
                    continue
                limit = _limit(row["elvis_version"], row["key"], which)
                lo = 12192 if row[f"{letter}_lo"] == "2FA0" else float(row[f"{letter}_lo"])
                hi = row[f"{letter}_hi"]
                assert (limit.kind, limit.lo, limit.hi) == (row[f"{letter}_kind"], lo, float(hi) if hi else None)
