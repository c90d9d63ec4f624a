"""Exclusions: rows of the table ``overrides`` of kind ``exclude`` applied to exposures, statistics and measurements.

An exclusion names a block and a range of obsids (an open end is unlimited), and may narrow to a test, an acquisition, a CCD, a
quadrant. It removes an exposure's CCD unless it names a quadrant, which removes that channel only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

_PAIR = ("obsid_1", "obsid_2")


def _exclusions(overrides: pl.DataFrame) -> Iterator[Mapping[str, Any]]:
    return overrides.filter(pl.col("kind") == "exclude").iter_rows(named=True)


def _covers(names: Sequence[str], rule: Mapping[str, Any]) -> pl.Expr:
    """Whether any of the obsid columns lies in the range of the rule."""
    inside = []
    for name in names:
        test = pl.col(name).is_not_null()
        if rule["obsid_first"] is not None:
            test &= pl.col(name) >= rule["obsid_first"]
        if rule["obsid_last"] is not None:
            test &= pl.col(name) <= rule["obsid_last"]
        inside.append(test)
    return pl.any_horizontal(inside)


def _same(columns: Sequence[str], rule: Mapping[str, Any], *, keys: Sequence[str]) -> pl.Expr | None:
    """Whether a row is one that the rule's keys name; None if the rule names something that the frame cannot tell."""
    test = pl.lit(value=True)
    for key in keys:
        if rule[key] is None:
            continue
        name = "test_in_log" if key == "test" and "test" not in columns else key
        if name not in columns:
            return None
        test &= pl.col(name) == rule[key]
    return test


def exclude_exposures(exposures: pl.DataFrame, overrides: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of ``exposures`` that count.

    Rows named by an exclusion without quadrant are left out; their order is kept. Exclusions of single quadrants leave the
    exposure in: see ``exclude_channels``.
    """
    left = exposures
    for rule in _exclusions(overrides.filter(pl.col("quadrant").is_null())):
        named = _same(exposures.columns, rule, keys=("block", "test", "acquisition", "ccd"))
        if named is not None:
            left = left.filter(~(named & _covers(["obsid"], rule)).fill_null(value=False))
    return left


def exclude_channels(
    frame: pl.DataFrame, overrides: pl.DataFrame, obsids: tuple[int, int] | None = None
) -> pl.DataFrame:
    """Return the rows of statistics or measurements that count.

    A row goes if an exclusion names its block, its channel as far as the exclusion names one, and its exposure: ``obsid``, or
    either of ``obsid_1`` and ``obsid_2``. A row that comes from many exposures and carries no obsid goes if an exclusion of its
    quadrant touches ``obsids``, the first and last exposure behind the frame: what was measured on excluded pixels is not kept.
    Without ``obsids`` such rows stay. Columns that the frame lacks cannot be told apart and are not: an exclusion of a quadrant
    leaves a frame without ``quadrant`` alone.
    """
    names = ["obsid"] if "obsid" in frame.columns else [name for name in _PAIR if name in frame.columns]
    left = frame
    for rule in _exclusions(overrides):
        keys = [
            key for key in ("block", "test", "acquisition", "ccd", "quadrant") if key != "block" or key in frame.columns
        ]
        named = _same(frame.columns, rule, keys=keys)
        if named is None:
            continue
        if names:
            touched = _covers(names, rule)
        elif obsids is not None and rule["quadrant"] is not None:
            touched = pl.lit(value=_overlaps(rule, obsids))
        else:
            continue
        left = left.filter(~(named & touched).fill_null(value=False))
    return left


def _overlaps(rule: Mapping[str, Any], obsids: tuple[int, int]) -> bool:
    first, last = rule["obsid_first"], rule["obsid_last"]
    return (first is None or first <= obsids[1]) and (last is None or last >= obsids[0])
