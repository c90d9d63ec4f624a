from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits

from vison_etl.elvis.explog import read_log
from vison_etl.elvis.frames import find_frame, header_mismatch, native, open_frame
from vison_etl.elvis.housekeeping import find_hk, read_hk
from vison_etl.instrument.blocks import block_of_serials
from vison_etl.instrument.geometry import quadrant_view, region_window
from vison_etl.simulate.day import SimulatedDay, simulate_day
from vison_etl.simulate.settings import SimulationError
from vison_etl.tables import table

TESTS = ["FLATFLUX00_800", "BIAS01"]


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> SimulatedDay:
    return simulate_day(tmp_path_factory.mktemp("one"), "BORN", TESTS, seed=4)


@pytest.fixture(scope="module")
def rows(day):
    log = read_log(day.folder / "EXP_LOG_120319.txt")
    assert log.version == "7.5.X"
    assert all(row.problem is None and not row.notes for row in log.rows)
    return [row.values for row in log.rows]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def truth(day: SimulatedDay, name: str) -> pl.DataFrame:
    return pl.read_parquet(day.truth / f"{name}.parquet")


def test_folder_has_log_frames_and_housekeeping(day, rows):
    assert day.folder.name == "12_Mar_19"
    assert (day.obsid_first, day.obsid_last, day.n_exposures, day.n_frames) == (17001, 17014, 14, 42)
    assert day.acquisitions == ("BORN/FLATFLUX00_800/17001", "BORN/BIAS01/17005")
    assert len(rows) == 42
    assert len(list(day.folder.glob("EUC_*.fits"))) == 42
    assert len(list(day.folder.glob("HK_*_ROE1.txt"))) == 14
    assert len(list(day.folder.iterdir())) == 42 + 14 + 1
    assert block_of_serials(*(rows[0][f"sn_ccd{n}"] for n in (1, 2, 3))) == "BORN"
    assert [row["test_in_log"] for row in rows] == ["FLATFLUX00_800"] * 12 + ["BIAS01"] * 30
    assert {row["vend"] for row in rows} == {2086}


def test_frames_agree_with_the_log_and_with_astropy(day, rows):
    for row in (rows[0], rows[10], rows[41]):
        path = find_frame(day.folder, row["file_name"], row["obsid"], row["ccd"])
        frame = open_frame(path)
        assert header_mismatch(frame.header, row["obsid"], row["ccd"]) is None
        assert (frame.header["OBJECT"], frame.header["VEND"]) == (row["test_in_log"], 2086)
        assert frame.header["EXPTIME"] == pytest.approx(row["exptime_s"])
        with fits.open(path) as hdus:
            assert len(hdus) == 2
            assert hdus[1].name == f"ROE1_{row['ccd']}"
            image = hdus[1].data
            assert image.dtype == np.uint16
            assert image.shape == (552, 654)
            assert np.array_equal(image, native(frame.raw.copy()))


def test_housekeeping_can_be_read(day, rows):
    found = read_hk(find_hk(day.folder, 17003))
    started = next(row["started_at"] for row in rows if row["obsid"] == 17003)
    assert found.obsid == 17003
    assert np.isfinite(found.values).all()
    assert found.read_at[0] == started
    assert (found.read_at[-1] - started).total_seconds() < 75


def test_offsets_noise_and_light_of_the_files_are_those_of_the_truth(day, rows):
    images, geometry = {}, None
    for row in rows:
        if row["ccd"] == "CCD2":
            frame = open_frame(find_frame(day.folder, row["file_name"], row["obsid"], row["ccd"]))
            geometry = frame.geometry
            images[row["obsid"]] = quadrant_view(native(frame.raw), geometry, "F").astype(float)
    here = (pl.col("ccd") == "CCD2") & (pl.col("quadrant") == "F")
    is_bias = pl.col("test") == "BIAS01"
    bias = [images[obsid] for obsid in range(17005, 17015)]
    for region in ("pre", "img", "ove", "pov"):
        window = region_window(geometry, region, 0, 2086).slices
        offset = truth(day, "offsets").filter(here & is_bias, region=region).row(0, named=True)
        assert np.mean([image[window].mean() for image in bias]) == pytest.approx(offset["offset_adu"], abs=0.05)
        assert offset["n_frames"] == 10
    img = region_window(geometry, "img", 0, 2086).slices
    noise = np.sqrt(np.mean([(a - b)[img].var() / 2 for a, b in zip(bias[::2], bias[1::2], strict=True)]) - 1 / 12)
    ron = truth(day, "readout_noise").filter(here & is_bias, region="img").row(0, named=True)
    assert noise == pytest.approx(ron["ron_adu"], rel=0.02)
    light = truth(day, "light_source").filter(here).row(0, named=True)
    levels = truth(day, "source_levels")
    for obsid in range(17001, 17004):
        shot = levels.filter(obsid=obsid).row(0, named=True)
        expected = light["rate_adu_per_s"] * shot["open_s"] * shot["source_level"]
        pre = region_window(geometry, "pre", 0, 2086).slices
        assert images[obsid][img].mean() - images[obsid][pre].mean() == pytest.approx(expected, rel=2e-3)


def test_truth_has_the_columns_of_the_result_tables(day):
    for path in day.truth.glob("*.parquet"):
        if path.stem != "source_levels":
            assert set(pl.read_parquet_schema(path)) <= set(table(path.stem).names)
    assert not (day.truth / "gain.parquet").exists()
    assert truth(day, "prnu").height == 4 * 12
    shutter = truth(day, "light_source")["shutter_offset_s"]
    assert shutter.is_between(0.015, 0.035).all()


def test_two_processes_write_the_same_bits(day, tmp_path):
    seen = []
    again = simulate_day(tmp_path, "BORN", TESTS, seed=4, jobs=2, progress=seen.append)
    assert digests(again.folder) == digests(day.folder)
    assert sum(seen) == 14
    for path in day.truth.glob("*.parquet"):
        assert pl.read_parquet(again.truth / path.name).equals(pl.read_parquet(path))


def test_another_seed_gives_other_frames(day, tmp_path):
    other = simulate_day(tmp_path, "BORN", TESTS[:1], seed=5)
    names = [name for name in digests(other.folder) if name.startswith("EUC")]
    assert all(digests(other.folder)[name] != digests(day.folder)[name] for name in names)


def test_days_and_blocks_add_up_in_one_folder(tmp_path):
    first = simulate_day(tmp_path, "BORN", ["FLATFLUX00_800"])
    second = simulate_day(tmp_path, "NIELS", ["FLATFLUX00_800"], jobs=1)
    third = simulate_day(tmp_path, "BORN", ["FLATFLUX00_590"])
    assert [d.folder.name for d in (first, second, third)] == ["12_Mar_19", "13_Mar_19", "14_Mar_19"]
    assert (first.obsid_first, second.obsid_first, third.obsid_first) == (17001, 17001, 17005)
    assert truth(third, "light_source")["acquisition"].unique().sort().to_list() == [
        "BORN/FLATFLUX00_590/17005",
        "BORN/FLATFLUX00_800/17001",
        "NIELS/FLATFLUX00_800/17001",
    ]
    same = (
        truth(third, "readout_noise").filter(block="BORN").group_by("ccd", "quadrant").agg(pl.col("ron_adu").n_unique())
    )
    assert same["ron_adu"].to_list() == [1] * 12
    with pytest.raises(SimulationError, match=r"12_Mar_19 exists"):
        simulate_day(tmp_path, "BORN", ["BIAS01"], start=datetime.fromisoformat("2019-03-12T09:00:00"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "medium"}, "no frame size 'medium': one of small, full"),
        ({"jobs": 0}, "at least one"),
        ({"block": "NOBODY"}, "no block 'NOBODY'"),
        ({"start": datetime.fromisoformat("2019-03-12T08:00:00+00:00")}, "no time zone"),
    ],
)
def test_wrong_wishes_leave_nothing_behind(tmp_path, options, message):
    with pytest.raises(SimulationError, match=message):
        simulate_day(tmp_path, options.pop("block", "BORN"), ["BIAS01"], **options)
    assert list(tmp_path.iterdir()) == []
