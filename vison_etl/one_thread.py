"""The environment of worker processes. It must stand before the first of them starts: they are all forked from one server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

ALGEBRA = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that libraries of linear algebra read when they are loaded."""

ONE_THREAD = dict.fromkeys((*ALGEBRA, "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
"""One thread per worker, the same everywhere: results are equal to the bit and N workers use N cores."""


@contextmanager
def one_thread_environment() -> Iterator[None]:
    """Set the variables that processes started in this block inherit, and put the old ones back."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
