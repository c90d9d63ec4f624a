"""Runs of the brighter-fatter effect for a small lake: summary and widths of every channel at one wavelength."""

from __future__ import annotations

from datetime import timedelta

from tests.results.fake_lake import CHANNELS, EPOCH, fill, store_acquisition, store_exposures
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import write_run


def store_bfe(lake: Lake, block: str, test: str, first: int, wavelength_nm: float, a00_per_e: float) -> None:
    """Add an acquisition and its run; the fit of the last channel failed."""
    acquisition = store_acquisition(lake, block, test, first)
    store_exposures(lake, block, f"2019-08-{first // 50:02d}", range(first, first + 10))
    keys = {"run_id": f"20260103T{first:06d}.000000-00000000", "block": block, "test": test, "acquisition": acquisition}
    record = {
        **keys, "obsid_first": first, "obsid_last": first + 9, "status": "ok", "is_trial": False, "flags": "",
        "software_version": "0.1.0", "started_at": (EPOCH + timedelta(minutes=first)).isoformat(), "seconds": 1.5,
    }  # fmt: skip
    good = [{"ccd": c, "quadrant": q, "status": "ok", "n_points": 40} for c, q in CHANNELS[:-1]]
    failed = [{"ccd": CHANNELS[-1][0], "quadrant": CHANNELS[-1][1], "status": "failed", "n_points": 0}]
    summary = {"wavelength_nm": wavelength_nm, "a00_per_e": a00_per_e, "a00_per_e_err": 1e-8, "axis_ratio": 0.5}
    widths = {"fwhm_x_um": 9.0, "fwhm_y_um": 9.5, "ellipticity": -0.05}
    tables = {
        "bfe_summary": fill("bfe_summary", [row | summary for row in good] + failed, **keys),
        "bfe_widths": fill("bfe_widths", [row | widths for row in good] + failed, **keys),
    }
    write_run(lake, record, tables)
