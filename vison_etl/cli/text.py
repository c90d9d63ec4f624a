"""Text that a terminal shows as it is meant."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with every character that a terminal would obey, or cannot show, written as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def cell(value: object) -> str:
    """Return a value as people read it: six significant digits, nothing for NULL."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))
