"""Small lakes made by code: acquisitions, exposures and runs with a few rows, through the lake's own writers."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from vison_etl import tables
from vison_etl.lake.parts import schema, write_part
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import write_run
from vison_etl.results.connect import connect
from vison_etl.results.db import rows

CHANNELS = [(ccd, quadrant) for ccd in tables.CCDS for quadrant in tables.QUADRANTS]
EPOCH = datetime(2026, 1, 1)  # noqa: DTZ001 - runs carry UTC without zone


def fill(table: str, records: list[dict[str, Any]], **same: Any) -> pl.DataFrame:
    """Return a complete frame of a table: given values, NULL elsewhere."""
    return pl.DataFrame([dict.fromkeys(schema(table)) | same | record for record in records], schema=schema(table))


def store_acquisition(
    lake: Lake,
    block: str,
    test: str,
    first: int,
    *,
    n: int = 10,
    status: str = "complete",
    adopted: bool = True,
    **more: Any,
) -> str:
    """Add an acquisition to the lake; return its name."""
    name = f"{block}/{test}/{first}"
    record = {
        "acquisition": name, "block": block, "test": test, "repeat": 1, "obsid_first": first, "obsid_last": first + n - 1,
        "n_expected": n, "n_found": n, "status": status, "is_adopted": adopted,
        "started_at": datetime(2019, 3, 1) + timedelta(hours=first / 100),  # noqa: DTZ001 - bench time
    }  # fmt: skip
    write_part(lake, "acquisitions", {"block": block}, f"{first:06d}-{test}", fill("acquisitions", [record | more]))
    return name


def store_exposures(lake: Lake, block: str, day: str, obsids: range, *, mean_adu: float = 1000.0) -> None:
    """Add exposures and their statistics to the lake."""
    frames = [
        {"obsid": obsid, "ccd": ccd, "log_row": 3 * i + c + 2}
        for i, obsid in enumerate(obsids)
        for c, ccd in enumerate(tables.CCDS)
    ]
    same = {"block": block, "day": day, "root": f"/data/{day}", "log_path": f"EXP_LOG_{day}.txt", "exptime_s": 1.0}
    name = f"{obsids[0]:06d}"
    write_part(lake, "exposures", {"block": block, "day": day}, name, fill("exposures", frames, **same))
    cells = [
        {"obsid": o, "ccd": c, "quadrant": q, "region": r, "mean_adu": mean_adu + o}
        for o in obsids for c, q in CHANNELS for r in tables.REGIONS
    ]  # fmt: skip
    stats = fill("quadrant_stats", cells, block=block, day=day, n=100)
    write_part(lake, "quadrant_stats", {"block": block, "day": day}, name, stats)


def store_override(lake: Lake, minute: int, **what: Any) -> None:
    """Add a decision, made the given minutes after the epoch."""
    record = {"made_at": EPOCH + timedelta(minutes=minute), "reason": "because", "author": "me"}
    write_part(lake, "overrides", {}, f"{minute:06d}", fill("overrides", [record | what]))


def store_run(
    lake: Lake,
    acquisition: str,
    minute: int,
    *,
    test: str | None = None,
    first: int | None = None,
    n: int = 10,
    status: str = "ok",
    is_trial: bool = False,
    gain: float | None = None,
    gain_status: str = "ok",
    without: tuple[tuple[str, str], ...] = (),
) -> str:
    """Add a run of an acquisition, started the given minutes after the epoch; return its id.

    It has offsets and noise; with ``gain``, that gain in all channels but those ``without``.
    """
    block, own_test, start = acquisition.split("/")
    start_obsid = int(start) if first is None else first
    run_id = f"20260101T{minute:06d}.000000-{abs(hash((acquisition, minute))) % 16**8:08x}"
    keys = {"run_id": run_id, "block": block, "test": test or own_test, "acquisition": acquisition}
    record = {
        **keys, "obsid_first": start_obsid, "obsid_last": start_obsid + n - 1, "status": status, "is_trial": is_trial,
        "flags": "", "software_version": "0.1.0", "started_at": (EPOCH + timedelta(minutes=minute)).isoformat(),
        "seconds": 1.5, "note": "a key that no column has",
    }  # fmt: skip
    write_run(lake, record, _results(keys, minute, gain, gain_status, without) if status != "failed" else {})
    return run_id


def _results(
    keys: dict[str, str], minute: int, gain: float | None, gain_status: str, without: tuple[tuple[str, str], ...]
) -> dict[str, pl.DataFrame]:
    cells = [{"ccd": c, "quadrant": q, "region": r} for c, q in CHANNELS for r in tables.REGIONS]
    offsets = [cell | {"offset_adu": 2000.0 + minute, "offset_adu_err": 0.1, "n_frames": 10} for cell in cells]
    noise = [
        cell | {"ron_adu": 1.0 + minute / 1000, "ron_adu_err": 0.01, "ron_e": 3.3, "status": "ok", "n_points": 9}
        for cell in cells
    ]
    checks = [
        {"check_id": 0, "metric": "offset_adu", "ccd": "CCD1", "quadrant": "E", "value": 5.0, "lo": 0.0, "hi": 10.0, "pass": True, "rule": "a"},
        {"check_id": 1, "metric": "offset_adu", "ccd": "CCD1", "quadrant": "F", "value": 15.0, "lo": 0.0, "hi": 10.0, "pass": False, "rule": "a"},
        {"check_id": 2, "metric": "ron_adu", "ccd": "CCD2", "quadrant": "G", "value": None, "lo": None, "hi": 10.0, "pass": False, "rule": "b"},
    ]  # fmt: skip
    found = {
        "offsets": fill("offsets", offsets, **keys),
        "readout_noise": fill("readout_noise", noise, **keys),
        "compliance": fill("compliance", checks, **keys),
        "flags": fill("flags", [{"flag": "RON_OOL", "n": 1, "detail": "CCD1 E"}], **keys),
        "run_inputs": fill("run_inputs", [{"kind": "overrides", "name": "exclude"}], run_id=keys["run_id"]),
    }
    if gain is not None:
        models = [
            {"ccd": c, "quadrant": q, "model": model, "gain_e_per_adu": gain + shift, "gain_e_per_adu_err": 0.001,
             "is_adopted": shift == 0, "status": gain_status, "n_points": 40}
            for c, q in CHANNELS if (c, q) not in without for model, shift in (("exponential", 0.0), ("quadratic", 0.1))
        ]  # fmt: skip
        found["gain"] = fill("gain", models, **keys)
        light = [
            {"ccd": c, "quadrant": q, "wavelength_nm": 800.0, "rate_adu_per_s": 1000.0, "status": "ok"}
            for c, q in CHANNELS
        ]
        found["light_source"] = fill("light_source", light, **keys)
    return found


def small_lake(root: Path) -> Lake:
    """Make a lake of two blocks with one run each, not published."""
    lake = Lake(root)
    store_run(lake, store_acquisition(lake, "BORN", "BIAS01", 100), 1)
    store_run(lake, store_acquisition(lake, "NIELS", "PTC01", 500), 2, gain=3.4)
    store_exposures(lake, "BORN", "2019-03-01", range(100, 110))
    store_exposures(lake, "BORN", "2019-03-02", range(200, 203))
    store_exposures(lake, "NIELS", "2019-04-01", range(500, 510))
    return lake


def ask(root: Path, sql: str, database: Path | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the published results."""
    with connect(root, database) as connection:
        return rows(connection, sql)


def dump(root: Path, database: Path | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all base tables but the publisher's notes, sorted: what two equal snapshots have in common."""
    with connect(root, database) as connection:
        names = rows(
            connection,
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name <> 'snapshot' and database_name = 'results'",
        )
        return {name: sorted(rows(connection, f"from {name}"), key=repr) for (name,) in names}
