"""Every shipped question runs, on an empty lake and on a small one, and answers what it says."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.results.fake_lake import fill, small_lake, store_acquisition, store_exposures, store_run
from tests.sql.fake_bfe import store_bfe
from tests.sql.fake_flats import store_flats
from tests.sql.fake_gains import store_gains
from vison_etl.lake.parts import write_part
from vison_etl.lake.paths import Lake
from vison_etl.results.db import open_in_memory, rows
from vison_etl.results.publish import publish
from vison_etl.results.query import run_sql
from vison_etl.sqlfiles import about, list_sql, read_sql

QUESTIONS = [f"{folder}/{name}" for folder in ("metatests", "fpa", "checks") for name in list_sql(folder)]

OF_CONDITIONS = ("metatests/gain_vs_temperature", "metatests/gain_vs_reset_drain")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = small_lake(tmp_path_factory.mktemp("questions") / "lake")
    store_run(lake, store_acquisition(lake, "NIELS", "PTC02_730", 600), 3, gain=3.6)
    for first, days in ((1000, 0), (2000, 5), (3000, 30)):
        when = datetime.fromisoformat("2019-05-01") + timedelta(days=days)
        name = store_acquisition(lake, "BORN", "BIAS02", first, adopted=first == 3000, started_at=when)
        store_run(lake, name, first)
        store_exposures(lake, "BORN", f"2019-05-{first // 1000:02d}", range(first, first + 10))
    store_flats(lake, "NIELS", "FLAT01", 700, 800.0, 0.5)
    store_flats(lake, "NIELS", "FLAT02_590", 800, 590.0, 0.6)
    store_bfe(lake, "NIELS", "BF01", 900, 800.0, -1.2e-6)
    store_bfe(lake, "NIELS", "BF01_590", 950, 590.0, -1.5e-6)
    publish(lake)
    return lake


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with gains under several conditions."""
    lake = Lake(tmp_path_factory.mktemp("conditions"))
    store_gains(lake)
    publish(lake)
    return lake


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("nothing"))
    publish(lake)
    return lake


def ask(lake: Lake, name: str) -> pl.DataFrame:
    return run_sql(lake, read_sql(name))


def test_there_are_questions() -> None:
    assert {"metatests/gain", "fpa/summary", "checks/compliance_failures", "checks/orphans"} <= set(QUESTIONS)


@pytest.mark.parametrize("name", QUESTIONS)
def test_runs_on_an_empty_lake(empty: Lake, name: str) -> None:
    ask(empty, name)


@pytest.mark.parametrize("name", QUESTIONS)
def test_answers_on_a_small_lake(lake: Lake, conditions: Lake, name: str) -> None:
    assert ask(conditions if name in OF_CONDITIONS else lake, name).height > 0


@pytest.mark.parametrize("name", QUESTIONS)
def test_is_readable_alone(name: str) -> None:
    text = read_sql(name)
    assert about(name).endswith("?")
    with open_in_memory() as connection:
        keywords = {
            word.upper()
            for (word,) in rows(
                connection, "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
            )
        }
    code = "\n".join(line.split("--")[0] for line in text.splitlines())
    assert not keywords & set(code.replace("(", " ").replace(",", " ").split()), "keywords are lower-case"
    assert len(text.splitlines()) < 80
    assert ";" not in code


def row(frame: pl.DataFrame, **where: Any) -> dict[str, Any]:
    return frame.row(by_predicate=pl.all_horizontal(pl.col(k) == v for k, v in where.items()), named=True)


def test_gain(lake: Lake) -> None:
    found = row(ask(lake, "metatests/gain"), test="PTC01", block="NIELS")
    assert (found["n_channels"], found["n_inside"], found["n_failed"]) == (12, 12, 0)
    assert found["gain_mean_e_per_adu"] == pytest.approx(3.4)
    assert found["gain_mean_err_e_per_adu"] == pytest.approx(0.001 / 12**0.5)
    assert row(ask(lake, "metatests/gain"), test="PTC02_730")["n_inside"] == 0


def test_gain_vs_wavelength(lake: Lake) -> None:
    found = row(ask(lake, "metatests/gain_vs_wavelength"), test="PTC02_730")
    assert (found["n_blocks"], found["n_channels"]) == (1, 12)
    assert found["ratio_mean"] == pytest.approx(3.6 / 3.4)
    error = ((0.001 / 3.4) ** 2 + (0.001 / 3.6) ** 2) ** 0.5
    assert found["ratio_mean_err"] == pytest.approx(error / 12**0.5)
    assert found["chi2"] == pytest.approx(12 * ((3.6 / 3.4 - 1) / error) ** 2)
    own = row(ask(lake, "metatests/gain_vs_wavelength"), test="PTC01")
    assert (own["n_ratios"], own["ratio_mean"], own["gain_mean_e_per_adu"]) == (0, None, pytest.approx(3.4))


def test_bfe_vs_wavelength(lake: Lake) -> None:
    found = row(ask(lake, "metatests/bfe_vs_wavelength"), test="BF01_590")
    assert (found["n_blocks"], found["n_channels"], found["n_ratios"]) == (1, 11, 11)
    assert found["ratio_mean"] == pytest.approx(1.25)
    error = 1.25 * ((1 / 120) ** 2 + (1 / 150) ** 2) ** 0.5
    assert found["ratio_mean_err"] == pytest.approx(error / 11**0.5)
    assert found["chi2"] == pytest.approx(11 * (0.25 / error) ** 2)
    assert (found["fwhm_x_mean_um"], found["fwhm_y_mean_um"]) == (9.0, 9.5)
    own = row(ask(lake, "metatests/bfe_vs_wavelength"), test="BF01")
    assert (own["n_ratios"], own["ratio_mean"], own["a00_mean_per_e"]) == (0, None, pytest.approx(-1.2e-6))


def test_prnu_vs_wavelength(lake: Lake) -> None:
    found = row(ask(lake, "metatests/prnu_vs_wavelength"), test="FLAT02_590")
    assert (found["n_blocks"], found["n_channels"], found["n_ratios"]) == (1, 12, 12)
    assert found["prnu_mean_pct"] == pytest.approx(0.6)
    assert found["ratio_mean"] == pytest.approx(1.2)
    error = 1.2 * ((0.001 / 0.5) ** 2 + (0.001 / 0.6) ** 2) ** 0.5
    assert found["ratio_mean_err"] == pytest.approx(error / 12**0.5)
    own = row(ask(lake, "metatests/prnu_vs_wavelength"), test="FLAT01")
    assert (own["n_ratios"], own["ratio_mean"], own["prnu_mean_pct"]) == (0, None, pytest.approx(0.5))


def test_stability_needs_more_than_ten_days(lake: Lake) -> None:
    found = ask(lake, "metatests/bias02_stability").filter(region="ove")
    assert found.height == 12
    assert set(found["n_acquisitions"]) == {3}
    assert set(found["span_days"]) == {30}
    assert found["ron_std_adu"][0] == pytest.approx(1.0)


def test_inventory_has_every_acquisition(lake: Lake) -> None:
    found = ask(lake, "metatests/inventory")
    assert found.height == 10
    assert found["run_id"].null_count() == 0
    assert found.filter(test="BIAS02")["is_current"].to_list() == [False, False, True]


def test_failures_worst_first(lake: Lake) -> None:
    found = ask(lake, "checks/compliance_failures")
    assert found.filter(test="PTC01").select("metric", "value", "excess").rows() == [
        ("offset_adu", 15.0, 1.0),
        ("ron_adu", None, None),
    ]
    assert found["excess"].drop_nulls().is_sorted(descending=True)
    worst = row(ask(lake, "metatests/compliance_worst"), test="BIAS01", rule="a")
    assert (worst["n_checked"], worst["n_failed"], worst["worst_where"], worst["worst_block"]) == (
        2,
        1,
        "CCD1 F",
        "BORN",
    )


@pytest.mark.parametrize(
    ("lo", "hi", "excess"), [(0.0, 10.0, 0.4), (None, 6.0, 1.0), (4.0, 4.0, 2.0), (0.0, 0.0, 12.0), (None, 0.0, 12.0)]
)
def test_excess_has_a_scale_for_every_kind_of_limit(lake: Lake, lo: float | None, hi: float, excess: float) -> None:
    failed = "select * replace (12.0 as value, $lo as lo, $hi as hi) from main.compliance where not pass and value is not null"
    text = f"with compliance as ({failed}) {read_sql('checks/compliance_failures')}"
    assert set(run_sql(lake, text, params={"lo": lo, "hi": hi})["excess"]) == {excess}


def test_maps_have_every_place_once(lake: Lake) -> None:
    for name in ("fpa/gain", "fpa/readout_noise", "fpa/offsets"):
        found = ask(lake, name)
        assert found.select("slice", "col", "quadrant").n_unique() == found.height == 144
        assert {"value", "value_err", "unit", "fpa_x", "fpa_y"} <= set(found.columns)
    noise = ask(lake, "fpa/readout_noise").drop_nulls("value")
    assert set(noise["test"]) == {"BIAS02"}
    assert noise.height == 12
    assert ask(lake, "fpa/gain").drop_nulls("value")["block"].unique().to_list() == ["NIELS"]


def test_summary(lake: Lake) -> None:
    found = row(ask(lake, "fpa/summary"), parameter="gain")
    assert (found["n_channels"], found["median"], found["n_outside"]) == (12, pytest.approx(3.4), 0)
    assert (found["error"], found["requirement"], found["n_fails"]) == (0.001, "3 to 3.5", 0)


def test_orphans(lake: Lake) -> None:
    found = dict(ask(lake, "checks/orphans").select("what", "n").rows())
    assert found["quadrant_stats without exposure"] == 0
    assert found["exposure without quadrant_stats"] == 0
    assert found["acquisition without exposures"] == 1


def test_reconciliation(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    store_exposures(lake, "BORN", "2019-03-01", range(100, 110))
    refused = [
        {
            "kind": "log_row",
            "path": "EXP_LOG_2019-03-01.txt",
            "row": row,
            "root": "/data/2019-03-01",
            "reason": "missing",
        }
        for row in (32, 34, 5)
    ]
    day = {"block": "BORN", "day": "2019-03-01"}
    write_part(lake, "rejects", day, "0", fill("rejects", refused, **day))
    publish(lake)
    found = ask(lake, "checks/reconciliation").row(0, named=True)
    assert (found["n_exposures"], found["n_rejected"], found["last_row"]) == (30, 3, 34)
    assert (found["n_in_neither"], found["n_in_both"], found["is_reconciled"]) == (1, 1, False)
