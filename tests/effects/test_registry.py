"""Effects are found by name and keep what they declare."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

from vison_etl.effects.declare import Effect
from vison_etl.effects.registry import UnknownEffectError, load, names
from vison_etl.effects.rows import result_frame
from vison_etl.tables import table


def test_every_effect_declares_tables_that_exist():
    assert {"readout_noise", "light_source"} <= set(names())
    for name in names():
        effect = load(name)
        assert isinstance(effect, Effect)
        assert effect.name == name
        for result in effect.tables:
            assert table(result).stage == "result"
        measured = [m.name for m in effect.measurements]
        assert len(set(measured)) == len(measured)
        for measurement in effect.measurements:
            for lake in measurement.tables:
                assert table(lake).stage == "lake"


def test_a_misspelt_effect_names_its_neighbours():
    with pytest.raises(UnknownEffectError, match="readout_noise"):
        load("readout_nois")


def test_loading_an_effect_in_a_worker_imports_no_table_library():
    script = (
        "import sys; from vison_etl.effects.registry import load; load('readout_noise'); load('light_source');"
        "print([m for m in ('polars', 'duckdb', 'pyarrow', 'altair', 'astropy', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_result_rows_are_typed_and_nan_is_null():
    frame = result_frame("offsets", [{"ccd": "CCD1", "quadrant": "E", "region": "img", "offset_adu": float("nan")}])
    assert frame.columns == list(table("offsets").names[4:])
    assert frame["offset_adu"].to_list() == [None]
    assert frame.schema["n_frames"] == pl.Int64
    assert result_frame("offsets", []).schema == frame.schema
    with pytest.raises(ValueError, match="no columns offset"):
        result_frame("offsets", [{"offset": 1.0}])
