"""What is known beforehand about the signals that checks expect, from the table ``constants`` of ``limits.toml``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

from vison_etl.campaign.strict import check_keys, read_toml, take

_FILE = "limits.toml"


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants of the metrics.

    Parameters
    ----------
    least_pixels
        Pixels of a region from which on its scatter is known well enough, to 2 %, to be held against limits.
    least_offset_adu, largest_offset_adu
        Levels of a prescan between which a channel can be used.
    effective_saturation_adu
        Brightest pixel of a spot at full well of the point source.
    spots_per_quadrant
        Spots of the pattern in each quadrant.
    spot_least_fluence, spot_largest_fluence
        Fractions of full well between which the brightest pixel tells the flux of the source.
    unlit_share, spotted_share, flooded_share
        A frame that was to be flat shows the other source where its mean is below the first and its peak above the second share
        of what is expected; one that was to show spots where its mean is above the third share of the expected peak.
    injection_least_width_us
        Drain pulses shorter than this inject nothing.
    injection_hold_v, injection_margin_v
        Charge is injected while IDL < IG1 + hold; a level is expected only if this and IG2 - IG1 are clear by the margin.
    injection_notch_adu, injection_slope_adu_per_v
        Injected level: notch + slope x max(0, IG2 - IG1).
    """

    least_pixels: float
    least_offset_adu: float
    largest_offset_adu: float
    effective_saturation_adu: float
    spots_per_quadrant: float
    spot_least_fluence: float
    spot_largest_fluence: float
    unlit_share: float
    spotted_share: float
    flooded_share: float
    injection_least_width_us: float
    injection_hold_v: float
    injection_margin_v: float
    injection_notch_adu: float
    injection_slope_adu_per_v: float


@cache
def constants() -> Constants:
    """Return the constants; read once, ``RuleError`` where one is missing or unknown."""
    raw = take(_FILE, read_toml(_FILE), "constants", dict)
    where = f"{_FILE}: constants"
    names = [field.name for field in fields(Constants)]
    check_keys(where, raw, names)
    return Constants(**{name: take(where, raw, name, float) for name in names})
