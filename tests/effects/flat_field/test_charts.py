import altair as alt
import numpy as np
import polars as pl
import pytest

from tests.closure.flat_truth import Scene, flats
from tests.report.test_effect_charts import axis_titles
from vison_etl.effects import charts as common
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.flat_field import charts, measure
from vison_etl.effects.flat_field.calibrate import calibrate
from vison_etl.effects.flat_field.effect import EFFECT
from vison_etl.report import theme


def beside_another(response):
    """Return the rows as if there had been a flat at 590 nm; that of quadrant H has no variance of its own."""
    variance = pl.when(pl.col("quadrant") == "H").then(-1e-7).otherwise(4e-6)
    return response.with_columns(
        reference_wavelength_nm=pl.lit(590.0),
        reference_fluence_adu=pl.lit(9000.0),
        correlation=pl.lit(0.97),
        correlation_err=pl.lit(0.01),
        ratio_variance=variance,
        ratio_variance_err=pl.lit(2e-7),
        n_shared=pl.lit(10000),
    )


@pytest.fixture(scope="module")
def tables():
    measured = {"flat_response": [], "flat_scales": [], "previews": []}
    for k, signal in enumerate((8000.0, 24000.0)):
        found = measure.master(flats(np.random.default_rng(k), Scene(signal_adu=signal), 4), measure.PARAMETERS, {})
        for name, columns in found.tables.items():
            frame = pl.DataFrame(columns, strict=False).with_columns(script_column=pl.lit(f"col{k + 1:03d}"))
            measured[name].append(frame)
    joined = {name: pl.concat(frames, how="vertical_relaxed") for name, frames in measured.items()}
    joined["flat_response"] = beside_another(joined["flat_response"])
    channels = joined["flat_response"].select("ccd", "quadrant").unique()
    results = calibrate(CalibrationInput("FLAT01", 800.0, EFFECT.parameters, pl.DataFrame(), channels, joined, None))
    return {**joined, **results.tables}


def test_every_figure_is_valid_and_names_its_units(tables):
    figures = charts.charts(tables)
    assert [figure.key for figure in figures] == [
        "prnu_by_channel",
        "prnu_fluence",
        "prnu_scales",
        "prnu_noise",
        "flat_steps",
        "flat_ratio",
        "flat_flat_residual",
        "flat_master_flat",
    ]
    for figure in figures:
        with alt.theme.enable(theme.NAME):
            spec = figure.chart.to_dict(validate=True)
        assert all(len(rows) < 5000 for rows in spec["datasets"].values()), figure.key
        assert figure.caption.endswith(".")
        assert all("(" in title for title in axis_titles(spec)), figure.key


def test_the_wavelength_stands_in_the_title(tables):
    assert charts.charts(tables)[0].title.endswith("at 800 nm")


def test_a_ratio_without_variance_has_no_point(tables):
    figure = next(figure for figure in charts.charts(tables) if figure.key == "flat_ratio")
    assert "590 nm" in figure.title
    with alt.theme.enable(theme.NAME):
        spec = figure.chart.to_dict()
    rms, correlation = (spec["datasets"][panel["data"]["name"]] for panel in spec["vconcat"])
    assert {row["quadrant"] for row in rms} == {"E", "F", "G"}
    assert {row["quadrant"] for row in correlation} == {"E", "F", "G", "H"}


def test_nothing_is_drawn_from_nothing():
    assert charts.charts({}) == []
    assert charts.charts({name: common.empty(name) for name in charts.TABLES}) == []
