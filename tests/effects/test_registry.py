"""Effects are found by name and keep what they declare."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

from vison_etl.effects.declare import Effect
from vison_etl.effects.registry import UnknownEffectError, load, names
from vison_etl.effects.registry import measurement as measurement_named
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
        for use in effect.uses:
            owner, measurement = measurement_named(use)
            assert use == f"{owner.name}.{measurement.name}"
            assert owner.name != name, f"{name} has {use} itself"


def test_a_measurement_of_another_effect_is_found_by_its_owner():
    owner, measurement = measurement_named("photon_transfer.tiles")
    assert owner is load("photon_transfer")
    assert measurement in owner.measurements
    with pytest.raises(UnknownEffectError, match=r"no measurement photon_transfer.tile; .*photon_transfer.tiles"):
        measurement_named("photon_transfer.tile")
    with pytest.raises(UnknownEffectError, match="no effect photon_transfe"):
        measurement_named("photon_transfe.tiles")


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
