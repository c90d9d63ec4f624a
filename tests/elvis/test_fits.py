"""The parser against astropy, and every way in which a file may not be a frame."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from vison_etl.elvis.fits import FrameError, find_image, parse_value

SHAPE = (552, 654)


def _bytes(hdus):
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList(hdus).writeto(file)
    return file.getvalue()


def _image(**cards):
    hdu = fits.ImageHDU(np.zeros(SHAPE, np.uint16))
    for key, value in cards.items():
        hdu.header[key] = value
    return hdu


def _find(data):
    return find_image(lambda offset, length: data[offset : offset + length], len(data))


FRAME = _bytes([fits.PrimaryHDU(), _image(OBSID=17, EXTNAME="ROE1_CCD2")])

texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)
floats = st.floats(allow_nan=False, allow_infinity=False, width=64)
values = st.one_of(st.integers(-(10**15), 10**15), floats, st.booleans(), texts)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(values, texts), max_size=60))
def test_values_equal_those_of_astropy(cards):
    hdu = _image()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (value, comment) in enumerate(cards):
            hdu.header[f"KEY{number}"] = (
                (value, comment[:20]) if not isinstance(value, str) else value[:60].replace("'", "")
            )
        data = _bytes([fits.PrimaryHDU(), hdu])
        with fits.open(BytesIO(data)) as opened:
            wanted = dict(opened[1].header)
    found = _find(data).header
    assert {key: value for key, value in found.items() if key in wanted} == wanted
    assert [type(found[key]) for key in wanted] == [type(value) for value in wanted.values()]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("'FM 01   '           / a / comment", "FM 01"),
        ("'O''Neill'", "O'Neill"),
        ("''", ""),
        ("'        '", ""),
        ("'  lead'", "  lead"),
        ("'a/b' / x", "a/b"),
        ("'never closed", None),
        ("                   17 / rows", 17),
        ("                  -17", -17),
        ("                 1.50 / s", 1.5),
        ("               1.5D-3", 0.0015),
        ("                    T / yes", True),
        ("                    F", False),
        ("", None),
        ("                      / undefined", None),
        ("                  NaN", None),
        ("                  inf", None),
        ("                1E999", None),
        ("                 1_00", None),
    ],
)
def test_values_of_cards(field, value):
    assert parse_value(field) == value
    assert type(parse_value(field)) is type(value)


def test_quoted_values_equal_those_of_astropy():
    for text in ("O'Neill", "''", "", "a / b", "T", "12", " x"):
        hdu = _image(WHO=text)
        assert _find(_bytes([fits.PrimaryHDU(), hdu])).header["WHO"] == hdu.header["WHO"]


def test_the_last_hdu_counts():
    data = _bytes([fits.PrimaryHDU(), _image(OBSID=1), _image(OBSID=2)])
    assert _find(data).header["OBSID"] == 2
    with fits.open(BytesIO(data)) as opened:
        assert _find(data).offset == opened[2].fileinfo()["datLoc"]


def test_the_first_of_repeated_cards_counts():
    hdu = _image()
    hdu.header.append(("R1C3_TT", -120.0))
    hdu.header.append(("R1C3_TT", -99.0))
    assert _find(_bytes([fits.PrimaryHDU(), hdu])).header["R1C3_TT"] == -120.0


def _scaled(kind, **cards):
    hdu = fits.ImageHDU(np.zeros(SHAPE, kind))
    hdu.header.update(cards)
    return _bytes([fits.PrimaryHDU(), hdu])


def _replaced(old, new):
    assert FRAME.count(old) >= 1
    at = FRAME.rindex(old)
    return FRAME[:at] + new.ljust(len(old)) + FRAME[at + len(old) :]


def _compressed():
    return _bytes([fits.PrimaryHDU(), fits.CompImageHDU(np.zeros(SHAPE, np.int16))])


DAMAGED = {
    "empty": (b"", "truncated"),
    "first bytes": (b"SIM", "truncated"),
    "primary only": (_bytes([fits.PrimaryHDU()]), "no_image"),
    "half a header": (FRAME[: 2880 + 1000], "truncated"),
    "header without data": (FRAME[: 2880 * 2], "truncated"),
    "half the data": (FRAME[: len(FRAME) // 2], "truncated"),
    "last pixel missing": (FRAME[: 5760 + 2 * SHAPE[0] * SHAPE[1] - 1], "truncated"),
    "bytes after the end": (FRAME + b"x", "not_fits"),
    "a block after the end": (FRAME + bytes(2880), "not_fits"),
    "text": (b"ObsID\tFile_name\r\n" * 300, "not_fits"),
    "zeros": (bytes(len(FRAME)), "not_fits"),
    "gzip": (b"\x1f\x8b\x08" + bytes(4000), "not_fits"),
    "fpack": (_compressed(), "wrong_type"),
    "floats": (_scaled(np.float32), "wrong_type"),
    "signed": (_scaled(np.int16), "wrong_type"),
    "other offset": (_scaled(np.int16, BZERO=1), "wrong_type"),
    "table": (_bytes([fits.PrimaryHDU(), _image(), fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])])]), "no_image"),
    "cube": (_bytes([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((1, *SHAPE), np.uint16))]), "no_image"),
    "odd size": (_bytes([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((552, 653), np.uint16))]), "bad_geometry"),
    "tiny": (_bytes([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((20, 20), np.uint16))]), "bad_geometry"),
    "NaN axis": (_replaced(b"NAXIS1  =                  654", b"NAXIS1  =                  NaN"), "not_fits"),
    "negative axis": (_replaced(b"NAXIS1  =                  654", b"NAXIS1  =                 -654"), "not_fits"),
    "missing BZERO": (_replaced(b"BZERO   =                32768", b"COMMENT"), "wrong_type"),
    "NaN BZERO": (_replaced(b"BZERO   =                32768", b"BZERO   =                  NaN"), "wrong_type"),
    "missing BITPIX": (_replaced(b"BITPIX  =                   16", b"COMMENT"), "not_fits"),
    "huge axis": (_replaced(b"NAXIS1  =                  654", b"NAXIS1  =        9999999999999"), "truncated"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_no_frame_says_why(case):
    data, reason = DAMAGED[case]
    with pytest.raises(FrameError) as error:
        _find(data)
    assert error.value.reason == reason
    assert error.value.detail


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(FRAME)), st.binary(max_size=200))
def test_no_damage_raises_anything_else(at, junk):
    for data in (FRAME[:at], FRAME[:at] + junk + FRAME[at + len(junk) :], junk + FRAME):
        with contextlib.suppress(FrameError):
            _find(data)


def test_missing_padding_is_accepted():
    layout = _find(FRAME[: 5760 + 2 * SHAPE[0] * SHAPE[1]])
    assert layout.offset == 5760
    assert layout.geometry.image_columns == 256


def test_nan_of_an_acquisition_card_is_missing():
    data = _replaced(b"OBSID   =                   17", b"OBSID   =                  NaN")
    assert _find(data).header["OBSID"] is None


def test_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(FrameError("truncated", "5 bytes")))
    assert (error.reason, error.detail, str(error)) == ("truncated", "5 bytes", "truncated: 5 bytes")
