"""Settings of the simulated bench, read from ``bench.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np


class SimulationError(ValueError):
    """What was asked for cannot be simulated; the message says why and what can."""


@cache
def settings() -> Mapping[str, Any]:
    """Return all settings."""
    return tomllib.loads((files("vison_etl.simulate") / "bench.toml").read_text(encoding="utf-8"))


def uniform(rng: np.random.Generator, limits: tuple[float, float] | list[float]) -> float:
    """Draw evenly between two limits."""
    lo, hi = limits
    return float(rng.uniform(lo, hi))
