from dataclasses import replace

import polars as pl
import pytest

from vison_etl.campaign.definitions import definition
from vison_etl.effects.declare import Calibrated, Effect, Extracted, Measurement
from vison_etl.pipeline.digest import digest_of
from vison_etl.pipeline.recipe import (
    Settings,
    UnknownParameterError,
    differences,
    inputs_of,
    measurement_parameters,
    parse_settings,
    recipe_of,
)

MEASUREMENT = Measurement("tiles", ("pair_tiles",), "pair", 1, {"clip_sigma": 5.5}, lambda *_: Extracted({}))
EFFECT = Effect(
    "photon_transfer", 2, (MEASUREMENT,), {"n_min": 10, "robust": True}, lambda _: Calibrated({}), ("gain",), ("gain",)
)


def test_settings_take_the_type_of_the_default():
    found = parse_settings(["clip_sigma=4", "photon_transfer.n_min=7", "robust=false", "gain=run7"], [EFFECT], ["gain"])
    assert found.parameters == {"tiles": {"clip_sigma": 4.0}, "photon_transfer": {"n_min": 7, "robust": False}}
    assert isinstance(found.parameters["tiles"]["clip_sigma"], float)
    assert found.inputs == {"gain": "run7"}
    assert Settings().is_empty
    assert not found.is_empty


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clip_sigma", "KEY=VALUE"),
        ("nonsense=1", "unknown"),
        ("n_min=x", "wanted a int"),
        ("clip_sigma=nan", "wanted a float"),
        ("robust=maybe", "wanted true or false"),
    ],
)
def test_settings_that_cannot_be_followed_say_why(text, says):
    with pytest.raises(UnknownParameterError, match=says):
        parse_settings([text], [EFFECT], ["gain"])


def test_ambiguous_key_is_refused():
    other = replace(EFFECT, name="other", measurements=())
    with pytest.raises(UnknownParameterError, match="several effects"):
        parse_settings(["n_min=3"], [EFFECT, other], [])


def test_parameters_are_layered():
    wanted = replace(definition("PTC01"), effects=(("photon_transfer", {"clip_sigma": 5.0}),))
    assert measurement_parameters(EFFECT, MEASUREMENT, wanted, Settings())["clip_sigma"] == 5.0
    chosen = Settings({"tiles": {"clip_sigma": 4.0}})
    assert measurement_parameters(EFFECT, MEASUREMENT, wanted, chosen)["clip_sigma"] == 4.0


def test_a_recipe_changes_with_version_and_parameters_and_says_where():
    wanted = definition("PTC01")
    old = recipe_of(wanted, [EFFECT], Settings(), "checks")
    assert differences(old, recipe_of(wanted, [EFFECT], Settings(), "checks")) == []
    newer = recipe_of(wanted, [replace(EFFECT, version=3)], Settings(), "checks")
    assert differences(old, newer) == ["effects.photon_transfer.version: 2 -> 3"]
    assert digest_of(old) != digest_of(newer)


def test_inputs_follow_the_frames_not_their_order():
    rows = pl.DataFrame(
        {
            "obsid": [2, 1],
            "ccd": ["CCD1", "CCD1"],
            "digest": ["b", "a"],
            "script_column": ["col001", "col001"],
            "chamber": ["B", "B"],
            "hk_stamp": ["1", "1"],
        }
    )
    first = inputs_of(rows, [], {"gain": ("r1",)})
    assert first == inputs_of(rows.reverse(), [], {"gain": ("r1",)})
    assert first != inputs_of(rows.head(1), [], {"gain": ("r1",)})
    assert differences(first, inputs_of(rows, [(5, "CCD1")], {"gain": ("r1",)}))
    assert differences(first, inputs_of(rows, [], {"gain": ()})) == ["sources.gain: ['r1'] -> []"]
