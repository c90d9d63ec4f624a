from dataclasses import replace

import polars as pl
import pytest

from tests.report.fake_bench import HOSTILE
from tests.report.fake_snapshot import insert, make_snapshot
from vison_etl.report import commanded, compliance, housekeeping, provenance, verdict
from vison_etl.report.gather import gather
from vison_etl.report.source import select, snapshot


@pytest.fixture(scope="module")
def source():
    return snapshot(make_snapshot(("BORN",)))


@pytest.fixture(scope="module")
def bias(source):
    return gather(source, "BORN", "BIAS02")


def checks(**columns):
    base = {
        "rule": "r",
        "metric": "m",
        "obsid": 1,
        "ccd": "CCD1",
        "quadrant": "E",
        "script_column": None,
        "value_err": 0.1,
    }
    n = len(next(iter(columns.values())))
    return pl.DataFrame({**{name: [value] * n for name, value in base.items()}, **columns}, strict=False)


def test_excess_counts_half_widths_beyond_the_nearer_limit():
    frame = checks(
        value=[1.0, 0.0, 3.0, None, 5.0, 0.05, 7.0, 8.0],
        lo=[0.0, 0.0, 0.0, 0.0, None, 0.1, 7.0, 7.0],
        hi=[2.0, 2.0, 2.0, 2.0, 4.0, None, 7.0, 7.0],
        **{"pass": [True, True, False, False, False, False, True, False]},
    )
    excess = compliance.with_excess(frame)["excess"].to_list()
    assert excess == pytest.approx([-1.0, 0.0, 1.0, None, 0.25, 0.5, -1.0, pytest.approx(1 / 7)], nan_ok=True)


def test_summary_names_the_worst_and_counts():
    frame = checks(value=[1.0, 9.0, None, 3.0], lo=[0.0] * 4, hi=[2.0] * 4, **{"pass": [True, False, False, False]})
    row = compliance.summary_by(compliance.with_excess(frame), "rule").row(0, named=True)
    assert (row["n"], row["n_failed"], row["n_missing"]) == (4, 3, 1)
    assert row["value"] is None
    frame = frame.drop_nulls("value")
    assert compliance.summary_by(compliance.with_excess(frame), "rule")["value"].to_list() == [9.0]


def test_failing_values_are_listed_worst_first(bias):
    html = compliance.section(bias).content.text
    assert html.index("COMM_RD_T") < html.index("CCD3 F")
    assert "4 failing values" not in html
    assert html.count('class="state bad"') >= 4


def test_verdict_names_flags_with_their_meaning(bias):
    html = verdict.section(bias).content.text
    assert "read-out noise out of limits" in html
    assert "4 failed" in html
    assert HOSTILE not in html
    assert verdict.status_of(bias) == "flagged"


def test_a_test_without_a_run_says_so(source):
    data = gather(source, "BORN", "DARK01")
    assert verdict.status_of(data) == "not analysed"
    assert "No analysis" in verdict.section(data).content.text
    assert "4 found of 9 expected" in provenance.acquisition_section(data).content.text
    assert "There is no current run" in provenance.provenance_section(data).content.text


def test_a_failed_run_later_than_the_good_one_is_told():
    connection = make_snapshot(("BORN",))
    good = connection.sql("from runs where test = 'BIAS02'").pl().row(0, named=True)
    bad = good | {"run_id": "20990101T000000-ffffffff", "status": "failed", "is_current": False}
    insert(connection, "runs", [bad | {"started_at": good["started_at"].replace(year=2030)}])
    data = gather(snapshot(connection), "BORN", "BIAS02")
    assert data.run["run_id"] == good["run_id"]
    assert "20990101T000000-ffffffff" in verdict.section(data).content.text


def test_provenance_shows_run_inputs_and_products(bias):
    html = provenance.provenance_section(bias).content.text
    for text in (
        "20190312T120000-BORN-BIAS02",
        "0123456789abcdef",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "products/CCD1.fits",
    ):
        assert text in html
    assert "&lt;/script&gt;" in html


def test_steps_of_equal_commands(source):
    steps = commanded.acquired_steps(gather(source, "BORN", "PTC01").table("exposures"))
    assert steps["frames"].to_list() == [10] * 8 + [4] * 3
    assert steps["obsid_first"][1] == steps["obsid_last"][0] + 1


def test_commanded_columns_stand_beside_what_was_acquired(source):
    html = commanded.section(gather(source, "BORN", "PTC01")).content.text
    assert "Commanded: 92 exposures in 11 columns" in html
    assert "92 exposures in 11 steps" in html
    assert "fwd_bas" in html


def test_unknown_tests_and_chambers_have_no_commanded_table(source):
    data = gather(source, "BORN", "DARK01")
    data = replace(data, acquisition={**data.acquisition, "test": "ENGINEERING"})
    assert "Commanded:" not in commanded.section(data).content.text


def test_housekeeping_is_held_against_the_limits_of_the_checks(bias):
    limits = housekeeping.exposure_limits(bias.table("compliance"), bias.table("exposures"))
    assert limits.rows() == [(100, "COMM_RD_T", 15.8, 16.2)]
    worst = housekeeping.against_limits(bias.table("hk_summary"), limits).row(0, named=True)
    assert (worst["key"], worst["n_out"], worst["obsid"]) == ("COMM_RD_T", 1, 100)
    assert worst["position_hi"] > 1


def test_housekeeping_without_checks_follows_the_command(bias):
    limits = housekeeping.exposure_limits(bias.table("compliance").clear(), bias.table("exposures"))
    assert limits.filter(key="COMM_RD_T").select("lo", "hi").unique().row(0) == pytest.approx((15.8, 16.2))
    keys = housekeeping.against_limits(bias.table("hk_summary"), limits)
    assert keys["key"][0] == "COMM_RD_T"
    assert keys.filter(pl.col("n_out") > 0).height == 1
    for figure in housekeeping.section(bias).figures:
        figure.chart.to_dict(validate=True)


def test_a_table_that_is_missing_is_empty_and_typed():
    source = snapshot(make_snapshot(("BORN",), without=("pair_tiles",)))
    frame = select(source, "pair_tiles", block="BORN")
    assert frame.is_empty()
    assert frame.schema["mean_adu"] == pl.Float64
