"""Faults through files: a simulated day with one of them raises its flag and what follows from it; a day without raises nothing."""

from __future__ import annotations

import pytest

from tests.end_to_end.campaign import take, work
from vison_etl.lake.paths import Lake
from vison_etl.simulate.day import simulate_day

FIRST = 17001
POOR = "POORQUALDATA"
OF_CONTEXT = {"NO_GAIN", "NO_BIAS", "NO_MASK"}
"""Raised wherever the block has no photon transfer, master bias or mask."""


def flags_of(folder, test, faults=(), edit=None):
    """Simulate a test of one block, ingest and analyse it; return the flags of its run."""
    given = [{"obsid": FIRST + slot, "kind": kind, **more} for kind, slot, more in faults]
    day = simulate_day(folder / "raw", "BORN", [test], seed=5, faults=given)
    if edit is not None:
        edit(day.folder)
    lake = Lake(folder / "lake")
    take(lake, day.folder)
    (outcome,) = [done for done in work(lake, partial=True) if done.action != "skipped"]
    assert outcome.action == "stored"
    return set(outcome.flags) - OF_CONTEXT


def one(kind, slot=2, **more):
    return [(kind, slot, more)]


OF_DARK = {
    "none": ([], set()),
    "lost_pixels": (one("lost_pixels", ccd="CCD2", quadrant="G"), {"LOSTPIXELS"}),
    "dead_quadrant": ([("dead_quadrant", n, {"ccd": "CCD1"}) for n in range(4)], {POOR, "RON_OOL", "DEADQUAD"}),
    "dead_ccd": ([("dead_ccd", n, {"ccd": "CCD2"}) for n in range(4)], {POOR, "RON_OOL", "DEADQUAD", "DEADCCD"}),
    "saturated": (one("saturated", ccd="CCD3"), {POOR, "SATURATION"}),
    "saturated CCD": ([("saturated", 1, {"ccd": "CCD3", "quadrant": q}) for q in "EFGH"], {POOR, "SATURATION", "CCDSATUR"}),
    "source_on": (one("source_on"), {POOR, "BGD_OOL", "SOURCEON"}),
    "high_background": (one("high_background", ccd="CCD1"), {POOR, "BGD_OOL", "SOURCEON"}),
    "offset_jump": (one("offset_jump", ccd="CCD1", quadrant="H"), {POOR}),
    "noisy": (one("noisy", ccd="CCD1"), {POOR, "RON_OOL"}),
    "hot_hk": (one("hot_hk"), {"HK_OOL", "CCDTEMP_OOL"}),
    "wrong_voltage": (one("wrong_voltage"), {"HK_OOL"}),
    "missing_hk": (one("missing_hk"), {"HK_MISSING"}),
    "wrong_exptime": (one("wrong_exptime"), {"MISSDATA"}),
    "wrong_roe": (one("wrong_roe"), {"MISSDATA", "WRONG_ROE_CONF"}),
    "wrong_test": (one("wrong_test"), {"MISSDATA"}),
    "missing": (one("missing", ccd="CCD2"), {"MISSDATA"}),
    "missing_row": (one("missing_row"), {"MISSDATA"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", OF_DARK)
def test_dark_frames(fault, tmp_path):
    faults, flags = OF_DARK[fault]
    assert flags_of(tmp_path, "DARK01", faults) == flags


def as_bias02(folder):
    for log in folder.glob("EXP_LOG_*"):
        log.write_bytes(log.read_bytes().replace(b"\tBIAS01", b"\tBIAS02"))


@pytest.mark.slow
def test_frames_of_another_test(tmp_path):
    assert flags_of(tmp_path, "BIAS01", edit=as_bias02) == {"MISSDATA", "WRONG_ROE_CONF", "WRONGTEST"}


# Flats are taken with the mirror far from focus: the point source gives no spots there, and no flat either. In ten minutes hot pixels grow
# as bright as spots.
OF_LIGHT = {
    "flat, source_off": ("FLATFLUX00_800", one("source_off"), {POOR, "FLUENCE_OOL", "SOURCEOFF"}, {"FLUX_OOL", "BADFIT"}),
    "flat, wrong_source": ("FLATFLUX00_800", one("wrong_source"), {POOR, "FLUENCE_OOL", "SOURCEOFF"}, {"FLUX_OOL", "BADFIT"}),
    "flat, bright_source": ("FLATFLUX00_800", [("bright_source", n, {}) for n in range(4)], {POOR, "FLUENCE_OOL", "FLUX_OOL"},
                            {"BADFIT", "SATURATION", "CCDSATUR"}),
    "spots, none": ("PSFLUX00_800", [], set(), set()),
    "spots, source_off": ("PSFLUX00_800", one("source_off"), {POOR, "FLUENCE_OOL", "SOURCEOFF", "STARS_MISSING"}, {"FOCUS_OOL", "FLUX_OOL"}),
    "spots, one CCD dark": ("PSFLUX00_800", one("source_off", ccd="CCD1"), {POOR, "FLUENCE_OOL", "STARS_MISSING"}, {"FOCUS_OOL", "FLUX_OOL"}),
    "spots, wrong_source": ("PSFLUX00_800", one("wrong_source"), {POOR, "BGD_OOL", "WRONGSOURCE"},
                            {"FLUENCE_OOL", "FOCUS_OOL", "FLUX_OOL"}),
    "spots, dim_source": ("PSFLUX00_800", [("dim_source", n, {}) for n in range(4)], {POOR, "FLUENCE_OOL", "FLUX_OOL"}, set()),
    "spots, defocused": ("PSFLUX00_800", one("defocused"), {POOR, "FLUENCE_OOL", "FOCUS_OOL"}, {"FLUX_OOL"}),
    "spots, high_background": ("PSFLUX00_800", one("high_background", ccd="CCD1"), {POOR, "BGD_OOL"}, set()),
    "pumping, none": ("TP21", [], set(), set()),
    "pumping, no_injection": ("TP21", one("no_injection", ccd="CCD1"), {POOR, "FLUENCE_OOL", "FLUENCEGRAD_OOL"}, set()),
    "saturation, source_off": ("PERSIST01", one("source_off", 8), {POOR, "NONSATURATION"}, {"SOURCEOFF", "DEADQUAD"}),
    "functional, none": ("MOT_WARM", [], set(), set()),
    "functional, stuck_bit": ("MOT_WARM", [("stuck_bit", n, {"ccd": "CCD2"}) for n in range(8)], {"FUNCTION_FAILED"}, {POOR, "RON_OOL"}),
    "functional, missing": ("MOT_WARM", one("missing", 3), {"FUNCTION_NOT_DONE", "MISSDATA"}, set()),
    "focus, none": ("FOCUS00_730", [], set(), set()),
    "injection, none": ("CHINJ02", [], set(), set()),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", OF_LIGHT)
def test_lit_and_injected_frames(case, tmp_path):
    test, faults, wanted, may_follow = OF_LIGHT[case]
    raised = flags_of(tmp_path, test, faults)
    assert wanted <= raised <= wanted | may_follow
