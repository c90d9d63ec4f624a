"""From arrays to the columns that a measurement returns. Workers import this: no data frames here."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray


def or_none(value: float) -> float | None:
    """Return a number, or None for NaN: what is missing is NULL."""
    return None if math.isnan(value) else value


def values_of(column: NDArray[Any]) -> list[Any]:
    """Return an array of shape (n,) as n Python values, NaN as None."""
    return [None if isinstance(value, float) and math.isnan(value) else value for value in column.tolist()]
