"""What a ``charts.py`` hands over: one drawing with the words that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart of a page.

    Parameters
    ----------
    key
        Unique on its page, ``[a-z0-9_]`` only: it becomes the anchor.
    title
        Headline, without a full stop.
    caption
        What is plotted, against what, with which errors and limits; plain text.
    chart
        The Altair chart, drawn without colours of its own: the theme has them.
    is_folded
        Shown closed at first: a second view of what another figure shows already.
    """

    key: str
    title: str
    caption: str
    chart: alt.TopLevelMixin
    is_folded: bool = False
