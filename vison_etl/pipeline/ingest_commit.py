"""One unit written to the lake: housekeeping, its summary, statistics, and the exposures last, for they say what is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import xxhash

from vison_etl.instrument.hk import unit_of
from vison_etl.lake.parts import read_files, schema, write_part
from vison_etl.lake.paths import Lake, bucket_name
from vison_etl.pipeline.ingest_resolve import Resolved
from vison_etl.pipeline.ingest_state import KnownHk, Record
from vison_etl.pipeline.plan_ingest import Key, Unit
from vison_etl.pipeline.worker import FrameRead, HkRead
from vison_etl.pixels.clipping import STATISTICS

_SUMMARY = ("n", "mean", "std", "min", "max", "first", "last")


def commit(lake: Lake, unit: Unit, resolved: Resolved) -> bool:
    """Bring the part files of a unit to what was resolved; return whether anything had to be written.

    Interrupted anywhere, the exposures still say what they said before, so that the next run finds the same work again and
    writes the same.
    """
    days = {*unit.held.exposures, *unit.held.hk, *resolved.exposures, *(known.day for known in resolved.hk.values())}
    changed = False
    for day in sorted(days):
        changed |= _commit_hk(lake, unit, resolved, day)
    for day in sorted(days):
        changed |= _commit_exposures(lake, unit, resolved, day)
    return changed


def _commit_hk(lake: Lake, unit: Unit, resolved: Resolved, day: str) -> bool:
    wanted = {obsid: known for obsid, known in resolved.hk.items() if known.day == day}
    new = {obsid: read for obsid, read in resolved.hk_new.items() if obsid in wanted}
    if not new and wanted == unit.held.hk.get(day, {}):
        return False
    inputs = _digest(f"{obsid}:{known.path}:{known.stamp}" for obsid, known in wanted.items())
    kept = wanted.keys() - new.keys()
    tables: dict[str, Callable[[], pl.DataFrame]] = {
        "housekeeping": lambda: housekeeping_rows(new),
        "hk_summary": lambda: summary_rows(new, wanted),
    }
    for table, rows in tables.items():
        merged = _merge(lake, unit, table, day, pl.col("obsid").is_in(sorted(kept)), rows())
        write_part(lake, table, _partition(unit, day), bucket_name(unit.key[1]), merged, inputs=inputs)
    return True


def _commit_exposures(lake: Lake, unit: Unit, resolved: Resolved, day: str) -> bool:
    wanted, held = resolved.exposures.get(day, {}), unit.held.exposures.get(day, {})
    new = {key: read for key, read in resolved.frames.items() if key in wanted}
    if not new and wanted == held:
        return False
    inputs = _digest(f"{obsid}:{ccd}:{row['digest']}" for (obsid, ccd), row in wanted.items())
    name, partition = bucket_name(unit.key[1]), _partition(unit, day)
    if new or wanted.keys() != held.keys():
        merged = _merge(lake, unit, "quadrant_stats", day, _is_one_of(wanted.keys() - new.keys()), statistics_rows(new))
        write_part(lake, "quadrant_stats", partition, name, merged, inputs=inputs)
    write_part(lake, "exposures", partition, name, exposure_frame(list(wanted.values())), inputs=inputs)
    return True


def _partition(unit: Unit, day: str) -> Mapping[str, str]:
    return {"block": unit.key[0], "day": day}


def _merge(lake: Lake, unit: Unit, table: str, day: str, kept: pl.Expr, new: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a part file that stay, with new ones; rows without their exposure do not stay."""
    path = lake.part(table, _partition(unit, day), bucket_name(unit.key[1]))
    if not path.exists():
        return new
    return pl.concat([read_files(table, [path]).filter(kept).select(new.columns), new])


def _is_one_of(keys: Collection[Key]) -> pl.Expr:
    names = [f"{obsid} {ccd}" for obsid, ccd in sorted(keys)]
    return (pl.col("obsid").cast(pl.String) + " " + pl.col("ccd")).is_in(names)


def _digest(texts: Any) -> str:
    return xxhash.xxh3_128_hexdigest("\n".join(sorted(texts)).encode())


def exposure_frame(rows: Sequence[Record]) -> pl.DataFrame:
    """Return rows of ``exposures`` as a frame."""
    return pl.DataFrame(
        {name: pl.Series([row[name] for row in rows], dtype=kind) for name, kind in schema("exposures").items()}
    )


def statistics_rows(reads: Mapping[Key, FrameRead]) -> pl.DataFrame:
    """Return rows of ``quadrant_stats`` without the partition columns."""
    wanted = schema("quadrant_stats")
    columns = ("obsid", "ccd", "quadrant", "region", *STATISTICS)
    rows = [(*key, *region) for key, read in reads.items() for region in read.statistics]
    return pl.DataFrame(rows, schema={name: wanted[name] for name in columns}, orient="row")


def housekeeping_rows(reads: Mapping[int, HkRead]) -> pl.DataFrame:
    """Return rows of ``housekeeping`` without the partition columns, in key order."""
    wanted = schema("housekeeping")
    columns = ("obsid", "key", "reading", "read_at", "value", "value_text", "unit")
    frames = [pl.DataFrame(schema={name: wanted[name] for name in columns})]
    for keys, obsids in _by_keys(reads).items():
        frames.append(_readings(keys, {obsid: reads[obsid] for obsid in obsids}).select(columns))
    return pl.concat(frames)


def _by_keys(reads: Mapping[int, HkRead]) -> dict[tuple[str, ...], list[int]]:
    """Group exposures by the keys of their files, of which a day has one or two versions."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for obsid in sorted(reads):
        groups.setdefault(reads[obsid].keys, []).append(obsid)
    return groups


def _readings(keys: tuple[str, ...], reads: Mapping[int, HkRead]) -> pl.DataFrame:
    """Return the readings of files with the same keys: by exposure, key and reading."""
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
    place = {int(column): rank for rank, column in enumerate(order)}
    counts = [len(read.values) for read in reads.values()]
    starts = np.cumsum([0, *counts[:-1]])
    key = np.concatenate([np.repeat(order, n) for n in counts])
    reading = np.concatenate([np.tile(np.arange(n), len(keys)) for n in counts])
    values = np.concatenate([read.values[:, order].T.ravel() for read in reads.values()])
    texts: dict[int, str] = {}
    for start, n, read in zip(starts, counts, reads.values(), strict=True):
        texts |= {int(start) * len(keys) + place[column] * n + row: text for row, column, text in read.texts}
    times = pl.Series([time for read in reads.values() for time in read.read_at], dtype=pl.Datetime("us"))
    units = pl.Series([unit_of(name) or None for name in keys], dtype=pl.String)
    return pl.DataFrame(
        {
            "obsid": pl.Series(np.repeat(list(reads), np.array(counts) * len(keys)), dtype=pl.Int64),
            "key": pl.Series(keys, dtype=pl.String).gather(key),
            "reading": pl.Series(reading, dtype=pl.Int64),
            "read_at": times.gather(reading + np.repeat(starts, np.array(counts) * len(keys))),
            "value": pl.Series(values, nan_to_null=True),
            "value_text": _sparse(texts, len(values)),
            "unit": units.gather(key),
        }
    )


def _sparse(texts: Mapping[int, str], n: int) -> pl.Series:
    """Return ``n`` texts, NULL where there is none."""
    known = pl.Series([*texts.values(), None], dtype=pl.String)
    index = np.full(n, len(texts))
    index[list(texts)] = np.arange(len(texts))
    return known.gather(index)


def summary_rows(reads: Mapping[int, HkRead], sources: Mapping[int, KnownHk]) -> pl.DataFrame:
    """Return rows of ``hk_summary`` without the partition columns."""
    wanted = schema("hk_summary")
    columns = ("obsid", "key", "unit", *_SUMMARY, "root", "hk_path", "hk_stamp")
    rows = [
        (obsid, key, unit_of(key) or None, *numbers, sources[obsid].root, sources[obsid].path, sources[obsid].stamp)
        for obsid, read in reads.items()
        for key, numbers in zip(read.keys, read.summary, strict=True)
    ]
    return pl.DataFrame(rows, schema={name: wanted[name] for name in columns}, orient="row")
