"""Charts of darks and defects: drawn from what the calibrations make, with words on every axis."""

import altair as alt
import polars as pl
import pytest

from tests.report.test_effect_charts import axis_titles
from vison_etl.effects import charts as common
from vison_etl.effects.dark import charts as dark
from vison_etl.effects.defects import charts as defects
from vison_etl.report import theme
from vison_etl.tables import CCDS, QUADRANTS

PLACES = [{"ccd": ccd, "quadrant": quadrant} for ccd in CCDS for quadrant in QUADRANTS]


def frame(name, rows):
    return pl.DataFrame(rows, schema=common.empty(name).schema)


def dark_tables():
    signal = [
        place
        | {"dark_adu": 0.16, "dark_adu_err": 0.01, "dark_e_per_px_h": 3.5, "dark_e_per_px_h_err": 0.2}
        | {"dark_upper_e_per_px_h": 3.9, "dark_overscan_adu": 0.1, "dark_overscan_adu_err": 0.05}
        | {"dark_median_adu": 0.25, "n_hot": 3, "n_warm": 20, "n_hot_reference": 2}
        for place in PLACES
    ]
    cells = [
        place
        | {"cell": 16 * j + i, "region": "img", "x": 51 + 16 * i, "y": 16 * j, "width_px": 16, "height_px": 16}
        | {"signal_adu": 0.1 * i, "base_adu": 0.01 * j}
        for place in PLACES
        for j in range(16)
        for i in range(16)
    ]
    histogram = [
        place | {"bin": k, "signal_adu": -16 + (k + 0.5) / 4, "n": 1000 - k} for place in PLACES for k in range(320)
    ]
    return {
        "dark_signal": frame("dark_signal", signal),
        "dark_cells": frame("dark_cells", cells),
        "dark_histogram": frame("dark_histogram", histogram),
    }


def defect_tables(n=500):
    listed = [
        place
        | {"defect_id": k, "kind": "hot" if k % 3 else "column_tail", "frames": "flat" if k % 2 else "dark"}
        | {"x": 60 + k % 200, "y": 5, "width_px": 1, "height_px": 1 if k % 3 else 200, "value": 80.0 - k}
        | {"significance": 7.0 + k, "n_px": 1, "is_masked": k % 2 == 0}
        for place in PLACES
        for k in range(n)
    ]
    counts = [
        place | {"kind": kind, "n_pixels": 4, "n_columns": 1, "lost_pct": 0.01, "n_defects": n}
        for place in PLACES
        for kind, n in (("hot", 3), ("merged", None), ("reference_merged", None))
    ]
    return {"defects": frame("defects", listed), "defect_counts": frame("defect_counts", counts)}


@pytest.mark.parametrize(
    ("module", "tables", "keys"),
    [
        (dark, dark_tables(), {"dark_current", "dark_signal", "dark_map", "dark_histogram", "dark_hot_pixels"}),
        (defects, defect_tables(), {"defect_lost", "defect_counts", "defect_map", "defect_strength"}),
    ],
    ids=["dark", "defects"],
)
def test_every_figure_is_drawn_and_valid(module, tables, keys):
    figures = module.charts(tables)
    assert {figure.key for figure in figures} == keys
    for figure in figures:
        with alt.theme.enable(theme.NAME):
            spec = figure.chart.to_dict(validate=True)
        assert all(len(rows) < 5000 for rows in spec["datasets"].values()), figure.key
        assert figure.caption.endswith(".")
        titles = list(axis_titles(spec))
        assert titles
        assert all("(" in title for title in titles), titles


def test_what_is_left_out_of_the_map_is_said():
    figure = next(f for f in defects.charts(defect_tables()) if f.key == "defect_map")
    assert "4500 most significant of 6000" in figure.caption


@pytest.mark.parametrize("module", [dark, defects])
def test_nothing_is_drawn_from_nothing(module):
    assert module.charts({}) == []
    assert module.charts({name: common.empty(name) for name in module.TABLES}) == []


def test_without_gain_and_bias_the_rest_is_drawn():
    tables = dark_tables()
    blank = [pl.lit(None, pl.Float64).alias(name) for name in ("dark_adu", "dark_e_per_px_h", "dark_upper_e_per_px_h")]
    tables["dark_signal"] = tables["dark_signal"].with_columns(blank)
    keys = {figure.key for figure in dark.charts(tables)}
    assert "dark_current" not in keys
    assert "dark_signal" in keys
