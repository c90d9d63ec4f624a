"""One page: a self-contained HTML file that opens without a network and lets nothing in.

The Vega libraries stand in the page once, the charts as JSON beside them. The content security policy allows no request at all
and runs no script but the two whose digests it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import altair as alt

from vison_etl.effects.figure import Figure
from vison_etl.report import theme
from vison_etl.report.bundle import vega_bundle
from vison_etl.report.markup import Html, element, escaped, joined
from vison_etl.report.tabulate import folded


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a page with a line in the table of contents; ``figures`` follow the content."""

    anchor: str
    title: str
    content: Html
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Parameters
    ----------
    title
        Head of the page and of the browser's tab.
    badge
        Status beside the title; empty for none.
    subtitle
        One line below the title.
    sections
        In order; figures have keys unique on the page.
    home
        Relative address of the index; None on the index itself.
    footer
        Who made the page, from what.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    badge: Html = field(default_factory=lambda: Html(""))
    home: str | None = None
    footer: str = ""


def specification(chart: alt.TopLevelMixin) -> dict[str, object]:
    """Return the Vega-Lite specification of a chart in the theme of the report.

    It is not checked against the schema here, which would take longer than all the rest; the tests do that.
    """
    with alt.theme.enable(theme.NAME):
        return chart.to_dict(validate=False)


def render(page: Page) -> str:
    """Return the page as one HTML text."""
    script = (files("vison_etl.report") / "page.js").read_text(encoding="utf-8")
    style = (files("vison_etl.report") / "style.css").read_text(encoding="utf-8")
    figures = [figure for section in page.sections for figure in section.figures]
    libraries = [vega_bundle(), script] if figures else []
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_policy(libraries)}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", page.title),
        Html(f"<style>{style}</style>"),
    )
    body = element(
        "body",
        element("div", _contents(page), _main(page), class_="layout"),
        joined(_data(figure) for figure in figures),
        joined(Html(f"<script>{text}</script>") for text in libraries),
    )
    return f'<!doctype html>\n<html lang="en">{joined([head, body]).text}</html>\n'


def write(path: Path, page: Page) -> None:
    """Write a page whole: aside first, then renamed, so that a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = render(page)
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=".html", dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        aside.chmod(0o644)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def figure_block(figure: Figure) -> Html:
    """Return the place of a figure: headline, drawing, caption."""
    drawing = element("div", class_="vis", data_spec=f"spec-{figure.key}")
    caption = element("figcaption", figure.caption)
    if figure.is_folded:
        return element("figure", folded(figure.title, joined([drawing, caption]), is_open=False), id=figure.key)
    return element("figure", element("h3", figure.title), drawing, caption, id=figure.key)


def script_json(value: object) -> str:
    """Return JSON that may stand within a script element: no ``</``, no ``<!--``, no NaN."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _policy(scripts: Sequence[str]) -> str:
    digests = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    allowed = f"script-src {digests} 'unsafe-eval'; " if scripts else ""
    return f"default-src 'none'; {allowed}style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def _contents(page: Page) -> Html:
    home = element("a", "← all tests", href=page.home, class_="home") if page.home else None
    return element("nav", home, element("ul", joined(_entries(page.sections))))


def _entries(sections: Sequence[Section]) -> Iterator[Html]:
    for section in sections:
        below = [
            element("li", element("a", figure.title, href=f"#{figure.key}"))
            for figure in section.figures
            if not figure.is_folded
        ]
        inner = element("ul", joined(below)) if below else None
        yield element("li", element("a", section.title, href=f"#{section.anchor}"), inner)


def _main(page: Page) -> Html:
    head = element("header", element("h1", page.title), page.badge, element("p", page.subtitle, class_="subtitle"))
    parts = (
        element(
            "section",
            element("h2", section.title),
            section.content,
            joined(figure_block(figure) for figure in section.figures),
            id=section.anchor,
        )
        for section in page.sections
    )
    return element("main", head, joined(parts), element("footer", page.footer))


def _data(figure: Figure) -> Html:
    key = escaped(f"spec-{figure.key}").text
    return Html(f'<script type="application/json" id="{key}">{script_json(specification(figure.chart))}</script>')
