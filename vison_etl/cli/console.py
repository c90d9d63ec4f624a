"""What the commands say: data to stdout, the talk to stderr; progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import errno
import io
import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from vison_etl.cli.grid import Grid, grid_lines
from vison_etl.cli.text import cell, printable

if TYPE_CHECKING:
    import polars as pl

_LINE_EVERY_S = 10.0


class Progress(Protocol):
    """How far a piece of long work has come."""

    def total(self, n: int) -> None:
        """Say how many steps there are, and that none is done yet."""

    def advance(self, n: int) -> None:
        """Say that ``n`` more are done."""


class _Lines:
    """A plain line now and then."""

    def __init__(self, what: str) -> None:
        self._what, self._said, self._done, self._total = what, time.monotonic(), 0, ""

    def total(self, n: int) -> None:
        """Begin a piece of ``n`` steps."""
        self._done, self._total = 0, f" of {n}"

    def advance(self, n: int) -> None:
        """Count, and write a line if the last one is some seconds old."""
        self._done += n
        if time.monotonic() - self._said >= _LINE_EVERY_S:
            self._said = time.monotonic()
            say(f"{self._what}: {self._done}{self._total}")


class _Bar:
    """A bar that moves."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def total(self, n: int) -> None:
        """Begin a piece of ``n`` steps."""
        self._progress.reset(self._task, total=n)

    def advance(self, n: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, n)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """Show a bar on stderr if that is a terminal; elsewhere a plain line every ten seconds."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        lines = _Lines(what)
        if total is not None:
            lines.total(total)
        yield lines
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        yield _Bar(bar, bar.add_task(what, total=total))


def say(line: str) -> None:
    """Write a line of news to stderr."""
    sys.stderr.write(f"{printable(line)}\n")


def show(frame: pl.DataFrame) -> None:
    """Print a table to stdout: NULL as nothing, numbers to the right; fitted to the terminal, one line per row elsewhere."""
    is_terminal = sys.stdout.isatty()
    header, body = table_lines(frame, shutil.get_terminal_size().columns if is_terminal else None)
    bold, plain = ("\x1b[1m", "\x1b[0m") if is_terminal and _has_colour() else ("", "")
    for line in header:
        sys.stdout.write(f"{bold}{line}{plain}\n")
    for line in body:
        sys.stdout.write(f"{line}\n")


def table_lines(frame: pl.DataFrame, width: int | None = None) -> tuple[list[str], Iterator[str]]:
    """Return header and body of a table as text; see ``grid.grid_lines``."""
    numeric = [kind.is_numeric() for kind in frame.schema.values()]
    rows = [[cell(value) for value in row] for row in frame.iter_rows()]
    return grid_lines(Grid([printable(name) for name in frame.columns], numeric, rows), width)


def _has_colour() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def prepare_streams() -> None:
    """Make the standard streams able to take any text, also where they are closed or of a small character set."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_broken_pipe(error: Exception) -> bool:
    """Return whether a write failed for want of a reader; polars says so in words only."""
    return isinstance(error, BrokenPipeError) or f"os error {errno.EPIPE}" in str(error)


def is_unread() -> bool:
    """Return whether the reader of stdout or stderr has gone."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def discard_output() -> None:
    """Send what is still to be written nowhere, so that the end of the process is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
