"""Worker processes, each with a pipe of its own, so that it is always known which item a dead one had.

The executor of the standard library breaks as a whole when one of its processes dies, blames every item in flight, and may
wait for ever on a process started at that moment; here a death costs one new process and one more try of one item.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

from vison_etl.one_thread import one_thread_environment
from vison_etl.pipeline.fan_out import DEPTH, RETRIES, WorkerDiedError, WorkersError
from vison_etl.pipeline.worker_start import serve

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcome = tuple[Any, Any, BaseException | None]

PRELOAD = ("vison_etl.pipeline.worker_preload",)

_START_ATTEMPTS = 3
_MAX_WAITING_BYTES = 32 * 1024
"""Items waiting in the pipe of a worker: fewer than any pipe holds, so that neither side ever waits for the other to read."""
_GOODBYE_S = 10.0


@dataclass(slots=True)
class _Entry:
    """One item with the number of workers that died with it, and its size as sent."""

    item: Any
    message: bytes
    deaths: int = 0


@dataclass(slots=True)
class _Worker:
    """One process. ``entries`` are the items it has, the one at work first; ``is_ready`` once it has said so."""

    process: Any
    pipe: Connection
    entries: deque[_Entry] = field(default_factory=deque)
    is_ready: bool = False

    def has_room(self, depth: int, message: bytes) -> bool:
        """Tell whether one more item can be sent without waiting for the worker to read."""
        waiting = sum(len(entry.message) for entry in self.entries)
        return not self.entries or (len(self.entries) < depth and waiting + len(message) <= _MAX_WAITING_BYTES)


@dataclass(slots=True)
class ProcessPool:
    """Up to ``n_workers`` processes, started as items come, kept until ``close``."""

    n_workers: int
    workers: list[_Worker] = field(default_factory=list)
    failed_starts: int = 0

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, depth: int = DEPTH
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Run a function over items."""
        source = (_Entry(item, bytes(ForkingPickler.dumps((function, item)))) for item in items)
        again: deque[_Entry] = deque()
        try:
            while True:
                self._feed(source, again, depth)
                busy = {worker.pipe: worker for worker in self.workers if worker.entries}
                if not busy:
                    return
                for pipe in connection.wait(list(busy)):
                    yield from self._listen(busy[pipe], again)  # type: ignore[index]
        finally:
            if any(worker.entries for worker in self.workers):
                self._kill()

    def _feed(self, source: Iterator[_Entry], again: deque[_Entry], depth: int) -> None:
        """Give items to the workers with the fewest until all are full, starting workers as long as there is more work."""
        while True:
            entry = again.popleft() if again else next(source, None)
            if entry is None:
                return
            worker = self._free_worker(depth, entry.message)
            if worker is None:
                again.appendleft(entry)
                return
            worker.entries.append(entry)
            try:
                worker.pipe.send_bytes(entry.message)
            except OSError:
                # dead: its pipe tells when it is listened to
                return

    def _free_worker(self, depth: int, message: bytes) -> _Worker | None:
        if len(self.workers) < self.n_workers and all(worker.entries for worker in self.workers):
            self.workers.append(_start())
        worker = min(self.workers, key=lambda w: len(w.entries))
        return worker if worker.has_room(depth, message) else None

    def _listen(self, worker: _Worker, again: deque[_Entry]) -> Iterator[Outcome]:
        """Take one message of a worker, or find that it is dead."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(worker, again)
            return
        if not worker.is_ready:
            worker.is_ready, self.failed_starts = True, 0
            return
        result, error = message
        yield worker.entries.popleft().item, result, error

    def _bury(self, worker: _Worker, again: deque[_Entry]) -> Iterator[Outcome]:
        """Drop a dead worker; its first item was at work, the others were waiting."""
        self.workers.remove(worker)
        _end(worker)
        first, *others = worker.entries
        worker.entries.clear()
        again.extendleft(reversed(others))
        if not worker.is_ready:
            again.appendleft(first)
            self._count_failed_start(worker)
        elif first.deaths >= RETRIES:
            code = worker.process.exitcode
            yield (
                first.item,
                None,
                WorkerDiedError(f"its worker died {first.deaths + 1} times, the last with exit code {code}"),
            )
        else:
            first.deaths += 1
            again.appendleft(first)

    def _count_failed_start(self, worker: _Worker) -> None:
        self.failed_starts += 1
        if self.failed_starts >= _START_ATTEMPTS:
            raise WorkersError(
                f"worker processes die while they start ({_START_ATTEMPTS} attempts, exit code {worker.process.exitcode}); "
                'a script that calls vison_etl needs its calls under `if __name__ == "__main__":`'
            )

    def _kill(self) -> None:
        for worker in self.workers:
            worker.process.kill()
        self.close()

    def close(self) -> None:
        """Let the workers go: they end when their pipe is closed."""
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            _end(worker)
        self.workers.clear()


def _start() -> _Worker:
    """Start a worker, never forked from this process: the threads of polars would not survive that."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    with one_thread_environment():
        forkserver.ensure_running()
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.join(_GOODBYE_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
