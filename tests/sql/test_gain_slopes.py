"""Gain against temperature, reset drain and wavelength: slopes that were put in come out, with their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pulls import assert_pulls
from tests.results.fake_lake import store_acquisition, store_run
from tests.sql import fake_gains as truth
from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish
from vison_etl.results.query import run_sql
from vison_etl.sqlfiles import read_sql

QUESTIONS = {
    "gain_vs_temperature": ("slope_pct_per_k", truth.PCT_PER_K, (-125.1, -120.0, -115.2)),
    "gain_vs_reset_drain": ("slope_pct_per_v", truth.PCT_PER_V, (15.5, 16.0, 16.5)),
}


def answers(lake: Lake, name: str) -> list[dict[str, Any]]:
    return run_sql(lake, read_sql(f"metatests/{name}")).to_dicts()


def expected_err(x: tuple[float, ...]) -> float:
    return float(100 * truth.RELATIVE_ERR / np.sqrt(12 * np.sum((np.array(x) - np.mean(x)) ** 2)))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("slopes"))
    truth.store_gains(lake)
    store_run(lake, store_acquisition(lake, "BORN", "PTC01", 100), 1, gain=3.5)
    store_run(lake, store_acquisition(lake, "BORN", "PTC02_148K", 200), 2, gain=3.7)
    publish(lake)
    return lake


@pytest.mark.parametrize("name", QUESTIONS)
def test_slopes_that_were_put_in_come_out(lake: Lake, name: str) -> None:
    column, slope, x = QUESTIONS[name]
    # of the other block neither temperature nor voltage is known
    mine, together = answers(lake, name)
    assert (mine["block"], together["block"]) == (truth.BLOCK, None)
    for row in (mine, together):
        assert row[column] == pytest.approx(slope, rel=1e-6)
        assert row[f"{column}_err"] == pytest.approx(expected_err(x), rel=1e-6)
        assert row["sigma"] == pytest.approx(slope / expected_err(x), rel=1e-6)
        assert (row["n_channels"], row["dof"]) == (12, 12)
        assert row["chi2"] == pytest.approx(0.0, abs=1e-6)
        assert row["slopes_chi2"] == pytest.approx(0.0, abs=1e-6)
        assert (min(x), max(x)) == pytest.approx([v for k, v in row.items() if "_min_" in k or "_max_" in k])


def test_wavelength(lake: Lake) -> None:
    rows = {row["test"]: row for row in answers(lake, "gain_vs_wavelength")}
    for row in rows.values():
        assert row["slope_pct_per_100nm"] == pytest.approx(truth.PCT_PER_100NM, rel=1e-6)
        assert row["slope_pct_per_100nm_err"] == pytest.approx(expected_err((5.90, 8.00)), rel=1e-6)
    assert rows["PTC02_590"]["ratio_mean"] == pytest.approx(np.exp(-0.01 * 2.1 * truth.PCT_PER_100NM))


@pytest.mark.lengthy
def test_errors_are_those_of_the_scatter(tmp_path: Path) -> None:
    pulls: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    chi2 = dof = 0.0
    for seed in range(12):
        lake = Lake(tmp_path / str(seed))
        truth.store_gains(lake, seed=seed)
        publish(lake)
        for name, (column, slope, _) in QUESTIONS.items():
            row = answers(lake, name)[-1]
            pulls[name].append((row[column] - slope) / row[f"{column}_err"])
            chi2, dof = chi2 + row["chi2"] + row["slopes_chi2"], dof + row["dof"] + 11
    for found in pulls.values():
        assert_pulls(np.array(found), np.ones(len(found)), 0.0)
    assert abs(chi2 - dof) < 3.3 * np.sqrt(2 * dof)
