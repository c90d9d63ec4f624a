"""Runs of flats for a small lake: non-uniformity of every channel at one wavelength and two fluences."""

from __future__ import annotations

from datetime import timedelta

from tests.results.fake_lake import CHANNELS, EPOCH, fill, store_acquisition, store_exposures
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import write_run


def store_flats(lake: Lake, block: str, test: str, first: int, wavelength_nm: float, prnu_pct: float) -> None:
    """Add an acquisition and its run; the column with less light has twice the non-uniformity."""
    acquisition = store_acquisition(lake, block, test, first)
    store_exposures(lake, block, f"2019-06-{first // 100:02d}", range(first, first + 10))
    keys = {"run_id": f"20260101T{first:06d}.000000-00000000", "block": block, "test": test, "acquisition": acquisition}
    record = {
        **keys, "obsid_first": first, "obsid_last": first + 9, "status": "ok", "is_trial": False, "flags": "",
        "software_version": "0.1.0", "started_at": (EPOCH + timedelta(minutes=first)).isoformat(), "seconds": 1.5,
    }  # fmt: skip
    rows = [
        {"ccd": c, "quadrant": q, "script_column": column, "wavelength_nm": wavelength_nm, "fluence_adu": fluence,
         "prnu_pct": prnu_pct * factor, "prnu_pct_err": 0.001, "status": "ok", "n_points": 100}
        for c, q in CHANNELS for column, fluence, factor in (("col001", 16000.0, 2.0), ("col002", 48000.0, 1.0))
    ]  # fmt: skip
    write_run(lake, record, {"prnu": fill("prnu", rows, **keys)})
