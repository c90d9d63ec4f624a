"""Which exposure of a functional check is which: by read-out mode, light and injection as logged, never by its place in the sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from vison_etl.effects.functional.rules import FrameRule, frame_rules

Chosen = Mapping[tuple[str, str | None], Mapping[str, Any]]
"""Row of ``exposures`` by name of the frame and label of the filter; the label is None except for point sources."""


def choose(exposures: pl.DataFrame) -> Chosen:
    """Return the exposure of each frame rule; of several that fit, the last.

    Parameters
    ----------
    exposures
        Of one CCD: ``obsid, rdmode, exptime_s, source, chinj, filter``.
    """
    chosen: dict[tuple[str, str | None], Mapping[str, Any]] = {}
    for row in exposures.sort("obsid").iter_rows(named=True):
        for name in _names(row):
            chosen[name, row["filter"] if name == "point" else None] = row
    return chosen


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    light = str(row["source"]) if (row["exptime_s"] or 0.0) > 0.0 else "none"
    for rule in frame_rules():
        if _fits(rule, str(row["rdmode"]), light, is_injected=bool(row["chinj"])):
            yield rule.name


def _fits(rule: FrameRule, rdmode: str, light: str, *, is_injected: bool) -> bool:
    return rule.rdmode == rdmode and rule.light in {None, light} and rule.injection in {None, is_injected}


def wanted(rule_name: str, label: str | None) -> str:
    """Return the words that say which exposure is missing."""
    rule = next(rule for rule in frame_rules() if rule.name == rule_name)
    light = f", {rule.light} source" if rule.light in {"flat", "point"} else ""
    return f"no exposure with {rule.rdmode}{light}{f', filter {label}' if label else ''}: {rule.about}"
