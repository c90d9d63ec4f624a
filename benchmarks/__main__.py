"""All benchmarks, one after the other: `python -m benchmarks`, or some of them: `python -m benchmarks ingest results`."""

from __future__ import annotations

import subprocess
import sys

ALL = ("ingest", "analyse", "flats", "covariances", "results")


def main() -> int:
    """Run each benchmark in a process of its own; return the number that failed."""
    chosen = [name for name in sys.argv[1:] if name in ALL] or list(ALL)
    failed = 0
    for name in chosen:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
