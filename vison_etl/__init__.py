"""Calibration of scientific CCDs as a data lake: ELVIS day folders in, values with errors out.

``connect(lake)`` opens the results read-only, ``table(name, lake)`` reads one of them as a polars frame. Heavy libraries are
imported when a function is called, never by importing the package.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from vison_etl.results.location import LakeLike

__all__ = ["__version__", "connect", "table"]

__version__: str


def connect(lake: LakeLike | None = None, database: str | os.PathLike[str] | None = None) -> duckdb.DuckDBPyConnection:
    """Open the results of a lake, read-only; see ``vison_etl.results.connect.connect``."""
    from vison_etl.results import connect as room  # noqa: PLC0415 - duckdb is loaded on use

    return room.connect(lake, database)


def table(name: str, lake: LakeLike | None = None, database: str | os.PathLike[str] | None = None) -> pl.DataFrame:
    """Read a table or view of the results as a polars frame; see ``vison_etl.results.connect.table``."""
    from vison_etl.results import connect as room  # noqa: PLC0415 - duckdb is loaded on use

    return room.table(name, lake, database)


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked

        return version("vison-etl")
    raise AttributeError(f"module vison_etl has no attribute {name}")
