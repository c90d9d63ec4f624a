"""Small day folders as the bench leaves them, made quickly: one frame is written, the others are that one with another OBSID."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from vison_etl.elvis.explog import write_log
from vison_etl.elvis.frames import write_frame
from vison_etl.elvis.housekeeping import hk_name, write_hk
from vison_etl.instrument.blocks import serials_of
from vison_etl.lake.parts import read
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.executors import Runner, make_runner
from vison_etl.pipeline.fan_out import DEPTH
from vison_etl.pipeline.ingest import ingest
from vison_etl.pipeline.ingest_report import IngestReport
from vison_etl.pipeline.worker import FrameTask

CCDS = ("CCD1", "CCD2", "CCD3")
START = datetime(2019, 3, 12, 10)  # noqa: DTZ001 - without zone, as the bench writes it
LOG = "EXP_LOG_120319.txt"
TABLES = ("exposures", "housekeeping", "hk_summary", "quadrant_stats", "rejects")


def no_refresh(lake: Lake, blocks: Iterable[str]) -> None:
    """Stand in for the search for acquisitions."""


@cache
def frame_bytes(ccd: str, naxis1: int = 654, naxis2: int = 552) -> bytes:
    """Return a frame of OBSID 0."""
    pixels = np.random.default_rng(int(ccd[3])).normal(2300, 5, (naxis2, naxis1)).astype(np.uint16)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.fits"
        write_frame(path, pixels, {"EXTNAME": f"ROE1_{ccd}", "OBSID": 0})
        return path.read_bytes()


def with_obsid(content: bytes, obsid: int, salt: int = 0) -> bytes:
    """Return the frame with another OBSID and, for a different content, the first image pixel changed by ``salt``."""
    found = content.index(b"OBSID   =")
    card = f"OBSID   = {obsid:>20}".ljust(80).encode()
    content = content[:found] + card + content[found + 80 :]
    place = len(content) - 4000
    return content[:place] + bytes([(content[place] + salt) % 256]) + content[place + 1 :]


def frame_name(obsid: int, ccd: str) -> str:
    return f"EUC_{obsid}_{START:%d%m%yD%H%M%ST}_ROE1_{ccd}.fits"


def log_row(obsid: int, ccd: str, block: str | None = "BORN", **more: Any) -> dict[str, Any]:
    serials = serials_of(block) if block else None
    row = {
        "obsid": obsid,
        "file_name": frame_name(obsid, ccd).removesuffix(".fits"),
        "ccd": ccd,
        "roe": "ROE1",
        "started_at": START + timedelta(minutes=obsid % 1000),
        "program": "CALCAMP",
        "test_in_log": "BIAS01",
        "exptime_s": 0.0,
        "vstart": 0,
        "vend": 2086,
        "wave": 4,
        "egse_ver": "7.5.X",
    }
    row |= {f"sn_ccd{n + 1}": f"CCD273-84-2-F15_SN_{serial}" for n, serial in enumerate(serials or ("?", "?", "?"))}
    return row | more


def make_day(
    folder: Path,
    obsids: Sequence[int],
    *,
    block: str | None = "BORN",
    log: str = LOG,
    salt: int = 0,
    hk: bool = True,
    **more: Any,
) -> Path:
    """Write a day folder: log, frames of three CCDs, housekeeping."""
    folder.mkdir(parents=True, exist_ok=True)
    for obsid in obsids:
        for ccd in CCDS:
            (folder / frame_name(obsid, ccd)).write_bytes(with_obsid(frame_bytes(ccd), obsid, salt))
        if hk:
            make_hk(folder, obsid)
    write_rows(folder, [log_row(obsid, ccd, block, **more) for obsid in obsids for ccd in CCDS], log)
    return folder


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]], log: str = LOG) -> None:
    write_log(folder / log, "7.5.X", rows)


def make_hk(folder: Path, obsid: int, n: int = 3) -> Path:
    times = [START + timedelta(seconds=i) for i in range(n)]
    readings = {"CCD1_OD_T": [26.0 + 0.1 * i for i in range(n)], "CCD1_TEMP_T": [-120.0] * n}
    path = folder / hk_name(obsid, START)
    write_hk(path, "7.5.X", times, readings)
    return path


def run_ingest(lake: Lake, *folders: Path, jobs: int = 0, run: Runner | None = None, **options: Any) -> IngestReport:
    options.setdefault("refresh", no_refresh)
    if run is not None:
        return ingest(lake, folders, run=run, **options)
    with make_runner(jobs) as runner:
        return ingest(lake, folders, run=runner, **options)


class Watching:
    """A runner in this process that notes the frames it opens."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def __call__(self, function: Any, items: Iterable[Any], /, *, depth: int = DEPTH) -> Iterator[tuple[Any, Any, Any]]:
        for item in items:
            if isinstance(item.task, FrameTask):
                self.opened.append(Path(item.task.path).name)
            yield item, function(item), None


def contents(lake: Lake, *, without_stamps: bool = False) -> dict[str, pl.DataFrame]:
    """Return the ingested tables; without what depends on when and where the raw files were written."""
    tables = {name: read(lake, name) for name in TABLES}
    if without_stamps:
        gone = ("file_stamp", "hk_stamp", "root")
        tables = {name: frame.drop(gone, strict=False) for name, frame in tables.items()}
    return tables


def assert_equal(first: dict[str, pl.DataFrame], second: dict[str, pl.DataFrame]) -> None:
    for name, frame in first.items():
        assert frame.equals(second[name], null_equal=True), name


def snapshot(lake: Lake) -> dict[str, bytes]:
    """Return every file of the lake but the locks, by path."""
    files = (path for path in lake.root.rglob("*") if path.is_file() and lake.locks not in path.parents)
    return {str(path.relative_to(lake.root)): path.read_bytes() for path in files}


def reasons(lake: Lake) -> dict[tuple[str, str], int]:
    rows = read(lake, "rejects").group_by("kind", "reason").len().iter_rows()
    return {(kind, reason): n for kind, reason, n in rows}
