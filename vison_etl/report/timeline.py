"""The page of a campaign that is planned: when each test would run, and what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.figure import Figure
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.page import Page, Section, write
from vison_etl.report.rounding import MISSING, counted, duration
from vison_etl.report.tabulate import Head, plain_table

WIDTH = 760
"""Width of the time axis, px: names of tests stand at its left, labels of bars at its right."""

_STEP = 18
_ROOM_FOR_LABEL = 1.22
_HEADS = (
    Head("test"),
    Head("columns", about="commanded configurations", is_number=True),
    Head("frames", about="exposures", is_number=True),
    Head("duration", "min", "from the beginning of the first exposure to the end of the last transfer", is_number=True),
    Head("begins", about="from the beginning of the session", is_number=True),
)
_CAPTION = (
    "Each bar is one test, with its minutes and exposures, one after the other without pauses: changes of filter, mirror and source are not counted. The dark part "
    "is the time of the exposures proper, put together at its left end; the rest is clearing, injection, pumping, read-out and transfer."
)


def write_plan_page(path: Path, title: str, subtitle: str, rows: pl.DataFrame) -> None:
    """Write the page of a plan.

    Parameters
    ----------
    path
        File to write.
    title, subtitle
        Head of the page and the line below.
    rows
        ``session, test, columns, frames, minutes, exposure_minutes, begins_minutes`` in order; ``session`` is NULL where there
        are none. Tests whose minutes are NULL stand in the tables only.
    """
    write(path, make_plan_page(title, subtitle, rows))


def make_plan_page(title: str, subtitle: str, rows: pl.DataFrame) -> Page:
    """Return the page of a plan; see `write_plan_page`."""
    timed = rows.drop_nulls(["minutes", "begins_minutes"])
    figures = (Figure("timeline", "Timeline", _CAPTION, timeline(timed)),) if timed.height else ()
    untimed = rows.height - timed.height
    note = f"{counted(untimed, 'test')} of unknown duration: not drawn." if untimed else None
    sections = (
        Section("when", "When", element("p", note, class_="note") if note else Html(""), figures),
        Section("tests", "Tests", joined(_table(part) for part in _sessions(rows))),
    )
    return Page(title, subtitle, sections)


def timeline(rows: pl.DataFrame) -> alt.VConcatChart:
    """Draw the tests of each session as bars over hours since its beginning; all sessions have one scale."""
    hour = 60.0
    times = rows.with_columns(
        begins=pl.col("begins_minutes") / hour,
        exposed=(pl.col("begins_minutes") + pl.col("exposure_minutes")) / hour,
        ends=(pl.col("begins_minutes") + pl.col("minutes")) / hour,
        label=pl.Series(
            [
                f"{minutes:.0f} min, {counted(frames, 'frame')}"
                for minutes, frames in rows.select("minutes", "frames").rows()
            ]
        ),
    )
    last_h = float(np.max(times["ends"].to_numpy())) * _ROOM_FOR_LABEL
    parts = _sessions(times)
    return alt.vconcat(*(_panel(part, last_h, is_last=part is parts[-1]) for part in parts), spacing=6)


def _panel(rows: pl.DataFrame, last_h: float, *, is_last: bool) -> common.Layered:
    tests: Sequence[str] = rows["test"].to_list()
    base = alt.Chart(common.compact(rows.drop("session", "begins_minutes"))).encode(
        alt.Y("test:N", title=None, sort=tests, axis={"labelLimit": 150, "minExtent": 120}),
        tooltip=common.tips("test:N", "columns:Q", "frames:Q", "minutes:Q", "exposure_minutes:Q", "begins:Q", "ends:Q"),
    )
    scale = {"domain": [0, last_h], "nice": False}
    axis = {"labels": is_last, "ticks": is_last, "tickCount": 12}
    title = "time since the beginning (h)" if is_last else ""
    begins, ends = (alt.X(f"{name}:Q", title=title, scale=scale, axis=axis) for name in ("begins", "ends"))
    whole = base.mark_bar(opacity=0.4).encode(begins, alt.X2("ends:Q"))
    exposed = base.mark_bar().encode(begins, alt.X2("exposed:Q"))
    label = base.mark_text(style="note", align="left", dx=5).encode(ends, text="label:N")
    head = f"{_name(rows)}, {duration(60.0 * float(rows['minutes'].sum()))}"
    return alt.layer(whole, exposed, label).properties(width=WIDTH, height=_STEP * len(tests), title=head)


def _sessions(rows: pl.DataFrame) -> list[pl.DataFrame]:
    return rows.partition_by("session", maintain_order=True)


def _name(rows: pl.DataFrame) -> str:
    return str(rows["session"][0] or "Campaign")


def _table(rows: pl.DataFrame) -> Child:
    known = rows["minutes"].null_count() == 0
    seconds = 60.0 * float(rows["minutes"].sum()) if known else None
    total = f"{_name(rows)}: {counted(rows.height, 'test')}, {rows['frames'].sum()} frames, {duration(seconds)}"
    columns = rows.select("test", "columns", "frames", "minutes", "begins_minutes")
    body = [
        [test, str(n), str(frames), MISSING if minutes is None else f"{minutes:.2f}", _clock(begins)]
        for test, n, frames, minutes, begins in columns.iter_rows()
    ]
    return plain_table(_HEADS, body, total)


def _clock(minutes: float | None) -> str:
    return MISSING if minutes is None else f"{int(minutes // 60)}:{int(minutes % 60):02d}"
