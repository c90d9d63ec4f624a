"""How long `analyse` takes, against reading the same frames; how much memory a pair needs. Full-size frames, warm cache."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.frames import write_day

TEST = "PTC02_730"
_IN = re.compile(r" in ([0-9.]+) s")


def _command(lake: Path, *words: str) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", "from vison_etl.cli.app import main; main()", *words, "--lake", str(lake)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return time.perf_counter() - started, done.stderr


def calibrate_again(lake: Path) -> float:
    """Return what `analyse` says it took when its modules are imported already: calibrate and store, s."""
    code = """
import sys
from vison_etl.cli.commands import app
for _ in range(3):
    app(["analyse", "--test", sys.argv[1], "--force", "--lake", sys.argv[2]], standalone_mode=False)
"""
    done = subprocess.run([sys.executable, "-c", code, TEST, str(lake)], capture_output=True, text=True, check=True)
    return min(float(said) for said in _IN.findall(done.stderr))


def read_all(folder: Path) -> float:
    """Return the time to read every frame once into one buffer, s."""
    paths = sorted(folder.glob("*.fits"))
    buffer = bytearray(paths[0].stat().st_size)
    started = time.perf_counter()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            file.readinto(buffer)
    return time.perf_counter() - started


def pair_memory(folder: Path, n_pairs: int) -> float:
    """Return the high-water of a worker above imports and compilation after measuring pairs, MB."""
    code = """
import resource, sys
from pathlib import Path
from vison_etl.effects.declare import RawFrame
from vison_etl.effects.registry import load
from vison_etl.elvis.frames import open_frame
measurement = load("photon_transfer").measurements[0]
def frame(path):
    opened = open_frame(Path(path))
    return RawFrame(1, "CCD1", opened.raw, opened.geometry, 0, 2086)
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
paths = sys.argv[2:]
import numpy as np
tiny = [RawFrame(1, "CCD1", np.full((552, 654), 3000, np.uint16), __import__("vison_etl.instrument.geometry", fromlist=["x"]).geometry_of(654, 552), 0, 2086)] * 2
measurement.function(*tiny, measurement.parameters)
base = peak()
for i in range(int(sys.argv[1])):
    first, second = frame(paths[2 * i % len(paths)]), frame(paths[(2 * i + 1) % len(paths)])
    measurement.function(first, second, measurement.parameters)
print(peak() - base)
"""
    paths = sorted(map(str, folder.glob("*CCD1.fits")))
    done = subprocess.run(
        [sys.executable, "-c", code, str(n_pairs), *paths], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory(prefix="vison-etl-bench-") as scratch:
        folder = write_day(Path(scratch) / "raw", "BORN", [TEST])
        lake = Path(scratch) / "lake"
        _command(lake, "ingest", str(folder))
        read_all(folder)
        reading = min(read_all(folder) for _ in range(3))
        trials = [_command(lake, "analyse", "--test", TEST, "--set", f"clip_sigma={5 + k / 10}")[0] for k in range(3)]
        last, said = _command(lake, "analyse", "--test", TEST)
        wall = min(*trials[1:], last)
        again, _ = _command(lake, "analyse", "--test", TEST, "--force")
        inner = calibrate_again(lake)
        n_frames = len(list(folder.glob("*.fits")))
        print(f"analyse {TEST}, {n_frames} full-size frames: {wall:.1f} s; reading them: {reading:.2f} s")
        print(f"  (wall - 4 s) / reading = {(wall - 4.0) / reading:.2f}   (target 5)")
        print(f"  again from the lake: {again:.2f} s in all (target 3), calibrate and store {inner:.2f} s (target 0.5)")
        few, many = pair_memory(folder, 3), pair_memory(folder, 12)
        print(
            f"  peak memory of pairs above imports: {few:.0f} MB for 3 pairs, {many:.0f} MB for 12 (target 400, equal within 10)"
        )
        print(f"  {said.strip()}")


if __name__ == "__main__":
    main()
