"""Part files: the tables of the lake as partitioned Parquet, written whole and read with explicit schemas.

Partition columns are stored in the files as well as in the names of the folders: a file says by itself what it holds, and readers
need no guess about types or about a ``=`` somewhere in the path of the lake. Files are found by the name ``part-*.parquet`` alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from vison_etl import tables
from vison_etl.lake.atomic import replace_unless_equal, sync, write_bytes
from vison_etl.lake.paths import PART_PREFIX, PART_SUFFIX, Lake, LakeError

__all__ = [
    "part_files",
    "partition_filters",
    "partition_of",
    "partition_values",
    "read",
    "read_files",
    "remove_part",
    "scan",
    "scan_files",
    "schema",
    "write_bytes",
    "write_frame",
    "write_new",
    "write_part",
]

Filters = Mapping[str, Sequence[str]]

_TYPES: Mapping[str, pl.DataType] = {
    "text": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "timestamp": pl.Datetime("us"),
}
_COMPRESSION_LEVEL = 3


@cache
def schema(table: str) -> pl.Schema:
    """Return the polars schema of a table, in the order of its columns."""
    return pl.Schema({column.name: _TYPES[column.kind] for column in tables.table(table).columns})


@cache
def _software_version() -> str:
    try:
        return version("vison-etl")
    except PackageNotFoundError:
        return "unknown"


def partition_filters(**wanted: str | Iterable[str] | None) -> dict[str, tuple[str, ...]]:
    """Return keyword arguments for ``scan`` and ``read``: one value or several per partition column, None for all."""
    return {
        column: (value,) if isinstance(value, str) else tuple(value)
        for column, value in wanted.items()
        if value is not None
    }


def partition_values(lake: Lake, table: str, column: str) -> list[str]:
    """Return the values a partition column has in the lake, sorted."""
    position = tables.table(table).partitions.index(column)
    folders = [lake.table_folder(table)]
    for _ in range(position):
        folders = [child for folder in folders for child in _folders(folder)]
    return sorted({value for folder in folders for value in _values(folder, column)})


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []


def _values(folder: Path, column: str) -> list[str]:
    prefix = f"{column}="
    return [child.name.removeprefix(prefix) for child in _folders(folder) if child.name.startswith(prefix)]


def part_files(lake: Lake, table: str, **filters: str | Sequence[str]) -> list[Path]:
    """Return the part files of a table in the wanted partitions, sorted; ``ValueError`` for a filter on another column."""
    wanted = partition_filters(**filters)
    columns = tables.table(table).partitions
    unknown = set(wanted) - set(columns)
    if unknown:
        raise ValueError(f"table {table} is not partitioned by {', '.join(sorted(unknown))}")
    folders = [lake.table_folder(table)]
    for column in columns:
        values = wanted.get(column)
        folders = [
            folder / f"{column}={value}"
            for folder in folders
            for value in (_values(folder, column) if values is None else values)
        ]
    return sorted(path for folder in folders for path in folder.glob(f"{PART_PREFIX}*{PART_SUFFIX}"))


def partition_of(path: Path) -> dict[str, str]:
    """Return the partition of a part file from the names of its folders."""
    pairs: dict[str, str] = {}
    for folder in path.parents:
        column, sign, value = folder.name.partition("=")
        if not sign:
            break
        pairs[column] = value
    return dict(reversed(pairs.items()))


def scan_files(table: str, files: Sequence[Path]) -> pl.LazyFrame:
    """Scan part files of a table: typed and complete even if there are none or older ones lack columns."""
    wanted = schema(table)
    if not files:
        return pl.LazyFrame(schema=wanted)
    return pl.scan_parquet(
        list(files),
        schema=wanted,
        glob=False,
        hive_partitioning=False,
        missing_columns="insert",
        extra_columns="ignore",
        cast_options=pl.ScanCastOptions(integer_cast="upcast", float_cast="upcast"),
    )


def scan(lake: Lake, table: str, **filters: str | Sequence[str]) -> pl.LazyFrame:
    """Scan a table, or the wanted partitions of it: ``scan(lake, "exposures", block="BORN")``."""
    return scan_files(table, part_files(lake, table, **filters))


def read_files(table: str, files: Sequence[Path]) -> pl.DataFrame:
    """Read part files in their order.

    Raises
    ------
    LakeError
        Naming the file that cannot be read and the remedy.
    """
    try:
        return scan_files(table, files).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise LakeError(_explain(table, files, error)) from error


def read(lake: Lake, table: str, **filters: str | Sequence[str]) -> pl.DataFrame:
    """Read a table, or the wanted partitions of it, in the order of the files (rows of a file are sorted by key)."""
    return read_files(table, part_files(lake, table, **filters))


def _explain(table: str, files: Sequence[Path], error: Exception) -> str:
    for path in files:
        try:
            scan_files(table, [path]).collect()
        except (pl.exceptions.PolarsError, OSError) as cause:
            return f"{path}: cannot be read ({_first_line(cause)}); {_remedy(table, partition_of(path))}"
    return f"table {table}: cannot be read ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()[:200]


def _remedy(table: str, partition: Mapping[str, str]) -> str:
    if "day" in partition:
        return f"run `vison-etl forget --block {partition['block']} --day {partition['day']}` and ingest that day again"
    if "test" in partition:
        return f"delete it and run `vison-etl analyse --block {partition['block']} --test {partition['test']}`"
    if "block" in partition:
        return "delete it and ingest a day folder of that block again"
    return f"restore it from a copy, or delete it and lose what it says in table {table}"


def write_part(
    lake: Lake, table: str, partition: Mapping[str, str], name: str, frame: pl.DataFrame, *, inputs: str | None = None
) -> bool:
    """Write the part file ``part-<name>.parquet`` of one partition, whole, in the place of what was there.

    Parameters
    ----------
    frame
        Columns of the table, in any order; missing ones become NULL, partition columns are filled in, NaN becomes NULL. An empty
        frame removes the part file.
    inputs
        Digest of what the rows were made from, kept in the metadata of the file.

    Returns
    -------
    bool
        Whether the lake changed: the same rows again leave the file alone.

    Raises
    ------
    LakeError
        For a column the table does not have, repeated keys, or rows of another partition.
    """
    path = lake.part(table, partition, name)
    if frame.is_empty():
        return remove_part(path)
    return write_frame(path, table, _fitted(table, partition, frame), inputs=inputs)


def write_frame(path: Path, table: str, frame: pl.DataFrame, *, inputs: str | None = None) -> bool:
    """Write one Parquet file of a table, whole, with its provenance in the footer; return whether it changed."""
    return replace_unless_equal(path, lambda temporary: _write(temporary, table, frame, inputs))


def write_new(path: Path, table: str, frame: pl.DataFrame) -> None:
    """Write one Parquet file of a table into a folder that has no name yet; the folder itself is flushed when it gets one."""
    _write(path, table, frame, None)
    sync(path)


def _write(path: Path, table: str, frame: pl.DataFrame, inputs: str | None) -> None:
    metadata = {
        "table": table,
        "schema_version": str(tables.SCHEMA_VERSION),
        "software_version": _software_version(),
        **({} if inputs is None else {"inputs": inputs}),
    }
    frame.write_parquet(path, compression="zstd", compression_level=_COMPRESSION_LEVEL, metadata=metadata)


def remove_part(path: Path) -> bool:
    """Remove a part file; return whether there was one."""
    if not path.exists():
        return False
    path.unlink()
    sync(path.parent)
    return True


def _fitted(table: str, partition: Mapping[str, str], frame: pl.DataFrame) -> pl.DataFrame:
    wanted = schema(table)
    extra = sorted(set(frame.columns) - set(wanted))
    if extra:
        raise LakeError(f"table {table} has no column {', '.join(extra)}")
    fitted = frame.select(_columns(wanted, partition, frame.columns))
    for column, value in partition.items():
        if not fitted.get_column(column).eq_missing(pl.Series([value])).all():
            raise LakeError(f"table {table}: rows of another {column} than {value}")
    return _in_key_order(table, fitted, partition)


def _in_key_order(table: str, frame: pl.DataFrame, partition: Mapping[str, str]) -> pl.DataFrame:
    """Return the rows sorted by key; columns of the partition are the same in all of them."""
    all_keys = tables.table(table).keys
    keys = [key for key in all_keys if key not in partition] or list(all_keys)
    if frame.select(_is_increasing(keys)).item():
        return frame
    if frame.select(keys).is_duplicated().any():
        raise LakeError(f"table {table}: rows are not unique over {', '.join(all_keys)}")
    return frame.sort(keys, nulls_last=True)


def _is_increasing(keys: Sequence[str]) -> pl.Expr:
    """Tell in one pass whether every row is greater than the one before: sorted and unique. NULL is not greater than anything."""
    greater = pl.lit(value=False)
    for key in reversed(keys):
        before = pl.col(key).shift()
        greater = (pl.col(key) > before) | ((pl.col(key) == before) & greater)
    return greater.slice(1).fill_null(value=False).all()


def _columns(wanted: pl.Schema, partition: Mapping[str, str], present: Sequence[str]) -> Iterator[pl.Expr]:
    for column, kind in wanted.items():
        if column in present:
            cast = pl.col(column).cast(kind)
            yield cast.fill_nan(None) if kind.is_float() else cast
        else:
            yield pl.lit(partition.get(column), dtype=kind).alias(column)
