"""Requirements: what the results of every channel are held against.

A requirement is met where lo < value <= hi; an open side has no limit. Its quantity is a column of a result table or view. Where the
limits are relative, ``added_to`` names the column of the table ``channels`` that is added to both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal, cast, get_args

from vison_etl.instrument.blocks import offsets_adu
from vison_etl.instrument.datafiles import csv_rows, number

Severity = Literal["required", "expected"]
"""A channel that is not as required cannot be accepted; one that is not as expected has to be looked at."""

EXPECTED_OFFSET = "expected_offset_adu"
"""The column of ``channels`` that limits can be relative to."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement on one quantity of every channel.

    Parameters
    ----------
    requirement
        Its id.
    quantity
        ``table.column`` of the value; its error is in ``column_err``.
    region
        Region the value is of; None where the table has no regions.
    tests
        Tests the value may come from, the first that a channel has counts; empty where the table has one row per channel.
    lo, hi
        Limits, in ``unit``; None is open.
    added_to
        ``expected_offset_adu`` if the limits are relative to it.
    unit
        Unit of value and limits.
    severity, source
        How grave it is, and where it comes from.
    valid_from, valid_to
        Times of acquisition it holds for, as the bench writes them: from, inclusive, to, exclusive; None is open.
    """

    requirement: str
    quantity: str
    region: str | None
    tests: tuple[str, ...]
    lo: float | None
    hi: float | None
    added_to: str | None
    unit: str
    severity: Severity
    source: str
    valid_from: datetime | None
    valid_to: datetime | None

    @property
    def table(self) -> str:
        """The table or view of the value."""
        return self.quantity.partition(".")[0]

    @property
    def column(self) -> str:
        """The column of the value."""
        return self.quantity.partition(".")[2]

    def limits(self, block: str, ccd: str, quadrant: str) -> tuple[float | None, float | None]:
        """Return the limits of one channel; None is open, both are None where what they are relative to is not known."""
        if self.added_to is None:
            return self.lo, self.hi
        middle = (offsets_adu(block) or {}).get((ccd, quadrant))
        if middle is None:
            return None, None
        return (None if self.lo is None else middle + self.lo, None if self.hi is None else middle + self.hi)


@cache
def requirements() -> tuple[Requirement, ...]:
    """Return all requirements, in the order of the file."""
    return tuple(_requirement(row) for row in csv_rows("requirements.csv"))


def requirement(name: str) -> Requirement:
    """Return a requirement by id; ``KeyError`` names all there are."""
    found = {row.requirement: row for row in requirements()}
    if name not in found:
        raise KeyError(f"no requirement {name!r}; there are: {', '.join(found)}")
    return found[name]


def _requirement(row: dict[str, str]) -> Requirement:
    name = row["requirement"]
    if row["severity"] not in get_args(Severity):
        raise ValueError(f"requirements.csv: {name} has the unknown severity {row['severity']}")
    if row["added_to"] not in {"", EXPECTED_OFFSET}:
        raise ValueError(f"requirements.csv: the limits of {name} are relative to the unknown {row['added_to']}")
    return Requirement(
        requirement=name,
        quantity=row["quantity"],
        region=row["region"] or None,
        tests=tuple(row["tests"].split()),
        lo=number(row["lo"]),
        hi=number(row["hi"]),
        added_to=row["added_to"] or None,
        unit=row["unit"],
        severity=cast("Severity", row["severity"]),
        source=row["source"],
        valid_from=_time(row["valid_from"]),
        valid_to=_time(row["valid_to"]),
    )


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
