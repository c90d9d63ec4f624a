"""Write the sample of a released schema version: ``python -m tests.lake.write_released``, once, with the code that is released.

``tests/data/released/<version>/`` is a small lake: simulated tests of every kind, cut down to a few rows of every table,
with the folders of two runs. It is read by ``test_released.py`` for ever and never written again once its version is out.
"""

from __future__ import annotations

import json
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from tests.end_to_end.campaign import take, work
from vison_etl import tables
from vison_etl.lake.manage import relocate
from vison_etl.lake.parts import part_files, partition_of, read_files, write_frame, write_part
from vison_etl.lake.paths import PART_PREFIX, PART_SUFFIX, Lake
from vison_etl.lake.runs import list_runs
from vison_etl.pixels.png import grey_png
from vison_etl.results.connect import connect
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day

RELEASED = Path(__file__).parents[1] / "data" / "released"
TESTS = ("COSMETICS00", "BIAS01", "DARK01", "PTC02_730", "FLAT_STB", "NL02", "MOT_WARM")
RAW = "/data/raw"

first_frames = pl.col("obsid") < 17003
one_channel = (pl.col("ccd") == "CCD1") & (pl.col("quadrant") == "E")

CUTS: Mapping[str, pl.Expr] = {
    "exposures": first_frames,
    "housekeeping": first_frames & pl.col("key").str.starts_with("CCD1_") & (pl.col("reading") < 3),
    "hk_summary": first_frames & pl.col("key").str.starts_with("CCD1_"),
    "quadrant_stats": first_frames & (pl.col("ccd") == "CCD1"),
    "pair_tiles": one_channel & (pl.col("tile") < 4),
    "noise_pairs": one_channel,
    "profiles": one_channel & (pl.col("position") < 60),
    "previews": pl.col("ccd") == "CCD1",
    "compliance": pl.col("check_id") % 120 == 0,
    "ptc_points": one_channel,
    "dark_cells": one_channel,
    "dark_histogram": one_channel,
    "measured_defects": one_channel,
    "defects": one_channel,
    "pair_covariances": one_channel & (pl.col("lag_x") < 2),
    "edge_profiles": one_channel,
    "tile_levels": one_channel & (pl.col("tile") < 4),
    "functional_rows": one_channel,
    "functional_bits": one_channel,
    "covariances": one_channel,
    "bfe_coefficients": one_channel,
    "bfe_kernel": one_channel,
    "bfe_residuals": one_channel,
    "edge_response_points": one_channel,
    "nonlinearity_curve": one_channel,
    "nonlinearity_residuals": one_channel,
    "turnoff_tiles": one_channel,
}
"""Rows kept; of other tables all."""

QUERIES = (
    "select count(*), sum(gain_e_per_adu), sum(gain_e_per_adu_err) from gain where is_adopted",
    "select count(*), sum(gain_e_per_adu) from adopted_gain",
    "select count(*), sum(ron_adu), sum(ron_adu_err) from readout_noise where region = 'ove' and status = 'ok'",
    "select count(*), sum(offset_adu) from every.offsets",
    "select count(*), sum(mean_adu), sum(n) from quadrant_stats where region = 'img'",
    "select count(*), sum(variance_adu2) from pair_tiles",
    "select count(*), sum(variance_adu2) from noise_pairs",
    "select count(*), sum(value) from housekeeping",
    "select count(*), min(reason) from rejects",
    "select count(*), min(reason) from overrides",
    "select count(*), min(status), max(status) from runs where is_current",
    "select count(*), sum(value), min(unit) from measurements where quantity = 'saturation_s'",
)


def analysed_lake(folder: Path) -> Lake:
    """Simulate, ingest and analyse a day; a copy of its log without frames gives rejects."""
    day = simulate_day(folder / "raw", "BORN", TESTS, seed=4)
    lake = Lake(folder / "lake")
    take(lake, day.folder)
    work(lake)
    copy = folder / "raw" / "copy"
    copy.mkdir()
    for log in day.folder.glob("EXP_LOG*"):
        shutil.copy(log, copy)
    shutil.copy(next(day.folder.glob("EUC_*")), copy)
    take(lake, copy)
    relocate(lake, str(folder / "raw"), RAW)
    decision = {"kind": "exclude", "block": "BORN", "obsid_first": 17020, "obsid_last": 17020, "quadrant": "H"}
    made = {"reason": "light leak", "author": "analyst", "made_at": datetime.fromisoformat("2026-01-02T03:04:05")}
    write_part(lake, "overrides", {}, "000000", pl.DataFrame([decision | made]))
    return lake


def cut_down(name: str, frame: pl.DataFrame, hide: Callable[[str], str]) -> pl.DataFrame:
    """Return a few rows of a table, without names of places and people."""
    small = frame.filter(CUTS[name]) if name in CUTS else frame
    if name == "rejects":
        small = small.unique(["kind", "reason"], keep="first", maintain_order=True)
        small = small.with_columns(pl.col("detail").map_elements(hide, pl.String))
    if name == "previews":
        picture = b64encode(grey_png(np.arange(64, dtype=np.uint8).reshape(8, 8))).decode("ascii")
        small = small.with_columns(png_base64=pl.lit(picture))
    return small


def write_released(lake: Lake, target: Lake, hide: Callable[[str], str]) -> None:
    """Write the sample of an analysed lake."""
    for table in tables.tables_of("lake"):
        files = [path for path in part_files(lake, table.name) if table.name != "rejects" or "day=" in str(path)]
        for path in files[:2] if table.name == "rejects" else files[:1]:
            name = path.name.removeprefix(PART_PREFIX).removesuffix(PART_SUFFIX)
            write_part(
                target, table.name, partition_of(path), name, cut_down(table.name, read_files(table.name, [path]), hide)
            )
    newest = {run["test"]: run for run in sorted(list_runs(lake), key=lambda run: run["run_id"])}
    for run in newest.values():
        folder = target.runs / run["run_id"]
        folder.mkdir(parents=True)
        for path in sorted((lake.runs / run["run_id"]).glob(f"*{PART_SUFFIX}")):
            write_frame(folder / path.name, path.stem, cut_down(path.stem, read_files(path.stem, [path]), hide))
        record = run | {"user": "analyst", "host": "bench", "argv": "vison-etl analyse --test all", "git_commit": None}
        (folder / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def answers(lake: Lake) -> dict[str, list[object]]:
    """Ask a lake the questions whose answers are kept with the sample."""
    publish(lake)
    with connect(lake.root) as connection:
        return {query: list(connection.sql(query).fetchall()[0]) for query in QUERIES}


def main() -> None:
    """Write the sample of this version."""
    target = RELEASED / str(tables.SCHEMA_VERSION)
    if target.exists():
        sys.exit(f"{target} is there; a version that is out is never written again")
    with TemporaryDirectory() as folder:
        lake = analysed_lake(Path(folder))
        write_released(lake, Lake(target), lambda text: text.replace(f"{folder}/raw", RAW))
        copied = Lake(Path(folder) / "copy")
        shutil.copytree(target, copied.root)
        text = json.dumps(answers(copied), indent=1)
    (target / "answers.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
