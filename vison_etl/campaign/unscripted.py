"""Acquisitions of tests that no script commands: runs of exposures under one name."""

from __future__ import annotations

import polars as pl

from vison_etl.campaign.assignment import paused
from vison_etl.campaign.logged import schema_of


def runs_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Cut the exposures of one test into runs: a new one begins after exposures of other tests or an interruption.

    Parameters
    ----------
    rows
        Rows of ``exposures`` of that test in one block, sorted by obsid and ccd, with ``position`` among all those of the block.

    Returns
    -------
    polars.DataFrame
        One row per exposure: ``obsid, block, started_at, chamber``; ``index`` of the run, 0, 1, ... in time; ``script_column``, NULL.
    """
    exposures = rows.group_by("obsid", maintain_order=True).agg(
        pl.col(name).first() for name in ("block", "started_at", "exptime_s", "chamber", "position")
    )
    begins = pl.Series("begins", paused(exposures))
    return exposures.with_columns(
        index=begins.cast(pl.Int64).cum_sum() - int(begins[0]), script_column=pl.lit(None, pl.String)
    )


def unscripted_rows(runs: pl.DataFrame, test: str) -> pl.DataFrame:
    """Return the rows of ``acquisitions`` for the runs of one test; all of a run was found, how much was meant is not known."""
    first, last = pl.col("obsid").first(), pl.col("obsid").last()
    rows = runs.group_by("index", maintain_order=True).agg(
        pl.format("{}/{}/{}", pl.col("block").first(), pl.lit(test), first).alias("acquisition"),
        pl.col("block", "chamber", "started_at").first(),
        first.alias("obsid_first"),
        last.alias("obsid_last"),
        pl.len().alias("n_found"),
    )
    known = rows.with_columns(
        test=pl.lit(test),
        repeat=pl.col("index") + 1,
        variant=pl.lit("default"),
        status=pl.lit("complete"),
        is_adopted=pl.lit(value=False),
        n_extra=pl.lit(0),
        mismatch=pl.lit("no script commands this test: a run of its exposures is taken for all of it"),
    )
    return known.select(
        (pl.col(name) if name in known.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema_of("acquisitions").items()
    )
