"""Names of the acquisition software, ELVIS: columns of the exposure log, cards of the frames, keys of the scripts.

Every registered version of the log maps to one set of normalised names, those of the table ``exposures``; the factor turns
the logged number into the unit of the normalised name. Names differ in case and unit between versions (``Exptime`` in ms,
``exptime`` in s), so they are matched as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, cast

from vison_etl.instrument.datafiles import csv_rows, unknown

LogKind = Literal["text", "int", "float", "timestamp"]

FPA = "FPA"
"""Log of the focal-plane campaign: one row per exposure, without a CCD column, made by hand."""


@dataclass(frozen=True, slots=True)
class LogColumn:
    """One column of an exposure log: its name as written, and what it becomes."""

    name: str
    normalised: str
    factor: float
    kind: LogKind


class Normalised(NamedTuple):
    """What a raw column name stands for: ``value = factor * logged value``."""

    name: str
    factor: float
    kind: LogKind


@dataclass(frozen=True, slots=True)
class ScriptKey:
    """One key of a command script, with its default and the column of ``exposures`` that logs it."""

    key: str
    default: str | int | float
    kind: LogKind
    unit: str
    exposures_column: str | None


@dataclass(frozen=True, slots=True)
class FrameCard:
    """One acquisition card of a frame's image extension. ``alias`` is a second spelling seen in files."""

    key: str
    kind: LogKind
    exposures_column: str | None
    alias: str | None


class SummingWell(NamedTuple):
    """Summing-well timing of a read-out mode."""

    swellw_us: float
    swelldly_us: float


@cache
def _logs() -> Mapping[str, tuple[LogColumn, ...]]:
    logs: dict[str, list[LogColumn]] = {}
    for row in csv_rows("explog_columns.csv"):
        column = LogColumn(row["name"], row["normalised"], float(row["factor"]), cast("LogKind", row["kind"]))
        logs.setdefault(row["elvis_version"], []).append(column)
    return {version: tuple(columns) for version, columns in logs.items()}


@cache
def versions() -> tuple[str, ...]:
    """Return the registered versions of the exposure log, oldest first, FPA last."""
    return tuple(_logs())


def log_columns(version: str) -> tuple[LogColumn, ...]:
    """Return the columns of a version in file order; ``KeyError`` names the nearest versions."""
    columns = _logs().get(version)
    if columns is None:
        raise unknown("ELVIS version", version, versions())
    return columns


@cache
def _by_name() -> Mapping[str, Normalised]:
    return {c.name: Normalised(c.normalised, c.factor, c.kind) for columns in _logs().values() for c in columns}


def normalise(name: str) -> Normalised | None:
    """Return what a log column stands for, in any version; None for a name that no version has.

    Blanks around the name are ignored; case is not.
    """
    return _by_name().get(name.strip())


@cache
def _name_sets() -> Mapping[str, frozenset[str]]:
    return {version: frozenset(column.name for column in columns) for version, columns in _logs().items()}


def matching_versions(names: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """Find the registered versions nearest to a header.

    Parameters
    ----------
    names
        Column names of the header, stripped.

    Returns
    -------
    tuple
        Versions whose name set differs in the fewest names (several share one list), oldest first, and whether they are equal.
    """
    header = frozenset(names)
    distance = {version: len(header ^ known) for version, known in _name_sets().items()}
    least = min(distance.values())
    return tuple(version for version, value in distance.items() if value == least), least == 0


@cache
def script_keys(version: str = "7.5.X") -> tuple[ScriptKey, ...]:
    """Return the keys of a command script, in the order of the sheet; ``KeyError`` for a version without scripts."""
    rows = [row for row in csv_rows("script_keys.csv") if version in row["elvis_versions"].split()]
    if not rows:
        known = {name for row in csv_rows("script_keys.csv") for name in row["elvis_versions"].split()}
        raise unknown("script version", version, known)
    return tuple(
        ScriptKey(
            key=row["key"],
            default=_typed(row["default"], row["kind"]),
            kind=cast("LogKind", row["kind"]),
            unit=row["unit"],
            exposures_column=row["exposures_column"] or None,
        )
        for row in rows
    )


def _typed(text: str, kind: str) -> str | int | float:
    if kind == "int":
        return int(text)
    return float(text) if kind == "float" else text


def iphi_text(phases: Iterable[int]) -> str:
    """Return the logged form of script keys IPHI1 to IPHI4: ``(1, 1, 1, 0)`` is ``I1I2I3``."""
    return "".join(f"I{phase}" for phase, high in enumerate(phases, start=1) if high)


@cache
def readout_modes() -> Mapping[str, SummingWell]:
    """Return the summing-well timing of each read-out mode."""
    return {
        row["rdmode"]: SummingWell(float(row["swellw_us"]), float(row["swelldly_us"]))
        for row in csv_rows("readout_modes.csv")
    }


@cache
def frame_cards() -> tuple[FrameCard, ...]:
    """Return the acquisition cards of an image extension in the order ELVIS writes them."""
    return tuple(
        FrameCard(row["key"], cast("LogKind", row["kind"]), row["exposures_column"] or None, row["alias"] or None)
        for row in csv_rows("frame_cards.csv")
    )
