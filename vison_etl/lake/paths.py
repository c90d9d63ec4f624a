"""Where things are in a lake: table folders, partitions, part files, runs, locks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vison_etl import tables

PART_PREFIX = "part-"
PART_SUFFIX = ".parquet"
TEMPORARY_PREFIX = ".tmp-"
BUCKET_OBSIDS = 100
"""Exposures per part file of the ingested tables."""

_SAFE_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


class LakeError(Exception):
    """Something in the lake cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake is a folder; nothing else stands for it."""

    root: Path

    @property
    def runs(self) -> Path:
        """Return the folder of the runs."""
        return self.root / "runs"

    @property
    def locks(self) -> Path:
        """Return the folder of the lock files."""
        return self.root / "locks"

    @property
    def database(self) -> Path:
        """Return the published snapshot."""
        return self.root / "results.duckdb"

    def table_folder(self, table: str) -> Path:
        """Return the folder of a table; ``KeyError`` if there is no such table."""
        return self.root / tables.table(table).name

    def partition_folder(self, table: str, partition: Mapping[str, str]) -> Path:
        """Return the folder of one partition: ``<table>/block=BORN/day=2019-03-12``.

        Raises
        ------
        LakeError
            If ``partition`` does not give every partition column of the table, or a value that cannot name a folder.
        """
        wanted = tables.table(table).partitions
        if set(wanted) != set(partition):
            raise LakeError(
                f"table {table} is partitioned by {', '.join(wanted) or 'nothing'}, not by {', '.join(partition)}"
            )
        folder = self.table_folder(table)
        for column in wanted:
            folder = folder / f"{column}={safe_value(column, partition[column])}"
        return folder

    def part(self, table: str, partition: Mapping[str, str], name: str) -> Path:
        """Return the part file ``part-<name>.parquet`` of one partition."""
        return self.partition_folder(table, partition) / f"{PART_PREFIX}{safe_value('part', name)}{PART_SUFFIX}"


def safe_value(column: str, value: str) -> str:
    """Return ``value`` if it can stand in the name of a folder.

    Raises
    ------
    LakeError
        Otherwise: only letters, digits and ``_ . + -``, the first a letter or digit.
    """
    if not _SAFE_VALUE.fullmatch(value):
        raise LakeError(
            f"{column} {value!r}: only letters, digits and _ . + - can be used, starting with a letter or digit"
        )
    return value


def bucket_of(obsid: int) -> int:
    """Return the first exposure number of the bucket of ``obsid``."""
    return obsid // BUCKET_OBSIDS * BUCKET_OBSIDS


def bucket_name(bucket: int) -> str:
    """Return the name of the part file of a bucket: its first exposure number in six digits."""
    return f"{bucket:06d}"
