"""Chamber profiles: what the filter-wheel slots hold, how bright the sources are, mirror positions, shutter and spots.

Filter labels are texts as in test names: a wavelength in nm, ``2000`` for neutral density, ``0`` for the last slot. Slots
1 to 6 are numbers of the wheel, never nanometres.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from vison_etl.instrument.datafiles import csv_rows, toml_table, unknown

_NOT_A_WAVELENGTH = frozenset({0, 2000})


_HALVINGS = 60
"""Of an interval of times: down to the last bit."""


@dataclass(frozen=True, slots=True)
class Chamber:
    """One profile.

    Parameters
    ----------
    slots
        Slot 1 to 6 -> label as a number (nm, 2000 or 0).
    flat_s, point_s
        Label -> exposure time to full well (65536 ADU), s, of the flat and of the point source.
    mirror_mm
        Slot -> nominal position of the focus mirror, mm.
    fwhm_px
        Label -> width of a spot in focus, px.
    pattern
        Set of spot positions; None if the profile has none.
    shutter
        Shutter table, A or B; None if the shutter was not calibrated.
    """

    name: str
    slots: Mapping[int, int]
    flat_s: Mapping[str, float]
    point_s: Mapping[str, float]
    mirror_mm: Mapping[int, float]
    fwhm_px: Mapping[str, float]
    pattern: str | None
    shutter: str | None


@dataclass(frozen=True, slots=True)
class Spot:
    """Nominal position of one point source, physical pixels."""

    ccd: str
    quadrant: str
    spot: str
    x_physical: float
    y_physical: float


@cache
def chambers() -> tuple[str, ...]:
    """Return the names of all profiles."""
    return tuple(toml_table("chambers.toml"))


@cache
def chamber(name: str) -> Chamber:
    """Return a profile by name; ``KeyError`` names the nearest ones."""
    raw = toml_table("chambers.toml").get(name)
    if raw is None:
        raise unknown("chamber", name, chambers())
    return Chamber(
        name=name,
        slots=dict(enumerate(raw["slots"], start=1)),
        flat_s=raw["flat_s"],
        point_s=raw["point_s"],
        mirror_mm=dict(enumerate(raw["mirror_mm"], start=1)),
        fwhm_px=raw["fwhm_px"],
        pattern=raw.get("pattern"),
        shutter=raw.get("shutter"),
    )


def filter_label(chamber_name: str | None, slot: int | None) -> str | None:
    """Return what a filter-wheel slot holds, as in test names; None for an unknown chamber or slot."""
    if chamber_name is None or slot is None or chamber_name not in chambers():
        return None
    label = chamber(chamber_name).slots.get(slot)
    return None if label is None else str(label)


def wavelength_nm(chamber_name: str | None, slot: int | None) -> float | None:
    """Return the wavelength of a slot, nm; None for neutral density, for the slot labelled 0 and where unknown."""
    label = filter_label(chamber_name, slot)
    return None if label is None or int(label) in _NOT_A_WAVELENGTH else float(label)


def slot_of(chamber_name: str, label: str) -> int | None:
    """Return the slot that holds a label; None if the wheel of this chamber lacks it."""
    slots = chamber(chamber_name).slots
    return next((slot for slot, held in slots.items() if str(held) == label), None)


@cache
def shutter_table(name: str) -> tuple[tuple[float, float], ...]:
    """Return (commanded_s, latency_s) of a shutter in increasing order, latency = actual - commanded."""
    rows = [(float(r["commanded_s"]), float(r["actual_s"])) for r in csv_rows("shutter.csv") if r["shutter"] == name]
    if not rows:
        raise unknown("shutter", name, {r["shutter"] for r in csv_rows("shutter.csv")})
    return tuple((commanded, actual - commanded) for commanded, actual in sorted(rows))


def actual_exptime_s(chamber_name: str | None, commanded_s: float | None) -> float | None:
    """Return the time the shutter was open, s.

    The latency is interpolated linearly between calibrated points and held beyond the ends; zero stays zero.

    Returns
    -------
    float or None
        None without a shutter table, for an unknown chamber, and for a time that is missing, negative or not finite.
    """
    if chamber_name is None or chamber_name not in chambers() or commanded_s is None:
        return None
    shutter = chamber(chamber_name).shutter
    if shutter is None or not math.isfinite(commanded_s) or commanded_s < 0:
        return None
    if commanded_s == 0:
        return 0.0
    return commanded_s + _latency_s(shutter_table(shutter), commanded_s)


def commanded_exptime_s(chamber_name: str | None, open_s: float | None) -> float | None:
    """Return the commanded time for which the shutter is open so long, s: the inverse of ``actual_exptime_s``, None where that is."""
    if actual_exptime_s(chamber_name, open_s) is None or open_s is None:
        return None
    low, high = 0.0, max(2.0 * open_s, 1.0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if (actual_exptime_s(chamber_name, middle) or 0.0) < open_s else (low, middle)
    return high


def _latency_s(table: tuple[tuple[float, float], ...], commanded_s: float) -> float:
    after = bisect_right(table, commanded_s, key=lambda point: point[0])
    if after == 0:
        return table[0][1]
    if after == len(table):
        return table[-1][1]
    (x0, y0), (x1, y1) = table[after - 1], table[after]
    return y0 + (y1 - y0) * (commanded_s - x0) / (x1 - x0)


@cache
def spots(pattern: str) -> tuple[Spot, ...]:
    """Return the 60 spots of a pattern: CCD1 to CCD3, quadrants E to H, ALPHA to ECHO."""
    rows = [row for row in csv_rows("spot_patterns.csv") if row["pattern"] == pattern]
    if not rows:
        raise unknown("spot pattern", pattern, {row["pattern"] for row in csv_rows("spot_patterns.csv")})
    return tuple(
        Spot(row["ccd"], row["quadrant"], row["spot"], float(row["x_physical"]), float(row["y_physical"]))
        for row in rows
    )
