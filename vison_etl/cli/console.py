"""Progress on a terminal, plain lines elsewhere; tables as people read them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl


class Progress(Protocol):
    """How far a piece of long work has come."""

    def total(self, n: int) -> None:
        """Say how many steps there are."""

    def advance(self, n: int) -> None:
        """Say that ``n`` more are done."""


class _Silent:
    def total(self, n: int) -> None:
        """Do nothing."""

    def advance(self, n: int) -> None:
        """Do nothing."""


class _Bar:
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def total(self, n: int) -> None:
        """Set the length of the bar."""
        self._progress.update(self._task, total=n)

    def advance(self, n: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, n)


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Show a bar on stderr if it is a terminal; else nothing (the commands print their own lines)."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task(what, total=None))


def say(line: str) -> None:
    """Write a line of news to stderr."""
    sys.stderr.write(f"{line}\n")


def show(frame: pl.DataFrame, title: str | None = None) -> None:
    """Print a table to stdout: NULL as nothing, numbers to the right, as wide as it needs to be where that is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else 240, highlight=False, emoji=False, markup=False)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    numeric = {name for name, kind in frame.schema.items() if kind.is_numeric()}
    for name in frame.columns:
        table.add_column(Text(name), justify="right" if name in numeric else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(Text(cell(value)) for value in row))
    console.print(table)


def cell(value: object) -> str:
    """Return a value as people read it: six significant digits, nothing for NULL."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
