"""Strict reading of the TOML files of this package: an unknown key or a value of the wrong type names file and place."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, TypeVar

T = TypeVar("T")

Raw = Mapping[str, Any]


class RuleError(ValueError):
    """A rule that cannot be meant as it stands; the message names file, place, fault and remedy."""


def read_toml(name: str) -> dict[str, Any]:
    """Read a TOML file of this package; ``RuleError`` names the file where it is no TOML or does not exist."""
    path = files("vison_etl.campaign") / name
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RuleError(f"{name}: there is no such file of rules") from None
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{name}: {error}") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the names nearest to one that is not known, comma separated, for a message."""
    by_upper = {text.upper(): text for text in known}
    near = get_close_matches(name.upper(), by_upper, n=3, cutoff=0.5) or sorted(by_upper)[:3]
    return ", ".join(by_upper[text] for text in near)


def check_keys(where: str, table: Raw, allowed: Iterable[str]) -> None:
    """Raise ``RuleError`` at the first key of ``table`` that is not allowed."""
    known = set(allowed)
    for key in table:
        if key not in known:
            raise RuleError(f"{where}: unknown key {key!r}; nearest: {nearest(key, known)}")


def take(where: str, table: Raw, key: str, kind: type[T], default: T | None = None) -> T:
    """Return ``table[key]``, of type ``kind``; a missing key without a default is a ``RuleError``. Integers pass as floats."""
    value = table.get(key, default)
    if value is None:
        raise RuleError(f"{where}: {key!r} is missing")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RuleError(f"{where}: {key!r} is {value!r}, wanted {kind.__name__}")
    return value


def take_texts(where: str, table: Raw, key: str, default: tuple[str, ...] | None = ()) -> tuple[str, ...]:
    """Return ``table[key]``, a list of texts, as a tuple; None as default makes the key mandatory."""
    if key not in table and default is not None:
        return default
    values = take(where, table, key, list)
    for value in values:
        if not isinstance(value, str):
            raise RuleError(f"{where}: {key!r} holds {value!r}, wanted texts only")
    return tuple(values)
