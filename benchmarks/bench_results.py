"""How fast is the results database: 16 blocks x 50 tests of made-up result rows.

``python benchmarks/bench_results.py`` prints each figure with its limit and ends with 1 if one is missed. Times are those of the
work itself, above imports.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from vison_etl import tables
from vison_etl.instrument.blocks import blocks
from vison_etl.lake.parts import schema
from vison_etl.results.connect import connect
from vison_etl.results.db import Connection, rows
from vison_etl.results.publish import publish
from vison_etl.sqlfiles import list_sql, read_sql

N_BLOCKS = 16
N_TESTS = 50
N_OBSIDS = 20
"""Exposures per test."""

DECIMALS = {
    **{
        ("quadrant_stats", name): 0
        for name in ("median_adu", "p05_adu", "p25_adu", "p75_adu", "p95_adu", "min_adu", "max_adu")
    },
    **{("hk_summary", name): 3 for name in ("min", "max", "first", "last")},
}
"""Columns that hold codes and readings as they are, not means of them."""

CELLS = [(ccd, quadrant) for ccd in tables.CCDS for quadrant in tables.QUADRANTS]
REGION_CELLS = [(*cell, region) for cell in CELLS for region in tables.REGIONS]
QUERIES = (
    ("from adopted_gain", 0.1),
    ("select test, avg(value) from measurements where quantity = 'ron_adu' group by test", 0.1),
    ("select block, test, quantity, avg(value), count(*) from measurements group by all", None),
)
RANDOM = np.random.default_rng(1)
EPOCH = datetime(2026, 1, 1)  # noqa: DTZ001 - runs carry UTC without zone


def made_up(table: str, n: int, **given: Any) -> pl.DataFrame:
    """Return ``n`` rows of a table: given columns or constants, random numbers elsewhere."""
    columns = {}
    for name, kind in schema(table).items():
        if name in given:
            values = given[name] if isinstance(given[name], list) else [given[name]] * n
        elif kind.is_float():
            values = np.round(RANDOM.normal(1000.0, 100.0, size=n), DECIMALS.get((table, name), 15)).tolist()
        elif kind.is_integer():
            values = list(range(n))
        else:
            values = [None] * n
        columns[name] = pl.Series(name, values, dtype=kind)
    return pl.DataFrame(columns)


def columns_of(cells: Sequence[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    """Return a list of key tuples as columns."""
    return {name: [cell[i] for cell in cells] for i, name in enumerate(names)}


def result_frames(keys: Mapping[str, str], test: str) -> dict[str, pl.DataFrame]:
    """Return the tables of one run, as many rows as the real ones have."""
    channels = columns_of(CELLS, "ccd", "quadrant")
    regions = columns_of(REGION_CELLS, "ccd", "quadrant", "region")
    points = columns_of([(*cell, pair) for cell in CELLS for pair in range(46)], "ccd", "quadrant", "pair")
    models = columns_of(
        [(*cell, m) for cell in CELLS for m in ("exponential", "quadratic")], "ccd", "quadrant", "model"
    )
    checks = {"ccd": channels["ccd"] * 30, "quadrant": channels["quadrant"] * 30, "pass": ([True] * 59 + [False]) * 6}
    frames = {
        "compliance": made_up("compliance", 360, metric="offset_adu", rule="offset", lo=-1.0, hi=1.0, **checks, **keys),
        "flags": made_up("flags", 1, flag="RON_OOL", **keys),
        "run_inputs": made_up("run_inputs", 1, run_id=keys["run_id"], kind="overrides", name="exclude"),
        "offsets": made_up("offsets", 48, **regions, **keys),
        "readout_noise": made_up("readout_noise", 48, status="ok", **regions, **keys),
    }
    if test.startswith("PTC"):
        adopted = {"is_adopted": [m == "exponential" for m in models["model"]], "status": "ok"}
        frames["ptc_points"] = made_up("ptc_points", len(points["pair"]), used=True, **points, **keys)
        frames["gain"] = made_up("gain", 24, **models, **adopted, **keys)
    else:
        light = columns_of(
            [(*cell, nm) for cell in CELLS for nm in (590.0, 730.0, 800.0, 880.0)], "ccd", "quadrant", "wavelength_nm"
        )
        frames["light_source"] = made_up("light_source", 48, status="ok", **light, **keys)
    return frames


def store_run(root: Path, number: int, acquisition: str, first: int) -> None:
    """Write one run folder, without the care of the lake's own writer."""
    block, test, _ = acquisition.split("/")
    keys = {"run_id": f"20260101T{number:06d}-00000000", "block": block, "test": test, "acquisition": acquisition}
    folder = root / "runs" / keys["run_id"]
    folder.mkdir(parents=True)
    for name, frame in result_frames(keys, test).items():
        frame.write_parquet(folder / f"{name}.parquet")
    record = {
        **keys, "obsid_first": first, "obsid_last": first + N_OBSIDS - 1, "status": "ok", "is_trial": False,
        "started_at": (EPOCH + timedelta(minutes=number)).isoformat(), "seconds": 1.0,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))


def store_day(root: Path, block: str, day: str, obsids: Sequence[int]) -> None:
    """Write exposures, statistics and housekeeping summaries of one day."""
    frames = {
        "exposures": made_up("exposures", 3 * len(obsids), block=block, day=day, obsid=np.repeat(obsids, 3).tolist(), ccd=list(tables.CCDS) * len(obsids)),
        "quadrant_stats": made_up(
            "quadrant_stats", 48 * len(obsids), block=block, day=day, obsid=np.repeat(obsids, 48).tolist(),
            **{name: cells * len(obsids) for name, cells in columns_of(REGION_CELLS, "ccd", "quadrant", "region").items()},
        ),
        "hk_summary": made_up("hk_summary", 60 * len(obsids), block=block, day=day, obsid=np.repeat(obsids, 60).tolist(), key=[f"K{i:02d}" for i in range(60)] * len(obsids)),
    }  # fmt: skip
    for name, frame in frames.items():
        folder = root / name / f"block={block}" / f"day={day}"
        folder.mkdir(parents=True)
        frame.write_parquet(folder / f"part-{obsids[0]:06d}.parquet")


def store_block(root: Path, block: str, number: int) -> None:
    """Write all runs, acquisitions and days of one block."""
    records = []
    for k in range(N_TESTS):
        test = "PTC01" if k == 0 else f"BIAS{k:02d}" if k % 2 else f"PTC02_{500 + k}"
        first = 1000 + N_OBSIDS * k
        acquisition = f"{block}/{test}/{first}"
        records.append(
            {"acquisition": acquisition, "test": test, "obsid_first": first, "obsid_last": first + N_OBSIDS - 1}
        )
        store_run(root, number * N_TESTS + k, acquisition, first)
    columns = {name: [record[name] for record in records] for name in records[0]}
    found = made_up(
        "acquisitions", N_TESTS, block=block, status="complete", is_adopted=True, started_at=EPOCH, **columns
    )
    folder = root / "acquisitions" / f"block={block}"
    folder.mkdir(parents=True)
    found.write_parquet(folder / "part-0.parquet")
    for index, obsids in enumerate(np.array_split(np.arange(1000, 1000 + N_TESTS * N_OBSIDS), 5)):
        store_day(root, block, f"2026-01-{index + 1:02d}", obsids.tolist())


def time_of(connection: Connection, text: str) -> float:
    """Return the median time of a query, s."""
    return median_of(5, lambda: rows(connection, text))


def median_of(n: int, work: Callable[[], object]) -> float:
    """Return the median time of ``n`` goes, s."""
    times = []
    for _ in range(n):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def figures(root: Path) -> list[tuple[str, float, float | None]]:
    """Return (what, seconds, limit in seconds)."""
    names = [block.block for block in blocks()][:N_BLOCKS]
    for number, block in enumerate(names):
        store_block(root, block, number)
    found: list[tuple[str, float, float | None]] = [("publish 800 runs from nothing", publish(root).seconds, None)]
    found.append(("publish when all is in", median_of(5, lambda: publish(root)), None))
    singles = []
    for number in range(9):
        store_run(root, N_BLOCKS * N_TESTS + number, f"{names[number]}/PTC01/1000", 1000)
        singles.append(publish(root).seconds)
    found.append(("publish one run into 800", statistics.median(singles), 0.5))
    with connect(root) as connection:
        found.append(("open the snapshot", median_of(5, lambda: connect(root).close()), None))
        for folder, limit in (("metatests", 0.1), ("fpa", 0.1), ("checks", None)):
            found += [
                (f"{folder}/{name}", time_of(connection, read_sql(f"{folder}/{name}")), limit)
                for name in list_sql(folder)
            ]
        found += [(text, time_of(connection, text), limit) for text, limit in QUERIES]
    return found


def main() -> int:
    """Print the figures; return 1 if a limit is missed."""
    with tempfile.TemporaryDirectory(prefix="bench-results-") as folder:
        root = Path(folder)
        found = figures(root)
        size_mb = (root / "results.duckdb").stat().st_size / 1e6
    missed = 0
    print(f"snapshot {size_mb:.0f} MB")
    for what, seconds, limit in found:
        over = limit is not None and seconds > limit
        missed += over
        bound = "" if limit is None else f"limit {1e3 * limit:.0f}{'  MISSED' if over else ''}"
        print(f"{1e3 * seconds:9.1f} ms  {what[:90]:90s} {bound}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
