"""Gains of one block under conditions that differ: temperature of the CCDs, voltage of the reset drain, wavelength."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from tests.results.fake_lake import CHANNELS, EPOCH, fill, store_acquisition
from vison_etl.lake.parts import write_part
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import write_run

BLOCK = "OWEN"
PCT_PER_K = 0.04
PCT_PER_V = -0.7
PCT_PER_100NM = 0.01
RELATIVE_ERR = 2e-4
CONDITIONS = {
    "PTC01": (-120.0, 16.0, 800.0),
    "PTC02_148K": (-125.1, 16.0, 800.0),
    "PTC02_158K": (-115.2, 16.0, 800.0),
    "PTC02_155R": (-120.0, 15.5, 800.0),
    "PTC02_165R": (-120.0, 16.5, 800.0),
    "PTC02_590": (-120.0, 16.0, 590.0),
}
"""Temperature, reset drain, wavelength."""


def store_gains(lake: Lake, *, seed: int | None = None) -> None:
    """Add one run of each test; gains have the slopes above, and with ``seed`` the scatter that their errors tell."""
    rng = None if seed is None else np.random.default_rng(seed)
    for number, (test, conditions) in enumerate(CONDITIONS.items()):
        _store(lake, test, 5000 + 20 * number, conditions, rng)


def _store(
    lake: Lake, test: str, first: int, conditions: tuple[float, float, float], rng: np.random.Generator | None
) -> None:
    degc, volts, nm = conditions
    acquisition = store_acquisition(lake, BLOCK, test, first)
    day = {"block": BLOCK, "day": f"2019-07-{first % 31 + 1:02d}"}
    frames = [{"obsid": o, "ccd": f"CCD{n}", "log_row": 1} for o in range(first, first + 10) for n in (1, 2, 3)]
    # the later logs give the drain by side, the earlier ones by CCD
    drains = {"rd_t_v": volts, "rd_b_v": volts} if "R" in test else {f"rd_{n}_v": volts for n in (1, 2, 3)}
    write_part(lake, "exposures", day, f"{first:06d}", fill("exposures", frames, **day, **drains))
    sensors = [
        {"obsid": o, "key": f"CCD{n}_TEMP_{side}", "mean": degc + shift}
        for o in range(first, first + 10) for n in (1, 2, 3) for side, shift in (("T", 0.2), ("B", -0.2))
    ]  # fmt: skip
    write_part(lake, "hk_summary", day, f"{first:06d}", fill("hk_summary", sensors, **day, n=5))
    keys = {"run_id": f"20260102T{first:06d}.000000-00000000", "block": BLOCK, "test": test, "acquisition": acquisition}
    record = {
        **keys, "obsid_first": first, "obsid_last": first + 9, "status": "ok", "is_trial": False, "flags": "",
        "software_version": "0.1.0", "started_at": (EPOCH + timedelta(minutes=first)).isoformat(), "seconds": 1.5,
    }  # fmt: skip
    slope = 0.01 * (PCT_PER_K * (degc + 120) + PCT_PER_V * (volts - 16) + PCT_PER_100NM * (nm - 800) / 100)
    rows = []
    for index, (ccd, quadrant) in enumerate(CHANNELS):
        noise = 0.0 if rng is None else RELATIVE_ERR * rng.standard_normal()
        gain = (3.4 + 0.02 * index) * np.exp(slope + noise)
        rows.append({
            "ccd": ccd, "quadrant": quadrant, "model": "exponential", "wavelength_nm": nm, "gain_e_per_adu": gain,
            "gain_e_per_adu_err": RELATIVE_ERR * gain, "is_adopted": True, "status": "ok", "n_points": 400,
        })  # fmt: skip
    write_run(lake, record, {"gain": fill("gain", rows, **keys)})
