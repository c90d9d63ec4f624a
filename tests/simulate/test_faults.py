from __future__ import annotations

import numpy as np
import pytest

from vison_etl.elvis.explog import read_log
from vison_etl.elvis.frames import FrameError, native, open_frame
from vison_etl.elvis.housekeeping import read_hk
from vison_etl.instrument.geometry import quadrant_view
from vison_etl.simulate.day import simulate_day
from vison_etl.simulate.faults import Fault
from vison_etl.simulate.settings import SimulationError

FAULTS = [
    {"kind": "truncate", "obsid": 17001, "ccd": "CCD1"},
    {"kind": "missing", "obsid": 17001, "ccd": "CCD2"},
    {"kind": "empty", "obsid": 17001, "ccd": "CCD3"},
    {"kind": "garbage", "obsid": 17002, "ccd": "CCD1"},
    Fault("lost_pixels", 17002, "CCD2", "F"),
    Fault("dead_quadrant", 17002, "CCD3", "G"),
    Fault("hot_hk", 17001),
    Fault("missing_hk", 17002),
    Fault("cut_hk", 17003),
    Fault("wrong_exptime", 17003, "CCD1"),
    Fault("wrong_test", 17003, "CCD2"),
    Fault("missing_row", 17003, "CCD3"),
    Fault("short_row", 17004, "CCD1"),
    Fault("binary_row", 17004, "CCD2"),
]


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    sound = simulate_day(tmp_path_factory.mktemp("sound"), "BORN", ["FLATFLUX00_800"])
    broken = simulate_day(tmp_path_factory.mktemp("broken"), "BORN", ["FLATFLUX00_800"], faults=FAULTS)
    return sound.folder, broken.folder


def frame(folder, obsid, ccd):
    return open_frame(next(folder.glob(f"EUC_{obsid}_*{ccd}.fits")))


def test_frame_files(days):
    sound, broken = days
    for ccd, obsid in (("CCD1", 17001), ("CCD3", 17001), ("CCD1", 17002)):
        with pytest.raises(FrameError):
            frame(broken, obsid, ccd)
    assert list(broken.glob("EUC_17001_*CCD2.fits")) == []
    whole = frame(sound, 17004, "CCD3").digest
    assert frame(broken, 17004, "CCD3").digest == whole


def test_pixels(days):
    sound, broken = days
    lost = frame(broken, 17002, "CCD2")
    pixels, whole = (native(f.raw) for f in (lost, frame(sound, 17002, "CCD2")))
    assert (pixels == 0).sum() == 400
    assert (quadrant_view(pixels, lost.geometry, "F")[:20, 51:71] == 0).all()
    assert (pixels != whole).sum() == 400
    dead = frame(broken, 17002, "CCD3")
    quadrant = quadrant_view(native(dead.raw), dead.geometry, "G")
    assert quadrant.min() == quadrant.max() > 2000
    assert quadrant_view(native(dead.raw), dead.geometry, "E").std() > 100


def test_housekeeping(days):
    sound, broken = days
    hot = read_hk(next(broken.glob("HK_17001_*")))
    column = hot.keys.index("CCD1_TEMP_T")
    assert hot.values[:, column] == pytest.approx(read_hk(next(sound.glob("HK_17001_*"))).values[:, column] + 8)
    assert list(broken.glob("HK_17002_*")) == []
    cut = next(broken.glob("HK_17003_*"))
    assert cut.stat().st_size < 0.6 * next(sound.glob("HK_17003_*")).stat().st_size


def test_log_rows(days):
    _, broken = days
    rows = read_log(broken / "EXP_LOG_120319.txt").rows
    assert len(rows) == 11
    by_key = {(row.values["obsid"], row.values["ccd"]): row for row in rows if row.values and not row.problem}
    assert (17003, "CCD3") not in by_key
    wrong, right = by_key[17003, "CCD1"], by_key[17003, "CCD2"]
    assert wrong.values["exptime_s"] == pytest.approx(1.5 * right.values["exptime_s"])
    assert right.values["test_in_log"] == "NOTATEST"
    assert sum(row.problem is not None for row in rows) == 1
    short = by_key[17004, "CCD1"]
    assert short.values["started_at"] is not None
    assert short.values["test_in_log"] is None


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "melt", "obsid": 17001}, "no fault 'melt': one of truncate"),
        ({"kind": "truncate", "obsid": 1}, "not among 17001 to 17004"),
        ({"kind": "truncate", "obsid": 17001, "ccd": "CCD9"}, "no channel CCD9"),
        ({"obsid": 17001}, "it needs kind and obsid"),
    ],
)
def test_faults_that_make_no_sense(tmp_path, fault, message):
    with pytest.raises(SimulationError, match=message):
        simulate_day(tmp_path, "BORN", ["FLATFLUX00_800"], faults=[fault])


def test_dead_quadrant_keeps_rows_that_were_not_read():
    from vison_etl.instrument.geometry import geometry_of
    from vison_etl.simulate.broken import damage_image

    image = np.full((552, 654), 3000, np.uint16)
    image[:50] = 0
    damage_image(image, geometry_of(654, 552), [Fault("dead_quadrant", 1, "CCD1", "H")], {"H": 2600.4})
    assert (image[:50] == 0).all()
    assert (image[50:276, :327] == 2600).all()
    assert (image[276:] == 3000).all()
