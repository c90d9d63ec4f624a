"""Where the shipped SQL is: package data in a wheel, the folder ``sql/`` in a checkout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_SENTENCE = re.compile(r".*?[?.](?=\s|$)|.+")


def sql_root() -> Traversable:
    """Return the folder of the shipped SQL.

    Raises
    ------
    FileNotFoundError
        If neither the package nor the checkout has one.
    """
    packaged = files("vison_etl") / "_sql"
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).resolve().parents[1] / "sql"
    if checkout.is_dir():
        return checkout
    raise FileNotFoundError("no sql/ folder in the package or in the checkout: install vison-etl again")


def read_sql(name: str) -> str:
    """Return the text of a shipped file, e.g. ``metatests/gain.sql``; the ending may be left out.

    Raises
    ------
    FileNotFoundError
        If there is none of that name; the message names the nearest ones.
    """
    wanted = name.removesuffix(".sql")
    known = tuple(_walk(sql_root(), ""))
    if wanted not in known:
        near = ", ".join(get_close_matches(wanted, known, n=3, cutoff=0.4) or sorted(known))
        raise FileNotFoundError(f"no SQL file {name}; nearest: {near}")
    return sql_root().joinpath(*f"{wanted}.sql".split("/")).read_text(encoding="utf-8")


def list_sql(folder: str) -> tuple[str, ...]:
    """Return the names of the shipped files of one folder (``metatests``), without folder and ending, sorted."""
    place = sql_root() / folder
    return tuple(sorted(_walk(place, ""))) if place.is_dir() else ()


def about(name: str) -> str:
    """Return what a shipped file answers: the first sentence of the comment it begins with, as one line."""
    lines = []
    for line in read_sql(name).splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    sentence = _SENTENCE.match(" ".join(lines))
    return sentence.group() if sentence else ""


def _walk(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".sql"):
            yield f"{prefix}{entry.name.removesuffix('.sql')}"
