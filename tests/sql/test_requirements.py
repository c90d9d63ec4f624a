"""The check of the requirements: every one of them is asked, and the verdicts are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.results.fake_lake import EPOCH, fill, store_acquisition
from vison_etl.instrument.blocks import offsets_adu
from vison_etl.instrument.requirements import requirements
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import write_run
from vison_etl.results.publish import publish
from vison_etl.results.query import run_sql
from vison_etl.sqlfiles import read_sql

CHECK = read_sql("checks/requirements")
GAINS = {("CCD1", "E"): (3.4, 0.01), ("CCD1", "F"): (3.51, 0.01), ("CCD1", "G"): (3.55, 0.01), ("CCD1", "H"): (None, None),
         ("CCD2", "E"): (2.9, 0.01), ("CCD2", "F"): (3.48, 0.009), ("CCD2", "G"): (3.3, None)}  # fmt: skip
"""Gain and its error, by channel."""
EXPECTED_ADU = (offsets_adu("BORN") or {})["CCD1", "E"]


def store(lake: Lake, test: str, first: int, minute: int, results: dict[str, list[dict[str, Any]]], **more: Any) -> str:
    """Store a run of a new acquisition of BORN."""
    acquisition = store_acquisition(lake, more.pop("block", "BORN"), test, first, **more)
    block = acquisition.split("/")[0]
    run_id = f"20260101T{minute:06d}.000000-{first:08x}"
    keys = {"run_id": run_id, "block": block, "test": test, "acquisition": acquisition}
    record = keys | {"obsid_first": first, "obsid_last": first + 9, "status": "ok", "is_trial": False, "flags": "",
                     "software_version": "0.1.0", "started_at": EPOCH.isoformat(), "seconds": 1.0}  # fmt: skip
    write_run(lake, record, {name: fill(name, rows, **keys) for name, rows in results.items()})
    return run_id


def noise(ron_e: float | None, ron_e_err: float | None = 0.05, **more: Any) -> list[dict[str, Any]]:
    cell = {"ccd": "CCD1", "quadrant": "E", "region": "ove", "status": "ok", "n_points": 9}
    value = {"ron_adu": 1.2, "ron_adu_err": 0.01, "ron_e": ron_e, "ron_e_err": ron_e_err}
    return [cell | value | more, cell | value | {"region": "img", "ron_e": 99.0}]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a lake with results for every requirement."""
    lake = Lake(tmp_path_factory.mktemp("requirements") / "lake")
    gains = [
        {"ccd": c, "quadrant": q, "model": "exponential", "gain_e_per_adu": g, "gain_e_per_adu_err": e, "is_adopted": True,
         "status": "ok" if g else "failed"} for (c, q), (g, e) in GAINS.items()
    ]  # fmt: skip
    offset = {"region": "ove", "offset_adu_err": 0.1, "n_frames": 10}
    store(lake, "PTC01", 100, 1, {"gain": gains})
    store(lake, "BIAS01", 200, 2, {
        "readout_noise": [*noise(4.7), *noise(4.3, ccd="CCD3", region="ove")[:1]],
        "offsets": [offset | {"ccd": "CCD1", "quadrant": "E", "offset_adu": EXPECTED_ADU + 51.0}],
    })  # fmt: skip
    store(lake, "BIAS02", 300, 3, {"readout_noise": noise(4.45)})
    store(lake, "BIAS02", 100, 4, {"readout_noise": noise(None, None),
                                   "offsets": [offset | {"ccd": "CCD1", "quadrant": "E", "offset_adu": 2700.0}]},
          block="UNKNOWN")  # fmt: skip
    publish(lake)
    return lake


def ask(lake: Lake, text: str = CHECK) -> pl.DataFrame:
    return run_sql(lake, text)


def verdicts(frame: pl.DataFrame, **where: str) -> dict[tuple[str, str], str]:
    found = frame.filter(**where)
    assert found.select("block", "ccd", "quadrant").is_unique().all()
    return {(row["ccd"], row["quadrant"]): row["verdict"] for row in found.iter_rows(named=True)}


def test_every_requirement_has_a_check_behind_it(lake: Lake) -> None:
    asked = set(ask(lake)["requirement"])
    missing = {row.requirement for row in requirements()} - asked
    assert not missing, f"sql/checks/requirements.sql does not look at the quantity of {', '.join(sorted(missing))}"


@pytest.mark.parametrize("row", requirements(), ids=lambda row: row.requirement)
def test_its_quantity_is_published_in_its_unit_with_an_error(lake: Lake, row: Any) -> None:
    query = "select column_name, unit from dictionary where schema_name = 'main' and table_name = $name"
    units = dict(run_sql(lake, query, params={"name": row.table}).rows())
    assert units[row.column] == units[f"{row.column}_err"] == row.unit
    if row.added_to is not None:
        assert row.added_to in run_sql(lake, "from channels").columns


def test_verdicts_count_in_errors(lake: Lake) -> None:
    found = ask(lake)
    assert verdicts(found, requirement="gain") == {
        ("CCD1", "E"): "meets",
        ("CCD1", "F"): "cannot be told",
        ("CCD1", "G"): "fails",
        ("CCD1", "H"): "no value",
        ("CCD2", "E"): "fails",
        ("CCD2", "F"): "meets",
        ("CCD2", "G"): "cannot be told",
    }
    row = found.row(by_predicate=(pl.col("quadrant") == "G") & (pl.col("verdict") == "fails"), named=True)
    assert (row["margin"], row["margin_sigma"]) == (pytest.approx(-0.05), pytest.approx(-5.0))
    assert (row["lo"], row["hi"], row["unit"], row["ccdid"]) == (3.0, 3.5, "e/ADU", "C_11")


def test_failures_come_first_then_the_smallest_margin(lake: Lake) -> None:
    found = ask(lake)
    order = ["fails", "no value", "cannot be told", "meets"]
    ranks = [order.index(verdict) for verdict in found["verdict"]]
    assert ranks == sorted(ranks)
    assert found.filter(verdict="meets")["margin_sigma"].is_sorted()


def test_the_first_test_that_a_channel_has_counts(lake: Lake) -> None:
    found = ask(lake).filter(requirement="read_noise_e", block="BORN")
    assert sorted(found.select("ccd", "test", "value", "verdict").rows()) == [
        ("CCD1", "BIAS02", 4.45, "cannot be told"),
        ("CCD3", "BIAS01", 4.3, "meets"),
    ]


def test_relative_limits_are_those_of_the_channel(lake: Lake) -> None:
    found = ask(lake).filter(requirement="offset").sort("block")
    born, unknown = found.iter_rows(named=True)
    assert (born["lo"], born["hi"], born["verdict"]) == (EXPECTED_ADU - 50.0, EXPECTED_ADU + 50.0, "fails")
    assert (born["margin"], born["margin_sigma"]) == (pytest.approx(-1.0), pytest.approx(-10.0))
    assert (unknown["lo"], unknown["hi"], unknown["margin"], unknown["verdict"]) == (None, None, None, "cannot be told")


def test_a_requirement_holds_for_its_time(lake: Lake) -> None:
    def at(valid_from: str, valid_to: str) -> set[str]:
        changed = f"select * replace ({valid_from} as valid_from, {valid_to} as valid_to) from main.requirements"
        return set(ask(lake, CHECK.replace("with measured", f"with requirements as ({changed}), measured"))["test"])

    assert "PTC01" in at("null", "timestamp '2020-01-01'")
    assert "PTC01" in at("timestamp '2019-01-01'", "null")
    assert "PTC01" not in at("null", "timestamp '2019-01-01'")
    assert "PTC01" not in at("timestamp '2020-01-01'", "null")


def test_the_summary_counts_the_same(lake: Lake) -> None:
    gain = run_sql(lake, read_sql("fpa/summary")).row(by_predicate=pl.col("parameter") == "gain", named=True)
    failing = ask(lake).filter(requirement="gain", verdict="fails").height
    assert (gain["n_channels"], gain["n_outside"], gain["n_fails"]) == (6, 3, failing)
    assert gain["requirement"] == "3 to 3.5"


def test_nothing_tested_nothing_told(tmp_path: Path) -> None:
    empty = Lake(tmp_path / "lake")
    empty.root.mkdir()
    publish(empty)
    assert ask(empty).is_empty()
