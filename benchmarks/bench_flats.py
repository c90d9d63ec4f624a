"""How long master flats take: a tenth of FLAT01 against reading its bytes, and ten frames against ccdproc where it is installed."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.frames import GEOMETRY, OFFSET_ADU, flat
from vison_etl.effects.flat_field import measure
from vison_etl.elvis.frames import open_frame, open_group, write_frame
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels.flat_stack import band_rows_of, stack_flats
from vison_etl.products.fits import to_bytes

LEVEL_ADU = 16000.0
N_GROUPS, N_FRAMES = 2, 26
ROUNDS = 3
DROP = "cold"


def write_frames(folder: Path, n: int) -> list[Path]:
    """Write full-size flats; all of a master differ, or pixels would look noisier than they are, save where memory alone is measured."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True)
    paths = [folder / f"f{k:03d}_CCD1.fits" for k in range(n)]
    for k, path in enumerate(paths):
        if k < N_FRAMES:
            write_frame(path, flat(LEVEL_ADU, rng), {"EXTNAME": "ROE1_CCD1"})
        else:
            path.write_bytes(paths[k % N_FRAMES].read_bytes())
    os.sync()
    return paths


def forget(paths: list[Path]) -> None:
    """Take files out of the page cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def peak_mb() -> float:
    """Return the high-water mark of this process, MB."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def read_once(paths: list[Path]) -> None:
    """Read every byte into one buffer."""
    buffer = bytearray(paths[0].stat().st_size)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            file.readinto(buffer)


def read_twice(job: tuple[list[Path], str]) -> float:
    """Read every byte two times; return the processor time, s."""
    paths, state = job
    started = time.process_time()
    for _ in range(2):
        if state == DROP:
            forget(paths)
        read_once(paths)
    return time.process_time() - started


def master(job: tuple[list[Path], Path]) -> tuple[float, float]:
    """Make one master and write its products, as a worker does; return its high-water mark, MB, and the processor time, s."""
    paths, out = job
    started = time.process_time()
    with open_group(paths, range(len(paths)), "CCD1", 0, 2086) as group:
        products = list(measure.master(group, measure.PARAMETERS, {}).products)
    while products:
        product = products.pop(0)
        out.with_suffix(f".{product.kind}").write_bytes(to_bytes(product.extensions, product.cards))
    return peak_mb(), time.process_time() - started


def bench_group(scratch: Path) -> None:
    """Two groups of 26 full-size frames, a tenth of the frames of FLAT01 with its three CCDs, on two workers."""
    groups = [write_frames(scratch / f"group{k}", N_FRAMES) for k in range(N_GROUPS)]
    every = [path for group in groups for path in group]
    context = multiprocessing.get_context("forkserver")
    with context.Pool(N_GROUPS) as pool:
        pool.map(master, [(group[:3], scratch / f"warm{k}.fits") for k, group in enumerate(groups)])
        for state in ("warm", DROP):
            walls, processors, peak = [], [], 0.0
            for _ in range(ROUNDS):
                started = time.perf_counter()
                read = sum(pool.map(read_twice, [(group, state) for group in groups], chunksize=1))
                reading = time.perf_counter() - started
                if state == DROP:
                    forget(every)
                started = time.perf_counter()
                jobs = [(group, scratch / f"m{k}.fits") for k, group in enumerate(groups)]
                found = pool.map(master, jobs, chunksize=1)
                walls.append((time.perf_counter() - started, reading))
                processors.append((sum(taken for _, taken in found), read))
                peak = max(peak, *(mb for mb, _ in found))
            making, reading = (min(times) for times in zip(*walls, strict=True))
            print(
                f"{N_GROUPS} masters of {N_FRAMES} full-size frames, 2 workers, {state} files: {making:.2f} s; reading them twice "
                f"{reading:.2f} s; ratio {making / reading:.1f}   (target 4)"
            )
            made, read = (min(times) for times in zip(*processors, strict=True))
            print(f"  processor time {made:.2f} s and {read:.2f} s; ratio {made / read:.1f}")
            print(f"  high-water mark of a worker: {peak:.0f} MB   (target 600)")
    many = write_frames(scratch / "many", 80)
    for n in (10, 80):
        with context.Pool(1) as pool:
            print(
                f"  high-water mark for {n} frames: {pool.map(master, [(many[:n], scratch / 'n.fits')])[0][0]:.0f} MB"
            )


def lit(image: np.ndarray) -> np.ndarray:
    """Return the image pixels of a quadrant."""
    view = quadrant_view(image, GEOMETRY, QUADRANTS[0])
    return view[: GEOMETRY.image_rows, GEOMETRY.prescan : GEOMETRY.prescan + GEOMETRY.image_columns]


def bench_ccdproc(scratch: Path) -> None:
    """Ten frames against ``ccdproc.combine``, which gets them in memory."""
    paths = write_frames(scratch / "ten", 10)
    master((paths, scratch / "ten.fits"))
    seconds, stacking = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with open_group(paths, range(10), "CCD1", 0, 2086) as group:
            stack_flats(group.bands(band_rows_of(10, GEOMETRY)), 10, GEOMETRY, 0, 2086)
        stacking.append(time.perf_counter() - started)
        started = time.perf_counter()
        with open_group(paths, range(10), "CCD1", 0, 2086) as group:
            found = measure.master(group, measure.PARAMETERS, {})
        seconds.append(time.perf_counter() - started)
    error = float(np.std(lit(found.products[0].extensions["FLAT"]), dtype=np.float64))
    print(
        f"10 full-size frames: read and stacked {min(stacking):.2f} s, with illumination and non-uniformity {min(seconds):.2f} s, "
        f"error {100 * error:.4f} %"
    )
    if find_spec("ccdproc") is None:
        print("  ccdproc is not installed: no comparison")
        return
    from astropy.nddata import CCDData  # noqa: PLC0415 - only for the comparison
    from ccdproc import combine  # noqa: PLC0415

    frames = []
    for path in paths:
        codes = open_frame(path).raw.astype(np.float32) + np.float32(32768 - OFFSET_ADU)
        frames.append(CCDData(codes, unit="adu"))
    ways = {
        "median": {"method": "median"},
        "clipped mean": {
            "method": "average",
            "sigma_clip": True,
            "sigma_clip_low_thresh": 4,
            "sigma_clip_high_thresh": 4,
        },
    }
    for name, options in ways.items():
        started = time.perf_counter()
        image = combine(frames, dtype=np.float32, mem_limit=8e9, **options)
        taken = time.perf_counter() - started
        theirs = float(np.std(lit(np.asarray(image.data)), dtype=np.float64)) / LEVEL_ADU
        print(
            f"  ccdproc.combine, {name}: {taken:.1f} s, error {100 * theirs:.4f} %; {taken / min(stacking):.1f} x as long as our stack, "
            f"{taken / min(seconds):.1f} x as our whole   (target 10), our error / theirs {error / theirs:.3f}   (target 1)"
        )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--only", choices=("group", "ccdproc"), default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vison-etl-bench-", dir=options.dir) as name:
        if options.only != "ccdproc":
            bench_group(Path(name))
        if options.only != "group":
            bench_ccdproc(Path(name))


if __name__ == "__main__":
    main()
