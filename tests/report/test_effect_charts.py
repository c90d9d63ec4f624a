import importlib

import altair as alt
import numpy as np
import polars as pl
import pytest

from tests.report.fake_results import exponential_variance
from tests.report.fake_snapshot import make_snapshot
from vison_etl.effects import charts as common
from vison_etl.effects.photon_transfer.curve_charts import model_variance_adu2
from vison_etl.report import theme
from vison_etl.report.drawing import chart_modules, effect_figures, wanted_tables
from vison_etl.report.gather import gather
from vison_etl.report.source import snapshot

EFFECTS = ("light_source", "photon_transfer", "readout_noise")
EXPECTED = {
    "BIAS02": {
        "ron_by_channel",
        "ron_parts",
        "ron_by_pair",
        "offset_trend",
        "offset_gradient",
        "profile_master_bias_serial",
        "profile_master_bias_serial_ends",
        "profile_master_bias_parallel",
        "profile_master_bias_parallel_ends",
        "picture_master_bias",
    },
    "PTC01": {
        "ptc_curves_log",
        "ptc_curves_linear",
        "gain_by_channel",
        "ptc_noise_by_channel",
        "a00_by_channel",
        "turnoff",
        "fluence_exptime",
        "saturation_time",
        "offset_trend",
    },
    "FLATFLUX00_800": {"fluence_exptime", "saturation_time", "offset_trend"},
}


@pytest.fixture(scope="module")
def drawn():
    source = snapshot(make_snapshot(("BORN",)))
    tables = {test: gather(source, "BORN", test).tables for test in EXPECTED}
    return tables, {test: [f for *_, figures in effect_figures(tables[test]) for f in figures] for test in EXPECTED}


def test_modules_declare_what_they_draw():
    assert {module.__name__.split(".")[-2] for module in chart_modules()} >= set(EFFECTS)
    assert wanted_tables() >= {"pair_tiles", "noise_pairs", "profiles", "previews", "quadrant_stats", "exposures"}


@pytest.mark.parametrize("test", EXPECTED)
def test_every_figure_is_drawn_once_and_valid(drawn, test):
    figures = drawn[1][test]
    assert {figure.key for figure in figures} == EXPECTED[test]
    assert len(figures) == len(EXPECTED[test])
    for figure in figures:
        with alt.theme.enable(theme.NAME):
            spec = figure.chart.to_dict(validate=True)
        assert all(len(rows) < 5000 for rows in spec["datasets"].values()), figure.key
        assert figure.title
        assert figure.caption.endswith(".")


@pytest.mark.parametrize("test", EXPECTED)
def test_every_axis_has_a_title_with_its_unit(drawn, test):
    for figure in drawn[1][test]:
        titles = list(axis_titles(figure.chart.to_dict(validate=False)))
        assert titles, figure.key
        assert all("(" in t or t in {"time", "channel", "obsid", "first obsid of the pair"} for t in titles), titles


def axis_titles(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"x", "y"} and isinstance(value, dict) and value.get("title"):
                yield value["title"]
            if key != "datasets":
                yield from axis_titles(value)
    elif isinstance(node, list):
        for value in node:
            yield from axis_titles(value)


@pytest.mark.parametrize("effect", EFFECTS)
def test_nothing_is_drawn_from_nothing(effect):
    module = importlib.import_module(f"vison_etl.effects.{effect}.charts")
    assert module.charts({}) == []
    assert module.charts({name: common.empty(name) for name in module.TABLES}) == []


def test_null_values_leave_rows_out_and_do_not_break(drawn):
    tables = dict(drawn[0]["PTC01"])
    is_first = (pl.col("ccd") == "CCD1") & (pl.col("quadrant") == "E")
    blank = [
        pl.when(is_first).then(None).otherwise(pl.col(c)).alias(c) for c in ("gain_e_per_adu", "noise_e", "n00_adu2")
    ]
    tables["gain"] = tables["gain"].with_columns(blank)
    for _, _, figures in effect_figures(tables):
        for figure in figures:
            figure.chart.to_dict(validate=True)


def test_model_line_is_that_of_the_fit():
    mean = np.array([10.0, 1e3, 2e4, 5e4])
    frame = pl.DataFrame({"mu": mean}).with_columns(
        model=pl.lit("exponential"), gain_e_per_adu=3.4, a00_per_e=-1.5e-6, n00_adu2=2.0, noise_e=0.0
    )
    drawn = frame.select(v=model_variance_adu2(pl.col("mu")))["v"].to_numpy()
    np.testing.assert_allclose(drawn, exponential_variance(mean, 3.4, -1.5e-6, 2.0), rtol=1e-9)
    straight = frame.with_columns(a00_per_e=pl.lit(None, pl.Float64), n00_adu2=pl.lit(None, pl.Float64))
    drawn = straight.select(v=model_variance_adu2(pl.col("mu")))["v"].to_numpy()
    np.testing.assert_allclose(drawn, mean / 3.4 + 1 / 12, rtol=1e-9)


def test_residuals_of_points_on_the_model_are_normal(drawn):
    figure = next(f for f in drawn[1]["PTC01"] if f.key == "ptc_curves_log")
    rows = [row for data in figure.chart.to_dict(validate=False)["datasets"].values() for row in data if "shown" in row]
    used = [row["residual_sigma"] for row in rows if row["use"] == "used in the fit"]
    assert len(used) == 12 * 30
    assert 0.85 < np.std(used) < 1.15
    assert abs(np.mean(used)) < 0.2


def test_colours_are_fixed_by_word():
    with alt.theme.enable(theme.NAME):
        config = alt.Chart(pl.DataFrame({"a": [1]})).mark_point().to_dict()["config"]
    palette = dict(zip(common.WORDS, config["range"]["category"], strict=True))
    assert palette["E"] == "#0072b2"
    assert len({palette[quadrant] for quadrant in "EFGH"}) == 4


def test_compact_makes_json_of_any_float():
    frame = common.compact(pl.DataFrame({"a": [1.23456789012, float("nan"), float("inf"), None], "b": [1, 2, 3, 4]}))
    assert frame["a"].to_list() == [1.234568, None, None, None]
