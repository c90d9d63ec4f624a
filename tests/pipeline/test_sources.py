"""Which measurements a test wants, of its own effects and of others, and how its recipe says so."""

from dataclasses import replace

import pytest

from vison_etl.campaign.definitions import definition
from vison_etl.effects.declare import Calibrated, Effect
from vison_etl.effects.registry import load
from vison_etl.pipeline.recipe import Settings, UnknownParameterError, differences, parse_settings, recipe_of
from vison_etl.pipeline.sources import kinds_wanted, wanted_measurements

USER = Effect("user", 1, (), {}, lambda _: Calibrated({}), ("covariances",), uses=("photon_transfer.tiles",))
OWNER = load("photon_transfer")


def names(*effects):
    return [(f"{one.owner.name}.{one.measurement.name}", one.is_own) for one in wanted_measurements(effects)]


def test_a_used_measurement_is_wanted_once_and_belongs_to_its_owner():
    assert names(USER) == [("photon_transfer.tiles", False)]
    own = [(f"photon_transfer.{m.name}", True) for m in OWNER.measurements]
    assert names(OWNER) == names(OWNER, USER) == names(USER, OWNER) == own
    assert names(USER, replace(USER, name="another")) == names(USER)


def test_products_that_a_used_measurement_takes_are_wanted():
    dark = replace(USER, uses=("dark.dark_frames",))
    assert kinds_wanted((dark,)) == ("mask", "master_bias")
    assert kinds_wanted((USER,)) == ()


@pytest.mark.parametrize("test", ["BF01", "NL02"])
def test_the_recipe_names_version_and_parameters_of_what_is_used(test):
    tiles = OWNER.measurements[0]
    recipe = recipe_of(definition(test), [USER], Settings(), "checks")["effects"]["user"]
    assert recipe["uses"] == {"photon_transfer.tiles": {"version": tiles.version, "parameters": dict(tiles.parameters)}}
    assert "uses" not in recipe_of(definition(test), [OWNER], Settings(), "checks")["effects"]["photon_transfer"]


def test_several_sources_have_their_own_parameters():
    recipe = recipe_of(definition("PTC_JOINT"), [USER], Settings(), "checks")["effects"]["user"]["uses"]
    assert set(recipe["photon_transfer.tiles"]["parameters"]) == set(definition("PTC_JOINT").frames_of)


def test_a_parameter_of_a_used_measurement_can_be_set():
    settings = parse_settings(["clip_sigma=4"], [USER], ["gain"])
    assert settings.parameters == {"tiles": {"clip_sigma": 4.0}}
    before, after = (recipe_of(definition("BF01"), [USER], chosen, "checks") for chosen in (Settings(), settings))
    lines = [line for line in differences(before, after) if line.startswith("effects")]
    assert lines == ["effects.user.uses.photon_transfer.tiles.parameters.clip_sigma: 5.5 -> 4.0"]
    with pytest.raises(UnknownParameterError, match=r"tiles\.clip_sigma"):
        parse_settings(["clip=4"], [USER], ["gain"])
