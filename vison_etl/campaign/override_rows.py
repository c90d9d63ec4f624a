"""Decisions written down in a file: rows of a CSV file, or tables ``[[override]]`` of a TOML file.

Columns, of which ``block``, ``action`` and ``reason`` are never empty::

    block        nickname
    test         test; all if empty
    acquisition  acquisition, BLOCK/TEST/FIRST_OBSID; wanted for adopt
    obsids       A:B or A; an open end is unlimited, empty is all
    ccd          CCD1, CCD2 or CCD3; all if empty
    quadrant     E, F, G or H; all if empty
    action       exclude or adopt
    reason       why
    author       who; the user if empty
    date         when it was decided, YYYY-MM-DD, with or without time, UTC; now if empty
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vison_etl.campaign.strict import nearest
from vison_etl.tables import CCDS, QUADRANTS

COLUMNS = ("block", "test", "acquisition", "obsids", "ccd", "quadrant", "action", "reason", "author", "date")
ACTIONS = ("exclude", "adopt")
_NEEDED = ("block", "action", "reason")


class OverrideError(ValueError):
    """A file of decisions that cannot be meant as it stands; the message names file, row, fault and remedy."""


def read_decisions(path: str | Path) -> tuple[dict[str, Any], ...]:
    """Read decisions from a file.

    Returns
    -------
    tuple
        One record per row, with the columns of the table ``overrides``; ``author`` and ``made_at`` are left out where the
        file says nothing.

    Raises
    ------
    OverrideError
        For a file that cannot be read, an unknown column, and a row that says too little or what does not exist.
    """
    path = Path(path)
    rows = _toml(path) if path.suffix.lower() == ".toml" else _csv(path)
    return tuple(_decision(f"{path}: {where}", row) for where, row in rows)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OverrideError(f"{path}: cannot be read: {error}") from None


def _csv(path: Path) -> list[tuple[str, dict[str, str]]]:
    reader = csv.DictReader(_text(path).splitlines(), strict=True)
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise OverrideError(f"{path}: line {reader.line_num} has not as many values as the header has names")
            if any(text.strip() for text in row.values()):
                cells = {name.strip(): text.strip() for name, text in row.items()}
                rows.append((f"line {reader.line_num}", cells))
    except csv.Error as error:
        raise OverrideError(f"{path}: line {reader.line_num}: {error}") from None
    return rows


def _toml(path: Path) -> list[tuple[str, dict[str, str]]]:
    try:
        raw = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise OverrideError(f"{path}: {error}") from None
    rows = raw.get("override")
    if set(raw) != {"override"} or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise OverrideError(f"{path}: write tables [[override]], and nothing else")
    return [(f"override {n}", {k: str(v).strip() for k, v in row.items()}) for n, row in enumerate(rows, start=1)]


def _decision(where: str, row: Mapping[str, str]) -> dict[str, Any]:
    for name in row:
        if name not in COLUMNS:
            raise OverrideError(f"{where}: unknown column {name!r}; nearest: {nearest(name, COLUMNS)}")
    said = {name: row.get(name) or None for name in COLUMNS}
    for name in _NEEDED:
        if said[name] is None:
            raise OverrideError(f"{where}: {name} is empty")
    action = _one_of(where, "action", said["action"], ACTIONS)
    if action == "adopt" and said["acquisition"] is None:
        raise OverrideError(f"{where}: adopt needs an acquisition, BLOCK/TEST/FIRST_OBSID")
    first, last = _obsids(where, said["obsids"])
    decision = {
        "kind": action,
        "block": str(said["block"]).upper(),
        "test": said["test"],
        "acquisition": said["acquisition"],
        "obsid_first": first,
        "obsid_last": last,
        "ccd": _one_of(where, "ccd", said["ccd"] and said["ccd"].upper(), CCDS),
        "quadrant": _one_of(where, "quadrant", said["quadrant"] and said["quadrant"].upper(), QUADRANTS),
        "reason": said["reason"],
    }
    known = {"author": said["author"], "made_at": _time(where, said["date"])}
    return decision | {name: value for name, value in known.items() if value is not None}


def _one_of(where: str, name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if value is not None and value not in allowed:
        raise OverrideError(f"{where}: {name} is {value!r}: one of {', '.join(allowed)}")
    return value


def _obsids(where: str, text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    first, separator, last = text.partition(":")
    try:
        span = (int(first) if first else None, int(last) if last else None)
    except ValueError:
        raise OverrideError(f"{where}: obsids is {text!r}: write FIRST:LAST, e.g. 17283:17292") from None
    if not separator:
        span = span[0], span[0]
    if span[0] is not None and span[1] is not None and span[0] > span[1]:
        raise OverrideError(f"{where}: obsids is {text!r}: the first exposure comes after the last")
    return span


def _time(where: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OverrideError(
            f"{where}: date is {text!r}: write YYYY-MM-DD, or with a time YYYY-MM-DDThh:mm:ss"
        ) from None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
