"""Who changes how a number is made says so: results of old code must not pass for results of new code.

The version of a measurement is part of the key of its units, that of a calibration part of the recipe of a run. If one is
forgotten, nobody measures or calibrates again. Parameters are in key and recipe themselves.
"""

from __future__ import annotations

import ast
import json
import textwrap

import pytest

from tests.effects import code_digest
from tests.effects.renew_versions import COMMAND, as_text, present, recorded, unraised
from vison_etl.effects.registry import load, names


@pytest.fixture(scope="module")
def now():
    return present()


def test_changed_code_has_a_new_version(now):
    forgotten = [f"{what}: {', '.join(changed)}" for what, changed in unraised(now, recorded()).items()]
    assert not forgotten, (
        f"the code behind a version changed and the version did not:\n{chr(10).join(forgotten)}\n"
        f"Raise it in effect.py and run `{COMMAND}`; if no number can have changed, `{COMMAND} --same-numbers`."
    )


def test_the_record_is_up_to_date(now):
    assert json.loads(as_text(now)) == recorded(), f"run `{COMMAND}`"


def test_what_makes_numbers_is_reached_and_what_draws_them_is_not(now):
    tiles = set(now["code"]["photon_transfer.tiles"]["of"])
    assert {
        "vison_etl.effects.photon_transfer.measure.tiles",
        "vison_etl.pixels.pair_kernels.measure_boxes",
        "vison_etl.pixels.pair_plane.remove_plane",
        "vison_etl.instrument.geometry.region_window",
    } <= tiles
    assert "vison_etl.effects.photon_transfer.exponential.fit_exponential" not in tiles
    noise = set(now["code"]["readout_noise"]["of"])
    assert {
        "vison_etl.effects.readout_noise.calibrate.calibrate",
        "vison_etl.effects.readout_noise.model.chain_mean",
        "vison_etl.effects.rows.result_frame",
    } <= noise
    assert not [name for name in now["definitions"] if "charts" in name or "declare" in name.split(".")[:3]]


def test_the_code_of_a_used_measurement_counts_for_its_owner(now):
    for name in names():
        effect = load(name)
        mine = {what for what in now["code"] if what.split(".")[0] == name}
        assert mine == {name, *(f"{name}.{m.name}" for m in effect.measurements)}
        assert set(effect.uses) <= set(now["code"]) - mine


def test_a_forgotten_version_is_named_with_what_changed(now):
    before = json.loads(as_text(now))
    before["code"]["photon_transfer.tiles"]["digest"] = "0"
    before["definitions"]["vison_etl.pixels.pair_kernels._store"] = "0"
    assert unraised(now, before) == {"photon_transfer.tiles": ["vison_etl.pixels.pair_kernels._store"]}
    before["code"]["photon_transfer.tiles"]["version"] -= 1
    assert unraised(now, before) == {}


def dump(code: str) -> str:
    tree = code_digest._Bare().visit(ast.parse(textwrap.dedent(code)))
    return code_digest._dump(tree)


BEFORE = """
    def f(x: int) -> float:
        '''Say.'''
        if x < 0:
            raise ValueError(f"{x} is negative")
        return 2.0 * x  # twice
"""


def test_what_no_number_depends_on_does_not_count():
    after = """
    def f(x: float) -> int:
        if x < 0:
            raise ValueError("negative")

        return (2.0
                * x)
    """
    assert dump(BEFORE) == dump(after)


@pytest.mark.parametrize(
    ("old", "new"), [("2.0", "2"), ("x < 0", "x <= 0"), ("ValueError", "KeyError"), ("2.0 * x", "x * 2.0")]
)
def test_what_a_number_may_depend_on_counts(old, new):
    assert dump(BEFORE) != dump(BEFORE.replace(old, new))
