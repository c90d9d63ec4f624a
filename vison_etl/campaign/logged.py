"""Commanded values as an exposure log shows them: under the names of ``exposures``, and compared with what was logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import polars as pl

from vison_etl.campaign.columns import Column, Value
from vison_etl.campaign.settings import settings
from vison_etl.instrument.elvis_keys import iphi_text, script_keys
from vison_etl.tables import table

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


def logged_values(column: Column) -> dict[str, Value]:
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


def commanded(columns: Sequence[Column], names: Sequence[str]) -> pl.DataFrame:
    """Return one row per column of a structure: ``script_column`` and the commanded values of ``names``, typed as logged."""
    types = schema_of("exposures")
    rows = [logged_values(column) for column in columns]
    data = {name: pl.Series(name, [row[name] for row in rows], types[name], strict=False) for name in names}
    return pl.DataFrame({"script_column": [column.label for column in columns], **data})


def _differs(name: str, *, is_text: bool) -> pl.Expr:
    """Whether logged and commanded value (``name`` + suffix) differ; null where either is missing."""
    found, wanted = pl.col(name), pl.col(f"{name}:wanted")
    if is_text:
        return found != wanted
    rules = settings().matching
    return ~((found - wanted).abs() <= rules.atol + rules.rtol * wanted.abs())


def _text(name: str, kind: pl.DataType) -> pl.Expr:
    value = pl.col(name).round_sig_figs(_DIGITS) if kind == pl.Float64 else pl.col(name)
    return value.cast(pl.String)


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
    names = [name for name in compared_names(waived) if name in exposures.columns]
    types = schema_of("exposures")
    wanted = commanded(columns, names)
    rows = exposures.filter(pl.col("script_column").is_not_null()).join(
        wanted, on="script_column", how="inner", suffix=":wanted", maintain_order="left"
    )
    marks = rows.select(
        "obsid", "ccd", "script_column", *(_differs(n, is_text=types[n] == pl.String).alias(n) for n in names)
    )
    if not names or not marks.select(pl.any_horizontal(pl.col(names).any())).item():
        return _NO_DIFFERENCE
    wrong = [name for name in names if marks[name].any()]
    parts = [
        rows.filter(marks[name].fill_null(value=False)).select(
            "obsid",
            "ccd",
            "script_column",
            pl.lit(name).alias("key"),
            _text(f"{name}:wanted", types[name]).alias("wanted"),
            _text(name, types[name]).alias("found"),
        )
        for name in wrong
    ]
    return pl.concat(parts).sort("obsid", "ccd", "key")


_NO_DIFFERENCE = pl.DataFrame(
    schema=dict.fromkeys(("obsid", "ccd", "script_column", "key", "wanted", "found"), pl.String) | {"obsid": pl.Int64}
)
