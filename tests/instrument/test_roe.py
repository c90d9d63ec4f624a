from __future__ import annotations

import pytest

from vison_etl.instrument.geometry import InjectionHalf, RoeBoard
from vison_etl.instrument.hk import unit_of
from vison_etl.instrument.roe import channel, channels, voltage_scales
from vison_etl.tables import table


def test_channels_in_order():
    assert [row.channel for row in channels()] == [f"{ccd}{quadrant}" for ccd in (1, 2, 3) for quadrant in "EFGH"]
    for row in channels():
        upper = row.quadrant in "EF"
        assert row.board is (RoeBoard.T if upper else RoeBoard.B)
        assert row.injection_half is (InjectionHalf.BOTTOM if upper else InjectionHalf.TOP)
        assert all(unit_of(key) == "V" for key in row.hk.values())
        assert all(table("exposures").column(column).unit == "V" for column in row.commanded.values())


def test_one_channel():
    found = channel("CCD2", "G")
    assert found.hk["ig1"] == "CCD2_IG1_B"
    assert (found.hk["idl"], found.hk["idh"]) == ("FPGA_BIAS_ID2", "FPGA_BIAS_ID1")
    assert found.commanded == {"od": "od_2_b_v", "rd": "rd_b_v", "ig1": "ig1_2_b_v", "ig2": "ig2_b_v"}
    assert found.calibration["od"] == "CCD2_OD_B_G"
    with pytest.raises(KeyError):
        channel("CCD4", "E")


def test_voltage_scales_have_opposite_signs():
    scales = {(scale.direction, scale.key): scale for scale in voltage_scales()}
    assert len(scales) == 36
    assert scales["script", "CCD1_OD_T"].counts(26.0) == pytest.approx((26.0 + 0.296) / 0.00723)
    assert scales["hk", "CCD1_OD_T"].counts(26.0) == pytest.approx(26.0 / 0.010904)
