from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.simulate.shots import SMALL, image_of, shot, signal_adu, truth_of
from tests.simulate.test_injection import injection
from vison_etl.elvis.frames import native, open_frame
from vison_etl.elvis.housekeeping import read_hk
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.simulate.broken import broken_shot, damage_image
from vison_etl.simulate.day import simulate_day
from vison_etl.simulate.faults import Fault, Kind
from vison_etl.simulate.quadrant import shot_spots

OFFSETS = dict.fromkeys("EFGH", 2650.0)
E = truth_of()


def damaged(kind, quadrant="F", read_rows=276):
    image = np.zeros((552, 654), np.uint16)
    for name in QUADRANTS:
        view = quadrant_view(image, SMALL, name)
        view[:read_rows] = 2650
        view[: min(read_rows, 256), 51:307] += 1000
    damage_image(image, SMALL, [Fault(kind, 1, "CCD1", quadrant)], OFFSETS)
    return {name: quadrant_view(image, SMALL, name).astype(float) for name in QUADRANTS}


@pytest.mark.parametrize(
    "kind", ["saturated", "high_background", "offset_jump", "noisy", "gradient", "lost_pixels", "stuck_bit"]
)
def test_faults_of_pixels_stay_in_their_quadrant_and_in_the_rows_read(kind):
    found = damaged(kind, read_rows=100)
    for name in "EGH":
        assert (found[name][:100, 51:307] == 3650).all()
    assert (found["F"][100:] == 0).all() or kind == "saturated"
    assert (found["F"][:100] != found["E"][:100]).any()


def test_what_faults_of_pixels_do():
    assert (damaged("saturated")["F"] == 65535).sum() == 52 * 256
    assert (damaged("high_background")["F"][:256, 51:307] == 3950).all()
    assert (damaged("high_background")["F"][:, :51] == 2650).all()
    assert (damaged("offset_jump")["F"][:, :51] == 2750).all()
    assert damaged("noisy")["F"][:, :51].std() == pytest.approx(4.0, rel=0.05)
    assert (damaged("stuck_bit")["F"][:, :51] == 2650 + 0).all()  # 2650 has bit 4 set
    assert (damaged("stuck_bit")["F"][:256, 51:307] == 3650 + 16 * (not 3650 & 16)).all()
    row = damaged("gradient")["F"][10, 51:307] - 2650
    assert (row[0], row[-1]) == (600, 1400)
    assert row.mean() == pytest.approx(1000, abs=1)
    dead = damaged("dead_ccd")
    assert all((dead[name] == 2650).all() for name in QUADRANTS)


def test_faults_of_the_bench():
    dark = broken_shot(shot(exptime_s=0.0, is_open=False), [Fault("source_on", 17001)])
    assert image_of(signal_adu(E, dark)).mean() == pytest.approx(0.02 * 65536 * E.response, rel=0.05)
    flat = shot(exptime_s=1.0)
    assert image_of(signal_adu(E, broken_shot(flat, [Fault("source_off", 17001)]))).max() < 10
    assert shot_spots(E, SMALL, broken_shot(flat, [Fault("wrong_source", 17001)]))
    levels = [
        image_of(signal_adu(E, broken_shot(flat, [Fault(kind, 17001)]))).mean()
        for kind in ("dim_source", "bright_source")
    ]
    assert levels[1] / levels[0] == pytest.approx(1.4 / 0.6, rel=3e-3)
    injected = shot(injection=injection())
    assert image_of(signal_adu(E, broken_shot(injected, [Fault("no_injection", 17001)]))).max() < 10
    point = shot(exptime_s=1.0, source="point")
    sharp, blurred, moved = (
        shot_spots(E, SMALL, broken_shot(point, faults))[0]
        for faults in ([], [Fault("defocused", 17001)], [Fault("spots_moved", 17001)])
    )
    assert blurred.blur_px > sharp.blur_px + 7
    assert (abs(moved.x - sharp.x), abs(moved.y - sharp.y)) == pytest.approx((60, 60))
    assert broken_shot(flat, [Fault("missing", 17001)]) == flat


def test_every_fault_has_a_description_and_can_be_written(tmp_path):
    import vison_etl.simulate.faults as module

    text = Path(module.__file__).read_text(encoding="utf-8")
    kinds = get_args(Kind)
    assert all(text.count(kind) >= 2 for kind in kinds)
    log = [Fault(k, 17001 + i % 4, f"CCD{1 + i % 3}") for i, k in enumerate(kinds) if "row" not in k]
    day = simulate_day(tmp_path, "BORN", ["FLATFLUX00_800"], faults=log)
    assert day.n_frames == 12


def test_faults_of_one_ccd_leave_the_others_alone(tmp_path):
    sound = simulate_day(tmp_path / "a", "BORN", ["FLATFLUX00_800"])
    faults = [Fault("source_off", 17002, "CCD1"), Fault("wrong_voltage", 17001)]
    broken = simulate_day(tmp_path / "b", "BORN", ["FLATFLUX00_800"], faults=faults)
    for ccd in ("CCD1", "CCD2", "CCD3"):
        images = [native(open_frame(next(d.folder.glob(f"EUC_17002_*{ccd}.fits"))).raw) for d in (sound, broken)]
        assert np.array_equal(*images) == (ccd != "CCD1")
    files = [read_hk(next(d.folder.glob("HK_17001_*"))) for d in (sound, broken)]
    key = files[0].keys.index("CCD1_OD_T")
    assert files[1].values[:, key] == pytest.approx(files[0].values[:, key] + 0.5)
