"""Text that a terminal shows as it is meant, and tables that fit on it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

GAP = "  "
_NARROWEST_TEXT = 16
"""Characters that a wrapped text keeps at least; below that a table is shown record by record."""

Cells = Sequence[str]


def printable(text: str) -> str:
    """Return text with every character that a terminal would obey, or cannot show, written as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def lay_out(names: Cells, is_number: Sequence[bool], rows: Sequence[Cells], width: int | None) -> Iterator[str]:
    """Yield the lines of a table, the header lines first, then an empty line of separation is not drawn.

    A table that is wider than ``width`` characters is narrowed: names break at their underscores, then long texts at blanks; if it is
    still too wide every row becomes a record, one line for each value. Numbers are never broken.

    Parameters
    ----------
    names
        Headers.
    is_number
        Which columns stand to the right.
    rows
        Cells as text, one sequence for each row.
    width
        Characters in a line; None: as wide as it needs to be.
    """
    cells = [max((len(row[i]) for row in rows), default=0) for i in range(len(names))]
    widths = _widths(names, cells, [_may_wrap(i, rows, is_number) for i in range(len(names))], width)
    if widths is None:
        yield from _records(names, rows, width or 0)
        return
    headers = [_break_name(name, n) for name, n in zip(names, widths, strict=True)]
    yield from _lines(headers, widths, is_number, at_bottom=True)
    for row in rows:
        if all(len(text) <= n for text, n in zip(row, widths, strict=True)):
            yield _line(row, widths, is_number)
        else:
            broken = [textwrap.wrap(text, n) or [""] for text, n in zip(row, widths, strict=True)]
            yield from _lines(broken, widths, is_number, at_bottom=False)


def header_height(names: Cells, is_number: Sequence[bool], rows: Sequence[Cells], width: int | None) -> int:
    """Return how many lines of ``lay_out`` are header; 0 for records."""
    cells = [max((len(row[i]) for row in rows), default=0) for i in range(len(names))]
    widths = _widths(names, cells, [_may_wrap(i, rows, is_number) for i in range(len(names))], width)
    return 0 if widths is None else max(len(_break_name(name, n)) for name, n in zip(names, widths, strict=True))
