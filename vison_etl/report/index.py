"""The overview: every test of every block with its status, the headline numbers, the focal plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from vison_etl.campaign.definitions import test_names
from vison_etl.effects.figure import Figure
from vison_etl.instrument.fpa import Design
from vison_etl.report import headlines, source
from vison_etl.report.fpa import Quantity, fpa_chart
from vison_etl.report.gather import current_flagged_runs
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.page import Page, Section
from vison_etl.report.rounding import MISSING, counted, measured, unit_text, written
from vison_etl.report.source import Snapshot
from vison_etl.report.tabulate import Head, plain_table, state

DESIGN: Design = "final"
Link = Callable[[str, str], str | None]
"""(block, test) -> relative address of its page, None if there is none."""


def tests_and_blocks(snapshot: Snapshot) -> pl.DataFrame:
    """Return the state of every test of every block that was acquired or analysed.

    Returns
    -------
    polars.DataFrame
        ``block, test`` (unique), ``status`` of the current run, ``flags`` of it, ``n_found, n_expected, acquired`` (status) of
        the adopted acquisition, ``last`` status of the newest run.
    """
    keys = ["block", "test"]
    runs = current_flagged_runs(snapshot).sort("started_at", "run_id", nulls_last=False)
    current = runs.filter(pl.col("is_current")).unique(keys, keep="last").select(*keys, "status", "flags", "run_id")
    newest = runs.unique(keys, keep="last", maintain_order=True).select(*keys, last="status", last_run_id="run_id")
    acquisitions = source.select(snapshot, "acquisitions").sort("is_adopted", "repeat", nulls_last=False)
    adopted = acquisitions.unique(keys, keep="last", maintain_order=True).select(
        *keys, "n_found", "n_expected", acquired="status"
    )
    both = pl.concat([newest.select(keys), adopted.select(keys)]).unique().drop_nulls()
    for frame in (current, newest, adopted):
        both = both.join(frame, on=keys, how="left")
    return both.sort(keys)


def make_index(snapshot: Snapshot, link: Link, footer: str) -> Page:
    """Return the overview of a snapshot."""
    states = tests_and_blocks(snapshot)
    values = {str(q["key"]): headlines.channel_values(snapshot, q) for q in headlines.quantities()}
    figures = tuple(
        _map(q, values[str(q["key"])]) for q in headlines.quantities() if q.get("map") and values[str(q["key"])].height
    )
    plane = element("p", _PLANE, class_="note") if figures else element("p", "There are no values yet.")
    sections = (
        Section("tests", "Tests and blocks", joined([_cards(states), _matrix(states, link)])),
        Section("numbers", "Headline numbers", joined([_summary(values), _by_block(values)])),
        Section("plane", "Focal plane", plane, figures),
        Section("rejects", "What could not be read", _rejects(snapshot)),
    )
    return Page("VIS ground calibration", "Overview of all blocks and tests", sections, footer=footer)


_PLANE = (
    f"Design {DESIGN}, slice 1 at the bottom, column 1 at the left, seen as stored. Each CCD with its block and number, its "
    "quadrants where they lie after the flips of the design. Red frame: outside its limits. Grey: no value. Below the plane: "
    "blocks that are not part of it, in the CCD frame."
)


def _cards(states: pl.DataFrame) -> Html:
    counts = {
        "blocks": (states["block"].n_unique(), "plain"),
        "tests analysed": (states["status"].drop_nulls().len(), "plain"),
        "ok": ((states["status"] == "ok").sum(), "good"),
        "flagged": ((states["status"] == "flagged").sum(), "warn"),
        "acquired, not analysed": (states.filter(pl.col("status").is_null()).height, "plain"),
    }
    cards = (
        element("div", element("b", str(n)), element("span", words), class_=f"card {gravity if n else 'plain'}")
        for words, (n, gravity) in counts.items()
    )
    return element("div", joined(cards), class_="cards")


def _matrix(states: pl.DataFrame, link: Link) -> Html:
    if states.is_empty():
        return element("p", "Nothing has been ingested yet.")
    order = {test: index for index, test in enumerate(test_names())}
    tests = sorted(states["test"].unique().to_list(), key=lambda test: (order.get(test, len(order)), test))
    blocks = states["block"].unique().sort().to_list()
    cells = {(row["block"], row["test"]): row for row in states.iter_rows(named=True)}
    head = element("tr", element("th", "test", scope="col"), *(element("th", block, scope="col") for block in blocks))
    rows = (
        element(
            "tr", element("th", test, scope="row"), *(_state_cell(cells.get((block, test)), link) for block in blocks)
        )
        for test in tests
    )
    table = element("table", element("thead", head), element("tbody", joined(rows)), class_="matrix")
    return element("div", table, class_="table")


def _state_cell(row: Mapping[str, Any] | None, link: Link) -> Html:
    if row is None:
        return element("td", MISSING, class_="empty")
    names = [name for name in (row["flags"] or "").replace(" ", "").split(",") if name]
    word = row["status"] or ("failed" if row["last"] == "failed" else "not analysed")
    parts: list[Child] = [state(word if word != "not analysed" else "not analysed")]
    if row["acquired"] not in {None, "complete"}:
        parts.append(element("small", f" {row['acquired']} {written(row['n_found'])}/{written(row['n_expected'])}"))
    if names:
        parts.append(element("small", f" {counted(len(names), 'flag')}"))
    if row["status"] is not None and row["last"] == "failed" and row["last_run_id"] != row["run_id"]:
        parts.append(element("small", " later run failed"))
    address = link(str(row["block"]), str(row["test"]))
    content = element("a", *parts, href=address) if address else joined(parts)
    return element("td", content, title=", ".join(names) or None)


def _summary(values: Mapping[str, pl.DataFrame]) -> Html:
    heads = [
        Head("parameter"),
        Head("unit"),
        Head("limits", is_number=True),
        Head("median", is_number=True),
        Head("spread", about="half of the central 68 % of the channels", is_number=True),
        Head("least", is_number=True),
        Head("greatest", is_number=True),
        Head("channels", is_number=True),
        Head("outside", is_number=True),
        Head("worst", about="farthest out of its limits; without limits, farthest from the median"),
    ]
    rows = [row for q in headlines.quantities() if (row := _summary_row(q, values[str(q["key"])])) is not None]
    if not rows:
        return element("p", "There are no results yet.")
    return plain_table(
        heads, rows, "Over all channels of all blocks; noise and offset are those of the serial overscan."
    )


def _summary_row(quantity: Mapping[str, Any], values: pl.DataFrame) -> list[Child] | None:
    found = headlines.summary(values)
    if found is None:
        return None
    if found["lo"] is not None or found["hi"] is not None:
        limits = f"{measured(found['lo'])} … {measured(found['hi'])}"
    else:
        limits = "by channel" if found["has_limits"] else "none"
    worst = found["worst"]
    where = f"{worst['block']} {worst['ccd']} {worst['quadrant']}: {measured(worst['value'], worst['value_err'])}"
    outside: Child = MISSING
    if found["has_limits"]:
        outside = element("span", str(found["n_out"]), class_=f"state {'bad' if found['n_out'] else 'good'}")
    return [
        str(quantity["title"]),
        unit_text(str(quantity["unit"])),
        limits,
        measured(found["median"]),
        measured(found["spread"], digits=2),
        measured(found["least"]),
        measured(found["greatest"]),
        str(found["n"]),
        outside,
        where,
    ]


def _by_block(values: Mapping[str, pl.DataFrame]) -> Html | None:
    shown = [q for q in headlines.quantities() if values[str(q["key"])].height]
    blocks = sorted({block for q in shown for block in values[str(q["key"])]["block"].unique().to_list()})
    if len(blocks) < 2:
        return None
    heads = [Head("block"), *(Head(str(q["title"]), unit_text(str(q["unit"])), is_number=True) for q in shown)]
    rows: list[list[Child]] = []
    for block in blocks:
        summaries = [headlines.summary(values[str(q["key"])].filter(pl.col("block") == block)) for q in shown]
        rows.append([block, *(_median(found) for found in summaries)])
    caption = "Per block: median over its channels, and in brackets the spread (half of the central 68 %)."
    return plain_table(heads, rows, caption)


def _median(found: Mapping[str, Any] | None) -> str:
    return MISSING if found is None else f"{measured(found['median'])} ({measured(found['spread'], digits=2)})"


def _map(quantity: Mapping[str, Any], values: pl.DataFrame) -> Figure:
    unit = unit_text(str(quantity["unit"]))
    shown = Quantity(str(quantity["key"]), str(quantity["title"]), unit, str(quantity["format"]))
    tests = ", ".join(values["test"].unique().sort().to_list())
    caption = f"{quantity['title']} in {unit}, from {tests}; {counted(values.height, 'channel')}. Colours span the central 96 %."
    return Figure(f"fpa_{shown.key}", shown.title, caption, fpa_chart(values, shown, DESIGN))


def _rejects(snapshot: Snapshot) -> Html:
    rejects = source.select(snapshot, "rejects")
    if rejects.is_empty():
        return element("p", "Everything that was found could be read.")
    return joined(_reject_tables(rejects))


def _reject_tables(rejects: pl.DataFrame) -> Iterator[Html]:
    grouped = (
        rejects.group_by("block", "day", "kind", "reason")
        .agg(n=pl.len(), path=pl.col("path").first(), detail=pl.col("detail").first())
        .sort("block", "day", "kind", "reason", nulls_last=True)
    )
    heads = [
        Head("block"),
        Head("day"),
        Head("kind"),
        Head("reason"),
        Head("n", is_number=True),
        Head("first of them"),
        Head("detail"),
    ]
    rows: list[list[Child]] = [
        [
            *(written(row[name]) for name in ("block", "day", "kind", "reason", "n")),
            element("code", written(row["path"])),
            written(row["detail"]),
        ]
        for row in grouped.head(100).iter_rows(named=True)
    ]
    yield plain_table(heads, rows, f"{counted(rejects.height, 'file or row', 'files and rows')} refused, by reason.")
