"""Invented rows of the bench: acquisitions, exposures, statistics, housekeeping, runs, pictures."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

import numpy as np

from vison_etl.pixels.png import grey_png
from vison_etl.tables import CCDS, QUADRANTS

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'too'"
START = datetime(2019, 3, 12, 9, 30)  # noqa: DTZ001 - the bench writes times without zone
WIDTH, HEIGHT = 654, 552
"""Size of a small CCD frame, px."""

CHANNELS = [
    (c, q, {"ccd": ccd, "quadrant": quadrant}) for c, ccd in enumerate(CCDS) for q, quadrant in enumerate(QUADRANTS)
]


def keys_of(block, test, first):
    return {
        "run_id": f"20190312T120000-{block}-{test}",
        "block": block,
        "test": test,
        "acquisition": f"{block}/{test}/{first}",
    }


def acquisition_row(block, test, first, n, **more):
    return {
        "acquisition": f"{block}/{test}/{first}",
        "block": block,
        "test": test,
        "repeat": 1,
        "chamber": "B_NOSTROMO",
        "variant": "default",
        "obsid_first": first,
        "obsid_last": first + n - 1,
        "started_at": START,
        "n_expected": n,
        "n_found": n,
        "status": "complete",
        "is_adopted": True,
    } | more


def run_row(block, test, first, n, flags=(), **more):
    return {
        **keys_of(block, test, first),
        "obsid_first": first,
        "obsid_last": first + n - 1,
        "status": "flagged" if flags else "ok",
        "is_trial": False,
        "flags": ",".join(flags),
        "software_version": "0.1.0",
        "git_commit": "0123456789abcdef",
        "recipe_hash": "5f4dcc3b5aa765d61d8327deb882cf99",
        "inputs_hash": "7c6a180b36896a0a8c02787eeafb0e4c",
        "user": "someone",
        "host": "somewhere",
        "argv": f"vison-etl analyse --test {test} # {HOSTILE}",
        "started_at": datetime(2019, 3, 13, 1, 2, 3),  # noqa: DTZ001 - UTC by convention
        "seconds": 12.5,
        "is_current": True,
        "is_current_of_acquisition": True,
    } | more


def exposure_rows(block, test, first, times):
    return [
        {
            "block": block,
            "obsid": first + index,
            "ccd": ccd,
            "day": "2019-03-12",
            "test_in_log": test,
            "started_at": START + timedelta(seconds=90 * index),
            "chamber": "B_NOSTROMO",
            "exptime_s": float(exptime),
            "wave": 4,
            "filter": "800",
            "wavelength_nm": 800.0,
            "rdmode": "fwd_bas",
            "vstart": 0,
            "vend": 2086,
            "flushes": 7,
            "od_1_t_v": 26.0,
            "rd_t_v": 16.0,
            "source": "flat" if exptime else None,
            "operator": HOSTILE,
            "path": f"EUC_{first + index}_{ccd}.fits",
            "elvis_version": "7.5.X",
        }
        for index, exptime in enumerate(times)
        for ccd in CCDS
    ]


def statistics_rows(block, first, times, random, rate=0.0):
    rows = []
    for index, exptime in enumerate(times):
        for c, q, place in CHANNELS:
            level = 2550 + 90 * c + 35 * q + 0.3 * np.sin(index / 4) + 0.02 * index
            light = (exptime + 0.01) * rate * (1 + 0.02 * c - 0.01 * q) if exptime else 0.0
            for region, shift in (("pre", 0.0), ("img", 1.5 + q), ("ove", 2.2), ("pov", 1.0)):
                n, signal = (50000, light) if region == "img" else (5000, 0.0)
                sigma = np.sqrt(1.2**2 + signal / 3.4)
                mean = level + shift + signal + random.normal(0, sigma / np.sqrt(n))
                row = {"block": block, "obsid": first + index, "region": region, "day": "2019-03-12", "n": n}
                rows.append(
                    row | place | {"mean_adu": mean, "mean_adu_err": sigma / np.sqrt(n), "clipped_std_adu": sigma}
                )
    return rows


def housekeeping_rows(block, first, n, random):
    levels = {f"CCD{c}_TEMP_{s}": -120.2 + 0.2 * c for c in (1, 2, 3) for s in "TB"}
    levels |= {"CCD1_OD_T": 26.05, "COMM_RD_T": 16.31, "FPGA_5VA_P_V": 5.02, "RPSU_TEMP1": 21.0, "FPGA_BIAS_DD": 22.1}
    rows = []
    for index in range(n):
        for key, level in levels.items():
            is_temperature = "TEMP" in key
            mean = level + random.normal(0, 0.02) + (0.01 * index if is_temperature else 0.0)
            row = {"block": block, "obsid": first + index, "day": "2019-03-12", "key": key, "n": 9, "mean": mean}
            rows.append(row | {"unit": "degC" if is_temperature else "V", "min": mean - 0.04, "max": mean + 0.05})
    return rows


def check_row(rows, keys, rule, metric, value, lo, hi, **where):
    is_good = value is not None and lo <= value <= hi
    row = {"check_id": len(rows), "rule": rule, "metric": metric, "value": value, "value_err": 0.01, "lo": lo, "hi": hi}
    rows.append(keys | row | {"pass": is_good} | where)


def picture_base64(random, seed):
    """Return a grey picture of a small frame at half size; the corner at its top left is white."""
    h, w = HEIGHT // 2, WIDTH // 2
    y, x = np.mgrid[0:h, 0:w]
    image = 128 + 40 * np.sin(x / 30 + seed) * np.cos(y / 40) + random.normal(0, 12, (h, w))
    image[: h // 12, : w // 12] = 255
    return base64.b64encode(grey_png(np.clip(image, 0, 255).astype(np.uint8))).decode()
