"""Quantities of one channel of a functional check, from what its frames gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.effects.declare import Parameters
from vison_etl.effects.functional.frames import Chosen
from vison_etl.effects.functional.model import (
    FULL_SCALE_ADU,
    Bit,
    Ramp,
    excess_over,
    fit_ramp,
    injected,
    judge_bit,
)
from vison_etl.effects.functional.rules import Check
from vison_etl.instrument.chambers import chamber, chambers

_Floats = NDArray[np.float64]
_INJECTED_HALF = {2: "EF", 1: "GH"}
"""Quadrants that inject, by the whole part of delay over phase time."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found: value, error, a remark; ``scale`` multiplies its limits. A value of None was not measured, ``remark`` says why."""

    value: float | None
    error: float | None = None
    remark: str | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Channel:
    """All that was measured of one channel.

    ``statistics``: rows of ``quadrant_stats`` by (obsid, region); ``noise`` of ``functional_noise`` likewise; ``rows``: (y, level, error) of
    image rows by obsid; ``bits``: rows of ``functional_bits`` by obsid, ``sources``, ``edges`` likewise.
    """

    ccd: str
    quadrant: str
    chosen: Chosen
    statistics: Mapping[tuple[int, str], Mapping[str, Any]]
    noise: Mapping[tuple[int, str], Mapping[str, Any]]
    rows: Mapping[int, tuple[_Floats, _Floats, _Floats]]
    bits: Mapping[int, pl.DataFrame]
    sources: Mapping[int, pl.DataFrame]
    edges: Mapping[int, pl.DataFrame]
    parameters: Parameters


def find(channel: Channel, check: Check, exposure: Mapping[str, Any]) -> Found:
    """Return what a check finds in its exposure."""
    return _FINDERS[check.quantity](channel, check, exposure)


def _offset(channel: Channel, check: Check, exposure: Mapping[str, Any]) -> Found:
    row = channel.statistics.get((exposure["obsid"], str(check.region)))
    return _of(row, "mean_adu", "no valid pixel in the region")


def _noise(channel: Channel, check: Check, exposure: Mapping[str, Any]) -> Found:
    row = channel.noise.get((exposure["obsid"], str(check.region)))
    return _of(row, "noise_adu", "no noise beyond ADC rounding", least=0.0)


def _of(row: Mapping[str, Any] | None, name: str, missing: str, *, least: float | None = None) -> Found:
    if row is None:
        return Found(None, remark="the region was not read")
    if row[name] is None:
        return Found(least, None, missing) if least is not None and (row["n"] or 0) > 0 else Found(None, remark=missing)
    return Found(float(row[name]), float(row[f"{name}_err"]) if row[f"{name}_err"] is not None else None)


def _gradient(channel: Channel, check: Check, exposure: Mapping[str, Any]) -> Found:
    here, pre = (channel.statistics.get((exposure["obsid"], name)) for name in (str(check.region), "pre"))
    if here is None or pre is None or here["mean_adu"] is None or pre["mean_adu"] is None:
        return Found(None, remark="no valid pixel in the region or the prescan")
    return Found(here["mean_adu"] - pre["mean_adu"], float(np.hypot(here["mean_adu_err"], pre["mean_adu_err"])))


def profile_of(channel: Channel, obsid: int) -> tuple[_Floats, _Floats, _Floats] | None:
    """Return rows, levels above the prescan, and errors of the image of an exposure; None without valid prescan or rows."""
    pre = channel.statistics.get((obsid, "pre"))
    if pre is None or pre["mean_adu"] is None or obsid not in channel.rows:
        return None
    y, level, error = channel.rows[obsid]
    return y, level - float(pre["mean_adu"]), error


def ramp_of(channel: Channel) -> tuple[Ramp, int | None] | None:
    """Return the fitted ramp and the exposure whose rows were taken off it; None without frame or rows.

    The settling of the first rows is that of a read-out with parallel clocks reversed, to which no dark current comes: it is taken off
    row by row, where there is such an exposure of the same rows.
    """
    exposure, reverse = channel.chosen.get(("ramp", None)), channel.chosen.get(("reverse_columns", None))
    profile = None if exposure is None else profile_of(channel, int(exposure["obsid"]))
    if profile is None:
        return None
    y, level, error = profile
    base = None if reverse is None else profile_of(channel, int(reverse["obsid"]))
    of_base: int | None = None
    if reverse is not None and base is not None and np.array_equal(base[0], y) and np.isfinite(base[1]).all():
        level, error, of_base = level - base[1], np.hypot(error, base[2]), int(reverse["obsid"])
    ramp = fit_ramp(y, level, error, float(channel.parameters["max_level_adu"]))
    return None if ramp is None else (ramp, of_base)


def _slope(channel: Channel, _check: Check, _exposure: Mapping[str, Any]) -> Found:
    found = ramp_of(channel)
    if found is None:
        return Found(None, remark="fewer than 20 rows")
    ramp, of_base = found
    ratio = ramp.chi2 / ramp.dof
    bent = "; bent: its curve is no response of the chain" if ratio > 2.0 else ""
    base = (
        "" if of_base is not None else "; settling of the first rows not taken off: no read-out with columns reversed"
    )
    return Found(ramp.slope, ramp.slope_err, f"{ramp.dof + 2} rows, chi2/dof {ratio:.3g}{bent}{base}")


def _injection(channel: Channel, _check: Check, exposure: Mapping[str, Any]) -> Found:
    delay, phase = exposure["id_dly_us"], exposure["toi_ch_us"]
    half = _INJECTED_HALF.get(int(delay / phase)) if delay and phase else None
    if half is not None and channel.quadrant not in half:
        return Found(None, remark=f"the drain delay selects quadrants {half[0]} and {half[1]}")
    on, off = exposure["chinj_on"], exposure["chinj_of"]
    profile = profile_of(channel, int(exposure["obsid"]))
    if not on or not off or profile is None:
        return Found(None, remark="no injection pattern in the log" if profile is not None else "no valid rows")
    found = injected(profile[1], profile[2], int(on), int(off), float(channel.parameters["max_level_adu"]))
    if found is None:
        return Found(None, remark="no whole cycle of injection below the level that rows are used to")
    return Found(found.level, found.error, f"{found.n_cycles} cycles, first injected row {found.phase}")


def _flat(channel: Channel, _check: Check, exposure: Mapping[str, Any]) -> Found:
    base = channel.chosen.get(("ramp", None))
    if base is None:
        return Found(None, remark="no ramp to subtract")
    one, other = (profile_of(channel, int(row["obsid"])) for row in (exposure, base))
    expected = _commanded_adu(exposure)
    if one is None or other is None or one[0].size != other[0].size:
        return Found(None, remark="no valid rows, or not those of the ramp")
    if expected is None:
        return Found(None, remark="chamber or filter not known: nothing to compare with")
    found = excess_over(one[1], other[1], one[2], other[2], float(channel.parameters["max_level_adu"]))
    if found is None:
        return Found(None, remark="no row below the level that rows are used to")
    return Found(*found, f"above the ramp; commanded {expected:.0f} ADU", expected)


def _commanded_adu(exposure: Mapping[str, Any]) -> float | None:
    """Return the level that the chamber's profile promises for the commanded time; None where it is not known."""
    name, label = exposure["chamber"], exposure["filter"]
    full_s = chamber(name).flat_s.get(str(label)) if name in chambers() else None
    return None if not full_s else FULL_SCALE_ADU * float(exposure["exptime_s"]) / full_s


def _spots(channel: Channel, _check: Check, exposure: Mapping[str, Any]) -> Found:
    sources = channel.sources.get(int(exposure["obsid"]))
    if sources is None:
        return Found(0.0, None, "no source")
    least, compact = float(channel.parameters["least_spot_adu"]), float(channel.parameters["least_spread"])
    good = sources.filter((pl.col("peak_adu") >= least) & (pl.col("sum_adu") >= compact * pl.col("peak_adu")))
    peaks = good["peak_adu"].to_numpy()
    peak = f", median peak {float(np.median(peaks)):.0f} ADU" if peaks.size else ""
    return Found(float(good.height), None, f"{good.height} sources above {least:.0f} ADU{peak}")


def judged_bits(channel: Channel, obsid: int) -> list[tuple[Mapping[str, Any], Bit]]:
    """Return every bit of an exposure with the row of ``functional_bits`` that it was judged by."""
    bits, image = channel.bits.get(obsid), channel.statistics.get((obsid, "img"))
    if bits is None or image is None or image["p95_adu"] is None:
        return []
    span = float(image["p95_adu"]) - float(image["p05_adu"])
    return [
        (row, judge_bit(row["bit"], row["n"], row["n_set"], span, row["partner_correlation"]))
        for row in bits.sort("bit").iter_rows(named=True)
    ]


def _bits(channel: Channel, check: Check, exposure: Mapping[str, Any]) -> Found:
    judged, state = judged_bits(channel, int(exposure["obsid"])), check.quantity.removeprefix("bits_")
    tested = [row["bit"] for row, bit in judged if bit.state != "not_tested"]
    if not tested:
        return Found(None, remark="the codes span too little to test a bit")
    which = [row["bit"] for row, bit in judged if bit.state == state]
    named = f"bits {', '.join(map(str, which))}; " if which else ""
    return Found(float(len(which)), None, f"{named}tested {tested[0]} to {tested[-1]}")


def _edge(channel: Channel, _check: Check, exposure: Mapping[str, Any]) -> Found:
    rows = channel.edges.get(int(exposure["obsid"]))
    row = None if rows is None else rows.row(0, named=True)
    if row is None or row["response"] is None:
        return Found(None, remark="the levels of the rows do not differ enough")
    return Found(float(row["response"]), float(row["response_err"]), f"first overscan pixel, {row['n_rows']} rows")


_FINDERS: Mapping[str, Callable[[Channel, Check, Mapping[str, Any]], Found]] = {
    "offset": _offset,
    "offset_gradient": _gradient,
    "noise": _noise,
    "slope": _slope,
    "injection": _injection,
    "flat": _flat,
    "spots": _spots,
    "bits_stuck": _bits,
    "bits_coupled": _bits,
    "edge": _edge,
}
