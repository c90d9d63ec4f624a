"""The measure stage: run the units that are missing, keep what is done, write the lake.

A unit is done when its key stands in the first table of its measurement (written last) and its products exist. Trials read what is
there and store nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import xxhash

from vison_etl.effects.declare import Measurement
from vison_etl.lake.parts import partition_filters, read, schema, write_bytes, write_part
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.executors import Runner
from vison_etl.pipeline.unit_worker import run_unit
from vison_etl.pipeline.units import UnitTask


class Progress(Protocol):
    """How far the work has come."""

    def total(self, n: int, /) -> None:
        """Say how many steps there are."""

    def advance(self, n: int, /) -> None:
        """Say that ``n`` more are done."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where measurements of one acquisition live in the lake."""

    block: str
    test: str
    acquisition: str

    @property
    def part(self) -> str:
        """Return the name of the part file: the first exposure of the acquisition."""
        return f"{int(self.acquisition.rsplit('/', 1)[1]):06d}"


@dataclass(frozen=True, slots=True)
class Measured:
    """Tables of the acquisition, product rows (kind, ccd, path, digest), and units that failed with their reasons."""

    tables: Mapping[str, pl.DataFrame]
    products: tuple[Mapping[str, str], ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    n_done: int = 0
    n_kept: int = 0


@dataclass(slots=True)
class _Gathered:
    rows: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)


def measure(
    lake: Lake,
    place: Place,
    work: Sequence[tuple[Measurement, Sequence[UnitTask]]],
    run: Runner,
    *,
    store: bool,
    progress: Progress,
) -> Measured:
    """Bring the measurement tables of one acquisition up to date and return them.

    Parameters
    ----------
    work
        Each measurement with all its units.
    run
        Runs units somewhere and yields (task, result, error) in any order.
    store
        False for trials: the lake is read, never written.
    """
    kept = {m.name: _kept(lake, place, m, tasks) for m, tasks in work}
    missing = [task for m, tasks in work for task in tasks if task.key not in kept[m.name][1]]
    progress.total(len(missing))
    gathered = _run_missing(lake, place, missing, run, progress, store=store)
    tables: dict[str, pl.DataFrame] = {}
    for m, tasks in work:
        wanted = {task.key for task in tasks}
        for name in reversed(m.tables):
            old = kept[m.name][0][name]
            frames = [old.filter(pl.col("unit_key").is_in(list(kept[m.name][1]))), *gathered.rows.get(name, [])]
            mine = pl.concat(frames).filter(pl.col("unit_key").is_in(list(wanted)))
            if store and (len(frames) > 1 or mine.height != old.height):
                _store(lake, place, name, mine)
            tables[name] = mine if name not in tables else pl.concat([tables[name], mine])
    products = tuple(row for m, tasks in work for task in tasks for row in _product_rows(lake, place, m, task))
    return Measured(
        tables,
        products,
        tuple(gathered.failures),
        len(missing) - len(gathered.failures),
        sum(len(k) for _, k in kept.values()),
    )


def _run_missing(
    lake: Lake, place: Place, missing: Sequence[UnitTask], run: Runner, progress: Progress, *, store: bool
) -> _Gathered:
    gathered = _Gathered()
    if not missing:
        return gathered
    for task, result, error in run(run_unit, missing):
        progress.advance(1)
        if result is None:
            gathered.failures.append((task.label, f"{type(error).__name__}: {error}"))
            continue
        for name, columns in result.tables.items():
            gathered.rows.setdefault(name, []).append(_frame(name, place, task, columns))
        if store:
            for (kind, ccd), content in result.products.items():
                write_bytes(lake.root / product_path(place, task, kind, ccd), content)
    gathered.failures.sort()
    return gathered


def _kept(
    lake: Lake, place: Place, measurement: Measurement, tasks: Sequence[UnitTask]
) -> tuple[dict[str, pl.DataFrame], set[str]]:
    tables = {
        name: read(lake, name, **partition_filters(block=place.block, test=place.test)).filter(
            pl.col("acquisition") == place.acquisition
        )
        for name in measurement.tables
    }
    present = set(tables[measurement.tables[0]].get_column("unit_key").unique().to_list())
    done = {
        task.key
        for task in tasks
        if task.key in present
        and all((lake.root / product_path(place, task, kind, task.ccd)).is_file() for kind in measurement.products)
    }
    return tables, done


def _frame(name: str, place: Place, task: UnitTask, columns: Mapping[str, Any]) -> pl.DataFrame:
    wanted = schema(name)
    n_rows = len(next(iter(columns.values())))
    keys: dict[str, Any] = {
        "block": place.block,
        "test": place.test,
        "acquisition": place.acquisition,
        "script_column": task.script_column,
        "unit_key": task.key,
    }
    data = {
        column: pl.Series(column, columns[column], dtype=kind, strict=False)
        if column in columns
        else pl.repeat(keys.get(column), n_rows, dtype=kind, eager=True).alias(column)
        for column, kind in wanted.items()
    }
    return pl.DataFrame(data).with_columns(pl.selectors.float().fill_nan(None))


def _store(lake: Lake, place: Place, name: str, frame: pl.DataFrame) -> None:
    write_part(lake, name, {"block": place.block, "test": place.test}, place.part, frame)


def product_path(place: Place, task: UnitTask, kind: str, ccd: str) -> Path:
    """Return where a product lies, relative to the lake: named for people, ended by the key of its unit."""
    stem = f"{place.acquisition.replace('/', '_')}_{kind}_{ccd}_{task.key[:12]}.fits"
    return Path("products") / f"block={place.block}" / f"test={place.test}" / stem


def _product_rows(lake: Lake, place: Place, measurement: Measurement, task: UnitTask) -> Iterator[Mapping[str, str]]:
    for kind in measurement.products:
        path = product_path(place, task, kind, task.ccd)
        if (lake.root / path).is_file():
            digest = xxhash.xxh3_128_hexdigest((lake.root / path).read_bytes())
            yield {"kind": kind, "ccd": task.ccd, "path": os.fspath(path), "digest": digest}
