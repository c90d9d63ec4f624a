from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.reference import reference_file
from vison_etl.instrument.chambers import (
    actual_exptime_s,
    chamber,
    chambers,
    commanded_exptime_s,
    filter_label,
    shutter_table,
    slot_of,
    spots,
    wavelength_nm,
)
from vison_etl.instrument.coordinates import physical_to_ccd, quadrant_at
from vison_etl.instrument.geometry import geometry_of


def test_slots_are_not_nanometres_and_depend_on_the_chamber():
    assert wavelength_nm("B_BORN", 1) == 590.0
    assert filter_label("B_BORN", 2) == "2000"
    assert wavelength_nm("B_BORN", 2) is None
    assert wavelength_nm("A_JUN18", 2) == 640.0
    assert filter_label("B_BORN", 6) == "0"
    assert wavelength_nm("B_BORN", 6) is None


@pytest.mark.parametrize(("name", "slot"), [("B_BORN", 0), ("B_BORN", 7), ("B_BORN", None), (None, 1), ("B_NOBODY", 1)])
def test_unknown_slots_and_chambers_have_no_wavelength(name, slot):
    assert filter_label(name, slot) is None
    assert wavelength_nm(name, slot) is None


def test_a_profile():
    nostromo = chamber("B_NOSTROMO")
    assert nostromo.slots == {1: 590, 2: 2000, 3: 730, 4: 800, 5: 880, 6: 0}
    assert (nostromo.flat_s["730"], nostromo.point_s["0"], nostromo.mirror_mm[3]) == (3.6, 45.0, 47.2)
    assert (nostromo.pattern, nostromo.shutter, nostromo.fwhm_px["800"]) == ("B_JAN19", "B", 2.0)
    assert slot_of("B_NOSTROMO", "730") == 3
    assert slot_of("B_NOSTROMO", "640") is None
    with pytest.raises(KeyError, match="B_NOSTROMO"):
        chamber("B_NOSTRONO")


def test_early_profiles_lack_pattern_and_shutter():
    assert {name for name in chambers() if chamber(name).pattern is None} == {
        "DEFAULT", "A_FEB18", "A_JUN18", "A_JUN18B", "A_JUL18",
    }  # fmt: skip
    assert sum(chamber(name).shutter is None for name in chambers()) == 11


def test_shutter_latency_is_linear_held_and_zero_at_zero():
    assert actual_exptime_s("B_BORN", 0.0) == 0.0
    assert actual_exptime_s("B_BORN", 0.1) == pytest.approx(0.125)
    assert actual_exptime_s("B_BORN", 0.05) == pytest.approx(0.05 + 0.0125)
    assert actual_exptime_s("B_BORN", 20.0) == pytest.approx(20 + (0.031 + 0.027) / 2)
    assert actual_exptime_s("B_BORN", 565.0) == pytest.approx(565.0)
    assert actual_exptime_s("A_MAX", 500.0) == pytest.approx(500.0)
    table = np.array(shutter_table("A"))
    for commanded in np.random.default_rng(3).uniform(0.01, 200, 200):
        wanted = commanded + np.interp(commanded, table[:, 0], table[:, 1])
        assert actual_exptime_s("A_MAX", float(commanded)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "commanded"),
    [(None, 1.0), ("A_JUN18", 1.0), ("B_NOBODY", 1.0), ("B_BORN", None), ("B_BORN", -1.0), ("B_BORN", math.nan)],
)
def test_unknown_shutter_times_are_none(name, commanded):
    assert actual_exptime_s(name, commanded) is None


@pytest.mark.parametrize("pattern", ["A_JUN18", "A_JUN18B", "A_JUL18", "A_CBE_AUG18", "B_JAN19"])
def test_spots_lie_in_their_quadrants(pattern):
    geometry = geometry_of(4238, 4172)
    found = spots(pattern)
    assert len(found) == 60
    assert len({(spot.ccd, spot.quadrant, spot.spot) for spot in found}) == 60
    for spot in found:
        x, y = physical_to_ccd(geometry, spot.x_physical, spot.y_physical)
        assert quadrant_at(geometry, x, y) == spot.quadrant


def test_unknown_patterns_name_the_nearest():
    with pytest.raises(KeyError, match="B_JAN19"):
        spots("B_JAN18")


def test_profiles_agree_with_the_reference():
    raw = json.loads(reference_file("reference/data/ogse_profiles.json").read_text())["profiles"]
    assert set(raw) == set(chambers())
    for name, profile in raw.items():
        ours = chamber(name)
        assert ours.slots == {int(slot[1:]): label for slot, label in profile["FW"].items()}
        assert ours.flat_s == {label[2:]: value for label, value in profile["tFWC_flat"].items()}
        assert ours.point_s == {label[2:]: value for label, value in profile["tFWC_point"].items()}
        assert ours.mirror_mm == {int(slot[1:]): value for slot, value in profile["mirror_nom"].items()}
        assert ours.fwhm_px == {label[2:]: value for label, value in profile["fwhm_lambda"].items()}


@pytest.mark.parametrize("commanded", [0.004, 0.05, 0.08, 0.5, 3.5, 600.0])
def test_the_commanded_time_is_found_from_the_open_time(commanded):
    assert commanded_exptime_s("B_BORN", actual_exptime_s("B_BORN", commanded)) == pytest.approx(commanded, rel=1e-9)
    assert commanded_exptime_s(None, commanded) is None
