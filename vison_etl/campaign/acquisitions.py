"""Rows of the table ``acquisitions``: status, what differs from the command in words, and which one counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from vison_etl.campaign.agreement import identity_names
from vison_etl.campaign.assignment import Assigned
from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.logged import differences, schema_of
from vison_etl.campaign.structures import Structure

_MAX_PARTS = 8
_TIME = "exptime_s"


def acquisition_rows(rows: pl.DataFrame, known: TestDefinition, assigned: Assigned) -> pl.DataFrame:
    """Return the rows of ``acquisitions`` for one test, in order of time; none is adopted yet.

    Parameters
    ----------
    rows
        Rows of ``exposures`` of that test.
    known, assigned
        Its definition, and the result of ``assign``.
    """
    exposures = assigned.exposures
    n_indices = int(exposures["index"].max()) + 1  # type: ignore[arg-type]
    wrong = _differences(rows, known, assigned)
    records = []
    for index, part in enumerate(exposures.partition_by("index", maintain_order=True)):
        chamber = part["chamber"][0]
        followed = assigned.structures[chamber][part["structure"][0]]
        record = _record(part, known.name, followed, index, is_last=index + 1 == n_indices)
        note = assigned.notes[part["structure"][0]]
        mine = wrong.filter((pl.col("index") == index) & ((pl.col("key") != _TIME) | (note is None)))
        said = [*_note(note, followed), *_mismatch(part, rows, mine, followed, known)]
        record["mismatch"] = "; ".join(_shortened(said)) or None
        records.append(record)
    return pl.DataFrame(records, schema=schema_of("acquisitions"))


def _record(part: pl.DataFrame, test: str, followed: Structure, index: int, *, is_last: bool) -> dict[str, Any]:
    n_found = int((part["script_column"].is_not_null() & part["is_whole"]).sum())
    first = int(part["obsid"][0])
    ended_early = int(part["slot"].max()) < followed.n_frames - 1  # type: ignore[arg-type]
    status = "complete" if n_found == followed.n_frames else "aborted" if ended_early and not is_last else "partial"
    return {
        "acquisition": f"{part['block'][0]}/{test}/{first}",
        "block": part["block"][0],
        "test": test,
        "repeat": index + 1,
        "session": None,
        "chamber": part["chamber"][0],
        "variant": followed.label,
        "obsid_first": first,
        "obsid_last": int(part["obsid"][-1]),
        "started_at": part["started_at"][0],
        "n_expected": followed.n_frames,
        "n_found": n_found,
        "status": status,
        "is_adopted": False,
        "n_extra": int(part["script_column"].null_count()),
    }


def _differences(rows: pl.DataFrame, known: TestDefinition, assigned: Assigned) -> pl.DataFrame:
    """List what the log contradicts, with the ``index`` of the acquisition."""
    keys = assigned.exposures.select("obsid", "index", "structure", "script_column")
    joined = rows.join(keys, on="obsid", how="left", maintain_order="left")
    parts = []
    for (chamber, k), part in joined.partition_by("chamber", "structure", as_dict=True).items():
        parts.append(differences(part, assigned.structures[chamber][k].columns, known.waived))
    return pl.concat(parts).join(keys.select("obsid", "index"), on="obsid", how="left")


def _mismatch(
    part: pl.DataFrame, rows: pl.DataFrame, wrong: pl.DataFrame, followed: Structure, known: TestDefinition
) -> Iterator[str]:
    yield from _missing(part, followed)
    if part["script_column"].null_count():
        yield from _extra(part, rows, identity_names(known, followed))
    if not part["is_whole"].all():
        yield from _lacking(part, rows)
    if wrong.height:
        yield from _contradicted(wrong)


def _shortened(said: list[str]) -> list[str]:
    return said if len(said) <= _MAX_PARTS else [*said[:_MAX_PARTS], f"and {len(said) - _MAX_PARTS} more"]


def _note(note: str | None, followed: Structure) -> Iterator[str]:
    if note is not None:
        why = (
            "chamber unknown"
            if followed.chamber is None
            else f"exposure times are not those of chamber {followed.chamber}"
        )
        yield f"{why}: {note}"


def _missing(part: pl.DataFrame, followed: Structure) -> Iterator[str]:
    counts = Counter(part["script_column"])
    lacking = [(c.label, counts[c.label], c.frames) for c in followed.columns if counts[c.label] < c.frames]
    for label, found, wanted in lacking[:2]:
        yield f"{label}: {found} of {wanted} exposures"
    if len(lacking) > 2:
        lost = sum(wanted - found for _, found, wanted in lacking[2:])
        yield f"{len(lacking) - 2} more columns lack {lost} exposures"


def _extra(part: pl.DataFrame, rows: pl.DataFrame, names: Sequence[str]) -> Iterator[str]:
    extra = part.filter(pl.col("script_column").is_null())
    for exposure in extra.head(2).iter_rows(named=True):
        obsid = exposure["obsid"]
        row = rows.filter(pl.col("obsid") == obsid).row(0, named=True)
        values = ", ".join(f"{name} {_short(row[name])}" for name in names if name in row)
        yield f"obsid {obsid} {'one too many' if exposure['is_like_one'] else 'not commanded'} ({values})"
    if extra.height > 2:
        yield f"{extra.height - 2} more exposures beyond the command"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _lacking(part: pl.DataFrame, rows: pl.DataFrame) -> Iterator[str]:
    obsids = part.filter(~pl.col("is_whole"))["obsid"].to_list()
    ccds = set(rows["ccd"].unique())
    for obsid in obsids[:2]:
        gone = sorted(ccds - set(rows.filter(pl.col("obsid") == obsid)["ccd"]))
        yield f"obsid {obsid} lacks {', '.join(gone)}"
    if len(obsids) > 2:
        yield f"{len(obsids) - 2} more exposures lack a CCD"


def _contradicted(wrong: pl.DataFrame) -> Iterator[str]:
    kinds = (
        wrong.group_by("key", "wanted", "found")
        .agg(pl.col("obsid").min(), pl.col("script_column").first(), pl.col("obsid").n_unique().alias("n"))
        .sort("obsid", "key", "wanted", "found")
    )
    for row in kinds.iter_rows(named=True):
        more = f" and {row['n'] - 1} more" if row["n"] > 1 else ""
        yield (
            f"{row['key']}: wanted {row['wanted']}, found {row['found']} "
            f"({row['script_column']}, obsid {row['obsid']}{more})"
        )


def adopt(acquisitions: pl.DataFrame, overrides: pl.DataFrame | None) -> pl.DataFrame:
    """Mark the acquisition that counts: exactly one for each block and test.

    It is the one that the newest ``adopt`` override names, else the last complete one, else the last that was not aborted.
    """
    rank = pl.col("status").replace_strict({"complete": 2, "partial": 1, "aborted": 0}, return_dtype=pl.Int64)
    ranked = acquisitions.with_columns(rank.alias("rank"), pl.lit(None, pl.Datetime("us")).alias("decided_at"))
    if overrides is not None and overrides.height:
        decisions = (
            overrides.filter((pl.col("kind") == "adopt") & pl.col("acquisition").is_not_null())
            .group_by("acquisition")
            .agg(pl.col("made_at").max().cast(pl.Datetime("us")).alias("decided_at"))
        )
        ranked = ranked.drop("decided_at").join(decisions, on="acquisition", how="left")
    order = ["decided_at", "rank", "obsid_first"]
    chosen = ranked.sort(order, nulls_last=False).group_by("block", "test", maintain_order=True).last()
    return (
        acquisitions.with_columns(pl.col("acquisition").is_in(chosen["acquisition"].to_list()).alias("is_adopted"))
        .select(schema_of("acquisitions").keys())
        .sort("test", "obsid_first")
    )
