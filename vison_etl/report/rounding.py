"""Numbers as people write them: as many digits as the error supports, units in full."""

from __future__ import annotations

import math
from datetime import datetime

MISSING = "–"
SIGNIFICANT_DIGITS = 5

_UNITS = {
    "e": "e⁻",
    "e2": "e⁻²",
    "e/ADU": "e⁻/ADU",
    "1/e": "1/e⁻",
    "1/e2": "1/e⁻²",
    "ADU2": "ADU²",
    "px2": "px²",
    "um": "µm",
    "us": "µs",
    "degC": "°C",
    "e/px/h": "e⁻/px/h",
    "um/10kADU": "µm/10 kADU",
    "px/10kADU": "px/10 kADU",
    "um/mm": "µm/mm",
}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LEAST_PLAIN, _MOST_PLAIN = 1e-3, 1e6


def unit_text(unit: str) -> str:
    """Return a unit as printed: ``e/ADU`` becomes e⁻/ADU."""
    return _UNITS.get(unit, unit)


def measured(value: float | None, error: float | None = None, digits: int = SIGNIFICANT_DIGITS) -> str:
    """Write a value with its one-sigma error.

    The error has two significant digits and the value ends at the same decimal: ``3.5001 ± 0.0016``. Without an error the
    value has ``digits`` significant ones. Very large and very small numbers share one power of ten. NULL, NaN and infinity
    are a dash.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if error is None or not math.isfinite(error) or error <= 0:
        return _plain(value, digits)
    largest = max(abs(value), error)
    power = math.floor(math.log10(largest))
    scale = 0 if _LEAST_PLAIN <= largest < _MOST_PLAIN else power
    decimals = 1 - math.floor(math.log10(error)) + scale
    v, e = value / 10.0**scale, error / 10.0**scale
    if decimals < 0:
        v, e, decimals = round(v, decimals), round(e, decimals), 0
    body = f"{_signed(v, decimals)} ± {e:.{decimals}f}"
    return body if scale == 0 else f"({body})·10{str(scale).translate(_SUPERSCRIPT)}"


def _plain(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if _LEAST_PLAIN <= abs(value) < _MOST_PLAIN:
        decimals = digits - 1 - power
        text = _signed(round(value, decimals), max(decimals, 0))
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa = _signed(value / 10.0**power, min(digits - 1, 3))
    return f"{mantissa}·10{str(power).translate(_SUPERSCRIPT)}"


def _signed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) != 0 else text.replace("-", "")


def written(value: object) -> str:
    """Write any value of a table: numbers in five digits, whole numbers in full, times to the second, NULL as a dash."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return measured(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def counted(n: int, word: str, plural: str | None = None) -> str:
    """Write a count with its noun: ``1 frame``, ``2 frames``."""
    return f"{n} {word if n == 1 else plural or word + 's'}"


def duration(seconds: float | None) -> str:
    """Write a duration: ``12.3 s``, ``4 min 05 s``, ``3 h 12 min``."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
