"""Acquisitions of tests that use the exposures of other tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from vison_etl.campaign.definitions import TestDefinition, definition, test_names
from vison_etl.campaign.logged import schema_of
from vison_etl.campaign.strict import RuleError
from vison_etl.campaign.structures import structures_of

Row = Mapping[str, Any]

_BETWEEN = " "
_LABELS = ", "
_FULL = "Full"
_LEAST_SOURCES = 2


def sources_of(acquisition: Row) -> tuple[str, ...]:
    """Return the acquisitions whose exposures an acquisition has: itself, or those that it uses."""
    used = acquisition.get("frames_of")
    return (str(acquisition["acquisition"]),) if used is None else tuple(str(used).split(_BETWEEN))


def is_due(test: str, acquisition: Row) -> bool:
    """Tell whether an acquisition of a test is analysed without being asked for by name.

    All are that have exposures of their own. One that uses others is if its test feeds an effect, each of its sources was acquired, and
    their structures are those of a campaign that the test belongs to: MOT_FF is for flats as campaign MOT commands them, BF01 for
    those of Full. A test that no campaign names is for all.
    """
    known = definition(test)
    if known.has_frames:
        return True
    campaigns = {label.split(":")[0] if ":" in label else _FULL for label in str(acquisition["variant"]).split(_LABELS)}
    is_whole = len(sources_of(acquisition)) == len(known.frames_of)
    return bool(known.effects) and is_whole and (not known.campaigns or campaigns <= set(known.campaigns))


def with_derived(own: pl.DataFrame, overrides: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the acquisitions of a block as found in its exposures, and those that use them, sorted by test and first exposure."""
    return pl.concat([own, derived_acquisitions(own, overrides)]).sort("test", "obsid_first")


def derived_acquisitions(own: pl.DataFrame, overrides: pl.DataFrame | None) -> pl.DataFrame:
    """Return the acquisitions of the tests of one block that use the exposures of others.

    A test with one source has an acquisition for each of that source's, with its status and adopted where that is. A test with
    several sources has one, of their adopted acquisitions, if the first source that it names and at least one other have one;
    ``complete`` when all have and are complete, else ``partial``. An ``adopt`` override of the test itself comes first.

    Parameters
    ----------
    own
        Rows of ``acquisitions`` of the tests with exposures, one block, adoption decided.
    overrides
        Table ``overrides``.

    Returns
    -------
    polars.DataFrame
        Rows of ``acquisitions`` with ``frames_of``. ``n_expected`` of a source that is missing is that of its command.
    """
    by_test = {test: part.to_dicts() for (test,), part in own.partition_by("test", as_dict=True).items()}
    rows = [
        row
        for name in test_names()
        if not definition(name).has_frames
        for row in _numbered(_rows_of(definition(name), by_test))
    ]
    found = pl.DataFrame(rows, schema=schema_of("acquisitions"))
    return found if overrides is None or found.is_empty() else _decided(found, overrides)


def _rows_of(test: TestDefinition, by_test: Mapping[str, Sequence[Row]]) -> Iterator[dict[str, Any]]:
    if len(test.frames_of) == 1:
        for source in by_test.get(test.frames_of[0], ()):
            name = f"{source['block']}/{test.name}/{source['obsid_first']}"
            yield {**source, "acquisition": name, "test": test.name, "frames_of": source["acquisition"]}
        return
    adopted = [row for name in test.frames_of for row in by_test.get(name, ()) if row["is_adopted"]]
    if len(adopted) >= _LEAST_SOURCES and adopted[0]["test"] == test.frames_of[0]:
        yield _of_several(test, adopted)


def _of_several(test: TestDefinition, sources: Sequence[Row]) -> dict[str, Any]:
    present = {row["test"]: row for row in sources}
    missing = [name for name in test.frames_of if name not in present]
    first = min(row["obsid_first"] for row in sources)
    chambers = {row["chamber"] for row in sources}
    chamber = chambers.pop() if len(chambers) == 1 else None
    expected = [row["n_expected"] for row in sources] + [_commanded(name, chamber) for name in missing]
    is_complete = not missing and all(row["status"] == "complete" for row in sources)
    said = [f"{row['test']}: {row['mismatch']}" for row in sources if row["mismatch"]]
    said += [f"{name}: not acquired" for name in missing]
    times = [row["started_at"] for row in sources if row["started_at"] is not None]
    return {
        "acquisition": f"{sources[0]['block']}/{test.name}/{first}",
        "block": sources[0]["block"],
        "test": test.name,
        "session": None,
        "chamber": chamber,
        "variant": _LABELS.join(dict.fromkeys(str(row["variant"]) for row in sources)),
        "obsid_first": first,
        "obsid_last": max(row["obsid_last"] for row in sources),
        "started_at": min(times, default=None),
        "n_expected": None if None in expected else sum(n for n in expected if n is not None),
        "n_found": sum(row["n_found"] for row in sources),
        "status": "complete" if is_complete else "partial",
        "is_adopted": True,
        "mismatch": "; ".join(said) or None,
        "n_extra": sum(row["n_extra"] or 0 for row in sources),
        "frames_of": _BETWEEN.join(row["acquisition"] for row in sources),
    }


def _commanded(test: str, chamber: str | None) -> int | None:
    """Return how many exposures a test has by its first structure; None where the chamber cannot run it."""
    try:
        return structures_of(test, chamber)[0].n_frames
    except (RuleError, KeyError):
        return None


def _numbered(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    ordered = sorted(rows, key=lambda row: row["obsid_first"])
    return [{**row, "repeat": number} for number, row in enumerate(ordered, start=1)]


def _decided(found: pl.DataFrame, overrides: pl.DataFrame) -> pl.DataFrame:
    """Follow the newest decision about each test itself."""
    decisions = overrides.filter((pl.col("kind") == "adopt") & pl.col("acquisition").is_not_null())
    chosen = decisions.join(found.select("acquisition", of_test="test"), on="acquisition", how="inner").sort("made_at")
    newest = dict(chosen.select("of_test", "acquisition").rows())
    return found.with_columns(
        is_adopted=pl.when(pl.col("test").is_in(list(newest)))
        .then(pl.col("acquisition").is_in(list(newest.values())))
        .otherwise("is_adopted")
    )
