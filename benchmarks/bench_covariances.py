"""How long covariances of PTC01 take: a tenth of its 92 x 3 frames against reading their bytes, and one quadrant against an FFT."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import fft

from benchmarks.bench_flats import peak_mb, read_once, write_frames
from benchmarks.frames import GEOMETRY
from vison_etl.effects.declare import RawFrame
from vison_etl.effects.photon_transfer.effect import EFFECT
from vison_etl.elvis.frames import open_frame
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels.lag_products import MAX_LAG

N_PTC01 = 92 * 3
N_FRAMES = 28
WORKERS = 2
ROUNDS = 3
Paths = tuple[Path, Path]


def frame(path: Path, obsid: int) -> RawFrame:
    """Open a frame as a worker does."""
    opened = open_frame(path)
    return RawFrame(obsid, "CCD1", opened.raw, opened.geometry, 0, GEOMETRY.quadrant_rows)


def measure(job: tuple[str, Paths]) -> tuple[float, float]:
    """Measure one pair; return CPU time, s, and the high-water mark of the worker, MB."""
    name, paths = job
    (measurement,) = (m for m in EFFECT.measurements if m.name == name)
    started = time.process_time()
    measurement.function(frame(paths[0], 1), frame(paths[1], 2), measurement.parameters)
    return time.process_time() - started, peak_mb()


def read_pair(paths: Paths) -> None:
    """Read every byte of a pair."""
    read_once(list(paths))


def opened_mb(paths: Paths) -> float:
    """Return the high-water mark of a worker that opens a pair and measures nothing, MB."""
    frames = [frame(path, k) for k, path in enumerate(paths)]
    peak = peak_mb()
    del frames
    return peak


def bench_ptc(folder: Path) -> None:
    """A tenth of PTC01, on two workers."""
    paths = write_frames(folder, N_FRAMES)
    pairs = list(zip(paths[0::2], paths[1::2], strict=True))
    context = multiprocessing.get_context("forkserver")
    with context.Pool(1) as pool:
        bare = pool.map(opened_mb, pairs[:1])[0]
    with context.Pool(WORKERS) as pool:
        pool.map(measure, [("covariances", pair) for pair in pairs[: 2 * WORKERS]], chunksize=1)
        for name in ("covariances", "tiles"):
            reading, measuring, cpu, peak = [], [], 0.0, 0.0
            for _ in range(ROUNDS):
                started = time.perf_counter()
                pool.map(read_pair, pairs, chunksize=1)
                reading.append(time.perf_counter() - started)
                started = time.perf_counter()
                found = pool.map(measure, [(name, pair) for pair in pairs], chunksize=1)
                measuring.append(time.perf_counter() - started)
                cpu = float(np.median([one[0] for one in found])) / len(QUADRANTS)
                peak = max(peak, *(one[1] for one in found))
            whole = min(measuring) * N_PTC01 / N_FRAMES
            print(
                f"{name} of {len(pairs)} pairs of full-size frames, {WORKERS} workers, warm: {min(measuring):.2f} s; reading them "
                f"{min(reading):.2f} s; ratio {min(measuring) / min(reading):.1f}"
            )
            print(f"  {cpu:.3f} s of CPU per quadrant   (target 0.1); all of PTC01 {whole:.0f} s   (target 360)")
            if name == "covariances":
                print(
                    f"  high-water mark {peak:.0f} MB, {peak - bare:.0f} MB above a worker with both frames open   (target 250)"
                )


def by_fft(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return covariances at lags 0 ... 8 of one quadrant by FFTs of the whole of it, float32, two threads."""
    difference = first.astype(np.float32) - second.astype(np.float32)
    used = ((first > 0) & (second > 0) & (first < 65535) & (second < 65535)).astype(np.float32)
    difference -= difference.mean()
    used *= np.abs(difference) < 5.5 * difference.std()
    size = [fft.next_fast_len(side + MAX_LAG + 1, real=True) for side in difference.shape]
    power = [np.abs(fft.rfft2(part, size, workers=2)) ** 2 for part in (difference * used, used)]
    products, pairs = (fft.irfft2(part, size, workers=2)[: MAX_LAG + 1, : MAX_LAG + 1] for part in power)
    return np.asarray(products / pairs / 2.0)


def bench_fft(folder: Path) -> None:
    """One quadrant by a Fourier transform, as it is usually done, without balance, cells and errors."""
    images = [frame(path, 1).image for path in write_frames(folder, 2)]
    views = [
        quadrant_view(image, GEOMETRY, "H")[: GEOMETRY.image_rows, 51 : 51 + GEOMETRY.image_columns] for image in images
    ]
    native = [np.ascontiguousarray(view.astype(np.int32) + 32768) for view in views]
    wall, cpu = [], []
    for _ in range(ROUNDS):
        started, used = time.perf_counter(), time.process_time()
        by_fft(*native)
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    print(
        f"full-frame FFT of one quadrant, 2 threads: {min(wall):.2f} s wall, {min(cpu):.2f} s of CPU; 81 of the 145 lags"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vison-etl-bench-", dir=options.dir) as name:
        bench_ptc(Path(name) / "ptc")
        bench_fft(Path(name) / "fft")


if __name__ == "__main__":
    main()
