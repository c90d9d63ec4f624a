"""The vocabulary of the house: every lake and result table, its columns, types, units and keys.

The tables themselves are data (``tables.toml``); this module reads them into frozen records. Writers, readers, DDL, comments
and the data dictionary all come from here. Only the standard library is imported, so that the command line starts fast.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

Kind = Literal["text", "int", "float", "bool", "timestamp"]
Stage = Literal["lake", "engine", "result"]

SCHEMA_VERSION = 1
"""Version of the tables, in every Parquet file. A later version may add nullable columns and widen numbers only."""

CCDS = ("CCD1", "CCD2", "CCD3")
QUADRANTS = ("E", "F", "G", "H")
REGIONS = ("pre", "img", "ove", "pov")
FIT_STATUS = ("ok", "bound", "failed", "no_data")
RUN_STATUS = ("ok", "flagged", "failed")
ACQUISITION_STATUS = ("complete", "partial", "aborted")
REJECT_KINDS = ("log_row", "log_file", "frame_file", "hk_file", "script_file")

ENUMS: Mapping[str, tuple[str, ...]] = {"ccd": CCDS, "quadrant": QUADRANTS, "region": REGIONS}
"""Columns of these names hold these words only (CONTRACT: keys)."""

UNKNOWN_BLOCK = "UNKNOWN"

_RESULT_PREFIX = ("run_id", "block", "test", "acquisition")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name with the unit at its end, type, unit (``""`` for none) and meaning."""

    name: str
    kind: Kind
    unit: str
    about: str

    @property
    def comment(self) -> str:
        """The text of SQL comments and of the data dictionary."""
        return f"{self.about} [{self.unit}]" if self.unit else self.about


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``keys`` includes the columns that every table of its stage has."""

    name: str
    stage: Stage
    about: str
    keys: tuple[str, ...]
    partitions: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Look a column up by name; ``KeyError`` if the table has none of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name}")

    def quantities(self) -> Iterator[tuple[Column, Column | None]]:
        """Yield each measured number with its error column: what ``measurements`` lists."""
        by_name = {column.name: column for column in self.columns}
        for column in self.columns:
            if column.kind == "float" and column.name not in self.keys and not column.name.endswith("_err"):
                yield column, by_name.get(f"{column.name}_err")


def _parse_columns(text: str) -> Iterator[Column]:
    for line in text.strip().splitlines():
        name, kind, unit, about = line.split(maxsplit=3)
        unit = "" if unit == "-" else unit
        has_error = kind.endswith("±")
        kind = kind.removesuffix("±")
        if kind not in get_args(Kind):
            raise ValueError(f"tables.toml: column {name} has the unknown type {kind}")
        yield Column(name, kind, unit, about)  # type: ignore[arg-type]
        if has_error:
            yield Column(f"{name}_err", "float", unit, f"one-sigma error of {name}")


_RESULT_COLUMNS = (
    Column("run_id", "text", "", "run that made the row"),
    Column("block", "text", "", "block"),
    Column("test", "text", "", "test"),
    Column("acquisition", "text", "", "acquisition analysed"),
)
_FIT_COLUMNS = (
    Column("status", "text", "", "ok, bound (a parameter at its bound), failed or no_data"),
    Column("n_points", "int", "", "points used"),
)


def _parse_table(name: str, raw: Mapping[str, object]) -> Table:
    stage = str(raw["stage"])
    keys = tuple(str(raw["keys"]).split())
    columns = tuple(_parse_columns(str(raw["columns"])))
    if raw.get("fit"):
        columns += _FIT_COLUMNS
    if stage == "result":
        columns = _RESULT_COLUMNS + columns
        keys = _RESULT_PREFIX + keys
    return Table(
        name=name,
        stage=stage,  # type: ignore[arg-type]
        about=str(raw["about"]),
        keys=keys,
        partitions=tuple(str(raw.get("partitions", "")).split()),
        columns=columns,
    )


@cache
def all_tables() -> Mapping[str, Table]:
    """Return every table by name, in the order of the file."""
    text = (files("vison_etl") / "tables.toml").read_text(encoding="utf-8")
    return {name: _parse_table(name, raw) for name, raw in tomllib.loads(text).items()}


def table(name: str) -> Table:
    """Look a table up by name; ``KeyError`` names the nearest ones."""
    found = all_tables().get(name)
    if found is None:
        from difflib import get_close_matches  # noqa: PLC0415 - only for the message

        near = ", ".join(get_close_matches(name, all_tables(), n=3)) or "none similar"
        raise KeyError(f"no table {name}; nearest: {near}")
    return found


def tables_of(stage: Stage) -> tuple[Table, ...]:
    """Return the tables of one stage."""
    return tuple(t for t in all_tables().values() if t.stage == stage)
