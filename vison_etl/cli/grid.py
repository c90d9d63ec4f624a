"""Tables of text that fit on a terminal.

A table that is too wide is narrowed: names break at their underscores, then long texts at their blanks; if it is too wide even so,
every row becomes a record with one line for each value. Numbers are never broken, and nothing is left out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_GAP = "  "
_LEAST_TEXT = 16
"""Characters that a wrapped text keeps at least."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text: names, which columns hold numbers (they stand to the right), and rows of cells."""

    names: Sequence[str]
    is_number: Sequence[bool]
    rows: Sequence[Sequence[str]]


def grid_lines(grid: Grid, width: int | None) -> tuple[list[str], Iterator[str]]:
    """Return the lines of the header and of the body, none longer than ``width`` characters if that can be done.

    With ``width`` None every row is one line, as long as it needs to be. Records have no header; where there are none, it is the names.
    """
    widths = _widths(grid, width)
    if widths is None and not grid.rows:
        return textwrap.wrap(_GAP.join(grid.names), width or 0, break_on_hyphens=False), iter(())
    if widths is None:
        return [], _records(grid, width or 0)
    names = [_break_name(name, n) for name, n in zip(grid.names, widths, strict=True)]
    tallest = max((len(lines) for lines in names), default=0)
    header = [[""] * (tallest - len(lines)) + lines for lines in names]
    return list(_stacked(header, grid, widths)), _body(grid, widths)


def _widths(grid: Grid, width: int | None) -> list[int] | None:
    """Return the characters of each column; None if the table cannot be narrowed to ``width``."""
    cells = [max((len(row[i]) for row in grid.rows), default=0) for i in range(len(grid.names))]
    full = [max(n, len(name)) for n, name in zip(cells, grid.names, strict=True)]
    if width is None:
        return full
    room = width - len(_GAP) * (len(full) - 1)
    if sum(full) <= room:
        return full
    least = [max(n, *map(len, _pieces(name))) for n, name in zip(cells, grid.names, strict=True)]
    if sum(least) > room:
        least = _wrapped(grid, least, room)
    if sum(least) > room:
        return None
    return _grown(least, full, room)


def _wrapped(grid: Grid, widths: list[int], room: int) -> list[int]:
    """Take characters from the widest texts first, as long as there are too many."""
    narrowed = list(widths)
    texts = [
        i for i, is_number in enumerate(grid.is_number) if not is_number and any(" " in row[i] for row in grid.rows)
    ]
    for i in sorted(texts, key=lambda i: -widths[i]):
        floor = max(_LEAST_TEXT, *map(len, _pieces(grid.names[i])))
        narrowed[i] = min(widths[i], max(floor, widths[i] - (sum(narrowed) - room)))
    return narrowed


def _grown(least: list[int], full: list[int], room: int) -> list[int]:
    """Give the room that is left to the columns in order, up to what they would like."""
    grown = list(least)
    for i, wish in enumerate(full):
        grown[i] += min(wish - grown[i], room - sum(grown))
    return grown


def _pieces(name: str) -> list[str]:
    """Split a name after its underscores."""
    words = name.split("_")
    return [*(f"{word}_" for word in words[:-1]), words[-1]]


def _break_name(name: str, width: int) -> list[str]:
    lines = [""]
    for piece in _pieces(name):
        if len(lines[-1]) + len(piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    return [line for line in lines if line] or [""]


def _body(grid: Grid, widths: Sequence[int]) -> Iterator[str]:
    for row in grid.rows:
        if all(len(text) <= n for text, n in zip(row, widths, strict=True)):
            yield _line(row, grid, widths)
            continue
        broken = [
            [text] if len(text) <= n else textwrap.wrap(text, n, break_on_hyphens=False)
            for text, n in zip(row, widths, strict=True)
        ]
        tallest = max(map(len, broken))
        yield from _stacked([lines + [""] * (tallest - len(lines)) for lines in broken], grid, widths)


def _stacked(columns: Sequence[Sequence[str]], grid: Grid, widths: Sequence[int]) -> Iterator[str]:
    for texts in zip(*columns, strict=True):
        yield _line(texts, grid, widths)


def _line(texts: Sequence[str], grid: Grid, widths: Sequence[int]) -> str:
    places = (
        text.rjust(n) if is_number else text.ljust(n)
        for text, n, is_number in zip(texts, widths, grid.is_number, strict=True)
    )
    return _GAP.join(places).rstrip()


def _records(grid: Grid, width: int) -> Iterator[str]:
    longest = max(map(len, grid.names))
    indent = " " * (longest + len(_GAP))
    for number, row in enumerate(grid.rows):
        if number:
            yield ""
        for name, text in zip(grid.names, row, strict=True):
            place = max(width - len(indent), _LEAST_TEXT)
            first, *more = textwrap.wrap(text, place, break_on_hyphens=False) or [""]
            yield f"{name.ljust(longest)}{_GAP}{first}".rstrip()
            yield from (f"{indent}{line}" for line in more)
