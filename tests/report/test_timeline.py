from __future__ import annotations

import polars as pl
import pytest

from vison_etl.pipeline.plan import Setting, plan
from vison_etl.report.page import render, specification
from vison_etl.report.timeline import make_plan_page, timeline, write_plan_page

SESSIONS = {"D11": ("BIAS01", "PTC01"), "D12": ("BIAS01", "DARK01", "BIAS02.1")}


@pytest.fixture(scope="module")
def rows():
    return plan(Setting("B_NOSTROMO"), SESSIONS)


def bars(panel):
    """Return the rows that a panel draws."""
    chart = panel.to_dict(validate=True)
    (data,) = chart["datasets"].values()
    return data


def test_one_panel_per_session_and_one_scale_of_time(rows):
    chart = timeline(rows)
    assert [panel.title for panel in chart.vconcat] == ["D11, 2 h 41 min", "D12, 1 h 15 min"]
    first, second = (bars(panel) for panel in chart.vconcat)
    assert [row["test"] for row in first] == ["BIAS01", "PTC01"]
    assert [row["begins"] for row in second] == pytest.approx([0, 15.584 / 60, 59.484 / 60], abs=1e-4)
    assert all(row["ends"] == pytest.approx(row["begins"] + row["minutes"] / 60, abs=1e-5) for row in first + second)
    assert [row["label"] for row in second] == ["16 min, 10 frames", "44 min, 4 frames", "16 min, 10 frames"]
    domains = [
        layer["encoding"]["x"]["scale"]["domain"]
        for panel in specification(chart)["vconcat"]
        for layer in panel["layer"]
    ]
    assert len({tuple(domain) for domain in domains}) == 1
    assert domains[0][1] > 161.8 / 60


def test_the_page_lists_every_test_with_totals(rows, tmp_path):
    write_plan_page(tmp_path / "plan.html", "Plan", "chamber B_NOSTROMO", rows)
    text = (tmp_path / "plan.html").read_text()
    assert text == render(make_plan_page("Plan", "chamber B_NOSTROMO", rows))
    assert "D12: 3 tests, 24 frames, 1 h 15 min" in text
    assert "<td>BIAS02.1</td>" in text
    assert "146.21" in text
    assert "<caption>Campaign: 5 tests" in render(
        make_plan_page("Plan", "", rows.with_columns(session=pl.lit(None, pl.String)))
    )


def test_tests_of_unknown_duration_stand_in_the_table_only():
    text = render(make_plan_page("Plan", "", plan(Setting(None), {"D<11>": ("BIAS01", "PTC01", "DARK01")})))
    assert "2 tests of unknown duration: not drawn." in text
    assert "D&lt;11&gt;: 3 tests, 106 frames, –" in text
    assert "spec-timeline" in text
    untimed = render(make_plan_page("Plan", "", plan(Setting(None), {"D11": ("PTC01",)})))
    assert "1 test of unknown duration" in untimed
    assert "spec-timeline" not in untimed
