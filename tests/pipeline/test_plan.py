from __future__ import annotations

import csv

import polars as pl
import pytest

from tests.reference import reference_file
from vison_etl.campaign.handles import selection
from vison_etl.pipeline.plan import Setting, plan, totals
from vison_etl.pipeline.requests import RequestError

AS_ACQUIRED = Setting("B_NOSTROMO", variant="as_acquired")
EXAMPLE = ("CHINJ02", "BIAS01", "BIAS02", "TP01", "CHINJ01", "FOCUS00")


def test_the_worked_example_of_a_session():
    rows = plan(Setting("B_NOSTROMO"), {"example": EXAMPLE})
    assert rows.select("test", "frames", pl.col("minutes").round(2)).rows() == [
        ("CHINJ02", 26, 42.31),
        ("BIAS01", 10, 15.58),
        ("BIAS02", 10, 15.58),
        ("TP01", 50, 120.31),
        ("CHINJ01", 36, 58.58),
        ("FOCUS00_590", 9, 15.11),
        ("FOCUS00_730", 9, 14.25),
        ("FOCUS00_800", 9, 14.22),
        ("FOCUS00_880", 9, 14.39),
    ]
    (total,) = totals(rows).rows(named=True)
    assert (total["session"], total["tests"], total["frames"]) == ("example", 9, 168)
    assert total["minutes"] == pytest.approx(310.33, abs=0.005)


def test_the_whole_campaign():
    rows = plan(AS_ACQUIRED)
    assert rows.height == 52
    assert rows["session"].null_count() == 52
    assert rows["frames"].sum() == 1912
    assert rows["minutes"].sum() / 60 == pytest.approx(54.38, abs=0.005)
    assert not rows["test"].str.starts_with("BF01").any()
    ends = rows["begins_minutes"] + rows["minutes"]
    assert rows["begins_minutes"][0] == 0
    assert rows["begins_minutes"][1:].to_list() == pytest.approx(ends[:-1].to_list())


def test_sessions_begin_anew_and_may_share_tests():
    rows = plan(Setting("B_NOSTROMO"), selection("recommended").sessions)
    assert totals(rows)["session"].to_list() == ["D00", "D11", "D12", "D21", "D22"]
    assert totals(rows)["frames"].to_list() == [8, 51, 585, 173, 389]
    assert rows.filter(pl.col("test") == "BIAS02")["session"].to_list() == ["D12", "D21", "D22"]
    assert rows.group_by("session").agg(pl.col("begins_minutes").first())["begins_minutes"].to_list() == [0.0] * 5


def test_the_exposures_are_part_of_the_minutes():
    rows = plan(Setting("B_NOSTROMO"), {"x": ("DARK01", "BIAS01", "PTC01")})
    assert rows["exposure_minutes"].to_list() == pytest.approx([4 * 565 / 60, 0.0, 170.45 / 60])
    per_frame_s = 60 * (rows["minutes"] - rows["exposure_minutes"]) / rows["frames"]
    assert per_frame_s.to_list() == pytest.approx([93.503566] * 3)


def test_without_a_chamber_times_that_depend_on_it_are_not_known():
    rows = plan(Setting(None), {"x": ("BIAS01", "PTC01", "DARK01")})
    assert rows["frames"].to_list() == [10, 92, 4]
    assert rows["minutes"].is_null().to_list() == [False, True, False]
    assert rows["exposure_minutes"].is_null().to_list() == [False, True, False]
    assert rows["begins_minutes"].is_null().to_list() == [False, False, True]
    assert totals(rows)["minutes"].to_list() == [None]


def test_a_campaign_that_is_acquired_elsewhere_has_no_plan():
    with pytest.raises(RequestError, match=r"nothing to acquire: .* elsewhere"):
        plan(Setting("B_NOSTROMO", "FPA"))
    with pytest.raises(RequestError, match="nothing to acquire: BF01 uses the exposures of PTC01"):
        plan(Setting("B_NOSTROMO"), {"x": ("BF01",)})
    with pytest.raises(RequestError, match="no chamber 'NOSTROMO'; nearest: B_NOSTROMO"):
        plan(Setting("NOSTROMO"))


@pytest.mark.parametrize("chamber", ["B_NOSTROMO", "B_BORN", "B_EINSTEIN", "A_MAX"])
def test_the_plan_equals_the_inventory_of_the_reference(chamber):
    path = reference_file(f"reference/acquisition/inventory_{chamber}.csv")
    known = [row for row in csv.DictReader(path.read_text().splitlines()) if row["campaign"] == "Full"]
    wanted = {row["test"]: row for row in known if not row["test"].startswith("BF01")}
    rows = plan(Setting(chamber, variant="as_acquired"))
    assert set(rows["test"]) == set(wanted)
    for row in rows.rows(named=True):
        expected = wanted[row["test"]]
        assert (row["columns"], row["frames"]) == (int(expected["columns"]), int(expected["frames"]))
        assert row["minutes"] == pytest.approx(float(expected["minutes"]), abs=0.01)
