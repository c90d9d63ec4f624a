"""Values of the log against the command: exposures found and extra, keys that differ, frames of another test or source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.campaign.columns import Column, Value
from vison_etl.campaign.definitions import definition, test_names
from vison_etl.campaign.logged import compared_names, differences, logged_values
from vison_etl.campaign.metrics_input import CheckInput, as_values, no_values
from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import RuleError
from vison_etl.campaign.structures import structures_of

Bools = NDArray[np.bool_]

_SOURCE = frozenset({"source", "wave"})
_MOST = 0.5


def exposures_found(data: CheckInput) -> pl.DataFrame:
    """Exposures found, with the number commanded; no row for tests without a script."""
    if data.acquisition["n_expected"] is None or not data.columns:
        return no_values()
    row = {"value": float(data.acquisition["n_found"]), "n_expected": float(data.acquisition["n_expected"])}
    return as_values(pl.DataFrame([row]), "exposures_found")


def exposures_extra(data: CheckInput) -> pl.DataFrame:
    """Exposures beyond those commanded."""
    n_extra = data.acquisition.get("n_extra")
    rows = [] if n_extra is None else [{"value": float(n_extra)}]
    return as_values(pl.DataFrame(rows, schema={"value": pl.Float64}), "exposures_extra")


def commands(data: CheckInput) -> pl.DataFrame:
    """Per key that the log has: how many exposures contradict the command, and the first of them."""
    wanted = [logged_values(column) for column in data.columns]
    names = [
        name
        for name in compared_names(data.definition.waived)
        if name in data.exposures.columns
        and data.exposures[name].null_count() < data.exposures.height
        and any(row[name] is not None for row in wanted)
    ]
    if not names:
        return no_values()
    wrong = differences(data.exposures, data.columns, data.definition.waived)
    counted = wrong.group_by("key").agg(
        pl.col("obsid").n_unique().alias("value"), pl.col("obsid", "script_column").sort_by("obsid").first()
    )
    rows = pl.DataFrame({"key": names}, schema={"key": pl.String}).join(
        counted, on="key", how="left", maintain_order="left"
    )
    return as_values(rows.with_columns(pl.col("value").fill_null(0), metric=pl.format("command_{}", "key")))


def _agrees(found: pl.Series, wanted: Sequence[Value]) -> Bools:
    """Compare rows of one key of the log with commanded values, shape (rows, columns); what the log lacks agrees."""
    if found.dtype == pl.String:
        rows, columns = np.array(found.to_list(), dtype=object)[:, None], np.array(wanted, dtype=object)[None, :]
        return np.asarray((rows == columns) | (rows == None), dtype=bool)  # noqa: E711 - elementwise
    target = np.array([np.nan if value is None else float(value) for value in wanted])[None, :]
    value = found.cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]
    rules = settings().matching
    near = np.abs(value - target) <= rules.atol + rules.rtol * np.abs(target)
    return np.asarray(near | np.isnan(value), dtype=bool)


def _agreeing(rows: pl.DataFrame, columns: Sequence[Column], waived: frozenset[str], left_out: frozenset[str]) -> Bools:
    """Tell which rows agree with which columns in every key that is compared, those of ``left_out`` excepted."""
    wanted = [logged_values(column) for column in columns]
    matrix = np.ones((rows.height, len(wanted)), dtype=bool)
    for name in compared_names(waived):
        if name in rows.columns and name not in left_out:
            matrix &= _agrees(rows[name], [row[name] for row in wanted])
    return matrix


def other_sources(data: CheckInput) -> pl.DataFrame:
    """Exposures beyond the command that would be commanded but for source and filter."""
    rows = data.extra.unique("obsid", maintain_order=True).sort("obsid")
    if rows.is_empty() or not data.columns:
        return no_values()
    mine = rows.filter(pl.Series(_agreeing(rows, data.columns, data.definition.waived, _SOURCE).any(axis=1)))
    first = {"value": float(mine.height), "obsid": None if mine.is_empty() else mine["obsid"][0]}
    return as_values(pl.DataFrame([first], schema={"value": pl.Float64, "obsid": pl.Int64}), "extra_of_other_source")


def _contradicting(data: CheckInput) -> pl.DataFrame:
    """Return the exposures of the acquisition that are not as commanded, one row each."""
    wrong = differences(data.exposures, data.columns, data.definition.waived)["obsid"].unique().to_list()
    both = pl.concat([data.exposures.filter(pl.col("obsid").is_in(wrong)), data.extra], how="diagonal_relaxed")
    return both.unique("obsid", maintain_order=True).sort("obsid")


def _structures(test: str, chamber: str | None) -> Iterator[Sequence[Column]]:
    """Yield the columns of each structure of a test that are known in every value; none where the chamber cannot run it."""
    try:
        known = structures_of(test, chamber)
    except (RuleError, KeyError):
        return
    for one in known:
        yield [column for column in one.columns if None not in column.values.values()]


def _count(rows: pl.DataFrame, columns: Sequence[Column], waived: frozenset[str]) -> int:
    """Return how many exposures of a structure are among the rows."""
    agreeing = _agreeing(rows, columns, waived, frozenset()).sum(axis=0)
    return sum(min(int(n), column.frames) for n, column in zip(agreeing, columns, strict=True))


def _counts(rows: pl.DataFrame, own: str, chamber: str | None) -> Mapping[str, int]:
    counts = {}
    for test in test_names():
        other = definition(test)
        if test != own and other.is_commanded:
            structures = [columns for columns in _structures(test, chamber) if columns]
            counts[test] = max((_count(rows, columns, other.waived) for columns in structures), default=0)
    return counts


def other_tests(data: CheckInput) -> pl.DataFrame:
    """Exposures that are not as commanded but in every key as another test commands, if they are most of the acquisition; else 0."""
    if not data.columns:
        return no_values()
    obsids = {*data.exposures["obsid"], *data.extra["obsid"]}
    rows = _contradicting(data)
    counts = {"other": 0}
    if rows.height > _MOST * len(obsids):
        counts |= _counts(rows, data.definition.name, data.acquisition["chamber"])
    test = max(counts, key=lambda name: counts[name])
    value = counts[test] if counts[test] > _MOST * len(obsids) else 0
    return as_values(pl.DataFrame([{"value": float(value)}]), f"frames_of_{test if value else 'other'}")
