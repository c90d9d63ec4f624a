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


@pytest.fixture(scope="module")
def tables():
    measured = {"flat_response": [], "flat_scales": [], "previews": []}
    for k, signal in enumerate((8000.0, 24000.0)):
        found = measure.master(flats(np.random.default_rng(k), Scene(signal_adu=signal), 4), measure.PARAMETERS, {})
        for name, columns in found.tables.items():
            frame = pl.DataFrame(columns, strict=False).with_columns(script_column=pl.lit(f"col{k + 1:03d}"))
            measured[name].append(frame)
    joined = {name: pl.concat(frames, how="vertical_relaxed") for name, frames in measured.items()}
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


def test_nothing_is_drawn_from_nothing():
    assert charts.charts({}) == []
    assert charts.charts({name: common.empty(name) for name in charts.TABLES}) == []
