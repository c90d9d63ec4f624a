from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from vison_etl.campaign.logged import logged_values
from vison_etl.campaign.structures import structure
from vison_etl.instrument.chambers import actual_exptime_s
from vison_etl.instrument.elvis_keys import log_columns
from vison_etl.simulate.plan import chamber_for, exposures, known_block, plan_day, simulable
from vison_etl.simulate.settings import SimulationError

START = datetime.fromisoformat("2019-03-12T20:00:00")


def planned(*tests, block="BORN", **options):
    return exposures(plan_day(block, tests, START, 17001, **options))


def test_exposures_follow_the_commanded_structure():
    shots = planned("PTC01")
    commanded = [(c.label, c) for c in structure("PTC01", "B_BORN").columns for _ in range(c.frames)]
    assert len(shots) == len(commanded) == 92
    assert [e.obsid for e in shots] == list(range(17001, 17093))
    for exposure, (label, column) in zip(shots, commanded, strict=True):
        assert exposure.script_column == label
        wanted = {k: v for k, v in logged_values(column).items() if not k.startswith("sn_")}
        assert {k: exposure.logged[k] for k in wanted} == wanted
        assert exposure.shot.exptime_s == column.values["exptime"]
        assert exposure.shot.open_s == actual_exptime_s("B_BORN", exposure.shot.exptime_s)
        assert exposure.shot.label == "800"


def test_every_column_of_the_log_has_a_value():
    row = planned("BIAS01")[0].log_row("CCD2")
    missing = [c.normalised for c in log_columns("7.5.X") if row.get(c.normalised) in {None, ""}]
    assert missing == []
    assert row["sn_ccd2"] == "15081-16-02"
    assert row["sn_roe"] == "FM01"


def test_times_advance_by_real_durations_and_over_midnight():
    shots = planned("FLATFLUX00_800", "BIAS01", "BIAS01", "FLATFLUX00_590")
    assert shots[0].started_at == START
    steps = [(b.started_at - a.started_at).total_seconds() for a, b in pairwise(shots)]
    assert min(steps) == 75
    assert steps[3] == 75 + 3
    assert sum(steps) == (shots[-1].started_at - START).total_seconds()
    late = exposures(plan_day("BORN", ["BIAS01"], START + timedelta(hours=3, minutes=59), 1))
    assert late[-1].started_at.day == 13
    assert late[-1].file_name("CCD1") == "EUC_10_130319D001015T_ROE1_CCD1"


def test_repeats_are_acquisitions_of_their_own():
    shots = planned("BIAS02", "BIAS02")
    assert {e.acquisition for e in shots} == {"BORN/BIAS02/17001", "BORN/BIAS02/17011"}


def test_bias_frames_are_dark():
    assert all(e.shot.open_s == 0 and e.shot.exptime_s == 0 for e in planned("BIAS01"))


@pytest.mark.parametrize(
    ("block", "message"),
    [("BRON", "did you mean BORN.*known: BORN, CURIE"), ("born", "did you mean BORN"), ("", "no block")],
)
def test_unknown_blocks(block, message):
    with pytest.raises(SimulationError, match=message):
        known_block(block)


def test_chambers():
    assert chamber_for("FOWLER", None) == "A_FOWLER"
    assert chamber_for("FOWLER", "B_BORN") == "B_BORN"
    with pytest.raises(SimulationError, match="nearest: B_BORN"):
        chamber_for("BORN", "B_BRON")
    with pytest.raises(SimulationError, match="has no chamber profile"):
        chamber_for("ALBERT", None)


def test_a_block_without_serials_can_be_simulated():
    assert planned("BIAS01", block="NOSTROMO")[0].logged["sn_ccd1"] == "CCD273-XX-X-XXX"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tests": ["PTC99"]}, "PTC99"),
        ({"tests": []}, "no test"),
        ({"tests": ["BIAS01"], "seed": -1}, "negative"),
        ({"tests": ["FLATFLUX00_2000"], "chamber": "A_CBE_AUG18"}, "2000"),
    ],
)
def test_what_cannot_be_planned(options, message):
    tests = options.pop("tests")
    with pytest.raises(SimulationError, match=message):
        exposures(plan_day("BORN", tests, START, 1, **options))


def test_simulable_tests():
    assert simulable(["BIAS01", "NOTATEST", "PTC01"], "B_BORN") == ("BIAS01", "PTC01")
    assert simulable(["FLATFLUX00_2000", "FLATFLUX00_590"], "A_CBE_AUG18") == ("FLATFLUX00_590",)
