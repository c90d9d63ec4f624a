"""Commanded values as an exposure log shows them: under the names of ``exposures``, and compared with what was logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.campaign.columns import Column, Value
from vison_etl.campaign.settings import settings
from vison_etl.instrument.elvis_keys import iphi_text, script_keys
from vison_etl.tables import table

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

_DIGITS = 6
_DTYPES = {"text": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "timestamp": pl.Datetime("us")}


def schema_of(name: str) -> dict[str, pl.DataType]:
    """Return names and polars types of the columns of a table of the house."""
    return {column.name: _DTYPES[column.kind] for column in table(name).columns}  # type: ignore[misc]


@cache
def logged_names() -> Mapping[str, tuple[str, ...]]:
    """Return column of ``exposures`` -> script keys logged in it, for every script key that reaches the log."""
    names: dict[str, tuple[str, ...]] = {}
    for row in script_keys():
        if row.exposures_column is not None:
            names[row.exposures_column] = (*names.get(row.exposures_column, ()), row.key)
    return names


@cache
def tolerance(name: str) -> tuple[float, float]:
    """Return (atol, rtol) for a column of ``exposures``: it agrees if |found - wanted| <= atol + rtol |wanted|."""
    rules = settings().matching
    within = [rules.within[key] for key in logged_names().get(name, ()) if key in rules.within]
    return (within[0], 0.0) if within else (rules.atol, rules.rtol)


def logged_values(column: Column) -> Mapping[str, Value]:
    """Return what the log must say for a column, by column of ``exposures``; phases joined as ``I1I2I3``."""
    values: dict[str, Value] = {}
    for name, keys in logged_names().items():
        found = [column.values[key] for key in keys]
        values[name] = found[0] if len(keys) == 1 else iphi_text(int(value or 0) for value in found)
    return values


@cache
def compared_names(waived: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the columns of ``exposures`` that are compared with the structure, in the order of the script."""
    left_out = settings().matching.not_compared | waived
    return tuple(name for name, keys in logged_names().items() if not left_out.intersection(keys))


def _wrong(rows: pl.DataFrame, names: Sequence[str], wanted: Sequence[Mapping[str, Value]], index: Ints) -> Bools:
    """Tell, per row and name, whether the log differs from what is wanted for the row's column; missing values never do."""
    wrong = np.zeros((rows.height, len(names)), dtype=bool)
    texts = [place for place, name in enumerate(names) if rows[name].dtype == pl.String]
    for place in texts:
        found = np.array(rows[names[place]].to_list(), dtype=object)
        target = np.array([row[names[place]] for row in wanted], dtype=object)[index]
        wrong[:, place] = (found != target) & (found != None) & (target != None)  # noqa: E711 - elementwise
    numbers = [place for place in range(len(names)) if place not in texts]
    chosen = [names[place] for place in numbers]
    seen = rows.select(pl.col(chosen).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    target = np.array([[np.nan if row[name] is None else float(row[name] or 0) for name in chosen] for row in wanted])
    target = target.reshape(len(wanted), len(chosen))[index]
    atol, rtol = np.array([tolerance(name) for name in chosen], dtype=np.float64).reshape(-1, 2).T
    wrong[:, numbers] = np.abs(seen - target) > atol + rtol * np.abs(target)
    return wrong


def _texts(values: Sequence[Value]) -> list[str]:
    return [f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value) for value in values]


def differences(exposures: pl.DataFrame, columns: Sequence[Column], waived: frozenset[str]) -> pl.DataFrame:
    """List every commanded value that the log contradicts.

    Parameters
    ----------
    exposures
        Rows of ``exposures`` with ``script_column``; rows without one are left out.
    columns
        Columns of the structure they belong to.
    waived
        Script keys not compared.

    Returns
    -------
    polars.DataFrame
        ``obsid, ccd, script_column, key, wanted, found``: key is the column of ``exposures``, the values are texts. Sorted.
        A value missing in the log (older versions log fewer keys) or in the structure (unknown chamber) differs in nothing.
    """
    rows = exposures.filter(pl.col("script_column").is_in([column.label for column in columns]))
    place = {column.label: index for index, column in enumerate(columns)}
    index = np.array([place[label] for label in rows["script_column"]], dtype=np.intp)
    wanted = [logged_values(column) for column in columns]
    names = [name for name in compared_names(waived) if name in rows.columns]
    wrong = _wrong(rows, names, wanted, index)
    parts = [_NO_DIFFERENCE]
    for name, mask in zip(names, wrong.T, strict=True):
        if mask.any():
            said = rows.filter(mask).select("obsid", "ccd", "script_column", found=pl.col(name))
            values = {
                "key": [name] * said.height,
                "wanted": _texts([wanted[i][name] for i in index[mask]]),
                "found": _texts(said["found"].to_list()),
            }
            parts.append(said.with_columns(**_series(values)).select(_NO_DIFFERENCE.columns))
    return pl.concat(parts).sort("obsid", "ccd", "key")


def _series(texts: Mapping[str, list[str]]) -> dict[str, pl.Series]:
    return {name: pl.Series(name, values, pl.String) for name, values in texts.items()}


_NO_DIFFERENCE = pl.DataFrame(
    schema=dict.fromkeys(("obsid", "ccd", "script_column", "key", "wanted", "found"), pl.String) | {"obsid": pl.Int64}
)
