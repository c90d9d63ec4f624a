from __future__ import annotations

import contextlib
import pickle
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import reference_file
from vison_etl.elvis.housekeeping import (
    HkError,
    find_hk,
    find_masters,
    hk_name,
    list_hk,
    obsid_of,
    read_hk,
    write_hk,
)
from vison_etl.instrument.hk import TIME_KEYS, hk_keys, hk_versions

SAMPLE = Path(__file__).parent / "data" / "HK_7_020218D235955T_ROE1.txt"
STARTED = datetime.fromisoformat("2021-03-12T10:11:12")


def _times(n, start=STARTED):
    return [start + timedelta(seconds=second) for second in range(n)]


def _file(tmp_path, *lines, name="HK_5_120321D101112T_ROE1.txt", end="\r\n"):
    path = tmp_path / name
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def test_the_sample_of_5_7_is_read_by_name_over_midnight():
    found = read_hk(SAMPLE)
    assert found.obsid == 7
    assert found.keys == hk_keys("5.7.09")
    assert found.read_at == tuple(_times(3, datetime.fromisoformat("2018-02-02T23:59:58")))
    assert found.values.shape == (3, 55)
    assert found.values[:, found.keys.index("HK_temp_top_CCD1")].tolist() == [-120.25] * 3
    assert found.values[0, found.keys.index("HK_VAN_neg_RPSU")] == 1.55
    assert (dict(found.texts), found.notes) == ({}, ())


@pytest.mark.parametrize("version", hk_versions())
def test_every_version_reads_as_written(tmp_path, version):
    keys = [key for key in hk_keys(version) if key not in TIME_KEYS]
    rng = np.random.default_rng(5)
    readings = {key: rng.normal(size=4).round(4).tolist() for key in keys}
    path = tmp_path / hk_name(17, STARTED)
    write_hk(path, version, _times(4), readings)
    found = read_hk(path)
    assert (found.obsid, found.keys, found.read_at) == (17, tuple(keys), tuple(_times(4)))
    assert found.values.flags.c_contiguous
    assert np.array_equal(found.values, np.array([readings[key] for key in keys]).T)
    status = path.stat()
    assert found.stamp == f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def test_keys_are_taken_by_name_not_by_position(tmp_path):
    for version in ("6.3.0", "7.5.X"):
        path = tmp_path / hk_name(1, STARTED)
        readings = {f"CCD{ccd}_TEMP_T": [-120.0 - ccd] for ccd in (1, 2, 3)}
        write_hk(path, version, _times(1), readings)
        found = read_hk(path)
        for ccd in (1, 2, 3):
            assert found.values[0, found.keys.index(f"CCD{ccd}_TEMP_T")] == -120.0 - ccd
        assert np.isnan(found.values[0, found.keys.index("CCD1_OD_T")])
        assert not found.texts


def test_registers_as_text_are_kept_as_text(tmp_path):
    path = tmp_path / hk_name(1, STARTED)
    write_hk(
        path,
        "6.3.0",
        _times(3),
        {"SPW_STATUS_REG": ["2FA0", "0x2FA0", "2E10"], "V5ProtCnt": [0, 1, 2], "CCD1_OD_T": ["1e1", "nan", "inf"]},
    )
    found = read_hk(path)
    register, count, drain = (found.keys.index(key) for key in ("SPW_STATUS_REG", "V5ProtCnt", "CCD1_OD_T"))
    assert np.isnan(found.values[:, register]).all()
    assert [found.texts[row, register] for row in range(3)] == ["2FA0", "0x2FA0", "2E10"]
    assert found.values[:, count].tolist() == [0, 1, 2]
    assert found.values[0, drain] == 10.0
    assert np.isnan(found.values[1:, drain]).all()
    assert (found.texts[1, drain], found.texts[2, drain]) == ("nan", "inf")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t\r\n", "\t\t\n"])
def test_padding_comments_blank_lines_and_line_ends(tmp_path, end):
    lines = [
        "TimeStamp  \tCCD1_OD_T        \tRPSU_TEMP1", "12-03-21_10:11:12\t26.00\t 20.5 ", "", " \t ",
        "# RPSU_TEMP1  \t99", "12-03-21_10:11:13\t26.10\t20.6", "   # end",
    ]  # fmt: skip
    found = read_hk(_file(tmp_path, *lines, end=end))
    assert found.keys == ("CCD1_OD_T", "RPSU_TEMP1")
    assert found.read_at == tuple(_times(2))
    assert found.values.tolist() == [[26.0, 20.5], [26.1, 20.6]]
    assert found.notes == ()


def test_a_clock_that_steps_back_a_little_is_not_midnight(tmp_path):
    found = read_hk(_file(tmp_path, "HK_timestamp\tHK_IDL", "10:11:13\t1", "10:11:12\t2", "10:11:14\t3"))
    assert [read_at.day for read_at in found.read_at] == [12, 12, 12]


def test_readings_that_begin_after_midnight_of_the_name(tmp_path):
    found = read_hk(_file(tmp_path, "HK_timestamp\tHK_IDL", "00:00:01\t1", name="HK_5_311220D235959T_ROE1.txt"))
    assert found.read_at == (datetime.fromisoformat("2021-01-01T00:00:01"),)


def test_times_that_cannot_be_read_are_none(tmp_path):
    found = read_hk(_file(tmp_path, "TimeStamp\tHK_IDL", "12-03-21_10:11:12\t1", "yesterday\t2"))
    assert found.read_at == (STARTED, None)
    assert read_hk(_file(tmp_path, "HK_IDL\tHK_IDH", "1\t2")).read_at == (None,)
    assert read_hk(_file(tmp_path, "HK_timestamp\tHK_IDL", "10:11:12\t1", name="HK.txt")).read_at == (None,)


def test_one_line_per_key_of_the_oldest_files(tmp_path):
    found = read_hk(
        _file(
            tmp_path,
            "HK_timestamp 10:11:12 10:11:13",
            "HK_OD_Top_CCD1   26.00\t26.10",
            "HK_IDL 11.0",
            "HK_IDL 5 5",
            "noise 1 2",
        )
    )
    assert found.keys == ("HK_OD_Top_CCD1", "HK_IDL")
    assert found.read_at == tuple(_times(2))
    assert found.values[:, 0].tolist() == [26.0, 26.1]
    assert found.values[0, 1] == 11.0
    assert np.isnan(found.values[1, 1])
    assert len(found.notes) == 3


def test_ragged_and_cut_lines_are_left_out_with_a_note(tmp_path):
    path = _file(
        tmp_path,
        "TimeStamp\tHK_IDL\tHK_IDH",
        "12-03-21_10:11:12\t1\t2",
        "12-03-21_10:11:13\t1",
        "12-03-21_10:11:14\t1\t2\t3",
    )
    path.write_bytes(path.read_bytes() + b"12-03-21_10:11:15\t1\0\t2\r\n12-03-21_10:11:16\t1\t2")
    found = read_hk(path)
    assert found.values.tolist() == [[1.0, 2.0]]
    assert sorted(note.split()[1] for note in found.notes) == ["3", "4", "5", "6"]


def test_repeated_and_nameless_keys_are_left_out(tmp_path):
    found = read_hk(_file(tmp_path, "TimeStamp\tHK_IDL\t\tHK_IDL\tHK_IDH", "12-03-21_10:11:12\t1\t2\t3\t4"))
    assert (found.keys, found.values.tolist()) == (("HK_IDL", "HK_IDH"), [[1.0, 4.0]])
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\r\n \r\n", "empty"),
        (b"one\ttwo\r\n1\t2\r\n", "no_header"),
        (bytes(range(256)) * 20, "no_header"),
        (b"TimeStamp\tHK_IDL\r\n", "no_readings"),
        (b"TimeStamp\tHK_IDL\r\n12-03-21_10:11:12\t1", "no_readings"),
        (b"TimeStamp\tHK_IDL\r\n12-03-21_10:11:12\r\n", "no_readings"),
    ],
)
def test_files_without_readings_say_why(tmp_path, data, reason):
    path = tmp_path / "HK_5_120321D101112T_ROE1.txt"
    path.write_bytes(data)
    with pytest.raises(HkError) as error:
        read_hk(path)
    assert error.value.reason == reason


def test_files_that_cannot_be_read(tmp_path):
    for path, reason in ((tmp_path / "HK.txt", "missing"), (tmp_path, "unreadable")):
        with pytest.raises(HkError) as error:
            read_hk(path)
        assert error.value.reason == reason
        assert pickle.loads(pickle.dumps(error.value)).reason == reason


def test_files_are_found_by_exposure(tmp_path):
    for name in (
        "HK_5_120321D101112T_ROE1.txt",
        "HK_55_120321D101112T_ROE1.txt",
        "HK_6_120321D101112T_ROE1.txt",
        "HK_6_120321D101113T_ROE1.txt",
    ):
        (tmp_path / name).touch()
    listing = list_hk(tmp_path)
    assert find_hk(tmp_path, 5, listing).name == "HK_5_120321D101112T_ROE1.txt"
    assert find_hk(tmp_path, 55).name == "HK_55_120321D101112T_ROE1.txt"
    for obsid, reason in ((6, "ambiguous"), (7, "missing")):
        with pytest.raises(HkError) as error:
            find_hk(tmp_path, obsid, listing)
        assert error.value.reason == reason
    with pytest.raises(HkError, match="missing"):
        list_hk(tmp_path / "nowhere")


def test_master_files_follow_each_other_over_midnight(tmp_path):
    names = ["HK_31-12-20_ROE1_01.txt", "HK_31-12-20_ROE1_02.txt", "HK_01-01-21_ROE1_01.txt"]
    start = datetime.fromisoformat("2020-12-31T23:59:59")
    for name, read_at in zip(names, [start - timedelta(hours=3), start, start + timedelta(seconds=1)], strict=True):
        write_hk(tmp_path / name, "7.5.X", [read_at], {"CCD1_TEMP_T": [-120.0]})
    (tmp_path / "HK_5_120321D101112T_ROE1.txt").touch()
    (tmp_path / "HK_41-12-20_ROE1_01.txt").touch()
    found = find_masters(tmp_path)
    assert [path.name for path in found] == names
    files = [read_hk(path) for path in found]
    assert [file.obsid for file in files] == [None] * 3
    times = [read_at for file in files for read_at in file.read_at]
    assert times == sorted(times)
    old = _file(tmp_path, "HK_timestamp\tHK_IDL", "00:00:01\t1", name="HK_01-01-21_ROE1_02.txt")
    assert read_hk(old).read_at == (datetime.fromisoformat("2021-01-01T00:00:01"),)


def test_names():
    assert hk_name(191, datetime.fromisoformat("2000-08-05T00:00:00")) == "HK_191_050800D000000T_ROE1.txt"
    assert obsid_of("HK_191_050800D000000T_ROE1.txt") == 191
    assert obsid_of("HK_05-08-00_ROE1_01.txt") is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.binary(max_size=40))
def test_no_damage_raises_anything_else(tmp_path_factory, at, junk):
    path = tmp_path_factory.mktemp("hk") / hk_name(5, STARTED)
    write_hk(path, "7.5.X", _times(2), {"CCD1_TEMP_T": [-120.0, -120.1]})
    data = path.read_bytes()
    path.write_bytes(data[:at] + junk + data[at + 5 :])
    with contextlib.suppress(HkError):
        found = read_hk(path)
        assert found.values.shape == (len(found.read_at), len(found.keys))
        assert not np.isinf(found.values).any()


def test_a_usual_file_takes_milliseconds(tmp_path):
    path = tmp_path / hk_name(5, STARTED)
    write_hk(path, "7.5.X", _times(100), {key: np.linspace(-120, 20, 100) for key in hk_keys("7.5.X")})
    times = []
    for _ in range(5):
        start = time.process_time()
        read_hk(path)
        times.append(time.process_time() - start)
    assert min(times) < 0.02  # about 2 ms; the margin is for loaded machines


def test_the_sample_of_the_bench():
    found = read_hk(reference_file("samples/HK_191_050800D000000T_ROE1.txt"))
    assert (found.obsid, len(found.keys), found.values.shape, found.notes) == (191, 55, (3, 55), ())
    assert found.keys == hk_keys("5.7.09")
    assert found.read_at[0] == datetime.fromisoformat("2000-08-05T15:06:14")
    assert found.values[2, found.keys.index("HK_VCCD_RPSU")] == 9.85
