"""The page of one test of one block."""

from __future__ import annotations

from vison_etl import tables
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.rules import UnknownTest
from vison_etl.report import commanded, compliance, housekeeping, provenance, verdict
from vison_etl.report.drawing import effect_figures
from vison_etl.report.gather import Gathered
from vison_etl.report.markup import Html, element, joined
from vison_etl.report.page import Page, Section
from vison_etl.report.rounding import written
from vison_etl.report.tabulate import result_table

_ELSEWHERE = frozenset({"compliance", "flags", "products"})
"""Result tables that have a section of their own."""


def make_page(data: Gathered, home: str, footer: str) -> Page:
    """Return the page: verdict first, then what was found, then how it came about."""
    effects = [
        Section(f"effect_{name}", title, Html(""), tuple(figures))
        for name, title, figures in effect_figures(data.tables, _effects(data.test))
    ]
    sections = (
        verdict.section(data),
        compliance.section(data),
        *effects,
        _results(data),
        commanded.section(data),
        provenance.acquisition_section(data),
        housekeeping.section(data),
        provenance.provenance_section(data),
    )
    return Page(
        title=f"{data.block} · {data.test}",
        subtitle=_subtitle(data),
        sections=sections,
        badge=verdict.badge(data),
        home=home,
        footer=footer,
    )


def _subtitle(data: Gathered) -> str:
    words = [_about(data.test)]
    if data.acquisition is not None:
        words.append(f"acquired {written(data.acquisition['started_at'])}")
    if data.run is not None:
        words.append(f"run {data.run['run_id']}")
    return " · ".join(word for word in words if word)


def _about(test: str) -> str:
    try:
        return definition(test).about
    except UnknownTest:
        return ""


def _effects(test: str) -> tuple[str, ...]:
    try:
        return tuple(name for name, _ in definition(test).effects)
    except UnknownTest:
        return ()


def _results(data: Gathered) -> Section:
    parts = []
    for table in tables.tables_of("result"):
        frame = data.table(table.name)
        if table.name in _ELSEWHERE or frame.is_empty():
            continue
        parts += [
            element("h3", element("code", table.name), id=f"table_{table.name}"),
            element("p", table.about, class_="note"),
            result_table(frame, table.name),
        ]
    content = joined(parts) if parts else element("p", "There are no results of this test.")
    return Section("results", "Result tables", content)
