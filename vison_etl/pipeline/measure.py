"""The measure stage: run the units that are missing, keep what is done, write the lake.

A unit is done when its key stands in the first table of its measurement (written last) and its products exist. Trials read what is
there and store nothing. Tests that use the same frames share a place: none takes the rows of another away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import xxhash

from vison_etl.effects.declare import Measurement
from vison_etl.lake.locks import hold
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
class Work:
    """All units of one measurement at one place; ``is_own``: the test that asks feeds the effect that declares it."""

    place: Place
    measurement: Measurement
    tasks: tuple[UnitTask, ...]
    is_own: bool = True

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of its units."""
        return frozenset(task.key for task in self.tasks)


@dataclass(frozen=True, slots=True)
class Measured:
    """Tables of all places, product rows (kind, ccd, path, digest), and units that failed with their reasons."""

    tables: Mapping[str, pl.DataFrame]
    products: tuple[Mapping[str, str], ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    n_done: int = 0
    n_kept: int = 0


@dataclass(slots=True)
class _Gathered:
    rows: dict[tuple[Place, str], list[pl.DataFrame]] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)


def measure(
    lake: Lake,
    work: Sequence[Work],
    run: Runner,
    *,
    claimed: Callable[[Place], frozenset[str]],
    store: bool,
    progress: Progress,
) -> Measured:
    """Bring the measurement tables that a test wants up to date and return its rows.

    Parameters
    ----------
    work
        Each measurement with all its units, per place.
    run
        Runs units somewhere and yields (task, result, error) in any order.
    claimed
        Gives the keys of the units at a place that other tests want: their rows stay. Asked only where rows might go.
    store
        False for trials: the lake is read, never written.
    """
    kept = [_kept(lake, one) for one in work]
    missing = [
        (one.place, task)
        for one, (_, done) in zip(work, kept, strict=True)
        for task in one.tasks
        if task.key not in done
    ]
    progress.total(len(missing))
    gathered = _run_missing(lake, missing, run, progress, store=store)
    books = _Books(lake, work, set().union(*(done for _, done in kept)), cache(claimed))
    tables: dict[str, pl.DataFrame] = {}
    for one, (old, done) in zip(work, kept, strict=True):
        measured: set[str] = set()
        for name in reversed(one.measurement.tables):
            fresh = pl.concat([old[name].clear(), *gathered.rows.get((one.place, name), [])])
            fresh = fresh.filter(pl.col("unit_key").is_in(list(one.keys)))
            if store:
                books.store(one.place, name, old[name], fresh)
            mine = pl.concat([old[name].filter(pl.col("unit_key").is_in(list(done))), fresh])
            tables[name] = mine if name not in tables else pl.concat([tables[name], mine])
            measured |= set(fresh.get_column("unit_key").unique())
        books.done.update(measured)
    products = tuple(row for one in work if one.is_own for task in one.tasks for row in _product_rows(lake, one, task))
    n_failed = len(gathered.failures)
    return Measured(
        tables, products, tuple(gathered.failures), len(missing) - n_failed, sum(len(done) for _, done in kept)
    )


def _run_missing(
    lake: Lake, missing: Sequence[tuple[Place, UnitTask]], run: Runner, progress: Progress, *, store: bool
) -> _Gathered:
    gathered = _Gathered()
    if not missing:
        return gathered
    places = {task.key: place for place, task in missing}
    for task, result, error in run(run_unit, [task for _, task in missing]):
        progress.advance(1)
        if result is None:
            gathered.failures.append((task.label, f"{type(error).__name__}: {error}"))
            continue
        place = places[task.key]
        for name, columns in result.tables.items():
            gathered.rows.setdefault((place, name), []).append(_frame(name, place, task, columns))
        if store:
            for (kind, ccd), content in result.products.items():
                write_bytes(lake.root / product_path(place, task, kind, ccd), content)
    gathered.failures.sort()
    return gathered


def _kept(lake: Lake, one: Work) -> tuple[dict[str, pl.DataFrame], set[str]]:
    """Return the rows there are in each table of a measurement, and the keys of its units that are done."""
    tables = {name: _rows(lake, one.place, name) for name in one.measurement.tables}
    present = set(tables[one.measurement.tables[0]].get_column("unit_key").unique().to_list())
    done = {
        task.key
        for task in one.tasks
        if task.key in present
        and all(
            (lake.root / product_path(one.place, task, kind, task.ccd)).is_file() for kind in one.measurement.products
        )
    }
    return tables, done


def _rows(lake: Lake, place: Place, name: str) -> pl.DataFrame:
    return read(lake, name, **partition_filters(block=place.block, test=place.test)).filter(
        pl.col("acquisition") == place.acquisition
    )


@dataclass(frozen=True, slots=True)
class _Books:
    """What of the rows at a place stays when new ones are written: units that are done, and those that other tests want."""

    lake: Lake
    work: Sequence[Work]
    done: set[str]
    claimed: Callable[[Place], frozenset[str]]

    def store(self, place: Place, name: str, seen: pl.DataFrame, fresh: pl.DataFrame) -> None:
        """Write rows of a table. What another process has written since they were ``seen`` is read again before."""
        if fresh.is_empty() and self._left(place, seen).height == seen.height:
            return
        with hold(self.lake, f"measure-{place.block}"):
            there = _rows(self.lake, place, name)
            others = self._left(place, there).join(fresh.select("unit_key").unique(), on="unit_key", how="anti")
            partition = {"block": place.block, "test": place.test}
            write_part(self.lake, name, partition, place.part, pl.concat([others, fresh]))

    def _left(self, place: Place, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that are of use. Rows of a unit that is to be measured again are not."""
        wanted = frozenset().union(*(one.keys for one in self.work if one.place == place))
        keys = set(rows.get_column("unit_key").unique().to_list())
        left = keys & self.done
        if keys - wanted:
            left |= (keys & self.claimed(place)) - wanted
        return rows if left == keys else rows.filter(pl.col("unit_key").is_in(list(left)))


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


def product_path(place: Place, task: UnitTask, kind: str, ccd: str) -> Path:
    """Return where a product lies, relative to the lake: named for people, ended by the key of its unit."""
    stem = f"{place.acquisition.replace('/', '_')}_{kind}_{ccd}_{task.key[:12]}.fits"
    return Path("products") / f"block={place.block}" / f"test={place.test}" / stem


def _product_rows(lake: Lake, one: Work, task: UnitTask) -> Iterator[Mapping[str, str]]:
    for kind in one.measurement.products:
        path = product_path(one.place, task, kind, task.ccd)
        if (lake.root / path).is_file():
            digest = xxhash.xxh3_128_hexdigest((lake.root / path).read_bytes())
            yield {"kind": kind, "ccd": task.ccd, "path": os.fspath(path), "digest": digest}
