"""A minimal effect that uses the measurements of another, fed by the tests without frames of their own."""

import sys
from dataclasses import replace
from importlib import import_module

import pytest

import vison_etl.effects
from vison_etl.campaign import definitions, rules
from vison_etl.effects import registry

TESTS = ("BF01", "BF01_590", "MOT_FF", "PTC_JOINT")
_EFFECT = """
import polars as pl
from vison_etl.effects.declare import Calibrated, Effect
from vison_etl.effects.rows import result_frame

SEEN = []


def _calibrate(inputs):
    SEEN.append(inputs)
    tiles = inputs.measured["pair_tiles"].group_by("acquisition", "script_column", "ccd", "quadrant").agg(
        pl.col("mean_adu").mean(), n_pairs=pl.col("obsid_1").n_unique()
    )
    rows = tiles.with_columns(
        script_column=pl.concat_str(pl.col("acquisition").str.split("/").list.get(1), "script_column", separator=" "),
        lag_x=0, lag_y=0,
    ).drop("acquisition")
    return Calibrated({"covariances": result_frame("covariances", rows.to_dicts())})


EFFECT = Effect(
    "shared_frames", 1, (), {}, _calibrate, ("covariances",), needs=("gain",), uses=("photon_transfer.tiles",)
)
"""


@pytest.fixture
def shared_frames(tmp_path, monkeypatch):
    """Feed the effect; return the list of what its calibration was given, in order."""
    folder = tmp_path / "effects" / "shared_frames"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "effect.py").write_text(_EFFECT)
    monkeypatch.setattr(vison_etl.effects, "__path__", [*vison_etl.effects.__path__, str(folder.parent)])
    known = {
        name: replace(rule, effects=(("shared_frames", {}),)) if name in TESTS else rule
        for name, rule in rules.all_rules().items()
    }
    monkeypatch.setattr(definitions, "rule_of", known.__getitem__)
    _forget()
    yield import_module("vison_etl.effects.shared_frames.effect").SEEN
    for name in [name for name in sys.modules if "shared_frames" in name]:
        del sys.modules[name]
    monkeypatch.undo()
    _forget()


def _forget():
    for cached in (registry.names, registry.load, definitions.definition):
        cached.cache_clear()
