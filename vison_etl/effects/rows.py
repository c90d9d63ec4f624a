"""From records to the typed tables that a calibration returns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from vison_etl.tables import table

_TYPES: Mapping[str, type[pl.DataType]] = {
    "text": pl.String,
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
    "timestamp": pl.Datetime,
}
_ADDED_BY_ENGINE = frozenset({"run_id", "block", "test", "acquisition"})


def result_frame(name: str, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows as the result table ``name`` without run_id, block, test and acquisition.

    Every column of the table is there, in its order; what a row lacks, and every NaN, is NULL. A key that is no column of the table
    is an error.
    """
    columns = {c.name: _TYPES[c.kind] for c in table(name).columns if c.name not in _ADDED_BY_ENGINE}
    records = list(rows)
    unknown = set().union(*records) - set(columns)
    if unknown:
        raise ValueError(f"table {name} has no columns {', '.join(sorted(unknown))}")
    filled = {key: [record.get(key) for record in records] for key in columns}
    floats = [key for key, kind in columns.items() if kind is pl.Float64]
    filled |= {key: [_or_none(value) for value in filled[key]] for key in columns if key not in floats}
    return pl.DataFrame(filled, schema=columns).with_columns(pl.when(pl.col(floats).is_finite()).then(pl.col(floats)))


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
