"""The first screen of a test's page: is it good, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from vison_etl.campaign.limits import flag_table
from vison_etl.report.gather import Gathered
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.page import Section
from vison_etl.report.rounding import MISSING, counted, measured, unit_text, written
from vison_etl.report.tabulate import Head, plain_table, state

_GRAVITY = {"ok": "good", "flagged": "warn", "failed": "bad"}


def status_of(data: Gathered) -> str:
    """Return the word for the whole: status of the current run, else ``failed`` or ``not analysed``."""
    if data.run is not None:
        return str(data.run["status"])
    return "failed" if data.last_run is not None and data.last_run["status"] == "failed" else "not analysed"


def badge(data: Gathered) -> Html:
    """Return the status as a badge."""
    return state(status_of(data))


def section(data: Gathered) -> Section:
    """Return the verdict: cards, flags with their meaning, and remarks about what is not as it should be."""
    cards = element("div", joined(_cards(data)), class_="cards")
    remarks = [element("p", text) for text in _remarks(data)]
    return Section("verdict", "Verdict", joined([cards, *remarks, _flags(data)]))


def _cards(data: Gathered) -> Iterator[Html]:
    status = status_of(data)
    yield _card(status, "status of the analysis", _GRAVITY.get(status, "plain"))
    compliance = data.table("compliance")
    if compliance.height:
        failed = compliance.filter(~pl.col("pass").fill_null(value=False)).height
        text = f"{failed} failed" if failed else "all passed"
        yield _card(text, f"of {compliance.height} values checked", "bad" if failed else "good")
    if data.run is not None:
        flags = data.table("flags").height
        yield _card(counted(flags, "flag") if flags else "no flags", "raised", "warn" if flags else "good")
    if data.acquisition is not None:
        found, expected = data.acquisition["n_found"], data.acquisition["n_expected"]
        gravity = "good" if data.acquisition["status"] == "complete" else "bad"
        yield _card(f"{written(found)} of {written(expected)}", "exposures found", gravity)
    yield from _functions(data)
    yield from _headlines(data)


def _functions(data: Gathered) -> Iterator[Html]:
    """Yield what became of the functional checks."""
    verdicts = data.table("functional_checks")["verdict"]
    if verdicts.len():
        failed, undone = int((verdicts == "no_go").sum()), int((verdicts == "not_done").sum())
        yield _card(
            f"{failed} no-go" if failed else "go",
            f"of {verdicts.len() - undone} functions",
            "bad" if failed else "good",
        )
        if undone:
            yield _card(f"{undone} not done", "functions; their rows say why", "plain")


def _headlines(data: Gathered) -> Iterator[Html]:
    """Yield the medians over the channels of what the test is made for."""
    gain = data.table("gain").filter(pl.col("is_adopted"))
    noise = data.table("readout_noise")
    noise = noise.filter(pl.col("region") == "ove")
    light = data.table("light_source")
    for frame, column, unit, words in (
        (gain, "gain_e_per_adu", "e/ADU", "median gain"),
        (noise, "ron_adu", "ADU", "median read noise (overscan)"),
        (light, "saturation_s", "s", "median saturation time"),
    ):
        values = frame[column].drop_nulls()
        if values.len():
            text = f"{measured(values.median(), digits=4)} {unit_text(unit)}"  # type: ignore[arg-type]
            yield _card(text, f"{words}, {counted(values.len(), 'channel')}", "plain")


def _card(value: str, words: str, gravity: str) -> Html:
    return element("div", element("b", value), element("span", words), class_=f"card {gravity}")


def _remarks(data: Gathered) -> Iterator[str]:
    last = data.last_run
    if data.run is None and last is None:
        yield "No analysis of this test is stored: below is what was acquired."
    elif data.run is None and last is not None and last["status"] == "failed":
        yield f"No run counts: the last one, {last['run_id']}, failed."
    elif data.run is None:
        yield "No run counts: those stored are trials, or of a part of the acquisition. Run analyse, or adopt one."
    elif last is not None and last["status"] == "failed":
        yield f"A later run, {last['run_id']}, failed; the results below are those of the last good run."
    if data.acquisition is not None and not data.acquisition["is_adopted"] and data.run is not None:
        yield "The acquisition analysed is not the one adopted for this test."


def _flags(data: Gathered) -> Html:
    flags = data.table("flags")
    if flags.is_empty():
        return Html("")
    meanings = {name: flag.meaning for name, flag in flag_table().items()}
    heads = [Head("flag"), Head("meaning"), Head("n", is_number=True), Head("worst or first")]
    rows: list[list[Child]] = [
        [
            element("b", written(row["flag"])),
            meanings.get(str(row["flag"]), MISSING),
            written(row["n"]),
            element("span", written(row["detail"])),
        ]
        for row in flags.iter_rows(named=True)
    ]
    return plain_table(heads, rows)
