"""A small snapshot as published: invented rows in the tables of the vocabulary, three tests analysed and one only acquired."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
from polars import selectors

from tests.report.fake_bench import HOSTILE, acquisition_row
from tests.report.fake_results import bias_test, flat_flux_test, photon_transfer_test
from vison_etl import tables

TYPES = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "timestamp": "TIMESTAMP"}
TESTS = ("BIAS02", "PTC01", "FLATFLUX00_800", "DARK01")
ADOPTED_GAIN = (
    "create view adopted_gain as select block, ccd, quadrant, gain_e_per_adu, gain_e_per_adu_err, run_id, test, model, "
    "wavelength_nm from gain where is_adopted"
)


def make_snapshot(blocks=("BORN", "NIELS"), without=()):
    """Return a connection with every table but those of ``without``; the first block has a bad channel."""
    connection = duckdb.connect()
    rows = [_block_rows(block, number) for number, block in enumerate(blocks)]
    for name, table in tables.all_tables().items():
        if name in without:
            continue
        columns = [f'"{c.name}" {TYPES[c.kind]}' for c in table.columns]
        columns += ["is_current BOOLEAN", "is_current_of_acquisition BOOLEAN"] if name == "runs" else []
        connection.execute(f"create table {name} ({', '.join(columns)})")
        for frames in rows:
            insert(connection, name, frames.get(name))
    if "gain" not in without:
        connection.execute(ADOPTED_GAIN)
    return connection


def insert(connection, name, rows):
    """Append rows (a list of mappings) to a table."""
    if not rows:
        return
    frame = pl.DataFrame(rows, infer_schema_length=None)
    connection.register("new_rows", frame.with_columns(selectors.datetime().cast(pl.Datetime("us"))))
    connection.execute(f"insert into {name} by name select * from new_rows")
    connection.unregister("new_rows")


def _block_rows(block, number):
    random = np.random.default_rng(number)
    first = 100 * (number + 1)
    merged = {}
    made = [
        bias_test(block, "BIAS02", first, random, is_bad=number == 0),
        photon_transfer_test(block, "PTC01", first + 1000, random),
        flat_flux_test(block, "FLATFLUX00_800", first + 2000, random),
        {
            "acquisitions": [
                acquisition_row(
                    block,
                    "DARK01",
                    first + 3000,
                    4,
                    status="partial",
                    n_expected=9,
                    mismatch="exptime_s: 500 wanted, 50 found",
                )
            ],
            "rejects": [
                {
                    "kind": "frame_file",
                    "block": block,
                    "day": "2019-03-12",
                    "path": "12_Mar_19/EUC_1.fits",
                    "reason": "truncated",
                    "detail": HOSTILE,
                }
            ],
        },
    ]
    for part in made:
        for name, rows in part.items():
            merged.setdefault(name, []).extend(rows)
    return merged
