"""Invented results of the three kinds of test that the pages draw."""

from __future__ import annotations

import numpy as np

from tests.report.fake_bench import (
    CHANNELS,
    HEIGHT,
    HOSTILE,
    WIDTH,
    acquisition_row,
    check_row,
    exposure_rows,
    housekeeping_rows,
    keys_of,
    picture_base64,
    run_row,
    statistics_rows,
)
from vison_etl.tables import CCDS

BAD_CHANNEL = ("CCD3", "F")
"""Channel of the first block whose noise is out of limits."""

FULL_WELL_S = 3.5
RATE_ADU_PER_S = 65536 / FULL_WELL_S
TURNOFF_ADU = 48000.0


def bias_test(block, test, first, random, *, is_bad):
    n = 10
    keys = keys_of(block, test, first)
    lake = {"block": block, "test": test, "acquisition": keys["acquisition"], "script_column": "col001"}
    out = {name: [] for name in ("readout_noise", "offsets", "noise_pairs", "compliance", "profiles")}
    for c, q, place in CHANNELS:
        for r, region in enumerate(("pre", "img", "ove")):
            is_this = is_bad and (place["ccd"], place["quadrant"]) == BAD_CHANNEL
            ron = 1.22 + 0.03 * c - 0.02 * q + 0.01 * r + (0.25 if is_this else 0.0)
            here = place | {"region": region}
            out["readout_noise"].append(keys | here | _noise(ron + random.normal(0, 0.002), c, q, n))
            out["offsets"].append(keys | here | _offset(2550.0 + 90 * c + 35 * q + 1.7 * r, n))
            for i in range(n - 1):
                pair = {"obsid_1": first + i, "obsid_2": first + i + 1, "n": 50000}
                variance = {"variance_adu2": ron**2 + 1 / 12 + random.normal(0, 0.01), "variance_adu2_err": 0.01}
                out["noise_pairs"].append(lake | here | pair | variance)
            check_row(out["compliance"], keys, f"ron.{region}", "ron_adu", ron, 0.86, 1.44, **place)
        for direction, size in (("serial", WIDTH // 2), ("parallel", HEIGHT // 2)):
            out["profiles"] += _profile(lake | place, direction, size, q, random)
    check_row(out["compliance"], keys, "hk_performance", "COMM_RD_T", 16.4, 15.8, 16.2, obsid=first)
    run = run_row(block, test, first, n, ["RON_OOL", "POORQUALDATA"] if is_bad else [])
    return out | {
        "runs": [run],
        "run_inputs": [
            {"run_id": run["run_id"], "kind": "gain", "name": "r1", "source_run_id": "r1", "digest": "ab12"}
        ],
        "products": [
            keys | {"kind": "master_bias", "ccd": c, "path": f"products/{c}.fits", "digest": "d1"} for c in CCDS
        ],
        "flags": [keys | {"flag": f, "n": 3, "detail": f"CCD3 F: {HOSTILE}"} for f in run["flags"].split(",") if f],
        "acquisitions": [acquisition_row(block, test, first, n)],
        "exposures": exposure_rows(block, test, first, [0.0] * n),
        "quadrant_stats": statistics_rows(block, first, [0.0] * n, random),
        "hk_summary": housekeeping_rows(block, first, n, random),
        "previews": [lake | _preview(ccd, random, c) for c, ccd in enumerate(CCDS)],
    }


def _noise(ron, c, q, n):
    values = {"ron_adu": ron, "ron_white_adu": 0.98 * ron, "row_noise_adu": 0.12 + 0.01 * q}
    values |= {"column_noise_adu": 0.02 + 0.002 * c, "ron_e": 3.4 * ron}
    return values | {f"{name}_err": 0.004 for name in values} | {"n_pairs": n - 1, "n_points": n - 1, "status": "ok"}


def _offset(level, n):
    return {
        "offset_adu": level,
        "offset_adu_err": 0.05,
        "rms_adu": 0.1,
        "rms_adu_err": 0.02,
        "drift_adu_per_h": 0.4,
        "drift_adu_per_h_err": 0.1,
        "n_frames": n,
    }


def _profile(lake, direction, size, q, random):
    x = np.arange(size)
    settling = 9 * np.exp(-x / 4) * (direction == "serial")
    values = 0.6 * np.sin(x / 60 + q) + settling + random.normal(0, 0.05, size)
    same = lake | {"kind": "master_bias", "direction": direction, "value_adu_err": 0.05, "n": 256}
    return [same | {"position": int(i), "value_adu": float(v)} for i, v in zip(x, values, strict=True)]


def _preview(ccd, random, seed):
    return {
        "kind": "master_bias",
        "ccd": ccd,
        "width_px": WIDTH,
        "height_px": HEIGHT,
        "lo_adu": -1.5,
        "hi_adu": 2.5,
        "png_base64": picture_base64(random, seed),
    }


def photon_transfer_test(block, test, first, random):
    percents, frames = [5, 10, 20, 30, 50, 70, 80, 90, 100, 110, 120], [10] * 8 + [4] * 3
    times = [FULL_WELL_S * p / 100 for p, n in zip(percents, frames, strict=True) for _ in range(n)]
    script = [f"col{i + 1:03d}" for i, n in enumerate(frames) for _ in range(n)]
    keys = keys_of(block, test, first)
    points, gains, checks = [], [], []
    for c, q, place in CHANNELS:
        g, a00 = 3.35 + 0.05 * c - 0.03 * q, -1.2e-6 - 1e-7 * q
        for pair, exptime in enumerate(times[::2]):
            ids = {"obsid_1": first + 2 * pair, "obsid_2": first + 2 * pair + 1, "script_column": script[2 * pair]}
            points.append(
                keys | place | ids | {"pair": pair} | _point(RATE_ADU_PER_S * exptime * (1 + 0.01 * c), g, a00, random)
            )
        for model, shift in (("exponential", 0.0), ("quadratic", 0.03)):
            gains.append(keys | place | _gain(model, g + shift + random.normal(0, 0.002), a00))
        check_row(
            checks,
            keys,
            "offset.ove",
            "offset_adu",
            2552.0 + 90 * c + 35 * q,
            2500.0 + 90 * c,
            2700.0 + 90 * c,
            **place,
        )
    n = len(times)
    return {
        "runs": [run_row(block, test, first, n)],
        "acquisitions": [acquisition_row(block, test, first, n)],
        "exposures": exposure_rows(block, test, first, times),
        "quadrant_stats": statistics_rows(block, first, times, random, rate=RATE_ADU_PER_S),
        "hk_summary": housekeeping_rows(block, first, n, random),
        "ptc_points": points,
        "gain": gains,
        "compliance": checks,
        "light_source": _light(keys),
    }


def exponential_variance(mean, g, a00, n00=1.5):
    u = 2 * a00 * g * mean
    return mean / g * np.expm1(u) / u + n00


def _point(mean, g, a00, random):
    is_used = mean < TURNOFF_ADU
    variance = exponential_variance(mean, g, a00) * (1.0 if is_used else 0.4)
    error = variance * 0.0025
    return {
        "mean_adu": mean,
        "mean_adu_err": 0.3,
        "variance_adu2": variance + random.normal(0, error),
        "variance_adu2_err": error,
        "used": is_used,
        "reject_reason": None if is_used else "above_turnoff",
        "n_tiles": 36,
        "n_tiles_used": 36 if is_used else 0,
    }


def _gain(model, g, a00):
    return {
        "model": model,
        "wavelength_nm": 800.0,
        "gain_e_per_adu": g,
        "gain_e_per_adu_err": 0.002,
        "a00_per_e": a00,
        "a00_per_e_err": 2e-8,
        "noise_e": 4.2,
        "noise_e_err": 0.1,
        "n00_adu2": 1.5,
        "n00_adu2_err": 0.1,
        "chi2": 1650.0,
        "dof": 1600,
        "turnoff_adu": TURNOFF_ADU,
        "turnoff_adu_err": 1500.0,
        "turnoff_lower_adu": TURNOFF_ADU - 3000,
        "turnoff_upper_adu": TURNOFF_ADU + 3000,
        "turnoff_e": TURNOFF_ADU * g,
        "turnoff_e_err": 1500 * g,
        "is_adopted": model == "exponential",
        "status": "ok",
        "n_points": 1603,
    }


def flat_flux_test(block, test, first, random):
    times = [FULL_WELL_S * p / 100 for p in (5, 20, 50, 80)]
    keys = keys_of(block, test, first)
    return {
        "runs": [run_row(block, test, first, 4)],
        "acquisitions": [acquisition_row(block, test, first, 4)],
        "exposures": exposure_rows(block, test, first, times),
        "quadrant_stats": statistics_rows(block, first, times, random, rate=RATE_ADU_PER_S),
        "light_source": _light(keys),
    }


def _light(keys):
    rows = []
    for c, q, place in CHANNELS:
        rate = RATE_ADU_PER_S * (1 + 0.02 * c - 0.01 * q)
        values = {"rate_adu_per_s": rate, "saturation_s": 65536 / rate, "shutter_offset_s": 0.01}
        errors = {"rate_adu_per_s_err": rate * 1e-3, "saturation_s_err": 0.004, "shutter_offset_s_err": 0.002}
        fit = {"wavelength_nm": 800.0, "chi2": 3.0, "dof": 2, "status": "ok", "n_points": 4}
        rows.append(keys | place | values | errors | fit)
    return rows
