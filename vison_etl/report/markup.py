"""HTML as data: every plain text that enters is escaped; only `Html` goes through as it is."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

VOID = frozenset({"meta", "br", "hr", "img", "link"})


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that is already safe."""

    text: str


Child = Html | str | None


def escaped(value: str) -> Html:
    """Escape a text for element content and for attributes; control characters that HTML forbids become U+FFFD."""
    clean = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in value)
    return Html(html.escape(clean, quote=True))


def joined(children: Iterable[Child]) -> Html:
    """Join children; plain texts are escaped, None is left out."""
    parts = (child if isinstance(child, Html) else escaped(child) for child in children if child is not None)
    return Html("".join(part.text for part in parts))


def element(tag: str, *children: Child, **attributes: str | bool | None) -> Html:
    """Make one element.

    Parameters
    ----------
    tag
        Name of the element.
    children
        Content, in order; plain texts are escaped.
    attributes
        ``class_`` for ``class``; underscores become hyphens. True writes the bare name, False and None leave it out.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{joined(children).text}</{tag}>")


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    label = name.rstrip("_").replace("_", "-")
    return f" {label}" if value is True else f' {label}="{escaped(str(value)).text}"'
