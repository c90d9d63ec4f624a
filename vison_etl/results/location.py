"""Where a lake and its results database are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class HasRoot(Protocol):
    """A lake as its own room describes it."""

    @property
    def root(self) -> Path:
        """Return its folder."""
        ...


LakeLike = str | os.PathLike[str] | HasRoot
"""The folder of a lake, or anything with a ``root``."""


def lake_root(lake: LakeLike | None = None) -> Path:
    """Return the absolute folder of a lake: as given, else ``$VISON_ETL_LAKE``, else ``./lake``."""
    if lake is None:
        lake = os.environ.get("VISON_ETL_LAKE") or "lake"
    folder = Path(lake) if isinstance(lake, (str, os.PathLike)) else lake.root
    return Path(os.path.abspath(folder))  # noqa: PTH100 - no link is resolved: the name is what people see


def database_path(root: Path, database: str | os.PathLike[str] | None = None) -> Path:
    """Return the results database of a lake: as given, else ``<lake>/results.duckdb``."""
    return Path(os.path.abspath(database)) if database is not None else root / "results.duckdb"  # noqa: PTH100 - as above
