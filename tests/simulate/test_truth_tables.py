"""Truth of effects in the tables of results, against plain measurements of the frames."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from vison_etl.campaign import definitions
from vison_etl.instrument.geometry import quadrant_view
from vison_etl.simulate.bench import Bench, ccd_image
from vison_etl.simulate.day import commanded_tests, geometry_of_size, simulate_campaign
from vison_etl.simulate.plan import exposures, plan_day
from vison_etl.simulate.quadrant import Options
from vison_etl.simulate.settings import SimulationError
from vison_etl.simulate.truth import truth_tables
from vison_etl.tables import table

SMALL = geometry_of_size("small")
BENCH = Bench(Path(), "BORN", 3, SMALL, Options(cosmics_per_quadrant=0.0))
START = datetime.fromisoformat("2019-03-12T08:00:00")
OF_TEST = {
    "CHINJ01": {"injection_levels", "injection_vs_ig1"},
    "CHINJ02": {"injection_levels", "injection_vs_idl"},
    "TP01": {"injection_levels", "traps", "trap_density"},
    "TP02": {"injection_levels", "traps", "trap_density"},
    "FLAT_STB": {"stability", "common_mode", "prnu"},
    "MOT_WARM": {"warm_ramp", "injection_levels"},
    "FOCUS00_800": {"spots", "focus"},
    "PSF01_800": {"spots", "psf_width"},
    "PERSIST01": {"persistence", "persistence_decay", "dark_signal", "spots", "defects"},
    "DARK01": {"dark_signal"},
    "COSMETICS00": {
        "defects",
        "defect_counts",
        "edge_response",
        "edge_separation",
        "full_well",
        "cti",
        "prnu",
        "light_source",
        "gain",
        "bfe_coefficients",
    },
    "NL02": {"nonlinearity", "nonlinearity_curve", "edge_response", "edge_separation", "full_well", "cti"},
}


def planned(test):
    return exposures(plan_day("BORN", [test], START, 17001, seed=3))


def tables_of(test):
    return truth_tables(BENCH, planned(test))


@pytest.mark.parametrize("test", OF_TEST)
def test_tables_of_each_test(test):
    found = tables_of(test)
    assert OF_TEST[test] <= set(found)
    always = {"readout_noise", "offsets", "source_levels"}
    if test in {"CHINJ01", "CHINJ02", "TP01", "TP02", "FOCUS00_800", "PSF01_800", "DARK01"}:
        assert set(found) == OF_TEST[test] | always
    for name, rows in found.items():
        if name == "source_levels":
            continue
        described = table(name)
        assert set(rows.columns) <= set(described.names)
        keys = list(dict.fromkeys(["acquisition", *(key for key in described.keys if key in rows.columns)]))
        assert rows.select(keys).is_unique().all()
        assert rows.select(keys).null_count().sum_horizontal().item() == 0


def test_injected_levels_are_those_of_the_frames():
    found = tables_of("CHINJ01")["injection_levels"]
    assert found.height == 36 * 12
    seen = 0
    for exposure in planned("CHINJ01")[6:30:6]:
        image = ccd_image(BENCH, exposure, "CCD2")
        for quadrant in "EG":
            part = quadrant_view(image, SMALL, quadrant).astype(float)[:256, 56:302]
            level = part[:30].mean() - part[60:130].mean()
            row = found.filter(obsid=exposure.obsid, ccd="CCD2", quadrant=quadrant).row(0, named=True)
            assert level == pytest.approx(row["level_adu"], rel=4e-3, abs=3.0)  # first rows settle
            seen += row["level_adu"] > 1000
    assert seen >= 2


def test_sums_agree_with_what_they_sum():
    found = tables_of("TP01")
    each = found["traps"].group_by("ccd", "quadrant", "mode").agg(pl.len().alias("n"), pl.col("tau_us").median())
    both = found["trap_density"].join(each, on=["ccd", "quadrant", "mode"], how="left")
    assert both.height == 12 * 4
    assert (both["n_detected"] == both["n"].fill_null(0)).all()
    assert both["tau_median_us"].to_list() == pytest.approx(both["tau_us"].to_list())
    masks = tables_of("COSMETICS00")
    pixels = masks["defects"].group_by("ccd", "quadrant", "kind").agg(pl.col("height_px").sum())
    counted = masks["defect_counts"].join(pixels, on=["ccd", "quadrant", "kind"])
    assert (counted["n_pixels"] == counted["height_px"]).all()
    levels = tables_of("FLAT_STB")
    seen, started = levels["source_levels"]["source_level"].to_numpy(), levels["source_levels"]["started_at"]
    _, (squares, *_) = np.polynomial.Polynomial.fit(
        (started - started.min()).dt.total_seconds() / 3600.0, 100 * seen / seen.mean(), 1, full=True
    )
    assert levels["stability"]["rms_pct"].to_list() == pytest.approx([np.sqrt(squares[0] / (seen.size - 2))] * 3)


def test_the_warm_ramp_is_that_of_the_frame():
    found = tables_of("MOT_WARM")["warm_ramp"]
    assert found["obsid"].unique().to_list() == [17003]
    image = ccd_image(BENCH, planned("MOT_WARM")[2], "CCD2")
    for quadrant in "EG":
        rows = quadrant_view(image, SMALL, quadrant).astype(float)[:256, 56:302].mean(axis=1)
        slope = np.polyfit(np.arange(60, 256), rows[60:], 1)[0]
        row = found.filter(ccd="CCD2", quadrant=quadrant).row(0, named=True)
        assert slope == pytest.approx(row["slope_adu_per_row"], rel=5e-3)


def test_both_halves_are_injected_in_turn():
    found = tables_of("TP01")["injection_levels"]
    lit = found.filter(found["level_adu"] > 0).group_by("obsid").agg(pl.col("quadrant").unique().sort())
    assert Counter(tuple(q) for q in lit["quadrant"].to_list()) == {("E", "F"): 25, ("G", "H"): 25}


def test_every_test_of_the_campaign_can_be_planned():
    tests = commanded_tests("Full")
    assert len(tests) >= 52
    assert not any(test.startswith("BF01") for test in tests)
    planned_all = exposures(plan_day("NOSTROMO", tests, START, 17001))
    assert [e.obsid for e in planned_all] == list(range(17001, 17001 + len(planned_all)))
    assert len({e.acquisition for e in planned_all}) == len(tests)
    assert len(planned_all) == sum(len(exposures(plan_day("NOSTROMO", [t], START, 1))) for t in tests)


@pytest.mark.parametrize("test", ["CHINJ00", "TP00", "STRAY00"])
def test_tests_of_no_campaign(test):
    assert definitions.definition(test).has_frames
    assert len(planned(test)) in {8, 36, 22}


def test_a_campaign_fills_one_folder_a_day(tmp_path):
    tests = ["FLATFLUX00_800", "DARK01", "BIAS01"]
    late = datetime.fromisoformat("2019-03-12T23:30:00")
    days = simulate_campaign(tmp_path, "BORN", tests=tests, start=late)
    assert [day.folder.name for day in days] == ["12_Mar_19", "13_Mar_19"]
    assert [day.acquisitions for day in days] == [
        ("BORN/FLATFLUX00_800/17001", "BORN/DARK01/17005"),
        ("BORN/BIAS01/17009",),
    ]
    assert (days[0].obsid_last, days[1].obsid_first, days[1].obsid_last) == (17008, 17009, 17018)
    assert (days[1].folder / "EXP_LOG_130319.txt").exists()
    assert len(list(days[1].folder.glob("EUC_*.fits"))) == 30
    with pytest.raises(SimulationError, match="12_Mar_19 exists"):
        simulate_campaign(tmp_path, "BORN", tests=tests, start=late)
    assert np.all([not path.name.startswith(".") for path in tmp_path.iterdir()])
