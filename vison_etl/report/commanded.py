"""What was commanded and what the log says was done: columns of the script beside the steps found."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from vison_etl.campaign.columns import Column
from vison_etl.campaign.logged import logged_names, logged_values
from vison_etl.campaign.rules import UnknownTest
from vison_etl.campaign.structures import structures_of
from vison_etl.instrument.chambers import chambers
from vison_etl.report.gather import Gathered, Row
from vison_etl.report.markup import Html, element, joined
from vison_etl.report.page import Section
from vison_etl.report.rounding import counted, unit_text, written
from vison_etl.report.tabulate import Head, folded, pairs_table, plain_table
from vison_etl.tables import table

_FIRST = ("exptime_s", "wavelength_nm", "filter", "source", "rdmode", "vstart", "vend", "flushes")
_NOT_COMMANDED = frozenset({"test_in_log", "file_name", "operator", "program", "obsid", "ccd"})


def section(data: Gathered) -> Section:
    """Return the section, with the commanded table only where the campaign knows the test."""
    steps = acquired_steps(data.table("exposures"))
    parts = [_commanded(data.acquisition), _acquired(steps, data.table("exposures"))]
    return Section("commanded", "What was commanded", joined(part for part in parts if part is not None))


def acquired_steps(exposures: pl.DataFrame) -> pl.DataFrame:
    """Group exposures that follow each other with the same commands.

    Returns
    -------
    polars.DataFrame
        ``step, frames, obsid_first, obsid_last, started_at`` and every command of the log; one row per step, in time.
    """
    commands = [name for name in _command_columns() if name in exposures.columns]
    rows = exposures.unique("obsid", keep="first", maintain_order=True).sort("obsid")
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in commands)
    return (
        rows.with_columns(step=changed.fill_null(value=True).cum_sum())
        .group_by("step", maintain_order=True)
        .agg(
            frames=pl.len(),
            obsid_first=pl.col("obsid").min(),
            obsid_last=pl.col("obsid").max(),
            started_at=pl.col("started_at").min(),
            **{name: pl.col(name).first() for name in commands},
        )
    )


def _command_columns() -> tuple[str, ...]:
    return tuple(dict.fromkeys([*_FIRST, *(name for name in logged_names() if name not in _NOT_COMMANDED)]))


def _acquired(steps: pl.DataFrame, exposures: pl.DataFrame) -> Html | None:
    if steps.is_empty():
        return element("p", "No exposures of this test are in the snapshot.")
    commands = steps.columns[5:]
    varying = [name for name in commands if steps[name].n_unique() > 1]
    constant = [name for name in commands if name not in varying and steps[name][0] is not None]
    shown = [*(name for name in _FIRST if name in varying), *(name for name in varying if name not in _FIRST)][:10]
    heads = [Head("step", is_number=True), Head("frames", is_number=True), Head("exposures"), Head("started")]
    heads += [_exposure_head(name) for name in shown]
    rows = [
        [written(row["step"]), written(row["frames"]), _range(row), written(row["started_at"])]
        + [written(row[name]) for name in shown]
        for row in steps.iter_rows(named=True)
    ]
    first = [name for name in _FIRST if name in constant]
    rest = [name for name in constant if name not in _FIRST]
    frames = counted(exposures["obsid"].n_unique(), "exposure")
    return joined(
        [
            element("h3", f"As acquired: {frames} in {counted(steps.height, 'step')} of equal commands"),
            plain_table(heads, rows),
            _constants("The same in all exposures", first, steps, is_open=True),
            _constants("All other commands, the same in all exposures", rest, steps, is_open=False),
        ]
    )


def _range(row: Row) -> str:
    first, last = row["obsid_first"], row["obsid_last"]
    return str(first) if first == last else f"{first} – {last}"


def _constants(title: str, names: Sequence[str], steps: pl.DataFrame, *, is_open: bool) -> Html | None:
    if not names:
        return None
    pairs = [(_exposure_head(name).name, _with_unit(name, steps[name][0])) for name in names]
    content = (
        pairs_table(pairs) if not is_open else element("p", "; ".join(f"{k} {v}" for k, v in pairs), class_="note")
    )
    return (
        joined([element("p", f"{title}:", class_="note"), content])
        if is_open
        else folded(title, content, is_open=False)
    )


def _with_unit(name: str, value: object) -> str:
    unit = unit_text(table("exposures").column(name).unit)
    return f"{written(value)} {unit}".rstrip()


def _exposure_head(name: str) -> Head:
    column = table("exposures").column(name)
    ending = f"_{column.unit.lower()}"
    return Head(name.removesuffix(ending), unit_text(column.unit), f"{name}: {column.about}", column.kind != "text")


def _columns(acquisition: Row | None) -> tuple[Column, ...]:
    """Return the commanded columns of the variant that matched; none where the campaign cannot tell."""
    if acquisition is None:
        return ()
    profile = acquisition["chamber"] if acquisition["chamber"] in chambers() else None
    try:
        candidates = structures_of(str(acquisition["test"]), profile)
    except (UnknownTest, LookupError, ValueError):
        return ()
    wanted = acquisition["variant"]
    return next((candidate.columns for candidate in candidates if candidate.label == wanted), ())


def _commanded(acquisition: Row | None) -> Html | None:
    columns = _columns(acquisition)
    if not columns:
        return None
    values = [logged_values(column) for column in columns]
    varying = [name for name in _command_columns() if len({row.get(name) for row in values}) > 1]
    heads = [Head("column"), Head("frames", is_number=True)]
    has_percent = any(column.percent is not None for column in columns)
    heads += [Head("full well", "%", is_number=True)] if has_percent else []
    heads += [_exposure_head(name) for name in varying]
    rows = [
        [column.label, str(column.frames)]
        + ([written(column.percent)] if has_percent else [])
        + [written(row[name]) for name in varying]
        for column, row in zip(columns, values, strict=True)
    ]
    total = counted(sum(column.frames for column in columns), "exposure")
    title = f"Commanded: {total} in {counted(len(columns), 'column')} of the script"
    mismatch = (acquisition or {}).get("mismatch")
    differs = element("p", f"The log differs from it: {mismatch}") if mismatch else None
    return joined([element("h3", title), plain_table(heads, rows), differs])
