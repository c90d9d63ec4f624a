"""The same pure function over many items on workers that may die: everything comes back once, in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


DEPTH = 4
"""Items in flight per worker, unless said otherwise."""


class WorkerDiedError(RuntimeError):
    """An item that killed its worker each time it was tried, alone."""


class WorkersError(RuntimeError):
    """No work can be done: workers do not start, run another version, cannot see the files, or the scheduler is gone."""


class Pool(Protocol):
    """Where work runs."""

    @property
    def n_workers(self) -> int:
        """Return how many workers there are, once the first item was looked at; 0: the work is done by ``submit``."""
        ...

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Start one call."""
        ...

    def restart(self) -> None:
        """Replace a pool that broke; ``WorkersError`` if it cannot be."""
        ...

    def is_death(self, error: BaseException) -> bool:
        """Tell whether an error means that a worker died for good with this very item."""
        ...


@dataclass(slots=True)
class _Flight:
    """Items in the air. ``suspects`` were in flight when a worker died; each carries how often it crashed alone."""

    live: dict[Future[Any], tuple[Any, int]] = field(default_factory=dict)
    suspects: deque[tuple[Any, int]] = field(default_factory=deque)
    solo: bool = False


def fan_out(
    pool: Pool, function: Callable[[Item], Result], items: Iterable[Item], *, depth: int = DEPTH, retries: int = 1
) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
    """Yield (item, result, error) in order of completion, with at most ``depth`` items in flight per worker.

    An exception of ``function`` is handed back at once: a pure function fails the same way again. A worker process that dies
    breaks its whole pool and takes every item in flight with it; the pool is replaced and those items are run one at a time: the
    innocent pass, the one that kills its worker ``retries`` + 1 times alone is handed back with ``WorkerDiedError``.

    Parameters
    ----------
    items
        Taken as places become free, in order.

    Raises
    ------
    WorkersError
        When work cannot go on at all.
    """
    flight = _Flight()
    todo = iter(items)
    try:
        while _launch(pool, function, todo, flight, depth):
            finished = wait(flight.live, return_when=FIRST_COMPLETED).done
            broken = [flight.live.pop(f) for f in finished if _is_broken(f)]
            if broken:
                finished |= wait(flight.live).done
                broken += [flight.live.pop(f) for f in finished & flight.live.keys() if _is_broken(f)]
            for future in finished & flight.live.keys():
                yield _outcome(pool, flight.live.pop(future)[0], future)
            if broken:
                pool.restart()
                yield from _blame(broken, flight, retries)
            flight.solo = flight.solo and bool(flight.live)
    finally:
        for future in flight.live:
            future.cancel()


def _launch(pool: Pool, function: Callable[[Any], Any], todo: Iterator[Any], flight: _Flight, depth: int) -> bool:
    """Fill the window; return whether anything is in flight."""
    while len(flight.live) < (1 if flight.suspects or flight.solo else max(1, depth * pool.n_workers)):
        if flight.suspects:
            entry = flight.suspects.popleft()
            flight.solo = True
        else:
            try:
                entry = next(todo), 0
            except StopIteration:
                break
        try:
            flight.live[pool.submit(function, entry[0])] = entry
        except BrokenExecutor:
            # an idle worker died: nobody's fault
            flight.suspects.appendleft(entry)
            if flight.live:
                break
            pool.restart()
    return bool(flight.live)


def _is_broken(future: Future[Any]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _outcome(pool: Pool, item: Item, future: Future[Result]) -> tuple[Item, Result | None, BaseException | None]:
    if future.cancelled():
        raise WorkersError("the scheduler dropped work that was not done: it was stopped or lost its connection")
    error = future.exception()
    if error is None:
        return item, future.result(), None
    if isinstance(error, CancelledError):
        raise WorkersError("the scheduler dropped work that was not done") from error
    if pool.is_death(error):
        return item, None, WorkerDiedError(f"every worker that took it died ({error})")
    return item, None, error


def _blame(
    broken: list[tuple[Any, int]], flight: _Flight, retries: int
) -> Iterator[tuple[Any, None, BaseException | None]]:
    if not flight.solo:
        flight.suspects.extend(broken)
        return
    for item, crashes in broken:
        if crashes >= retries:
            yield item, None, WorkerDiedError(f"its worker died {crashes + 1} times")
        else:
            flight.suspects.appendleft((item, crashes + 1))
