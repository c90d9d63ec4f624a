"""Checks of housekeeping: smallest and largest readings, commands, temperatures, what is missing."""

from __future__ import annotations

import polars as pl
import pytest

from tests.campaign.checked import clean
from tests.campaign.synthetic import Bench


@pytest.mark.parametrize(
    ("column", "value", "key", "flags", "rule"),
    [
        ("max", 26.3, "CCD1_OD_T", {"HK_OOL"}, "hk_performance"),
        ("min", 25.7, "CCD1_OD_T", {"HK_OOL"}, "hk_performance"),
        ("max", 31.0, "CCD1_OD_T", {"HK_OOL"}, "hk_safe"),
        ("max", -118.0, "CCD2_TEMP_B", {"HK_OOL", "CCDTEMP_OOL"}, "hk_performance_ccd_temperature"),
        ("min", -140.0, "CCD2_TEMP_B", {"HK_OOL", "CCDTEMP_OOL"}, "hk_safe_ccd_temperature"),
        ("max", 1.0, "VanErrFlg", {"HK_OOL"}, "hk_performance"),
        ("min", 12191.0, "SPW_STATUS_REG", {"HK_OOL"}, "hk_performance"),
        ("max", 10.5, "FPGA_BIAS_OG", {"HK_OOL"}, "hk_performance"),
    ],
)
def test_one_reading_out_of_limits(column, value, key, flags, rule):
    rows, raised = clean("BIAS01").spoil_hk(column, value, obsid=1004, key=key).check()
    assert set(raised) == flags
    failed = rows.filter(~pl.col("pass"))
    assert (1004, key, rule, value) in failed.select("obsid", "metric", "rule", "value").rows()
    assert set(failed["metric"]) == {key}


def test_a_reading_on_its_limit_passes():
    data = clean("BIAS01").spoil_hk("min", 0.0, key="RPSU_VCCD_I").spoil_hk("max", -119.0, key="CCD1_TEMP_T")
    assert data.check()[1] == {}


def test_relative_limits_follow_the_command():
    bench = Bench().run("PTC02_155R")
    rows, flags = clean("PTC02_155R", bench).check()
    assert flags == {}
    drain = rows.filter((pl.col("metric") == "COMM_RD_T") & (pl.col("rule") == "hk_performance"))
    assert (drain["lo"][0], drain["hi"][0]) == (pytest.approx(15.3), pytest.approx(15.7))


def test_a_relative_limit_without_a_command_gives_no_row():
    rows, _ = clean("BIAS01", Bench().run("BIAS01", change={"rd_t_v": None, "rd_b_v": None})).check()
    assert rows.filter((pl.col("metric") == "COMM_RD_T") & (pl.col("rule") == "hk_performance")).is_empty()
    assert rows.filter((pl.col("metric") == "COMM_RD_T") & (pl.col("rule") == "hk_safe")).height == 10


def test_the_temperature_is_that_of_the_test():
    assert clean("PTC02_148K").check()[1] == {}
    warm = clean("PTC02_148K", temperature_degc=-120.0).check()[1]
    assert set(warm) == {"HK_OOL", "CCDTEMP_OOL"}


def test_readings_without_a_number_fail():
    data = clean("BIAS01").spoil_hk("min", None, obsid=1002, key="RPSU_VCLK_V")
    data = data.spoil_hk("max", float("nan"), obsid=1002, key="RPSU_VCLK_V")
    rows, flags = data.check()
    assert set(flags) == {"HK_OOL"}
    assert rows.filter(~pl.col("pass")).select("obsid", "metric", "value").rows() == [(1002, "RPSU_VCLK_V", None)]
    assert flags["HK_OOL"].detail == "RPSU_VCLK_V has no value (col001, obsid 1002, hk_performance)"


def test_exposures_without_housekeeping():
    data = clean("BIAS01")
    data.hk = data.hk.filter(pl.col("obsid") != 1007)
    rows, flags = data.check()
    assert set(flags) == {"HK_MISSING"}
    assert rows.filter(~pl.col("pass")).select("obsid", "metric", "value", "rule").rows() == [
        (1007, "hk_readings", None, "hk_present")
    ]
    data.hk = data.hk.clear()
    assert data.check()[1]["HK_MISSING"].n == 10


def test_readings_of_an_excluded_ccd_are_not_checked():
    data = clean("BIAS01").spoil_hk("max", -100.0, key="CCD2_TEMP_T")
    assert "CCDTEMP_OOL" in data.check()[1]
    data.exposures = data.exposures.filter(pl.col("ccd") != "CCD2")
    rows, flags = data.check()
    assert flags == {}
    assert not rows["metric"].str.starts_with("CCD2_").any()
    assert rows["metric"].str.starts_with("CCD3_").any()
