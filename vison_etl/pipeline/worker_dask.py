"""Workers of a Dask cluster (the optional extra ``dask``), checked before they get work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar

from vison_etl.pipeline.fan_out import DEPTH, WorkerDiedError, WorkersError
from vison_etl.pipeline.worker_start import Software, look_at, software

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONNECT_S = 10
_INSTALL = "pip install 'vison-etl[dask]'"


@dataclass(slots=True)
class DaskPool:
    """A connection to a scheduler; made, and its workers checked, when the first item comes.

    Dask gives the items of a dead worker to others by itself; one that was with several of them when they died comes back as
    ``KilledWorker``, whether it was at fault or only waiting there. So such items get one more try, each alone.
    """

    address: str
    client: Any = None
    n_workers: int = 1

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, depth: int = DEPTH
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Run a function over items."""
        source = iter(items)
        first = next(source, None)
        if first is None:
            return
        self._connect()
        _check_files(self.client, getattr(first, "paths", ()))
        suspects: list[Item] = []
        for item, result, error in self._submit(function, chain([first], source), depth * self.n_workers):
            if isinstance(error, WorkerDiedError):
                suspects.append(item)
            else:
                yield item, result, error
        yield from self._submit(function, iter(suspects), 1)

    def _submit(
        self, function: Callable[[Item], Result], todo: Iterator[Item], at_once: int
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Keep ``at_once`` items with the workers until all are done."""
        executor = self.client.get_executor(pure=False)
        live: dict[Future[Result], Item] = {}
        try:
            while True:
                for item in islice(todo, at_once - len(live)):
                    live[executor.submit(function, item)] = item
                if not live:
                    return
                for future in wait(live, return_when=FIRST_COMPLETED).done:
                    yield self._outcome(live.pop(future), future)
        finally:
            for future in live:
                future.cancel()

    def _connect(self) -> None:
        if self.client is None:
            self.client = _client(self.address)
            self.n_workers = _check_workers(self.client, self.address)

    def _outcome(self, item: Item, future: Future[Any]) -> tuple[Item, Any, BaseException | None]:
        if future.cancelled():
            raise WorkersError(
                f"lost the Dask scheduler at {self.address}: it was stopped or dropped work that was not done"
            )
        error = future.exception()
        if error is None:
            return item, future.result(), None
        if type(error).__name__ == "KilledWorker":
            return item, None, WorkerDiedError(f"every worker that took it died ({error})")
        return item, None, error

    def close(self) -> None:
        """Leave the cluster; what is not done is dropped."""
        if self.client is not None:
            self.client.close()
            self.client = None


def _client(address: str) -> Any:
    try:
        import distributed  # noqa: PLC0415 - an optional extra, slow to import
    except ImportError as error:
        raise WorkersError(f"--scheduler needs the optional extra: {_INSTALL}") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        connect: Any = distributed.Client
        return connect(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise WorkersError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from error


def _check_workers(client: Any, address: str) -> int:
    """Check that there are workers, with one thread each and the very code of this process; return how many."""
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError as error:
        raise WorkersError(
            f"--scheduler {address}: it has no workers; start some with `dask worker {address}`"
        ) from error
    workers: Mapping[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    for name, worker in workers.items():
        if worker["nthreads"] != 1:
            wanted = "results are the same to the bit only with one; start it with `dask worker --nthreads 1`"
            raise WorkersError(f"worker {name} has {worker['nthreads']} threads: {wanted}")
    for name, found in _ask_all(client, software).items():
        problem = _difference(found, _software_here())
        if problem:
            raise WorkersError(f"worker {name} {problem}; install the same everywhere and start the workers again")
    return len(workers)


def _software_here() -> Software:
    return software()


def _difference(found: Software | Exception, wanted: Software) -> str | None:
    if isinstance(found, Exception):
        return f"cannot run vison-etl {wanted.version} ({type(found).__name__}: {found})"
    if found.version != wanted.version:
        return f"runs vison-etl {found.version}, not {wanted.version}"
    if found.code != wanted.code:
        return f"runs other code than this process under the same version {wanted.version}"
    if found.python.split(".")[:2] != wanted.python.split(".")[:2]:
        return f"runs Python {found.python}, not {wanted.python}"
    return None


def _check_files(client: Any, paths: Iterable[str]) -> None:
    for path in paths:
        here = look_at(path)
        for name, found in _ask_all(client, look_at, path).items():
            if found != here:
                seen = f"sees {found} bytes of" if isinstance(found, int) else "cannot see"
                raise WorkersError(f"worker {name} {seen} {path}; mount the raw data at the same place on every worker")


def _ask_all(client: Any, function: Callable[..., Any], *arguments: Any) -> Mapping[str, Any]:
    """Call a function on every worker; an exception stands for the answer of the worker it came from."""
    answers: Mapping[str, Any] = client.run(function, *arguments, on_error="return")
    return answers
