"""Where work runs: in this process, in worker processes, or on a Dask cluster, behind one interface and with the same results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from vison_etl.pipeline.fan_out import Pool, Runner, SerialPool
from vison_etl.pipeline.worker_pool import ProcessPool

__all__ = ["Runner", "make_runner"]


@contextmanager
def make_runner(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Runner]:
    """Give a runner; workers start with the first item and end with the block.

    Parameters
    ----------
    jobs
        Worker processes; None: as many as this process may use cores; 0: none, the work is done in this process.
    scheduler
        Address of a Dask scheduler; ``jobs`` is then without meaning.
    """
    with closing(_pool(jobs, scheduler)) as pool:
        yield pool.run


def _pool(jobs: int | None, scheduler: str | None) -> Pool:
    if scheduler is not None:
        from vison_etl.pipeline.worker_dask import DaskPool  # noqa: PLC0415 - an optional extra

        return DaskPool(scheduler)
    if jobs == 0:
        return SerialPool()
    return ProcessPool(len(os.sched_getaffinity(0)) if jobs is None else jobs)
