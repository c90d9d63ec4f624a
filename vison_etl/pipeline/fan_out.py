"""The same pure function over many items, somewhere: what all places of work have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2
"""Items in flight per worker unless said otherwise: one at work, one waiting."""

RETRIES = 1
"""How often an item is tried again after the worker that had it died."""


class WorkerDiedError(RuntimeError):
    """An item that killed its worker each time it was tried."""


class WorkersError(RuntimeError):
    """No work can be done: workers do not start, run another version, cannot see the files, or the scheduler is gone."""


class Runner(Protocol):
    """Runs a function over items somewhere and yields (item, result, error) in order of completion, each item once."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, depth: int = DEPTH
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Run.

        Parameters
        ----------
        function
            Pure, of a module that workers can import: an exception it raises is handed back at once, for it would be raised again.
        items
            Taken as places become free, in order. What they name in ``paths`` must be visible to every worker.
        depth
            Items in flight per worker; their results wait until they are taken.

        Raises
        ------
        WorkersError
            When work cannot go on at all.
        """
        ...


class Pool(Protocol):
    """A place of work that is open: ``run`` is a ``Runner``."""

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, depth: int = DEPTH
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Run a function over items."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class SerialPool:
    """Work in this process, one item after the other."""

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, depth: int = DEPTH
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Run a function over items."""
        del depth
        for item in items:
            try:
                result = function(item)
            except Exception as error:  # noqa: BLE001 - handed back with its item, as from a worker
                yield item, None, error
            else:
                yield item, result, None

    def close(self) -> None:
        """Do nothing."""
