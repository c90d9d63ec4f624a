"""A day folder in which every kind of file is damaged in turn, and files of random bytes: a clear reject each, the rest goes in."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.pipeline.day import LOG, frame_name, make_day, run_ingest, snapshot
from vison_etl.lake.parts import read
from vison_etl.lake.paths import Lake

OBSIDS = (99, 100, 101)


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return make_day(tmp_path / "day", OBSIDS)


def books(lake: Lake, day: Path) -> tuple[int, int]:
    """Return accepted and refused rows, which must be all the rows of the log, each frame with its 16 regions."""
    n_rows = sum(bool(line.strip()) for line in (day / LOG).read_bytes().split(b"\n")[1:])
    exposures = read(lake, "exposures")
    rejects = read(lake, "rejects")
    refused = rejects.filter(kind="log_row").height
    assert exposures.height + refused == n_rows
    assert read(lake, "quadrant_stats").height == 16 * exposures.height
    assert rejects["reason"].null_count() == rejects["detail"].null_count() == 0
    return exposures.height, refused


def damages() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(1)
    yield "empty", b""
    yield "a line end", b"\n"
    yield "zeros", bytes(5000)
    for n in (1, 80, 3000, 700_000):
        yield f"{n} random bytes", rng.randbytes(n)


@pytest.mark.parametrize(("name", "content"), list(damages()), ids=[name for name, _ in damages()])
@pytest.mark.parametrize("kind", ["frame", "hk"])
def test_a_file_of_nonsense(tmp_path: Path, day: Path, kind: str, name: str, content: bytes) -> None:
    lake = Lake(tmp_path / "lake")
    path = day / frame_name(100, "CCD2") if kind == "frame" else next(day.glob("HK_100_*"))
    path.write_bytes(content)
    report = run_ingest(lake, day)
    accepted, refused = books(lake, day)
    assert (accepted, refused) == ((8, 1) if kind == "frame" else (9, 0))
    row = read(lake, "rejects").row(0, named=True)
    assert path.name in (row["path"], row["detail"].split(":")[0])
    assert report.exit_code == (1 if kind == "frame" else 0)
    before = snapshot(lake)
    assert run_ingest(lake, day).to_read == 0
    assert snapshot(lake) == before


@pytest.mark.parametrize(("name", "content"), list(damages()), ids=[name for name, _ in damages()])
def test_a_log_of_nonsense(tmp_path: Path, day: Path, name: str, content: bytes) -> None:
    lake = Lake(tmp_path / "lake")
    (day / LOG).write_bytes(content)
    report = run_ingest(lake, day)
    assert report.exit_code in {1, 2}
    assert read(lake, "exposures").is_empty()
    kinds = read(lake, "rejects")["kind"].to_list()
    assert "log_file" in kinds or "log_row" in kinds


@pytest.mark.parametrize("seed", range(12))
def test_bytes_changed_at_random_in_the_log(tmp_path: Path, day: Path, seed: int) -> None:
    lake = Lake(tmp_path / "lake")
    run_ingest(lake, day)
    rng = random.Random(seed)
    content = bytearray((day / LOG).read_bytes())
    for _ in range(6):
        content[rng.randrange(content.index(b"\n") + 1, len(content))] = rng.randrange(256)
    (day / LOG).write_bytes(content)
    run_ingest(lake, day)
    books(lake, day)


@pytest.mark.parametrize("seed", range(12))
def test_bytes_changed_at_random_in_a_header(tmp_path: Path, day: Path, seed: int) -> None:
    lake = Lake(tmp_path / "lake")
    rng = random.Random(seed)
    path = day / frame_name(100, "CCD2")
    content = bytearray(path.read_bytes())
    for _ in range(30):
        content[rng.randrange(2 * 2880)] = rng.randrange(256)
    path.write_bytes(content)
    run_ingest(lake, day)
    accepted, _ = books(lake, day)
    assert accepted >= 8


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.005, 0.01, 0.3, 0.99, 0.9999])
def test_any_file_cut_short(tmp_path: Path, day: Path, fraction: float) -> None:
    lake = Lake(tmp_path / "lake")
    for path in [day / frame_name(100, "CCD2"), next(day.glob("HK_100_*")), day / LOG]:
        content = path.read_bytes()
        path.write_bytes(content[: int(fraction * len(content))])
    run_ingest(lake, day)
    if read(lake, "rejects").filter(kind="log_file").is_empty():
        books(lake, day)
    make_day(day, OBSIDS)
    assert run_ingest(lake, day).exit_code == 0
    assert books(lake, day) == (9, 0)
    assert read(lake, "rejects").is_empty()


def test_every_kind_of_file_at_once(tmp_path: Path, day: Path) -> None:
    lake = Lake(tmp_path / "lake")
    (day / frame_name(99, "CCD1")).write_bytes(b"x" * 100_000)
    (day / frame_name(99, "CCD2")).unlink()
    (day / frame_name(99, "CCD2")).symlink_to(day / "nowhere.fits")
    next(day.glob("HK_100_*")).write_bytes(b"\xff" * 1000)
    (day / "EXP_LOG_130319.txt").write_bytes(b"\x89PNG")
    (day / os.fsdecode(b"stray\xff.fits")).write_bytes(b"")
    lines = (day / LOG).read_bytes().split(b"\r\n")
    lines[9] = lines[9][:40]
    (day / LOG).write_bytes(b"\r\n".join(lines))
    assert run_ingest(lake, day).exit_code == 1
    assert books(lake, day) == (6, 3)
    found = read(lake, "rejects").select("kind", "reason").sort("kind", "reason").rows()
    assert found == [
        ("frame_file", "not_in_log"),
        ("frame_file", "not_in_log"),
        ("hk_file", "no_header_hk"),
        ("log_file", "no_header"),
        ("log_row", "bad_row"),
        ("log_row", "missing_file"),
        ("log_row", "not_fits"),
    ]
    assert "stray\\xff.fits" in read(lake, "rejects")["path"].to_list()
    assert read(lake, "rejects").filter(pl.col("detail").str.len_chars() < 10).is_empty()
