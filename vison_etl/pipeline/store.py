"""The store stage: result frames made to fit their tables, and the record of the run."""

from __future__ import annotations

import getpass
import socket
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from vison_etl import tables
from vison_etl.effects.declare import Flag
from vison_etl.lake.parts import schema


class SchemaError(ValueError):
    """A calibration returned what its table does not hold."""


def conform(name: str, frame: pl.DataFrame, keys: Mapping[str, str]) -> pl.DataFrame:
    """Return ``frame`` with exactly the columns of table ``name``, in order and sorted by key, run keys added, NaN made NULL.

    Raises
    ------
    SchemaError
        For a column the table does not have, a NULL or repeated key.
    """
    wanted = schema(name)
    extra = set(frame.columns) - set(wanted)
    if extra:
        raise SchemaError(f"table {name} has no column {', '.join(sorted(extra))}")
    columns = [
        pl.lit(keys[column], dtype=kind).alias(column)
        if column in keys
        else pl.col(column).cast(kind)
        if column in frame.columns
        else pl.lit(None, dtype=kind).alias(column)
        for column, kind in wanted.items()
    ]
    fitted = frame.select(columns) if frame.height else pl.DataFrame(schema=wanted)
    fitted = fitted.with_columns(pl.selectors.float().fill_nan(None))
    key_columns = list(tables.table(name).keys)
    if any(fitted.get_column(key).null_count() for key in key_columns):
        raise SchemaError(f"table {name}: a key column is NULL")
    if fitted.select(key_columns).is_duplicated().any():
        raise SchemaError(f"table {name}: rows are not unique over {', '.join(key_columns)}")
    return fitted.sort(key_columns)


def flag_table(flags: Sequence[Flag]) -> pl.DataFrame:
    """Return the rows of table ``flags``: one per name, counts added, the first detail kept."""
    merged: dict[str, Flag] = {}
    for flag in flags:
        seen = merged.get(flag.name)
        merged[flag.name] = flag if seen is None else Flag(flag.name, seen.n + flag.n, seen.detail)
    rows = [{"flag": f.name, "n": f.n, "detail": f.detail} for f in merged.values()]
    return pl.DataFrame(rows, schema={"flag": pl.String, "n": pl.Int64, "detail": pl.String})


def now_utc() -> datetime:
    """Return the time without zone, in UTC, as runs carry it."""
    return datetime.now(UTC).replace(tzinfo=None)


@cache
def software_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("vison-etl")
    except PackageNotFoundError:
        return "unknown"


@cache
def git_commit() -> str | None:
    """Return the commit of the checkout the package runs from, with ``+`` when it was modified; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
        diff = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=root, check=False)  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if diff.returncode else "")


def who_and_where() -> dict[str, Any]:
    """Return user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return {"user": user, "host": socket.gethostname()}
