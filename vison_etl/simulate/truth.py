"""What went in, in the tables that results come out in, so that closure is a join."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from vison_etl.instrument.chambers import actual_exptime_s
from vison_etl.instrument.geometry import REGIONS, region_window
from vison_etl.simulate.bench import Bench
from vison_etl.simulate.build_up import REACH, kernel
from vison_etl.simulate.electronics import frame_offset_adu, region_offset_adu
from vison_etl.simulate.exposure import Exposure
from vison_etl.simulate.light import FULL_SCALE_ADU, quadrant_rate_adu_per_s
from vison_etl.simulate.response import in_condition
from vison_etl.simulate.truth_effects import TABLES as EFFECT_TABLES
from vison_etl.simulate.truth_rows import Acquired, Row, channels, flats, is_lit, keys
from vison_etl.simulate.truth_spots import TABLES as SPOT_TABLES
from vison_etl.simulate.truth_sums import TABLES as SUM_TABLES

TRUTH_FOLDER = "truth.parquet"
EXPOSURES = "source_levels"


def _wavelength(label: str) -> float | None:
    return float(label) if label else None


def gain_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield one row per channel of an acquisition with pairs of lit frames."""
    lit = flats(acquired)
    if len({exposure.script_column for exposure in lit}) == len(lit):
        return
    for channel in channels(bench):
        gain = in_condition(channel, lit[0].shot.setup).gain_e_per_adu
        yield keys(bench, acquired, channel) | {
            "wavelength_nm": _wavelength(lit[0].shot.label),
            "gain_e_per_adu": gain,
            "a00_per_e": channel.a00_per_e,
            "noise_e": channel.ron_adu * channel.gain_e_per_adu,
            "turnoff_adu": channel.full_well_e / gain,
            "turnoff_e": channel.full_well_e,
        }


def bfe_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the brighter-fatter coefficients of the channels that ``gain_rows`` has, lags 0 to 2 in x and y."""
    wanted = {(row["ccd"], row["quadrant"]) for row in gain_rows(bench, acquired)}
    for channel in channels(bench):
        if (channel.ccd, channel.quadrant) not in wanted:
            continue
        a = kernel(channel.shift)
        for lag_x, lag_y in product(range(REACH + 1), repeat=2):
            value = float(a[lag_y + REACH, lag_x + REACH])
            yield keys(bench, acquired, channel) | {"lag_x": lag_x, "lag_y": lag_y, "a_per_e": value}


def noise_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the read-out noise of each channel, the same in every region; quantisation not included."""
    for nominal, region in product(channels(bench), REGIONS):
        channel = in_condition(nominal, acquired[0].shot.setup)
        yield keys(bench, acquired, channel) | {
            "region": region,
            "ron_adu": channel.ron_adu,
            "ron_white_adu": channel.ron_white_adu,
            "row_noise_adu": channel.row_noise_adu,
            "column_noise_adu": 0.0,
            "ron_e": channel.ron_adu * channel.gain_e_per_adu,
        }


def offset_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the offset of each region as it was in these frames: mean and standard deviation over them."""
    shot = acquired[0].shot
    for channel in channels(bench):
        per_frame = [frame_offset_adu(channel, e.obsid, e.shot.time_h) for e in acquired]
        scatter = float(np.std(per_frame, ddof=1)) if len(per_frame) > 1 else None
        for region in REGIONS:
            window = region_window(bench.geometry, region, shot.vstart, shot.vend)
            if window is not None:
                yield keys(bench, acquired, channel) | {
                    "region": region,
                    "offset_adu": float(np.mean(per_frame)) + region_offset_adu(channel, bench.geometry, window),
                    "rms_adu": scatter,
                    "n_frames": len(per_frame),
                }


def _shutter_offset_s(chamber: str, commanded_s: Sequence[float]) -> float | None:
    """Return d of the line actual = s (commanded + d) that is nearest in relative terms; None for fewer than two times."""
    times = sorted(set(commanded_s))
    if len(times) < 2:
        return None
    t = np.array(times)
    actual = np.array([actual_exptime_s(chamber, time) or time for time in times])
    design = np.stack([t / actual, 1.0 / actual], axis=1)
    slope, intercept = np.linalg.lstsq(design, np.ones_like(t), rcond=None)[0]
    return float(intercept / slope)


def light_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the brightness of the source per channel and filter, and the shutter's offset over the times used."""
    lit = flats(acquired)
    for label in sorted({exposure.shot.label for exposure in lit}):
        through = [exposure for exposure in lit if exposure.shot.label == label]
        chamber = through[0].shot.chamber
        offset_s = _shutter_offset_s(chamber, [exposure.shot.exptime_s for exposure in through])
        for channel in channels(bench):
            rate = quadrant_rate_adu_per_s(channel, chamber, label, bench.geometry)
            yield keys(bench, acquired, channel) | {
                "wavelength_nm": _wavelength(label),
                "rate_adu_per_s": rate,
                "saturation_s": FULL_SCALE_ADU / rate,
                "shutter_offset_s": offset_s,
            }


def prnu_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the pixel response non-uniformity per channel and script column, with the mean signal that went in."""
    lit = flats(acquired)
    for column in sorted({exposure.script_column for exposure in lit}):
        shots = [exposure.shot for exposure in lit if exposure.script_column == column]
        open_s = float(np.mean([shot.open_s * shot.level for shot in shots]))
        for channel in channels(bench):
            rate = quadrant_rate_adu_per_s(channel, shots[0].chamber, shots[0].label, bench.geometry)
            yield keys(bench, acquired, channel) | {
                "script_column": column,
                "wavelength_nm": _wavelength(shots[0].label),
                "fluence_adu": rate * open_s,
                "fluence_e": rate * open_s * channel.gain_e_per_adu,
                "prnu_pct": channel.prnu_pct,
            }


def exposure_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield what was true of each exposure: time the shutter was open, brightness of the source."""
    for exposure in acquired:
        yield {
            "block": bench.block,
            "test": exposure.test,
            "acquisition": exposure.acquisition,
            "obsid": exposure.obsid,
            "script_column": exposure.script_column,
            "started_at": exposure.started_at,
            "chamber": exposure.shot.chamber,
            "filter": exposure.shot.label or None,
            "exptime_s": exposure.shot.exptime_s,
            "open_s": exposure.shot.open_s,
            "source_level": exposure.shot.level if is_lit(exposure) else None,
        }


_TABLES: Mapping[str, Callable[[Bench, Acquired], Iterator[Row]]] = {
    "gain": gain_rows,
    "bfe_coefficients": bfe_rows,
    "readout_noise": noise_rows,
    "offsets": offset_rows,
    "light_source": light_rows,
    "prnu": prnu_rows,
    **EFFECT_TABLES,
    **SPOT_TABLES,
    **SUM_TABLES,
    EXPOSURES: exposure_rows,
}


def truth_tables(bench: Bench, exposures: Sequence[Exposure]) -> dict[str, pl.DataFrame]:
    """Return the truth of what was simulated.

    Parameters
    ----------
    exposures
        All exposures, of one or several acquisitions. What faults change is not in it.

    Returns
    -------
    dict
        Table name -> rows with the columns of the result table of that name, ``acquisition`` among them; ``source_levels`` has
        one row per exposure. Tables without rows are left out.
    """
    acquisitions: dict[str, list[Exposure]] = {}
    for exposure in exposures:
        acquisitions.setdefault(exposure.acquisition, []).append(exposure)
    tables = {}
    for name, rows_of in _TABLES.items():
        rows = [row for acquired in acquisitions.values() for row in rows_of(bench, acquired)]
        if rows:
            tables[name] = pl.DataFrame(rows, infer_schema_length=None)
    return tables


def read_truth(out: Path, name: str) -> pl.DataFrame | None:
    """Return one truth table of a folder of simulations; None if it has none of that name."""
    path = out / TRUTH_FOLDER / f"{name}.parquet"
    return pl.read_parquet(path) if path.exists() else None


def merge_truth(out: Path, tables: dict[str, pl.DataFrame]) -> None:
    """Add tables to the truth of a folder of simulations; rows of the same acquisitions are replaced, others stay."""
    folder = out / TRUTH_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, new in tables.items():
        old = read_truth(out, name)
        merged = new
        if old is not None:
            kept = old.filter(~pl.col("acquisition").is_in(new["acquisition"].unique().to_list()))
            merged = pl.concat([kept, new], how="diagonal_relaxed")
        fresh = folder / f"{name}.parquet.new"
        merged.write_parquet(fresh)
        os.replace(fresh, folder / f"{name}.parquet")  # noqa: PTH105 - atomic by name
