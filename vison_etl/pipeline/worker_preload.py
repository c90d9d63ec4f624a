"""Imported once by the server process that workers are forked from: what every worker needs, compiled kernels included."""

from __future__ import annotations

import numpy as np

from vison_etl.instrument.geometry import geometry_of
from vison_etl.pipeline import worker
from vison_etl.pixels.histograms import RAW_DTYPE, region_statistics

__all__ = ["worker"]

_SMALL = (654, 552)
region_statistics(np.zeros(_SMALL[::-1], RAW_DTYPE), geometry_of(*_SMALL), 0, _SMALL[1])
