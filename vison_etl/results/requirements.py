"""The table ``requirements``: what the results of every channel are held against, so that verdicts are plain SQL."""

from __future__ import annotations

from collections.abc import Iterator

from vison_etl.instrument.requirements import requirements
from vison_etl.results.db import Constant
from vison_etl.tables import Column, Table

REQUIREMENTS = Table(
    "requirements",
    "engine",
    "What the results of every channel are held against. A requirement is met where lo < value <= hi.",
    ("requirement",),
    (),
    (
        Column("requirement", "text", "", "id of the requirement"),
        Column("quantity", "text", "", "what it is about: table.column; the error is in column_err"),
        Column("region", "text", "", "region the value is of; NULL where the table has no regions"),
        Column(
            "tests",
            "text",
            "",
            "tests the value may come from, the first that a channel has; NULL: one row per channel",
        ),
        Column("lo", "float", "", "lower limit, in the unit of column unit; NULL is open"),
        Column("hi", "float", "", "upper limit, in the same unit; NULL is open"),
        Column("added_to", "text", "", "column of channels that is added to both limits; NULL: none"),
        Column("unit", "text", "", "unit of value and limits"),
        Column(
            "severity",
            "text",
            "",
            "required (a channel outside cannot be accepted) or expected (it has to be looked at)",
        ),
        Column("source", "text", "", "where it comes from"),
        Column("valid_from", "timestamp", "", "holds for data acquired from then on; NULL is open"),
        Column("valid_to", "timestamp", "", "holds for data acquired before then; NULL is open"),
    ),
)


def requirement_rows() -> Iterator[tuple[Constant, ...]]:
    """Yield the rows of ``requirements``, in the order of their file."""
    for row in requirements():
        yield (
            row.requirement,
            row.quantity,
            row.region,
            " ".join(row.tests) or None,
            row.lo,
            row.hi,
            row.added_to,
            row.unit,
            row.severity,
            row.source,
            row.valid_from,
            row.valid_to,
        )
