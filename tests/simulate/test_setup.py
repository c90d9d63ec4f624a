from __future__ import annotations

from datetime import datetime

import pytest

from vison_etl.instrument.geometry import InjectionHalf
from vison_etl.simulate.plan import exposures, plan_day
from vison_etl.simulate.setup import (
    SERIAL_ROW_S,
    Pumping,
    injected_half,
    injection_of,
    pumping_of,
    raster_px,
    row_time_s,
)

COMMANDS = {
    "chinj": 1,
    "chinj_on": 30,
    "chinj_of": 100,
    "id_dly": 750,
    "toi_ch": 500,
    "id_wid": 60,
    "IDL": 11.0,
    **{f"IG1_{ccd}_{side}": ccd + (0.5 if side == "T" else 0.0) for ccd in (1, 2, 3) for side in "TB"},
    "IG2_T": 6.5,
    "IG2_B": 6.0,
    "v_tpump": 1,
    "v_tpmod": 341,
    "v_tp_cnt": 5000,
    "toi_tp": 200,
    "s_tpump": 0,
    "s_tpmod": 23,
    "s_tp_cnt": 100,
    "dwell_s": 4.75,
    "toi_ro": 500,
    "motr_on": 1,
    "motr_cnt": 2,
    "motr_siz": 120,
}


def test_the_delay_selects_the_half_and_its_gates():
    assert injected_half(1250, 500) is InjectionHalf.BOTTOM
    assert injected_half(375, 250) is InjectionHalf.TOP
    assert injected_half(1500, 500) is injected_half(400, 500) is None
    top = injection_of(COMMANDS)
    assert (top.half, top.ig1_v, top.ig2_v) == (InjectionHalf.TOP, (1.5, 2.5, 3.5), 6.5)
    bottom = injection_of({**COMMANDS, "id_dly": 1250})
    assert (bottom.half, bottom.ig1_v, bottom.ig2_v) == (InjectionHalf.BOTTOM, (1.0, 2.0, 3.0), 6.0)
    assert injection_of({**COMMANDS, "chinj": 0}) is None


def test_pumping_is_what_is_switched_on():
    assert pumping_of(COMMANDS) == (Pumping("parallel", 341, 5000, 200.0),)
    assert pumping_of({**COMMANDS, "v_tpump": 0, "s_tpump": 1}) == (Pumping("serial", 23, 100, 4.75),)


def test_stage_and_rows():
    assert [raster_px(COMMANDS, k, 1 / 240) for k in range(5)] == [(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5), (0, 0)]
    assert raster_px({**COMMANDS, "motr_on": 0}, 3, 1 / 240) == (0, 0)
    assert row_time_s(COMMANDS) == pytest.approx(0.002 + SERIAL_ROW_S)
    assert pytest.approx(0.0304304) == SERIAL_ROW_S


def planned(test):
    return exposures(plan_day("BORN", [test], datetime.fromisoformat("2019-03-12T08:00:00"), 17001))


def test_temperature_and_reset_drain_reach_the_bench():
    assert planned("PTC02_155R")[0].shot.setup.rd_v == (15.5, 15.5)
    assert planned("PTC02_158K")[0].shot.setup.degc == -115.15
    assert planned("BIAS02")[0].shot.setup.rdmode == "rwd_bas_v"
    assert not planned("BIAS02")[0].shot.setup.collects
