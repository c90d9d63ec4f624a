"""A small snapshot as published: invented rows in the tables of the vocabulary, for two blocks and three tests each."""

from __future__ import annotations

import base64
import struct
import zlib
from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl

from vison_etl import tables

TYPES = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "timestamp": "TIMESTAMP"}
CCDS, QUADRANTS = tables.CCDS, tables.QUADRANTS
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'too'"
START = datetime(2019, 3, 12, 9, 30)
WIDTH, HEIGHT = 654, 552
"""Size of a small CCD frame, px."""


def make_snapshot(blocks=("BORN", "NIELS"), *, without=()) -> duckdb.DuckDBPyConnection:
    """Return a connection with every table but those of ``without``, filled for the given blocks."""
    connection = duckdb.connect()
    rows = {}
    for number, block in enumerate(blocks):
        for name, frame in _block_rows(block, number).items():
            rows.setdefault(name, []).append(frame)
    for name, table in tables.all_tables().items():
        if name in without:
            continue
        columns = [f'"{c.name}" {TYPES[c.kind]}' for c in table.columns]
        columns += ["is_current BOOLEAN", "is_current_of_acquisition BOOLEAN"] if name == "runs" else []
        connection.execute(f"create table {name} ({', '.join(columns)})")
        for frame in rows.get(name, []):
            connection.execute(f"insert into {name} by name select * from frame")
    if "gain" not in without:
        connection.execute(
            "create view adopted_gain as select block, ccd, quadrant, gain_e_per_adu, gain_e_per_adu_err, run_id, test, model, "
            "wavelength_nm from gain where is_adopted"
        )
    return connection


def _block_rows(block: str, seed: int) -> dict[str, pl.DataFrame]:
    random = np.random.default_rng(seed)
    out: dict[str, list[dict]] = {}
    first = 100 * (seed + 1)
    for test, make in (("BIAS02", _bias), ("PTC01", _ptc), ("FLATFLUX00_800", _flux)):
        made = make(block, test, first, random, seed)
        for name, rows in made.items():
            out.setdefault(name, []).extend(rows)
        first += 200
    out.setdefault("acquisitions", []).append(
        _acquisition(block, "DARK01", first, 4)
        | {"status": "partial", "n_expected": 9, "mismatch": "col002 exptime: 500 wanted, 50 found"}
    )
    out["rejects"] = [
        {
            "kind": "frame_file",
            "block": block,
            "day": "2019-03-12",
            "path": "12_Mar_19/EUC_1.fits",
            "reason": "truncated",
            "detail": HOSTILE,
        }
    ]
    schema = pl.Datetime("us")
    return {
        name: pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.datetime().cast(schema))
        for name, rows in out.items()
        if rows
    }


def _acquisition(block, test, first, n):
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
    }


def _run(block, test, first, n, flags):
    return {
        "run_id": f"20190312T120000-{block}-{test}",
        "block": block,
        "test": test,
        "acquisition": f"{block}/{test}/{first}",
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
        "started_at": datetime(2019, 3, 13, 1, 2, 3),
        "seconds": 12.5,
        "is_current": True,
        "is_current_of_acquisition": True,
    }


def _keys(block, test, first):
    return {
        "run_id": f"20190312T120000-{block}-{test}",
        "block": block,
        "test": test,
        "acquisition": f"{block}/{test}/{first}",
    }


def _exposures(block, test, first, times, script, **more):
    rows = []
    for index, (exptime, column) in enumerate(zip(times, script, strict=True)):
        for ccd in CCDS:
            rows.append(
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
                | more
            )
    return rows


def _statistics(block, first, times, random, rate=0.0):
    rows = []
    for index, exptime in enumerate(times):
        for c, ccd in enumerate(CCDS):
            for q, quadrant in enumerate(QUADRANTS):
                level = 2550 + 90 * c + 35 * q + 0.3 * np.sin(index / 4) + 0.02 * index
                light = exptime * rate * (1 + 0.02 * c - 0.01 * q) + 0.01 * rate * (exptime > 0)
                for region, shift in (("pre", 0.0), ("img", 1.5 + q), ("ove", 2.2), ("pov", 1.0)):
                    n = 50000 if region == "img" else 5000
                    signal = light if region == "img" else 0.0
                    sigma = np.sqrt(1.2**2 + signal / 3.4)
                    rows.append(
                        {
                            "block": block,
                            "obsid": first + index,
                            "ccd": ccd,
                            "quadrant": quadrant,
                            "region": region,
                            "day": "2019-03-12",
                            "n": n,
                            "mean_adu": level + shift + signal + random.normal(0, sigma / np.sqrt(n)),
                            "mean_adu_err": sigma / np.sqrt(n),
                            "clipped_std_adu": sigma,
                        }
                    )
    return rows


def _housekeeping(block, first, n, random):
    levels = {f"CCD{c}_TEMP_{s}": -120.2 + 0.2 * c for c in (1, 2, 3) for s in "TB"}
    levels |= {"CCD1_OD_T": 26.05, "COMM_RD_T": 16.31, "FPGA_5VA_P_V": 5.02, "RPSU_TEMP1": 21.0, "FPGA_BIAS_DD": 22.1}
    rows = []
    for index in range(n):
        for key, level in levels.items():
            mean = level + random.normal(0, 0.02) + (0.02 * index if "TEMP" in key else 0.0)
            rows.append(
                {
                    "block": block,
                    "obsid": first + index,
                    "day": "2019-03-12",
                    "key": key,
                    "unit": "degC" if "TEMP" in key else "V",
                    "n": 9,
                    "mean": mean,
                    "std": 0.02,
                    "min": mean - 0.04,
                    "max": mean + 0.05,
                    "first": mean,
                    "last": mean,
                }
            )
    return rows


def _check(keys, rows, rule, metric, value, lo, hi, **where):
    rows.append(
        keys
        | {"check_id": len(rows), "metric": metric, "value": value, "value_err": 0.01, "lo": lo, "hi": hi, "rule": rule}
        | {"pass": value is not None and lo <= value <= hi}
        | where
    )


def _bias(block, test, first, random, seed):
    n = 10
    times, script = [0.0] * n, ["col001"] * n
    keys = _keys(block, test, first)
    lake = {"block": block, "test": test, "acquisition": keys["acquisition"], "script_column": "col001"}
    noise, pairs, offsets, checks, profiles = [], [], [], [], []
    for c, ccd in enumerate(CCDS):
        for q, quadrant in enumerate(QUADRANTS):
            place = {"ccd": ccd, "quadrant": quadrant}
            for r, region in enumerate(("pre", "img", "ove")):
                ron = 1.22 + 0.03 * c - 0.02 * q + 0.01 * r + (0.2 if (c, q, seed) == (2, 1, 0) else 0.0)
                noise.append(
                    keys
                    | place
                    | {
                        "region": region,
                        "ron_adu": ron + random.normal(0, 0.002),
                        "ron_adu_err": 0.002,
                        "ron_white_adu": ron * 0.98,
                        "ron_white_adu_err": 0.002,
                        "row_noise_adu": 0.12 + 0.01 * q,
                        "row_noise_adu_err": 0.006,
                        "column_noise_adu": 0.02 + 0.002 * c,
                        "column_noise_adu_err": 0.004,
                        "ron_e": 3.4 * ron,
                        "ron_e_err": 0.01,
                        "n_pairs": n - 1,
                        "status": "ok",
                        "n_points": n - 1,
                    }
                )
                offsets.append(
                    keys
                    | place
                    | {
                        "region": region,
                        "offset_adu": 2550.0 + 90 * c + 35 * q + 1.7 * r,
                        "offset_adu_err": 0.05,
                        "rms_adu": 0.1,
                        "rms_adu_err": 0.02,
                        "drift_adu_per_h": 0.4,
                        "drift_adu_per_h_err": 0.1,
                        "n_frames": n,
                    }
                )
                for i in range(n - 1):
                    variance = ron**2 + 1 / 12 + random.normal(0, 0.01)
                    pairs.append(
                        lake
                        | place
                        | {
                            "obsid_1": first + i,
                            "obsid_2": first + i + 1,
                            "region": region,
                            "n": 50000,
                            "n_rows": 256,
                            "n_columns": 200,
                            "variance_adu2": variance,
                            "variance_adu2_err": 0.01,
                            "row_variance_adu2": 0.015,
                            "row_variance_adu2_err": 0.001,
                        }
                    )
                for i in range(n):
                    value = ron + random.normal(0, 0.01)
                    where = place | {"obsid": first + i, "script_column": "col001"}
                    _check(keys, checks, f"ron_{region}", "ron_adu", value, 0.86, 1.44, **where)
            _check(keys, checks, "offset_gradient", "offset_gradient_adu", 1.7, -10.0, 10.0, **place)
            for direction, size in (("serial", WIDTH // 2), ("parallel", HEIGHT // 2)):
                x = np.arange(size)
                values = (
                    0.6 * np.sin(x / 60 + q)
                    + 9 * np.exp(-x / 4) * (direction == "serial")
                    + random.normal(0, 0.05, size)
                )
                profiles += [
                    lake
                    | place
                    | {
                        "kind": "master_bias",
                        "direction": direction,
                        "position": int(i),
                        "value_adu": float(v),
                        "value_adu_err": 0.05,
                        "n": 256,
                    }
                    for i, v in zip(x, values, strict=True)
                ]
    run = _run(block, test, first, n, ["RON_OOL", "POORQUALDATA"] if seed == 0 else [])
    flags = [keys | {"flag": name, "n": 10, "detail": f"CCD3 F: {HOSTILE}"} for name in run["flags"].split(",") if name]
    previews = [
        lake
        | {
            "kind": "master_bias",
            "ccd": ccd,
            "width_px": WIDTH,
            "height_px": HEIGHT,
            "lo_adu": -1.5,
            "hi_adu": 2.5,
            "png_base64": _png(random, c),
        }
        for c, ccd in enumerate(CCDS)
    ]
    return {
        "runs": [run],
        "run_inputs": [
            {"run_id": run["run_id"], "kind": "gain", "name": "adopted", "source_run_id": "r1", "digest": "ab12"}
        ],
        "products": [
            keys | {"kind": "master_bias", "ccd": c, "path": f"products/{c}.fits", "digest": "d1"} for c in CCDS
        ],
        "flags": flags,
        "acquisitions": [_acquisition(block, test, first, n)],
        "exposures": _exposures(block, test, first, times, script),
        "quadrant_stats": _statistics(block, first, times, random),
        "hk_summary": _housekeeping(block, first, n, random),
        "readout_noise": noise,
        "offsets": offsets,
        "noise_pairs": pairs,
        "compliance": checks,
        "profiles": profiles,
        "previews": previews,
    }


def _ptc(block, test, first, random, seed):
    full_s, percents = 20.0, [5, 10, 20, 30, 50, 70, 80, 90, 100, 110, 120]
    frames = [10] * 8 + [4] * 3
    times = [full_s * p / 100 for p, n in zip(percents, frames, strict=True) for _ in range(n)]
    script = [f"col{i + 1:03d}" for i, n in enumerate(frames) for _ in range(n)]
    keys = _keys(block, test, first)
    points, gains, tiles, checks = [], [], [], []
    for c, ccd in enumerate(CCDS):
        for q, quadrant in enumerate(QUADRANTS):
            place = {"ccd": ccd, "quadrant": quadrant}
            g, a00, noise = 3.35 + 0.05 * c - 0.03 * q, -1.2e-6 - 1e-7 * q, 4.2
            turn = 48000.0
            for pair in range(len(times) // 2):
                mean = 65000 * times[2 * pair] / full_s * (1 + 0.01 * c)
                saturated = mean > 62000
                mean = min(mean, 63000.0)
                u = 2 * a00 * g * mean
                variance = mean / g * (np.expm1(u) / u) + (noise / g) ** 2 + 1 / 12
                used = mean < turn
                variance *= 1.0 if used else 0.5
                error = variance * 0.0025
                ids = {"obsid_1": first + 2 * pair, "obsid_2": first + 2 * pair + 1, "script_column": script[2 * pair]}
                points.append(
                    keys
                    | place
                    | ids
                    | {
                        "pair": pair,
                        "mean_adu": mean,
                        "mean_adu_err": 0.3,
                        "variance_adu2": variance + random.normal(0, error),
                        "variance_adu2_err": error,
                        "used": used,
                        "reject_reason": None if used else "saturated" if saturated else "above_turnoff",
                        "n_tiles": 36,
                        "n_tiles_used": 36 if used else 0,
                    }
                )
            for model, shift in (("exponential", 0.0), ("quadratic", 0.03)):
                gains.append(
                    keys
                    | place
                    | {
                        "model": model,
                        "wavelength_nm": 800.0,
                        "gain_e_per_adu": g + shift + random.normal(0, 0.002),
                        "gain_e_per_adu_err": 0.002,
                        "a00_per_e": a00,
                        "a00_per_e_err": 2e-8,
                        "noise_e": noise,
                        "noise_e_err": 0.1,
                        "chi2": 1650.0,
                        "dof": 1600,
                        "turnoff_adu": turn,
                        "turnoff_adu_err": 1500.0,
                        "turnoff_lower_adu": turn - 3000,
                        "turnoff_upper_adu": turn + 3000,
                        "turnoff_e": turn * g,
                        "turnoff_e_err": 1500 * g,
                        "is_adopted": model == "exponential",
                        "status": "ok",
                        "n_points": 1603,
                    }
                )
            _check(keys, checks, "gain", "gain_e_per_adu", g, 3.0, 3.5, **place)
            _check(
                keys,
                checks,
                "offset",
                "offset_adu",
                2550.0 + 90 * c + 35 * q,
                2500.0 + 90 * c,
                2640.0 + 90 * c,
                **place,
            )
    n = len(times)
    return {
        "runs": [_run(block, test, first, n, [])],
        "acquisitions": [_acquisition(block, test, first, n)],
        "exposures": _exposures(block, test, first, times, script),
        "quadrant_stats": _statistics(block, first, times, random, rate=65000 / full_s),
        "hk_summary": _housekeeping(block, first, n, random),
        "ptc_points": points,
        "gain": gains,
        "pair_tiles": tiles,
        "compliance": checks,
        "light_source": _light(keys, 65000 / full_s, random),
    }


def _light(keys, rate, random):
    rows = []
    for c, ccd in enumerate(CCDS):
        for q, quadrant in enumerate(QUADRANTS):
            mine = rate * (1 + 0.02 * c - 0.01 * q)
            rows.append(
                keys
                | {
                    "ccd": ccd,
                    "quadrant": quadrant,
                    "wavelength_nm": 800.0,
                    "rate_adu_per_s": mine,
                    "rate_adu_per_s_err": mine * 0.001,
                    "saturation_s": 65536 / mine,
                    "saturation_s_err": 0.02,
                    "shutter_offset_s": 0.01,
                    "shutter_offset_s_err": 0.002,
                    "chi2": 3.0,
                    "dof": 2,
                    "status": "ok",
                    "n_points": 4,
                }
            )
    return rows


def _flux(block, test, first, random, seed):
    full_s = 20.0
    times = [full_s * p for p in (0.05, 0.2, 0.5, 0.8)]
    keys = _keys(block, test, first)
    return {
        "runs": [_run(block, test, first, 4, [])],
        "acquisitions": [_acquisition(block, test, first, 4)],
        "exposures": _exposures(block, test, first, times, [f"col{i:03d}" for i in range(1, 5)]),
        "quadrant_stats": _statistics(block, first, times, random, rate=65000 / full_s),
        "light_source": _light(keys, 65000 / full_s, random),
    }


def _png(random, seed):
    """Return a grey picture of a small frame, half size, its top line first, as base64."""
    h, w = HEIGHT // 2, WIDTH // 2
    y, x = np.mgrid[0:h, 0:w]
    image = 128 + 40 * np.sin(x / 30 + seed) * np.cos(y / 40) + random.normal(0, 12, (h, w))
    image[: h // 12, : w // 12] = 255
    grey = np.clip(image, 0, 255).astype(np.uint8)
    raw = np.zeros((h, w + 1), np.uint8)
    raw[:, 1:] = grey

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(raw.tobytes()))
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(png).decode()
