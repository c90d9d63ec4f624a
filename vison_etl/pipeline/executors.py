"""Where work runs: in this process, in worker processes, or on a Dask cluster, behind one interface and with the same results."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any, Protocol, TypeVar

from vison_etl.pipeline.fan_out import DEPTH, Pool, WorkersError, fan_out
from vison_etl.pipeline.worker_start import initialise, one_thread_environment, ping

Item = TypeVar("Item")
Result = TypeVar("Result")

PRELOAD = ("vison_etl.pipeline.worker_preload",)

_START_ATTEMPTS = 3


class Runner(Protocol):
    """Runs a function over items somewhere and yields (item, result, error) in order of completion."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, depth: int = DEPTH
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Run, with at most ``depth`` items in flight per worker; results wait in memory until they are taken."""
        ...


@contextmanager
def make_runner(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Runner]:
    """Give a runner; workers start with the first item and end with the block.

    Parameters
    ----------
    jobs
        Worker processes; None: as many as this process may use cores; 0: none, the work is done in this process.
    scheduler
        Address of a Dask scheduler; ``jobs`` is then without meaning.

    Raises
    ------
    WorkersError
        When the workers do not start, run another version of the package or cannot see the files: before any work is done.
    """
    with closing(_pool(jobs, scheduler)) as pool:

        def run(
            function: Callable[[Item], Result], items: Iterable[Item], /, *, depth: int = DEPTH
        ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
            return fan_out(pool, function, pool.look_ahead(items), depth=depth)

        yield run


class _OwnPool(Pool, Protocol):
    def look_ahead(self, items: Iterable[Item]) -> Iterable[Item]: ...

    def close(self) -> None: ...


def _pool(jobs: int | None, scheduler: str | None) -> _OwnPool:
    if scheduler is not None:
        from vison_etl.pipeline.worker_dask import DaskPool  # noqa: PLC0415 - an optional extra

        return DaskPool(scheduler)
    if jobs == 0:
        return _SerialPool()
    return _ProcessPool(len(os.sched_getaffinity(0)) if jobs is None else jobs)


@dataclass(frozen=True, slots=True)
class _SerialPool:
    n_workers: int = 0

    def look_ahead(self, items: Iterable[Item]) -> Iterable[Item]:
        return items

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(function(item))
        except Exception as error:  # noqa: BLE001 - handed back with its item, as from a process
            future.set_exception(error)
        return future

    def restart(self) -> None:
        raise WorkersError("this process cannot be replaced")

    def is_death(self, error: BaseException) -> bool:
        del error
        return False

    def close(self) -> None:
        pass


@dataclass(slots=True)
class _ProcessPool:
    n_workers: int
    executor: ProcessPoolExecutor | None = None

    def look_ahead(self, items: Iterable[Item]) -> Iterable[Item]:
        return items

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        if self.executor is None:
            self.executor = _processes(self.n_workers)
        return self.executor.submit(function, item)

    def restart(self) -> None:
        for _ in range(_START_ATTEMPTS):
            self.close()
            self.executor = _processes(self.n_workers)
            try:
                self.executor.submit(ping, 1).result()
            except BrokenExecutor:
                continue
            return
        raise WorkersError(
            f"worker processes die while they start ({_START_ATTEMPTS} attempts); a script that calls vison_etl needs "
            'its calls under `if __name__ == "__main__":`'
        )

    def is_death(self, error: BaseException) -> bool:
        del error
        return False

    def close(self) -> None:
        if self.executor is not None:
            self.executor.shutdown(wait=True, cancel_futures=True)
            self.executor = None


def _processes(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of worker processes, never forked from this one: the threads of polars would not survive that."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    with one_thread_environment():
        forkserver.ensure_running()
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=initialise)
