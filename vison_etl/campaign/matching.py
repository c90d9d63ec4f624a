"""Acquisitions: the exposures of a block's log matched with the commanded structures of their tests."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from vison_etl.campaign.acquisitions import acquisition_rows, adopt
from vison_etl.campaign.assignment import assign
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.logged import schema_of
from vison_etl.campaign.logged_tests import logged_tests
from vison_etl.campaign.unscripted import runs_of, unscripted_rows


@dataclass(frozen=True, slots=True)
class Matched:
    """Acquisitions of one block.

    Parameters
    ----------
    acquisitions
        Table ``acquisitions``, sorted by test and first exposure.
    assignment
        ``obsid, acquisition, test, script_column``, one row per exposure of a known test, sorted by obsid. ``script_column``
        is NULL for an exposure that is not one of those commanded.
    unknown
        ``test_in_log, n, obsid_first, obsid_last``: exposures whose test no campaign knows. They belong to no acquisition.
    """

    acquisitions: pl.DataFrame
    assignment: pl.DataFrame
    unknown: pl.DataFrame


_ASSIGNMENT = {"obsid": pl.Int64, "acquisition": pl.String, "test": pl.String, "script_column": pl.String}


def find_acquisitions(exposures: pl.DataFrame, overrides: pl.DataFrame | None = None) -> Matched:
    """Find the acquisitions of a block.

    Exposures of a test are walked through its structure in order of obsid (see ``walk``): columns are told apart by the keys
    that differ between them and those that the test's family names, so that lost exposures do not shift the rest. An
    exposure is found when as many of its CCDs are there as the block's log has for that test.

    ``status`` is ``complete`` when every commanded exposure is found; ``aborted`` when a later acquisition of the test follows
    and its last commanded exposure was never reached; else ``partial``. Whether other keys are as commanded does not change it: the first
    differences are in ``mismatch``. Adopted is what the newest ``adopt`` override names, else the last complete
    acquisition, else the last one that was not aborted: exactly one for each test.

    Tests that use the exposures of others are not among them: see ``derived.with_derived``.

    A test without script has an acquisition for each run of its exposures; its ``n_expected`` and ``script_column`` are NULL.

    Parameters
    ----------
    exposures
        Table ``exposures`` of one block, any number of days, in any order.
    overrides
        Table ``overrides``; of its rows only ``adopt`` with an acquisition of this block matters.

    Returns
    -------
    Matched
        The same whatever the order of the rows and of their ingestion.

    Raises
    ------
    ValueError
        If there is more than one block.
    """
    if exposures["block"].n_unique() > 1:
        raise ValueError(f"one block at a time, found {', '.join(sorted(exposures['block'].unique()))}")
    rows = exposures.sort("obsid", "ccd").with_columns(pl.col("obsid").rle_id().cast(pl.Int64).alias("position"))
    assigned: list[pl.DataFrame] = []
    acquisitions: list[pl.DataFrame] = []
    named = rows.with_columns(pl.col("test_in_log").replace_strict(logged_tests(), default=None).alias("test"))
    for (test,), part in named.filter(pl.col("test").is_not_null()).partition_by("test", as_dict=True).items():
        known = definition(str(test))
        if known.scripted:
            result = assign(part, known)
            assigned.append(_named(result.exposures, known.name))
            acquisitions.append(acquisition_rows(part, known, result))
        else:
            runs = runs_of(part)
            assigned.append(_named(runs, known.name))
            acquisitions.append(unscripted_rows(runs, known.name))
    found = pl.concat([pl.DataFrame(schema=schema_of("acquisitions")), *acquisitions]).sort("test", "obsid_first")
    return Matched(
        acquisitions=adopt(found, overrides),
        assignment=pl.concat([pl.DataFrame(schema=_ASSIGNMENT), *assigned]).sort("obsid"),
        unknown=_unknown(rows),
    )


def _named(exposures: pl.DataFrame, test: str) -> pl.DataFrame:
    name = pl.format("{}/{}/{}", "block", pl.lit(test), pl.col("obsid").min().over("index"))
    return exposures.select("obsid", name.alias("acquisition"), pl.lit(test).alias("test"), "script_column")


def _unknown(rows: pl.DataFrame) -> pl.DataFrame:
    is_known = pl.col("test_in_log").is_in(list(logged_tests())).fill_null(value=False)
    return (
        rows.filter(~is_known)
        .group_by("test_in_log")
        .agg(
            pl.col("obsid").n_unique().cast(pl.Int64).alias("n"),
            pl.col("obsid").min().alias("obsid_first"),
            pl.col("obsid").max().alias("obsid_last"),
        )
        .sort("obsid_first")
    )
