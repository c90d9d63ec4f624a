from __future__ import annotations

import gc
import gzip
import os
import time
from datetime import datetime

import numpy as np
import pytest
import xxhash
from astropy.io import fits

from vison_etl.elvis.frames import (
    FrameError,
    cards_of,
    find_frame,
    frame_name,
    header_mismatch,
    header_value,
    list_frames,
    native,
    open_frame,
    write_frame,
)

VALUES = {
    "obsid": 17273, "test_in_log": "BIAS01", "started_at": datetime.fromisoformat("2019-03-12T10:11:12"), "exptime_s": 0, "vstart": 0,
    "vend": 2086, "iphi": "I1I2I3", "cdpu_clk": 0, "mirr_pos_mm": 47.2, "wave": 4, "operator": "O'Neill", "idl_v": 13.0,
}  # fmt: skip


def _pixels(seed=0, shape=(552, 654)):
    return np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16)


@pytest.fixture
def frame(tmp_path):
    path = tmp_path / f"{frame_name(17273, VALUES['started_at'], 'CCD2')}.fits"
    write_frame(path, _pixels(), cards_of(VALUES, "CCD2"))
    return path


def test_a_frame_comes_back(frame):
    found = open_frame(frame)
    assert (found.size, found.digest) == (frame.stat().st_size, xxhash.xxh3_128_hexdigest(frame.read_bytes()))
    status = frame.stat()
    assert found.stamp == f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
    assert (found.geometry.naxis1, found.geometry.naxis2) == (654, 552)
    assert found.raw.shape == (552, 654)
    assert found.raw.dtype == np.dtype(">i2")
    pixels = native(found.raw)
    assert pixels.dtype == np.uint16
    assert pixels.dtype.isnative
    assert np.array_equal(pixels, _pixels())


def test_stored_pixels_are_what_astropy_stores(frame):
    with fits.open(frame, do_not_scale_image_data=True) as opened:
        assert np.array_equal(open_frame(frame).raw, opened[1].data)
    with fits.open(frame) as opened:
        assert np.array_equal(native(open_frame(frame).raw), opened[1].data)


def test_layout_and_order_of_cards(frame):
    with fits.open(frame) as opened:
        assert len(opened) == 2
        assert opened[0].data is None
        header = opened[1].header
        assert (header["XTENSION"], header["BITPIX"], header["BZERO"], header["BSCALE"]) == ("IMAGE", 16, 32768, 1)
        keys = [key for key in header if key in cards_of(VALUES, "CCD2")]
    assert keys == list(cards_of(VALUES, "CCD2"))
    assert keys[:3] == ["EXTNAME", "OBJECT", "OBSID"]


def test_cards_have_the_names_and_forms_of_elvis(frame):
    header = open_frame(frame).header
    assert (header["EXTNAME"], header["OBSID"], header["OBJECT"], header["WAVE"]) == ("ROE1_CCD2", 17273, "BIAS01", 4)
    assert header["DATE"] == "120319D101112T"  # not ISO 8601
    assert (header["POS_MIRR"], header["SPW_CLK"], header["OPERATOR"]) == (47.2, 0, "O'Neill")
    assert isinstance(header["EXPTIME"], float)
    assert cards_of({"obsid": np.int64(5), "exptime_s": np.float64(2)}, "CCD1")["OBSID"] == 5
    assert "R1C3_TB" not in header


def test_second_spellings_are_understood():
    header = {"WAVELENG": 3, "MIRR_POS": 47.0, "CDPU_CLK": 1, "TEST": "PTC01", "V_TPMOD": 123}
    assert [header_value(header, key) for key in ("WAVE", "POS_MIRR", "SPW_CLK", "OBJECT", "V_TP_MOD")] == [
        3,
        47.0,
        1,
        "PTC01",
        123,
    ]
    assert header_value(header, "OBSID") is None
    assert header_value(header, "NO_SUCH") is None


@pytest.mark.parametrize(
    ("header", "mismatch"),
    [
        ({"OBSID": 5, "EXTNAME": "ROE1_CCD1"}, None),
        ({}, None),
        ({"OBSID": None}, None),
        ({"OBSID": 6, "EXTNAME": "ROE1_CCD1"}, "OBSID is 6 in the header, 5 in the log"),
        ({"OBSID": 5, "EXTNAME": "ROE1_CCD3"}, "EXTNAME is ROE1_CCD3 in the header, CCD1 in the log"),
        ({"OBSID": 5, "CCD": "CCD2"}, "EXTNAME is CCD2 in the header, CCD1 in the log"),
    ],
)
def test_headers_are_compared_with_the_log(header, mismatch):
    assert header_mismatch(header, 5, "CCD1") == mismatch


def test_one_buffer_serves_many_frames(tmp_path):
    buffer = bytearray()
    for seed, shape in ((1, (552, 654)), (2, (852, 954)), (3, (552, 654))):
        path = tmp_path / f"{seed}.fits"
        write_frame(path, _pixels(seed, shape), {})
        found = open_frame(path, buffer)
        assert np.shares_memory(found.raw, np.frombuffer(buffer, np.uint8))
        assert np.array_equal(native(found.raw), _pixels(seed, shape))
        del found
        gc.collect()


def test_a_buffer_in_use_is_not_pulled_away(tmp_path):
    buffer = bytearray()
    write_frame(tmp_path / "small.fits", _pixels(1), {})
    write_frame(tmp_path / "large.fits", _pixels(2, (852, 954)), {})
    small = open_frame(tmp_path / "small.fits", buffer)
    large = open_frame(tmp_path / "large.fits", buffer)
    assert np.array_equal(native(small.raw), _pixels(1))
    assert np.array_equal(native(large.raw), _pixels(2, (852, 954)))


def test_only_unsigned_16_bit_is_written(tmp_path):
    with pytest.raises(TypeError, match="uint16"):
        write_frame(tmp_path / "x.fits", np.zeros((552, 654)), {})


def _reason(call, *arguments):
    with pytest.raises(FrameError) as error:
        call(*arguments)
    assert error.value.detail
    return error.value.reason


def test_files_that_cannot_be_read_say_why(tmp_path, frame):
    assert _reason(open_frame, tmp_path / "nothing.fits") == "missing"
    assert _reason(open_frame, frame / "below.fits") == "missing"
    assert _reason(open_frame, tmp_path) == "unreadable"
    assert _reason(open_frame, f"{tmp_path}/a\0b.fits") == "unreadable"
    os.mkfifo(tmp_path / "pipe.fits")
    assert _reason(open_frame, tmp_path / "pipe.fits") == "unreadable"
    (tmp_path / "empty.fits").touch()
    assert _reason(open_frame, tmp_path / "empty.fits") == "truncated"
    with (tmp_path / "large.fits").open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    assert _reason(open_frame, tmp_path / "large.fits") == "wrong_type"
    (tmp_path / "packed.fits").write_bytes(gzip.compress(frame.read_bytes(), 1))
    assert _reason(open_frame, tmp_path / "packed.fits") == "not_fits"


def test_files_without_permission_say_so(frame, monkeypatch):
    def refuse(path, *arguments):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)  # the superuser of a container may read everything
    assert _reason(open_frame, frame) == "unreadable"


def test_frames_are_found_by_name_or_by_exposure(tmp_path):
    names = [
        "EUC_2112_231016D_135042T_ROE1_CCD1.fits", "EUC_2112_231016D_135042T_ROE1_CCD2.fits",
        "EUC_2113_231016D_135142T_ROE1_CCD1.fits", "EUC_2113_231016D135142T_ROE1_CCD1.fits",
        "EUC_21_231016D135142T_ROE1_CCD1.fits", "FPA_frame.fits", "EUC_9_x_ROE1_CCD1.fits.gz",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    assert find_frame(tmp_path, names[0][:-5], 2112, "CCD1").name == names[0]
    assert find_frame(tmp_path, "FPA_frame.fits", 1, "CCD1").name == "FPA_frame.fits"
    assert find_frame(tmp_path, "EUC_2112_231016D135042T_ROE1_CCD2", 2112, "CCD2").name == names[1]
    assert find_frame(tmp_path, None, 2112, "CCD2").name == names[1]
    listing = list_frames(tmp_path)
    assert find_frame(tmp_path, None, 21, "CCD1", listing).name == names[4]
    assert _reason(find_frame, tmp_path, "gone", 2113, "CCD1", listing) == "ambiguous"
    assert _reason(find_frame, tmp_path, "gone", 2112, "CCD3", listing) == "missing"
    assert _reason(find_frame, tmp_path, "../" + names[0], 5, "CCD1", listing) == "missing"
    assert _reason(find_frame, tmp_path / "nowhere", "gone", 5, "CCD1") == "missing"
    with pytest.raises(FrameError, match="compressed"):
        find_frame(tmp_path, "EUC_9_x_ROE1_CCD1", 9, "CCD1", listing)


def test_a_full_frame_takes_milliseconds(tmp_path):
    path = tmp_path / "full.fits"
    write_frame(path, np.zeros((4172, 4238), np.uint16), {})
    buffer = bytearray()
    open_frame(path, buffer)
    times = []
    for _ in range(5):
        start = time.process_time()
        open_frame(path, buffer)
        times.append(time.process_time() - start)
    assert min(times) < 0.1  # about 7 ms; the margin is for loaded machines
