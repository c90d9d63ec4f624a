"""Access to the data files of this package: small CSV and TOML tables of facts."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any


def _text(name: str) -> str:
    return (files("vison_etl.instrument") / "data" / name).read_text(encoding="utf-8")


@cache
def csv_rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of a CSV file as texts, in order. Callers must not change them."""
    return tuple(csv.DictReader(_text(name).splitlines()))


@cache
def toml_table(name: str) -> Mapping[str, Any]:
    """Return a TOML file as nested mappings. Callers must not change them."""
    return tomllib.loads(_text(name))


def number(text: str) -> float | None:
    """Return the number of a cell; None if the cell is empty."""
    return float(text) if text else None


def unknown(what: str, name: str, known: Iterable[str]) -> KeyError:
    """Return the error for a name that is not in a table, with the nearest names."""
    names = list(known)
    near = get_close_matches(name.upper(), names, n=3, cutoff=0.5) or sorted(names)[:3]
    return KeyError(f"no {what} {name!r}; nearest: {', '.join(near)}")
