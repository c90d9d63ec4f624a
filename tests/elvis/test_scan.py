"""A frame read by rows is the frame read whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vison_etl.elvis import scan
from vison_etl.elvis.frames import FrameError, open_frame, write_frame
from vison_etl.elvis.scan import scan_frame


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "x.fits"
    pixels = np.random.default_rng(1).integers(0, 65536, (552, 654), dtype=np.uint16)
    write_frame(made, pixels, {"EXTNAME": "ROE1_CCD1", "OBSID": 7})
    return made


@pytest.mark.parametrize("chunk_bytes", [1, 5000, 100_000, 10**7])
def test_rows_come_in_order_and_whole(path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(scan, "CHUNK_BYTES", chunk_bytes)
    parts: list[np.ndarray] = []
    firsts: list[int] = []

    def take(rows: np.ndarray, first_row: int) -> None:
        assert rows.dtype == np.dtype(">i2")
        assert len(rows) % 2 == 0
        firsts.append(first_row)
        parts.append(rows.copy())

    found = scan_frame(path, lambda _: take)
    whole = open_frame(path)
    assert np.array_equal(np.concatenate(parts), whole.raw)
    assert firsts == list(np.cumsum([0, *map(len, parts[:-1])]))
    for name in ("header", "geometry", "digest", "size", "stamp"):
        assert getattr(found, name) == getattr(whole, name)


@pytest.mark.parametrize("n", [0, 1, 2880, 6000, 100_000, 700_000])
def test_a_cut_frame_is_refused_as_by_open_frame(path: Path, n: int) -> None:
    path.write_bytes(path.read_bytes()[:n])
    with pytest.raises(FrameError) as expected:
        open_frame(path)
    with pytest.raises(FrameError) as found:
        scan_frame(path, lambda _: lambda _rows, _first: None)
    assert (found.value.reason, found.value.detail) == (expected.value.reason, expected.value.detail)


def test_missing_padding_is_accepted(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content.rstrip(b"\0"))])
    assert scan_frame(path, lambda _: lambda _rows, _first: None).digest == open_frame(path).digest


@pytest.mark.parametrize(("change", "words"), [(-300_000, "shrank"), (2880, "grew")])
def test_a_file_that_changes_its_size_meanwhile_is_refused(path: Path, change: int, words: str) -> None:
    def take(_: np.ndarray, first_row: int) -> None:
        if first_row == 0:
            os.truncate(path, path.stat().st_size + change)

    with pytest.raises(FrameError, match=words) as error:
        scan_frame(path, lambda _: take)
    assert error.value.reason == "truncated"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="missing"):
        scan_frame(tmp_path / "nothing.fits", lambda _: lambda _rows, _first: None)
