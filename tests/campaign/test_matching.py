"""Acquisitions found in logs that were acquired well, badly, twice, in pieces."""

from __future__ import annotations

import random
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaign.synthetic import Bench, acquirable
from vison_etl.campaign.logged import schema_of
from vison_etl.campaign.matching import find_acquisitions
from vison_etl.campaign.structures import structure


def found(bench: Bench, overrides: pl.DataFrame | None = None) -> list[tuple[str, str, int, int, bool]]:
    """Return (acquisition, status, found, expected, adopted) of every acquisition."""
    rows = find_acquisitions(bench.frame(), overrides).acquisitions
    return rows.select("acquisition", "status", "n_found", "n_expected", "is_adopted").rows()


def mismatch(bench: Bench, index: int = 0) -> str | None:
    return find_acquisitions(bench.frame()).acquisitions["mismatch"][index]


def columns_of(bench: Bench) -> list[str | None]:
    return find_acquisitions(bench.frame()).assignment["script_column"].to_list()


def test_a_test_acquired_as_commanded():
    matched = find_acquisitions(Bench(obsid=17273).run("BIAS02").frame())
    row = matched.acquisitions.row(0, named=True)
    assert matched.acquisitions.columns == list(schema_of("acquisitions"))
    assert (row["acquisition"], row["block"], row["test"], row["repeat"]) == (
        "NOSTROMO/BIAS02/17273",
        "NOSTROMO",
        "BIAS02",
        1,
    )
    assert (row["obsid_first"], row["obsid_last"], row["n_expected"], row["n_found"]) == (17273, 17282, 10, 10)
    assert (row["status"], row["is_adopted"], row["variant"], row["chamber"]) == (
        "complete",
        True,
        "default",
        "B_NOSTROMO",
    )
    assert (row["mismatch"], row["n_extra"], row["session"]) == (None, 0, None)
    assert row["started_at"] == datetime(2019, 3, 12, 8)  # noqa: DTZ001 - the bench writes no zone
    assert set(matched.assignment["script_column"]) == {"col001"}
    assert matched.unknown.is_empty()


def test_every_test_matches_its_own_structure_in_either_variant():
    for variant in ("default", "as_acquired"):
        bench = Bench()
        for name in acquirable():
            bench.run(name, variant=variant)
        matched = find_acquisitions(bench.frame())
        assert set(matched.acquisitions["status"]) == {"complete"}
        assert matched.acquisitions["mismatch"].null_count() == matched.acquisitions.height == len(acquirable())
        wanted = [c.label for n in acquirable() for c in structure(n, "B_NOSTROMO").columns for _ in range(c.frames)]
        assert matched.assignment["script_column"].to_list() == wanted


def test_the_variant_that_agrees_is_recorded():
    bench = Bench().run("FLATFLUX00_590", variant="as_acquired").run("FLATFLUX00_590").run("FLATFLUX00_2000")
    rows = find_acquisitions(bench.frame()).acquisitions
    assert rows["variant"].to_list() == ["default", "as_acquired", "default"]
    assert set(rows["status"]) == {"complete"}


def test_the_last_complete_one_is_adopted():
    assert found(Bench().run("PTC02_730").run("PTC02_730").run("PTC02_730", range(7))) == [
        ("NOSTROMO/PTC02_730/1000", "complete", 24, 24, False),
        ("NOSTROMO/PTC02_730/1024", "complete", 24, 24, True),
        ("NOSTROMO/PTC02_730/1048", "partial", 7, 24, False),
    ]


def test_an_aborted_start_is_an_acquisition_of_its_own():
    assert found(Bench().run("PTC01", range(30)).run("PTC01")) == [
        ("NOSTROMO/PTC01/1000", "aborted", 30, 92, False),
        ("NOSTROMO/PTC01/1030", "complete", 92, 92, True),
    ]
    assert found(Bench().run("BIAS01", range(4)).wait(900).run("BIAS01"))[0][1:3] == ("aborted", 4)


def test_other_tests_between_interrupt():
    bench = Bench().run("BIAS01", range(3)).run("FLATFLUX00_800").run("BIAS01")
    assert [row[1:3] for row in found(bench)] == [("aborted", 3), ("complete", 10), ("complete", 4)]


def test_a_test_that_ended_early_is_partial_and_adopted_if_there_is_no_other():
    bench = Bench().run("PTC01", range(30))
    assert found(bench) == [("NOSTROMO/PTC01/1000", "partial", 30, 92, True)]
    assert mismatch(bench) == "col004: 0 of 10 exposures; col005: 0 of 10 exposures; 6 more columns lack 42 exposures"


def test_lost_exposures_in_the_middle_leave_the_columns_right():
    slots = [*range(3), *range(25, 92)]
    bench = Bench().run("PTC01", slots)
    commanded = [c.label for c in structure("PTC01", "B_NOSTROMO").columns for _ in range(c.frames)]
    assert columns_of(bench) == [commanded[slot] for slot in slots]
    assert found(bench) == [("NOSTROMO/PTC01/1000", "partial", 70, 92, True)]


def test_a_test_resumed_on_another_day_is_one_acquisition():
    bench = Bench().run("PTC01", range(50)).run("BIAS01").wait(50_000).run("PTC01", range(50, 92))
    assert found(bench)[1] == ("NOSTROMO/PTC01/1000", "complete", 92, 92, True)


def test_extra_exposures_belong_to_no_column():
    bench = Bench().run("PTC01", range(15)).run("PTC01", [15], change={"exptime_s": 1.4}).run("PTC01", range(15, 92))
    row = find_acquisitions(bench.frame()).acquisitions.row(0, named=True)
    assert (row["status"], row["n_found"], row["n_extra"]) == ("complete", 92, 1)
    assert row["mismatch"] == "obsid 1015 not commanded (exptime_s 1.4, wave 4, source flat)"
    assert columns_of(bench)[15] is None
    assert mismatch(Bench().run("BIAS01").run("BIAS01", [0])) == "obsid 1010 one too many (exptime_s 0)"


def test_an_exposure_that_lacks_a_ccd_is_not_found_but_keeps_its_column():
    frame = Bench().run("PTC02_880").frame().filter(~((pl.col("obsid") == 1005) & (pl.col("ccd") == "CCD2")))
    matched = find_acquisitions(frame)
    row = matched.acquisitions.row(0, named=True)
    assert (row["n_found"], row["status"], row["mismatch"]) == (23, "partial", "obsid 1005 lacks CCD2")
    assert matched.assignment.filter(pl.col("obsid") == 1005)["script_column"].to_list() == ["col002"]


def test_a_block_with_one_ccd_is_whole_with_one():
    assert found(Bench().run("BIAS01", ccds=("CCD2",)))[0][1:3] == ("complete", 10)


def test_other_commands_do_not_move_exposures_but_are_told():
    bench = Bench().run("PTC01", change={"rd_t_v": 15.0})
    assert found(bench)[0][1:4] == ("complete", 92, 92)
    assert mismatch(bench) == "rd_t_v: wanted 16, found 15 (col001, obsid 1000 and 91 more)"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rd_t_v": 16.0 * 1.004}, None),
        ({"rd_t_v": 16.0 * 1.006}, "rd_t_v: wanted 16, found 16.096"),
        ({"rdmode": "fwd_e2v"}, "rdmode: wanted fwd_bas, found fwd_e2v"),
        ({"iphi": "I2I3"}, "iphi: wanted I1I2I3, found I2I3"),
        ({"v_tp_mod": 234}, "v_tp_mod: wanted 123, found 234"),
        ({"chinj": 1}, "chinj: wanted 0, found 1"),
        ({"rd_t_v": None, "swellw_us": None, "rdmode": None}, None),
        ({"motr_siz_um": 77.0}, None),
        ({"sn_ccd1": "another", "operator": "me", "sn_roe": "R"}, None),
    ],
)
def test_tolerance_waivers_and_missing_keys(change, told):
    said = mismatch(Bench().run("BIAS01", change=change))
    assert (said is None) if told is None else said.startswith(told)


def test_an_exposure_with_another_filter_is_no_exposure_of_the_test():
    bench = Bench().run("PTC02_730", range(8)).run("PTC02_730", range(8, 24), change={"wave": 4})
    assert found(bench)[0][1:3] == ("partial", 8)
    assert columns_of(bench)[8:] == [None] * 16
    bias = Bench().run("BIAS01", change={"wave": 2})
    assert found(bias)[0][1:3] == ("complete", 10)


def test_the_reset_drain_tells_tests_apart_only_by_name():
    bench = Bench().run("PTC02_155R", change={"rd_t_v": 16.0, "rd_b_v": 16.0})
    assert found(bench)[0][1:3] == ("complete", 24)
    assert mismatch(bench).startswith("rd_b_v: wanted 15.5, found 16 ")


def test_an_unknown_chamber_is_matched_by_ratios_and_says_so():
    slots = [*range(5), *range(7, 92)]
    bench = Bench(chamber_name=None).run("PTC01", slots).run("FLATFLUX00_590", variant="as_acquired").run("BIAS01")
    rows = find_acquisitions(bench.frame()).acquisitions
    assert rows["chamber"].to_list() == [None] * 3
    assert rows["variant"].to_list() == ["default", "as_acquired", "default"]
    assert rows["n_found"].to_list() == [10, 4, 90]
    ptc = rows.row(2, named=True)["mismatch"]
    assert ptc == (
        "chamber unknown: exposure times compared as ratios only, as of a full well of 3.5 s; col001: 8 of 10 exposures"
    )
    assert rows["mismatch"][0] is None


def test_a_log_made_for_another_profile_is_matched_by_ratios_and_says_so():
    bench = Bench(chamber_name="B_NOSTROMO").run("PTC01", profile="A_MAX")
    assert found(bench)[0][1:3] == ("complete", 92)
    assert mismatch(bench).startswith(
        "exposure times are not those of chamber B_NOSTROMO: exposure times compared as ratios only, as of a full well of 4 s"
    )


def test_a_chamber_that_lacks_the_filter_is_as_good_as_unknown():
    bench = Bench(chamber_name="A_CBE_AUG18").run("FLATFLUX00_2000")
    assert found(bench)[0][1:3] == ("complete", 4)


def test_unknown_tests_belong_to_nothing():
    bench = Bench().run("BIAS01").run("BIAS01", change={"test_in_log": "ENGINEERING"})
    bench.rows[30:] = [row | {"test_in_log": "ENGINEERING"} for row in bench.rows[30:]]
    bench.run("BIAS02")
    bench.rows[-30:] = [row | {"test_in_log": None} for row in bench.rows[-30:]]
    matched = find_acquisitions(bench.frame())
    assert matched.acquisitions["test"].to_list() == ["BIAS01"]
    assert matched.assignment.height == 10
    assert matched.unknown.rows() == [("ENGINEERING", 10, 1010, 1019), (None, 10, 1020, 1029)]


def test_adoption_can_be_overridden_and_the_newest_decision_counts():
    bench = Bench().run("BIAS01").wait(900).run("BIAS01").wait(900).run("BIAS01", range(4))
    decide = pl.DataFrame(
        [
            {"kind": "adopt", "acquisition": "NOSTROMO/BIAS01/1020", "made_at": datetime(2026, 1, 1)},  # noqa: DTZ001
            {"kind": "adopt", "acquisition": "NOSTROMO/BIAS01/1000", "made_at": datetime(2026, 1, 2)},  # noqa: DTZ001
            {"kind": "adopt", "acquisition": "BORN/BIAS01/1010", "made_at": datetime(2026, 1, 3)},  # noqa: DTZ001
            {"kind": "exclude", "acquisition": "NOSTROMO/BIAS01/1010", "made_at": datetime(2026, 1, 4)},  # noqa: DTZ001
            {"kind": "adopt", "run_id": "r", "made_at": datetime(2026, 1, 5)},  # noqa: DTZ001
        ],
        schema=schema_of("overrides"),
    )
    assert [row[4] for row in found(bench, decide)] == [True, False, False]
    assert [row[4] for row in found(bench, decide.clear())] == [False, True, False]


def test_two_blocks_at_once_are_refused():
    both = pl.concat([Bench("BORN").run("BIAS01").frame(), Bench("NIELS").run("BIAS01").frame()])
    with pytest.raises(ValueError, match="one block at a time, found BORN, NIELS"):
        find_acquisitions(both)


def test_an_empty_log_has_no_acquisitions():
    matched = find_acquisitions(pl.DataFrame(schema=schema_of("exposures")))
    assert matched.acquisitions.is_empty()
    assert matched.assignment.columns == ["obsid", "acquisition", "test", "script_column"]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_order_of_rows_does_not_matter_and_one_acquisition_counts_for_each_test(data):
    bench = Bench()
    for _ in range(data.draw(st.integers(1, 6))):
        test = data.draw(st.sampled_from(["BIAS01", "FLATFLUX00_590", "PTC02_730"]))
        n = structure(test, "B_NOSTROMO").n_frames
        bench.wait(data.draw(st.sampled_from([0, 2000])))
        bench.run(test, data.draw(st.sets(st.integers(0, n - 1), min_size=1)))
    frame = bench.frame()
    one, other = find_acquisitions(frame), find_acquisitions(frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert one.acquisitions.equals(other.acquisitions)
    assert one.assignment.equals(other.assignment)
    counts = one.acquisitions.group_by("test").agg(pl.col("is_adopted").sum())["is_adopted"]
    assert set(counts) == {1}
    assert one.assignment.height == frame["obsid"].n_unique()
    slots = one.assignment.drop_nulls("script_column").group_by("acquisition", "script_column").len()
    assert slots["len"].max() <= 10


def test_two_thousand_exposures():
    rng, bench = random.Random(1), Bench()
    while bench.obsid < 3000:
        for name in acquirable():
            bench.run(name)
            if rng.random() < 0.5:
                bench.wait(900).run(name, range(rng.randint(1, structure(name, "B_NOSTROMO").n_frames)))
    frame = bench.frame()
    rows = find_acquisitions(frame).acquisitions
    assert frame["obsid"].n_unique() >= 2000
    assert rows.filter(pl.col("status") != "complete").height >= 20


def test_a_name_that_another_campaign_commanded_means_the_test():
    frame = Bench().run("FLAT01", range(0, 170, 57)).frame().with_columns(pl.lit("FLAT01_800").alias("test_in_log"))
    matched = find_acquisitions(frame)
    assert matched.unknown.is_empty()
    assert matched.acquisitions["test"].to_list() == ["FLAT01"]


def test_runs_of_a_test_without_script():
    frame = Bench().run("BIAS01").run("BIAS02", range(3)).wait(5000).run("BIAS02", range(2)).run("PTC02_730").frame()
    frame = frame.with_columns(pl.col("test_in_log").replace({"BIAS01": "FWD_WARM", "BIAS02": "CHINJ"}))
    found = find_acquisitions(frame)
    rows = found.acquisitions.filter(pl.col("test") != "PTC02_730").select(
        "test", "status", "n_found", "n_expected", "repeat"
    )
    assert rows.rows() == [
        ("CHINJ", "complete", 3, None, 1),
        ("CHINJ", "complete", 2, None, 2),
        ("FWD_WARM", "complete", 10, None, 1),
    ]
    assert found.acquisitions["is_adopted"].to_list() == [False, True, True, True]
    assert found.assignment.filter(pl.col("test") == "CHINJ")["script_column"].null_count() == 5


def test_names_of_tests_without_frames_are_unknown_in_a_log():
    frame = Bench().run("BIAS01").frame().with_columns(pl.lit("PTC_JOINT").alias("test_in_log"))
    found = find_acquisitions(frame)
    assert found.acquisitions.is_empty()
    assert found.unknown["test_in_log"].to_list() == ["PTC_JOINT"]


def test_focus_positions_are_told_apart_by_less_than_their_step():
    frame = Bench().run("FOCUS00_800").frame()
    assert found(Bench().run("FOCUS00_800"))[0][1:3] == ("complete", 9)
    shifted = frame.with_columns(pl.col("mirr_pos_mm") + 0.2)
    matched = find_acquisitions(shifted)
    assert matched.assignment["script_column"].to_list() == [f"col{k:03d}" for k in range(2, 10)] + [None]
