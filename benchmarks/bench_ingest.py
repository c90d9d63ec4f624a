"""How fast `ingest` is, against two processes that read and digest the same files; how much memory a worker needs.

Full-size frames (35.4 MB), warm cache. Marginal times are differences between 120 and 30 files, so that what a run costs once does not
count; each is the best of several alternating rounds. `--frames N` changes the larger number, `--dir DIR` where the files go.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from benchmarks.frames import START, flat
from vison_etl.elvis.explog import write_log
from vison_etl.elvis.frames import write_frame
from vison_etl.elvis.housekeeping import hk_name, write_hk
from vison_etl.instrument.hk import hk_keys
from vison_etl.lake.parts import read
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.executors import Runner, make_runner
from vison_etl.pipeline.ingest import ingest

CCDS = ("CCD1", "CCD2", "CCD3")
FEW = 30
ROUNDS = 4
LEVELS_ADU = (0.0, 0.0, 2000.0, 8000.0, 15000.0, 25000.0, 40000.0, 55000.0)
TINY = (64, 166)


def no_refresh(lake: Lake, blocks: object) -> None:
    """Leave acquisitions alone: finding them is not reading."""


def patched(content: bytes, obsid: int, ccd: str) -> bytes:
    """Return a frame with another exposure number and CCD."""
    for key, value in (("OBSID", str(obsid)), ("EXTNAME", f"'ROE1_{ccd}'")):
        found = content.index(f"{key:<8}=".encode(), 2880)
        content = content[:found] + f"{key:<8}= {value:>20}".ljust(80).encode() + content[found + 80 :]
    return content


def frame_name(obsid: int, ccd: str) -> str:
    """Return the name of a frame without its ending."""
    return f"EUC_{obsid}_{START:%d%m%yD%H%M%ST}_ROE1_{ccd}"


def write_day(folder: Path, images: Sequence[np.ndarray], n_files: int) -> Path:
    """Write a day folder of ``n_files`` frames out of a few distinct images."""
    folder.mkdir(parents=True)
    write_frame(folder / "x", images[0], {"EXTNAME": "ROE1_CCD1", "OBSID": 0})
    contents = []
    for image in images:
        write_frame(folder / "x", image, {"EXTNAME": "ROE1_CCD1", "OBSID": 0})
        contents.append((folder / "x").read_bytes())
    (folder / "x").unlink()
    rows = []
    for number in range(n_files):
        obsid, ccd = 1001 + number // 3, CCDS[number % 3]
        (folder / f"{frame_name(obsid, ccd)}.fits").write_bytes(patched(contents[number % len(images)], obsid, ccd))
        rows.append(
            {
                "obsid": obsid,
                "ccd": ccd,
                "file_name": frame_name(obsid, ccd),
                "started_at": START,
                "vstart": 0,
                "vend": 2086,
            }
            | {"test_in_log": "BIAS01", "egse_ver": "7.5.X", "program": "CALCAMP", "exptime_s": 0.0, "wave": 4}
        )
        if ccd == "CCD1":
            readings = {key: [f"{26.0 + 0.01 * n:.3f}" for n in range(60)] for key in hk_keys("7.5.X")}
            write_hk(folder / hk_name(obsid, START), "7.5.X", [START] * 60, readings)
    write_log(folder / f"EXP_LOG_{START:%d%m%y}.txt", "7.5.X", rows)
    return folder


def read_and_digest(paths: Sequence[str]) -> int:
    """Read files into one buffer and digest them."""
    buffer = memoryview(bytearray(Path(paths[0]).stat().st_size))
    for path in paths:
        with Path(path).open("rb", buffering=0) as file:
            size = file.readinto(buffer)
        xxhash.xxh3_128_hexdigest(buffer[:size])
    return len(paths)


def reference(paths: Sequence[str], jobs: int, pool: Any) -> float:
    """Return the time that ``jobs`` processes need to read and digest files, s."""
    started = time.perf_counter()
    pool.map(read_and_digest, [paths[i::jobs] for i in range(jobs)], chunksize=1)
    return time.perf_counter() - started


def memory_kb(_: int) -> tuple[int, int, int]:
    """Return pid, resident size and its high-water of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return os.getpid(), found["VmRSS"], found["VmHWM"]


def workers_memory(run: Runner) -> dict[int, tuple[int, int]]:
    """Return resident size and high-water per worker."""
    return {pid: (rss, peak) for _, (pid, rss, peak), _ in run(memory_kb, range(20), depth=2)}


def ingest_once(folder: Path, jobs: int) -> tuple[float, float]:
    """Return wall time of an ingest into an empty lake, pool and all, s, and the memory of its hungriest worker above imports, MB."""
    with tempfile.TemporaryDirectory(prefix="vison-etl-lake-") as scratch:
        started = time.perf_counter()
        with make_runner(jobs) as run:
            before = workers_memory(run)
            report = ingest(Lake(Path(scratch)), [folder], run=run, block="BORN", refresh=no_refresh)
            seconds = time.perf_counter() - started
            after = workers_memory(run)
        if report.exit_code or read(Lake(Path(scratch)), "exposures").height != report.folders[0].rows:
            raise RuntimeError("\n".join(report.lines()))
    return seconds, max(after[pid][1] - before[pid][0] for pid in before if pid in after) / 1024


def marginal(few: Sequence[float], many: Sequence[float], n_more: int) -> float:
    """Return the time per further file, s."""
    return (min(many) - min(few)) / n_more


def bench_full(scratch: Path, n_many: int) -> None:
    """Measure time, scaling and memory on full-size frames."""
    rng = np.random.default_rng(7)
    images = [flat(level, rng) for level in LEVELS_ADU]
    many = write_day(scratch / "many", images, n_many)
    few = write_day(scratch / "few", images, FEW)
    paths = {folder: sorted(map(str, folder.glob("*.fits"))) for folder in (few, many)}
    times: dict[tuple[str, int, Path], list[float]] = {}
    memory: dict[Path, float] = {}
    context = multiprocessing.get_context("forkserver")
    with context.Pool(2) as pool:
        for folder in (few, many):
            reference(paths[folder], 2, pool)
        for _ in range(ROUNDS):
            for jobs in (1, 2):
                for folder in (few, many):
                    times.setdefault(("reference", jobs, folder), []).append(reference(paths[folder], jobs, pool))
                    seconds, memory[folder] = ingest_once(folder, jobs)
                    times.setdefault(("ingest", jobs, folder), []).append(seconds)
    n_more = n_many - FEW
    ms = {
        k: {j: 1e3 * marginal(times[k, j, few], times[k, j, many], n_more) for j in (1, 2)}
        for k in ("reference", "ingest")
    }
    fixed = min(times["ingest", 2, few]) - FEW * ms["ingest"][2] / 1e3
    scaling = {k: ms[k][1] / ms[k][2] for k in ms}
    print(
        f"per further file of 35.4 MB, 2 jobs: ingest {ms['ingest'][2]:.1f} ms, read and digest {ms['reference'][2]:.1f} ms"
    )
    print(f"  ratio {ms['ingest'][2] / ms['reference'][2]:.2f}   (target 2.5, aim 1.5)")
    print(f"  fixed cost of a run {fixed:.2f} s   (target 4)")
    print(f"  scaling 1 -> 2 jobs: ingest {scaling['ingest']:.2f}, read and digest {scaling['reference']:.2f}", end="")
    print(f", ratio {scaling['ingest'] / scaling['reference']:.2f}   (target 0.9)")
    print(
        f"  peak memory of a worker above imports: {memory[few]:.0f} MB for {FEW} files, {memory[many]:.0f} MB for {n_many}",
        end="",
    )
    print("   (target 250, equal within 10)")


def bench_unchanged(scratch: Path) -> None:
    """Measure a second run over 6000 files, as a command with its imports."""
    folder = write_day(scratch / "tiny", [np.full(TINY, 2300, np.uint16)], 6000)
    words = [
        sys.executable,
        "-c",
        "from vison_etl.cli.app import main; main()",
        "ingest",
        str(folder),
        "--block",
        "BORN",
    ]
    words += ["--lake", str(scratch / "lake"), "--jobs", "2"]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - started)
        if done.returncode:
            raise RuntimeError(done.stderr)
    print(f"6000 small files: first run {seconds[0]:.1f} s, unchanged {min(seconds[1:]):.2f} s   (target 5)")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--dir", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vison-etl-bench-", dir=options.dir) as name:
        scratch = Path(name)
        bench_unchanged(scratch)
        shutil.rmtree(scratch / "tiny")
        bench_full(scratch, options.frames)


if __name__ == "__main__":
    main()
