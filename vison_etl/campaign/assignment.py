"""Which acquisition and which script column each exposure of a test belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.campaign.agreement import agreements
from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import RuleError
from vison_etl.campaign.structures import Structure, structures_of
from vison_etl.campaign.walk import walk


@dataclass(frozen=True, slots=True)
class Assigned:
    """The exposures of one test of one block, assigned.

    Parameters
    ----------
    exposures
        One row per exposure in order of obsid: ``obsid, block, started_at, chamber, n_ccds``; ``index`` of the acquisition, 0, 1,
        ... in time; ``structure`` it follows; ``slot`` in it (-1: none) and ``script_column`` (NULL: none); ``is_like_one``:
        it agrees with some column; ``is_whole``: as many CCDs as the test has in this block.
    structures
        Chamber -> structures that the test may follow there; ``structure`` counts them.
    notes
        Per structure: what could not be compared as commanded, or None.
    """

    exposures: pl.DataFrame
    structures: Mapping[str | None, Sequence[Structure]]
    notes: Sequence[str | None]


def _structures(test: str, chamber: str | None) -> tuple[Structure, ...]:
    """Return the structures that a test may have; those of an unknown chamber where the profile lacks what the test needs."""
    try:
        return structures_of(test, chamber)
    except (RuleError, KeyError):
        return structures_of(test, None)


@dataclass(frozen=True, slots=True)
class _Fit:
    """Rows of one test against its structures: per structure, exposures by columns; notes per structure; structures per chamber."""

    matrices: list[NDArray[np.bool_]]
    notes: list[str | None]
    structures: dict[str | None, tuple[Structure, ...]]


def _fit(rows: pl.DataFrame, known: TestDefinition, starts: NDArray[np.intp]) -> _Fit:
    chambers = rows["chamber"].unique(maintain_order=True).to_list()
    structures = {name: _structures(known.name, name) for name in chambers}
    first = structures[chambers[0]]
    matrices = [np.ones((rows.height, len(s.columns)), dtype=bool) for s in first]
    notes: list[str | None] = [None] * len(first)
    for name in chambers:
        mask = (
            rows.select(pl.col("chamber").eq_missing(pl.lit(name))).to_series().to_numpy()
            if len(chambers) > 1
            else np.ones(rows.height, bool)
        )
        for k, agreement in enumerate(agreements(rows.filter(mask), known, structures[name])):
            matrices[k][mask] = agreement.matrix
            notes[k] = notes[k] or agreement.note
    return _Fit([np.logical_and.reduceat(m, starts, axis=0) for m in matrices], notes, structures)


def paused(exposures: pl.DataFrame) -> NDArray[np.bool_]:
    """Tell before which exposures the test was interrupted: by exposures of other tests, or by more idle time than usual."""
    idle_s = pl.col("started_at").diff().dt.total_milliseconds() / 1000.0 - pl.col("exptime_s").shift(1)
    other = pl.col("position").diff() > 1
    return (
        exposures.select((other | (idle_s > settings().matching.pause_s)).fill_null(value=False)).to_series().to_numpy()
    )


def _is_like_one(matrices: Sequence[NDArray[np.bool_]], structure: NDArray[np.intp]) -> NDArray[np.bool_]:
    like = np.stack([matrix.any(axis=1) for matrix in matrices])
    return np.asarray(like[structure, np.arange(structure.size)], dtype=bool)


def assign(rows: pl.DataFrame, known: TestDefinition) -> Assigned:
    """Assign all exposures of one test.

    Parameters
    ----------
    rows
        Rows of ``exposures`` of that test in one block, sorted by obsid and ccd, with ``position``: the place of the exposure
        among all those of the block.
    known
        Definition of the test.
    """
    exposures = rows.group_by("obsid", maintain_order=True).agg(
        *(pl.col(name).first() for name in ("block", "started_at", "exptime_s", "chamber", "position")),
        pl.col("ccd").n_unique().alias("n_ccds"),
    )
    starts = np.concatenate([[0], np.cumsum(rows["obsid"].rle().struct.field("len").to_numpy())[:-1]]).astype(np.intp)
    fit = _fit(rows, known, starts)
    first = fit.structures[exposures["chamber"][0]]
    of_slot = [np.repeat(np.arange(len(s.columns)), [column.frames for column in s.columns]) for s in first]
    found = walk([matrix[:, slots] for matrix, slots in zip(fit.matrices, of_slot, strict=True)], paused(exposures))
    labels = [
        None if slot < 0 else first[k].columns[of_slot[k][slot]].label
        for k, slot in zip(found.structure.tolist(), found.slot.tolist(), strict=True)
    ]
    exposures = exposures.with_columns(
        pl.Series("index", found.acquisition, pl.Int64),
        pl.Series("structure", found.structure, pl.Int64),
        pl.Series("slot", found.slot, pl.Int64),
        pl.Series("script_column", labels, pl.String),
        pl.Series("is_like_one", _is_like_one(fit.matrices, found.structure), pl.Boolean),
        is_whole=pl.col("n_ccds") == rows["ccd"].n_unique(),
    )
    return Assigned(exposures, fit.structures, fit.notes)
