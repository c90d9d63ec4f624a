"""Where the data and the results come from: acquisition, run, software, inputs, products."""

from __future__ import annotations

from collections.abc import Iterator

from vison_etl.report.gather import Gathered
from vison_etl.report.markup import Child, Html, element, joined
from vison_etl.report.page import Section
from vison_etl.report.rounding import MISSING, duration, written
from vison_etl.report.tabulate import Head, folded, pairs_table, plain_table, state


def acquisition_section(data: Gathered) -> Section:
    """Return the acquisition analysed, and the other ones of the test."""
    acquisition = data.acquisition
    if acquisition is None:
        return Section("acquisition", "Acquisition", element("p", "No acquisition of this test was found."))
    times = data.table("exposures")["started_at"].drop_nulls()
    adopted = "yes" if acquisition["is_adopted"] else "no: another one counts"
    pairs: list[tuple[str, Child]] = [
        ("acquisition", written(acquisition["acquisition"])),
        ("status", state(acquisition["status"])),
        ("exposures", f"{written(acquisition['n_found'])} found of {written(acquisition['n_expected'])} expected"),
        ("obsids", f"{written(acquisition['obsid_first'])} – {written(acquisition['obsid_last'])}"),
        ("first exposure", written(acquisition["started_at"])),
        ("last exposure", written(times.max()) if times.len() else MISSING),
        ("repeat", written(acquisition["repeat"])),
        ("adopted", adopted),
        ("chamber", written(acquisition["chamber"])),
        ("variant of the structure", written(acquisition["variant"])),
        ("session", written(acquisition["session"])),
        ("differs from the structure", written(acquisition["mismatch"])),
    ]
    shown = [pair for pair in pairs if pair[1] != MISSING]
    return Section("acquisition", "Acquisition", joined([pairs_table(shown), _others(data)]))


def _others(data: Gathered) -> Html | None:
    if data.others.is_empty():
        return None
    heads = [Head("other acquisition"), Head("status"), Head("found"), Head("expected"), Head("first exposure")]
    rows: list[list[Child]] = [
        [
            written(row["acquisition"]),
            state(row["status"]),
            written(row["n_found"]),
            written(row["n_expected"]),
            written(row["started_at"]),
        ]
        for row in data.others.iter_rows(named=True)
    ]
    return plain_table(heads, rows)


def provenance_section(data: Gathered) -> Section:
    """Return who made the results, when, with what."""
    if data.run is None:
        return Section("provenance", "Provenance", element("p", "There is no current run."))
    return Section("provenance", "Provenance", joined(_run(data)))


def _run(data: Gathered) -> Iterator[Html]:
    run = data.run or {}
    pairs: list[tuple[str, Child]] = [
        ("run", element("code", written(run["run_id"]))),
        ("status", state(run["status"])),
        ("trial", "yes: made with --set or --obsids" if run["is_trial"] else "no"),
        ("started", f"{written(run['started_at'])} UTC"),
        ("took", duration(run["seconds"])),
        ("software", f"vison-etl {written(run['software_version'])}"),
        ("commit", element("code", written(run["git_commit"]))),
        ("recipe", element("code", written(run["recipe_hash"]))),
        ("inputs", element("code", written(run["inputs_hash"]))),
        ("by", f"{written(run['user'])} on {written(run['host'])}"),
        ("command", element("code", written(run["argv"]))),
    ]
    yield pairs_table(pairs)
    inputs = data.table("run_inputs")
    heads = [Head("input"), Head("name"), Head("made by run"), Head("digest")]
    rows: list[list[Child]] = [
        [
            written(row["kind"]),
            written(row["name"]),
            element("code", written(row["source_run_id"])),
            element("code", written(row["digest"])),
        ]
        for row in inputs.iter_rows(named=True)
    ]
    if rows:
        yield element("h3", "Results and products used")
        yield plain_table(heads, rows)
    else:
        yield element("p", "No result or product of another run was used.", class_="note")
    products = data.table("products")
    if products.height:
        made: list[list[Child]] = [
            [
                written(row["kind"]),
                written(row["ccd"]),
                element("code", written(row["path"])),
                element("code", written(row["digest"])),
            ]
            for row in products.iter_rows(named=True)
        ]
        table = plain_table([Head("product"), Head("CCD"), Head("file, relative to the lake"), Head("digest")], made)
        yield element("h3", "Products made")
        yield folded(f"{products.height} files", table, is_open=products.height <= 12)
